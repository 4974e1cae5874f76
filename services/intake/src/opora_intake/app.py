"""The composition root: the only module that knows all parts of intake."""

from functools import partial
from pathlib import Path

from opora_chassis.consume import Guard, Subscription
from opora_chassis.platform import Platform
from opora_chassis.service import Loop, Parts, Service
from opora_contracts.requests import TicketReplySubmitted, TicketSubmitted
from opora_contracts.topics import REQUESTS
from opora_intake.api import (
    attachments,
    calls,
    case_settings,
    chats,
    customer_files,
    customer_records,
    customers,
    details,
    groups,
    hooks,
    imports,
    letters,
    links,
    macros,
    organizations,
    presence,
    problems,
    public_forms,
    saved_views,
    search,
    tickets,
    web_forms,
)
from opora_intake.api.dependencies import files_of, rules_of
from opora_intake.api.openings import opening_routes
from opora_intake.channels.chat import ChatRoom
from opora_intake.channels.files import file_loops
from opora_intake.channels.hooks import HookDesk
from opora_intake.channels.mail import MailChannel
from opora_intake.handlers.assignment import keep_assigning
from opora_intake.handlers.closing import keep_closing
from opora_intake.handlers.indexing import keep_searchable
from opora_intake.handlers.problems import keep_announcing
from opora_intake.handlers.requests import follow_requests
from opora_intake.settings import IntakeSettings
from opora_intake.store.imports import import_watermarks


def compose(platform: Platform) -> Parts:
    """Intake's parts on this platform."""
    hook_desk = HookDesk(platform)
    chat_room = ChatRoom(platform)
    files = files_of(platform)
    return Parts(
        routers=(
            customer_files.router,  # before `customers`: its export is no customer
            customers.router,
            customer_records.router,
            organizations.router,
            opening_routes(platform),
            tickets.router,
            details.router,
            links.router,
            problems.router,
            presence.router,
            macros.router,
            case_settings.router,
            groups.router,
            imports.router,
            letters.router,
            search.router,
            saved_views.router,
            attachments.router,
            calls.router,
            *chats.chat_routes(chat_room),
            web_forms.router,
            public_forms.router,
            hooks.router,
            hooks.inbox_routes(hook_desk.woken.set),
        ),
        subscriptions=(
            Subscription(
                topic=REQUESTS,
                handle=partial(follow_requests, rules=rules_of(platform)),
                types=(TicketSubmitted, TicketReplySubmitted),
                guard=Guard.INBOX,
            ),
        ),
        loops=(
            *MailChannel(platform, files).loops(),
            *file_loops(platform, files),
            *hook_desk.loops(),
            *chat_room.loops(),
            Loop("keep_assigning", partial(keep_assigning, database=platform.database, rules=rules_of(platform))),
            Loop("keep_announcing", partial(keep_announcing, database=platform.database, rules=rules_of(platform))),
            Loop("keep_closing", partial(keep_closing, database=platform.database, rules=rules_of(platform))),
            Loop("keep_searchable", partial(keep_searchable, database=platform.database)),
        ),
        # GitHub sends forms unless it is told otherwise.
        form_paths=(hooks.HOOK_PATH, public_forms.PAGE_PATH),
        publish_marks=import_watermarks,
        uploads=attachments.UPLOADS,
    )


SERVICE = Service(
    name="intake",
    settings=IntakeSettings,
    migrations=Path(__file__).parent / "migrations",
    compose=compose,
)
