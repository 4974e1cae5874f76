"""How feedback is put together."""

from functools import partial
from pathlib import Path

from opora_chassis.consume import Subscription
from opora_chassis.identifiers import new_id
from opora_chassis.platform import Platform
from opora_chassis.service import Loop, Parts, Service
from opora_contracts.customers import CustomerMerged, CustomerRegistered, CustomerUpdated
from opora_contracts.tickets import TicketClosed
from opora_contracts.topics import CUSTOMERS, TICKETS
from opora_feedback import api, handlers, pages, timers
from opora_feedback.settings import FeedbackSettings, settings_of


def compose(platform: Platform) -> Parts:
    """The parts that the roles run."""
    settings = settings_of(platform)
    follow_closings = partial(handlers.follow_closings, policy=settings.asking_policy, new_survey_id=new_id)
    expire_surveys = partial(
        timers.expire_surveys, database=platform.database, poll_seconds=settings.expiry_poll_seconds
    )
    return Parts(
        routers=(api.router, pages.router),
        subscriptions=(
            Subscription(topic=TICKETS, handle=follow_closings, types=(TicketClosed,)),
            Subscription(
                topic=CUSTOMERS,
                handle=handlers.follow_customers,
                types=(CustomerRegistered, CustomerUpdated, CustomerMerged),
            ),
        ),
        form_paths=(pages.FORM_PATH,),
        loops=(Loop("expire_surveys", expire_surveys),),
    )


SERVICE = Service(
    name="feedback",
    settings=FeedbackSettings,
    migrations=Path(__file__).parent / "migrations",
    compose=compose,
)
