"""The composition root: the only module that knows all parts of intake."""

from functools import partial
from pathlib import Path

from opora_chassis.consume import Guard, Subscription
from opora_chassis.platform import Platform
from opora_chassis.service import Loop, Parts, Service
from opora_contracts.requests import TicketReplySubmitted, TicketSubmitted
from opora_contracts.topics import REQUESTS
from opora_intake.api import attachments, customers, imports, letters, saved_views, search, tickets
from opora_intake.api.dependencies import files_of, matrix_of
from opora_intake.api.openings import opening_routes
from opora_intake.channels.files import file_loops
from opora_intake.channels.mail import MailChannel
from opora_intake.handlers.indexing import keep_searchable
from opora_intake.handlers.requests import follow_requests
from opora_intake.settings import IntakeSettings
from opora_intake.store.imports import import_watermarks


def compose(platform: Platform) -> Parts:
    """Intake's parts on this platform."""
    files = files_of(platform)
    return Parts(
        routers=(
            customers.router,
            opening_routes(platform),
            tickets.router,
            imports.router,
            letters.router,
            search.router,
            saved_views.router,
            attachments.router,
        ),
        subscriptions=(
            Subscription(
                topic=REQUESTS,
                handle=partial(follow_requests, matrix=matrix_of(platform)),
                types=(TicketSubmitted, TicketReplySubmitted),
                guard=Guard.INBOX,
            ),
        ),
        loops=(
            *MailChannel(platform, files).loops(),
            *file_loops(platform, files),
            Loop("keep_searchable", partial(keep_searchable, database=platform.database)),
        ),
        publish_marks=import_watermarks,
        uploads=attachments.UPLOADS,
    )


SERVICE = Service(
    name="intake",
    settings=IntakeSettings,
    migrations=Path(__file__).parent / "migrations",
    compose=compose,
)
