"""How sla is put together. The only module that knows all parts."""

from functools import partial
from pathlib import Path

from opora_chassis.consume import Subscription
from opora_chassis.marks import FollowMarks
from opora_chassis.platform import Platform
from opora_chassis.service import Loop, Parts, Service
from opora_contracts.tickets import TicketFact
from opora_contracts.topics import TICKETS
from opora_sla.api import router
from opora_sla.calendar_api import router as calendar_router
from opora_sla.changes import ChangeWork
from opora_sla.changes_api import router as changes_router
from opora_sla.feed.refresh import SourceWatch
from opora_sla.handlers import follow_marks, follow_tickets
from opora_sla.late_clocks import watch_late_clocks
from opora_sla.reports_api import router as reports_router
from opora_sla.settings import SlaSettings
from opora_sla.timers import ClockWatch


def compose(platform: Platform) -> Parts:
    """The parts of sla on this platform."""
    facts = tuple(fact for fact in TICKETS.types if issubclass(fact, TicketFact))
    return Parts(
        routers=(router, calendar_router, changes_router, reports_router),
        subscriptions=(Subscription(TICKETS, follow_tickets, facts),),
        loops=(
            Loop("clocks", ClockWatch(platform).run),
            Loop("changes", ChangeWork(platform).run),
            # A second one computes while the first waits for the database.
            Loop("changes_too", ChangeWork(platform).run),
            Loop("calendars", SourceWatch(platform).run),
            Loop("late_clocks", partial(watch_late_clocks, platform=platform)),
        ),
        follow_marks=FollowMarks(TICKETS, follow_marks),
    )


SERVICE = Service("sla", SlaSettings, Path(__file__).parent / "migrations", compose)
