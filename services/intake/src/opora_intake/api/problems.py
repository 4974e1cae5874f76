"""Problems over HTTP: their incidents, what helps meanwhile, and what is announced to everybody who is affected."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from opora_chassis.database import Transaction
from opora_chassis.http import Limit, NotFound, Page, PlatformDependency, decode_cursor, page_of, shown
from opora_contracts.vocabulary import ResolutionCode, Step
from opora_intake.api import problem_examples as examples
from opora_intake.api.carrying_out import found_ticket
from opora_intake.api.dependencies import (
    ReadMessages,
    ReadTickets,
    TicketReference,
    TicketWrite,
    broken_rules_as_problems,
)
from opora_intake.api.examples import page as page_example
from opora_intake.api.views import View
from opora_intake.domain import Ticket
from opora_intake.domain.problems import (
    After,
    Announcement,
    AnnouncementDraft,
    KnownError,
    KnownErrorDraft,
    Outcome,
)
from opora_intake.domain.ticket import NUMBER_PREFIX
from opora_intake.handlers import problems as handlers
from opora_intake.store import problems as store

router = APIRouter(prefix="/v1", tags=["problems"])

_NO_PROBLEM = "The ticket is of another kind than `problem`"


class IncidentView(View):
    """A ticket that names the problem as its cause."""

    ticket_id: UUID
    number: str
    title: str
    step: Step
    requester_id: UUID | None
    since: datetime


class KnownErrorInput(KnownErrorDraft):
    """What helps until the problem is resolved."""

    expected_version: Annotated[int | None, Field(ge=0)] = None
    """Refuse unless the known error still is at this version; 0: unless there is none."""


class KnownErrorView(View):
    """A problem for which a workaround is known, with its cause where that was diagnosed."""

    ticket_id: UUID
    number: str
    title: str
    step: Step
    cause: str | None
    workaround: str
    version: int
    changed_at: datetime
    changed_by: str


class AnnouncementView(View):
    """An announcement and how far it has come."""

    id: UUID
    problem_id: UUID
    body: str
    after: After
    resolves: bool
    resolution_code: ResolutionCode
    asked_at: datetime
    asked_by: str
    told: int
    """Incidents on which it was said, resolved ones among them."""
    resolved: int
    passed_over: int
    finished_at: datetime | None
    withdrawn_at: datetime | None


class AnnouncedView(View):
    """What became of one incident when the announcement came to it."""

    ticket_id: UUID
    number: str
    outcome: Outcome
    reason: str | None


@router.get("/tickets/{ticket}/incidents", summary="List a problem's incidents")
@shown(examples.INCIDENTS)
async def get_incidents(
    ticket: TicketReference,
    platform: PlatformDependency,
    _caller: ReadTickets,
    limit: Limit = 50,
    cursor: str | None = None,
) -> Page[IncidentView]:
    """The tickets that name this one as their cause (`caused_by`), or one that was merged into it, oldest first."""
    found = await found_ticket(platform, ticket)
    position = decode_cursor(cursor, after=UUID) or {"after": None}
    incidents = await store.incidents_of(platform.database, found.id, limit=limit + 1, **position)
    page = page_of(incidents, limit, lambda incident: {"after": incident.ticket_id})
    items = [
        IncidentView(
            ticket_id=each.ticket_id,
            number=f"{NUMBER_PREFIX}{each.number}",
            title=each.title,
            step=each.step,
            requester_id=each.requester_id,
            since=each.since,
        )
        for each in page.items
    ]
    return Page(items=items, next_cursor=page.next_cursor)


@router.get("/known-errors", summary="List known errors")
@shown(page_example(examples.KNOWN_ERROR))
async def list_known_errors(
    platform: PlatformDependency, _caller: ReadMessages, limit: Limit = 50, cursor: str | None = None
) -> Page[KnownErrorView]:
    """Problems that are not closed and for which a workaround is known, the newest first."""
    position = decode_cursor(cursor, after=UUID) or {"after": None}
    found = await store.list_known_errors(platform.database, limit=limit + 1, **position)
    page = page_of(found, limit, lambda one: {"after": one[0].ticket_id})
    items = [
        _known_view(known, number=f"{NUMBER_PREFIX}{number}", title=title, step=step, cause=cause)
        for known, number, title, step, cause in page.items
    ]
    return Page(items=items, next_cursor=page.next_cursor)


@router.get("/tickets/{ticket}/known-error", summary="Read a problem's workaround")
@shown(examples.KNOWN_ERROR)
async def get_known_error(
    ticket: TicketReference, platform: PlatformDependency, _caller: ReadMessages
) -> KnownErrorView:
    """What helps until the problem is resolved."""
    found = await found_ticket(platform, ticket)
    known = await store.find_known_error(platform.database, found.id)
    if known is None:
        raise NotFound("known error of", found.label)
    return _known_of(found, known)


@router.put("/tickets/{ticket}/known-error", response_model=KnownErrorView, summary="Say what helps meanwhile")
@shown(
    examples.KNOWN_ERROR,
    examples.KNOWN_ERROR_DRAFTS,
    conflict=f"{_NO_PROBLEM}; or `expected_version` is no longer the known error's version.",
)
async def put_known_error(ticket: TicketReference, body: KnownErrorInput, call: TicketWrite) -> Response:
    """Keep the workaround of a problem, which makes it a known error. It stays with intake; customers are not told."""

    async def work(tx: Transaction) -> KnownErrorView:
        found, known = await handlers.put_known_error(
            tx, ticket, body.workaround, expected_version=body.expected_version, actor=call.caller.actor
        )
        return _known_of(found, known)

    with broken_rules_as_problems():
        return await call.run(work)


@router.delete(
    "/tickets/{ticket}/known-error", status_code=204, response_class=Response, summary="Take a workaround back"
)
@shown()
async def remove_known_error(ticket: TicketReference, call: TicketWrite) -> Response:
    """What was thought to help does not."""
    with broken_rules_as_problems():
        return await call.run(lambda tx: handlers.remove_known_error(tx, ticket), status=204)


@router.post(
    "/tickets/{ticket}/announcements", status_code=202, response_model=AnnouncementView, summary="Announce to all"
)
@shown(examples.ANNOUNCEMENT, examples.DRAFTS, conflict=f"{_NO_PROBLEM}.")
async def announce(ticket: TicketReference, body: AnnouncementDraft, call: TicketWrite) -> Response:
    """Answer in every incident of a problem, now or when it is resolved, and resolve them with it if that is wanted.

    It goes out behind this request, once to each; the incidents are those that the problem has then.
    """

    async def work(tx: Transaction) -> AnnouncementView:
        return _view(await handlers.announce(tx, ticket, body, call.caller.actor))

    with broken_rules_as_problems():
        return await call.run(work, status=202)


@router.get("/tickets/{ticket}/announcements", summary="List a problem's announcements")
@shown(page_example(examples.ANNOUNCEMENT))
async def list_announcements(
    ticket: TicketReference, platform: PlatformDependency, _caller: ReadMessages
) -> Page[AnnouncementView]:
    """All of them, at most 50, oldest first, with how far each has come."""
    found = await found_ticket(platform, ticket)
    announcements = await store.list_announcements(platform.database, found.id)
    return Page(items=[_view(each) for each in announcements])


@router.get("/tickets/{ticket}/announcements/{announcement_id}/incidents", summary="What became of the incidents")
@shown(examples.ANNOUNCED)
async def get_announced(
    ticket: TicketReference,
    announcement_id: UUID,
    platform: PlatformDependency,
    _caller: ReadTickets,
    limit: Limit = 50,
    cursor: str | None = None,
) -> Page[AnnouncedView]:
    """Each incident to which the announcement came, and why one was not told or not resolved."""
    found = await found_ticket(platform, ticket)
    if await store.find_announcement(platform.database, found.id, announcement_id) is None:
        raise NotFound("announcement", announcement_id)
    position = decode_cursor(cursor, after=UUID) or {"after": None}
    announced = await store.announced_to(platform.database, announcement_id, limit=limit + 1, **position)
    page = page_of(announced, limit, lambda one: {"after": one[0].ticket_id})
    items = [
        AnnouncedView(
            ticket_id=one.ticket_id, number=f"{NUMBER_PREFIX}{number}", outcome=one.outcome, reason=one.reason
        )
        for one, number in page.items
    ]
    return Page(items=items, next_cursor=page.next_cursor)


@router.post(
    "/tickets/{ticket}/announcements/{announcement_id}/withdraw",
    response_model=AnnouncementView,
    summary="Withdraw an announcement",
)
@shown(examples.WITHDRAWN, conflict="It has begun to go out, or was withdrawn.")
async def withdraw(ticket: TicketReference, announcement_id: UUID, call: TicketWrite) -> Response:
    """Let it not go out. What has begun to go out cannot be taken back."""

    async def work(tx: Transaction) -> AnnouncementView:
        return _view(await handlers.withdraw(tx, ticket, announcement_id))

    with broken_rules_as_problems():
        return await call.run(work)


def _known_of(ticket: Ticket, known: KnownError) -> KnownErrorView:
    return _known_view(known, number=ticket.label, title=ticket.title, step=ticket.step, cause=ticket.cause)


def _known_view(known: KnownError, *, number: str, title: str, step: Step, cause: str | None) -> KnownErrorView:
    return KnownErrorView(
        ticket_id=known.ticket_id,
        number=number,
        title=title,
        step=step,
        cause=cause,
        workaround=known.workaround,
        version=known.version,
        changed_at=known.changed_at,
        changed_by=known.changed_by,
    )


def _view(announcement: Announcement) -> AnnouncementView:
    return AnnouncementView(**{name: getattr(announcement, name) for name in AnnouncementView.model_fields})
