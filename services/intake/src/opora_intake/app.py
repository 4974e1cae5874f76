"""The composition root: the only module that knows all parts of intake."""

from functools import partial
from pathlib import Path

from opora_chassis.consume import Guard, Subscription
from opora_chassis.platform import Platform
from opora_chassis.service import Parts, Service
from opora_contracts.requests import TicketReplySubmitted, TicketSubmitted
from opora_contracts.topics import REQUESTS
from opora_intake.api import case_settings, customers, details, imports, letters, links, tickets
from opora_intake.api.dependencies import rules_of
from opora_intake.api.openings import opening_routes
from opora_intake.channels.mail import MailChannel
from opora_intake.handlers.requests import follow_requests
from opora_intake.settings import IntakeSettings
from opora_intake.store.imports import import_watermarks


def compose(platform: Platform) -> Parts:
    """Intake's parts on this platform."""
    return Parts(
        routers=(
            customers.router,
            opening_routes(platform),
            tickets.router,
            details.router,
            links.router,
            case_settings.router,
            imports.router,
            letters.router,
        ),
        subscriptions=(
            Subscription(
                topic=REQUESTS,
                handle=partial(follow_requests, rules=rules_of(platform)),
                types=(TicketSubmitted, TicketReplySubmitted),
                guard=Guard.INBOX,
            ),
        ),
        loops=MailChannel(platform).loops(),
        publish_marks=import_watermarks,
    )


SERVICE = Service(
    name="intake",
    settings=IntakeSettings,
    migrations=Path(__file__).parent / "migrations",
    compose=compose,
)
