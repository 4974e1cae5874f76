"""Tickets over HTTP."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field, StringConstraints
from starlette.responses import Response

from opora_chassis.http import (
    Input,
    Limit,
    NotFound,
    Page,
    PlatformDependency,
    decode_cursor,
    page_of,
    shown,
)
from opora_contracts.fact import BodyText, Instant
from opora_contracts.vocabulary import Channel, Priority, Step, WaitingOn
from opora_intake.api import case_examples, examples
from opora_intake.api.carrying_out import NOT_NOW, carry_out, found_ticket
from opora_intake.api.dependencies import (
    ReadMessages,
    ReadTickets,
    Rules,
    TicketReference,
    TicketWrite,
)
from opora_intake.api.views import (
    FactView,
    MessageView,
    StepView,
    TicketView,
    TicketWithMessageView,
    step_view,
    ticket_view,
)
from opora_intake.domain import commands
from opora_intake.store import customers as customer_store
from opora_intake.store import links, steps
from opora_intake.store import tickets as store

router = APIRouter(prefix="/v1", tags=["tickets"])

Text = Annotated[BodyText, StringConstraints(min_length=1)]


class ReplyBody(commands.Reply):
    """A public message; it must say something."""

    body: Text


class NoteBody(commands.Note):
    """An internal note; it must say something."""

    body: Text


class TicketQuery(Input):
    """Which tickets to list: those that match every given filter. `step` and `priority` may be repeated."""

    step: tuple[Step, ...] = ()
    priority: tuple[Priority, ...] = ()
    open: bool | None = None
    """True: not closed. False: closed."""
    assignee: str | None = None
    unassigned: bool | None = None
    group: str | None = None
    requester_id: UUID | None = None
    organization_id: UUID | None = None
    product: str | None = None
    tag: Annotated[commands.Tag | None, Field()] = None
    channel: Channel | None = None
    waiting_on: WaitingOn | None = None
    external_source: str | None = None
    external_id: str | None = None
    q: Annotated[str | None, Field(min_length=1, max_length=250)] = None
    """The beginning of the title, in any letter case."""
    created_from: Instant | None = None
    created_before: Instant | None = None
    limit: Limit = 50
    cursor: str | None = None

    def filters(self) -> dict[str, Any]:
        """The given filters by the store's names."""
        given = self.model_dump(exclude={"open", "q", "limit", "cursor"}, exclude_none=True)
        filters = {name: value for name, value in given.items() if value != ()}
        return filters if self.q is None else {**filters, "title_prefix": self.q}


@router.get("/tickets", summary="List tickets")
@shown(examples.page(examples.TICKET, next_cursor="eyJiZWZvcmVfbnVtYmVyIjoxMDQyfQ"))
async def list_tickets(
    query: Annotated[TicketQuery, Query()], platform: PlatformDependency, _caller: ReadTickets
) -> Page[TicketView]:
    """Tickets, newest number first."""
    filters = query.filters()
    if query.requester_id is not None:  # a requester who was merged has its tickets where it is by now
        survivors = await customer_store.survivors_of(platform.database, [query.requester_id])
        filters["requester_id"] = survivors.get(query.requester_id, query.requester_id)
    position = decode_cursor(query.cursor, before_number=int)
    tickets = await store.list_tickets(
        platform.database, limit=query.limit + 1, open_only=query.open, **filters, **(position or {})
    )
    page = page_of(tickets, query.limit, lambda ticket: {"before_number": ticket.number})
    return Page(items=[ticket_view(ticket) for ticket in page.items], next_cursor=page.next_cursor)


@router.get("/tickets/{ticket}", summary="Read a ticket")
@shown(examples.TICKET)
async def get_ticket(ticket: TicketReference, platform: PlatformDependency, _caller: ReadTickets) -> TicketView:
    """One ticket, by id or number."""
    return ticket_view(await found_ticket(platform, ticket))


@router.get("/tickets/{ticket}/timeline", summary="Read a ticket's timeline")
@shown(examples.page(examples.FACT))
async def get_timeline(
    ticket: TicketReference,
    platform: PlatformDependency,
    _caller: ReadTickets,
    limit: Limit = 200,
    cursor: str | None = None,
) -> Page[FactView]:
    """Everything that happened to the ticket, in the order in which intake learnt of it."""
    position = decode_cursor(cursor, after=int) or {"after": 0}
    found = await found_ticket(platform, ticket)
    rows = await store.timeline_of(platform.database, found.id, limit=limit + 1, **position)
    facts = [FactView(**row) for row in rows]
    return page_of(facts, limit, lambda fact: {"after": fact.sequence})


@router.get("/tickets/{ticket}/steps", summary="Read what a ticket's steps left behind")
@shown(examples.page(case_examples.RECORD))
async def get_steps(
    ticket: TicketReference,
    platform: PlatformDependency,
    _caller: ReadMessages,
    limit: Limit = 50,
    cursor: str | None = None,
) -> Page[StepView]:
    """The record of each step that was taken, oldest first; of those of one step in a cycle the newest counts."""
    position = decode_cursor(cursor, after=int) or {"after": 0}
    found = await found_ticket(platform, ticket)
    records = await steps.records_of(platform.database, found.id, limit=limit + 1, **position)
    page = page_of(records, limit, lambda record: {"after": record.sequence})
    return Page(items=[step_view(record) for record in page.items], next_cursor=page.next_cursor)


@router.get("/tickets/{ticket}/messages", summary="Read a ticket's messages")
@shown(examples.page(examples.MESSAGE))
async def get_messages(
    ticket: TicketReference,
    platform: PlatformDependency,
    _caller: ReadMessages,
    limit: Limit = 50,
    cursor: str | None = None,
) -> Page[MessageView]:
    """What was written on the ticket and on those merged into it, public and internal, oldest first."""
    position = decode_cursor(cursor, written_at=datetime, id=UUID)
    after = None if position is None else (position["written_at"], position["id"])
    found = await found_ticket(platform, ticket)
    messages = await links.shown_messages(platform.database, found.id, after=after, limit=limit + 1)
    return page_of(
        [MessageView.model_validate(message) for message in messages],
        limit,
        lambda message: {"written_at": message.written_at, "id": message.id},
    )


@router.get("/messages/{message_id}", summary="Read a message")
@shown(examples.MESSAGE)
async def get_message(message_id: UUID, platform: PlatformDependency, _caller: ReadMessages) -> MessageView:
    """One message with its text."""
    message = await store.find_message(platform.database, message_id)
    if message is None:
        raise NotFound("message", message_id)
    return MessageView.model_validate(message)


@router.patch("/tickets/{ticket}", response_model=TicketView, summary="Change descriptive fields")
@shown(examples.UPDATED, {"Another category": {"category": "certificates"}}, conflict=NOT_NOW)
async def update(ticket: TicketReference, body: commands.Update, call: TicketWrite, rules: Rules) -> Response:
    """Change title, kind, product or category."""
    return await carry_out(ticket, body, call, rules)


@router.post("/tickets/{ticket}/assess", response_model=TicketView, summary="Assess a ticket")
@shown(examples.ASSESSED, {"Everybody is affected": {"impact": "high", "urgency": "high"}}, conflict=NOT_NOW)
async def assess(ticket: TicketReference, body: commands.Assess, call: TicketWrite, rules: Rules) -> Response:
    """Judge impact and urgency, and so the priority. Possible again at every step before `resolved`."""
    return await carry_out(ticket, body, call, rules)


@router.post("/tickets/{ticket}/assign", response_model=TicketView, summary="Assign a ticket")
@shown(examples.ASSIGNED, {"To a group and a person": {"group": "platform", "assignee": "anna"}}, conflict=NOT_NOW)
async def assign(ticket: TicketReference, body: commands.Assign, call: TicketWrite, rules: Rules) -> Response:
    """Give the ticket to a group, a person or both; null means nobody."""
    return await carry_out(ticket, body, call, rules)


@router.post("/tickets/{ticket}/diagnose", response_model=TicketView, summary="Record the cause")
@shown(
    examples.DIAGNOSED,
    {"The cause is known": {"cause": "The certificate of the upstream had expired"}},
    conflict=NOT_NOW,
)
async def diagnose(ticket: TicketReference, body: commands.Diagnose, call: TicketWrite, rules: Rules) -> Response:
    """Record the cause."""
    return await carry_out(ticket, body, call, rules)


@router.post("/tickets/{ticket}/plan", response_model=TicketView, summary="Plan the work")
@shown(examples.PLANNED, {"Decided, with a time": {"planned_for": "2026-03-02T09:00:00Z"}}, conflict=NOT_NOW)
async def plan(ticket: TicketReference, body: commands.Plan, call: TicketWrite, rules: Rules) -> Response:
    """Record that it is decided what will be done, and when."""
    return await carry_out(ticket, body, call, rules)


@router.post("/tickets/{ticket}/resolve", response_model=TicketView, summary="Resolve a ticket")
@shown(examples.RESOLVED, {"Solved": {"resolution_code": "solved"}}, conflict=NOT_NOW)
async def resolve(ticket: TicketReference, body: commands.Resolve, call: TicketWrite, rules: Rules) -> Response:
    """Hold the request for done. A hold ends."""
    return await carry_out(ticket, body, call, rules)


@router.post("/tickets/{ticket}/verify", response_model=TicketView, summary="Verify the resolution")
@shown(examples.VERIFIED, {"The customer confirmed it": {"verified_by": "customer"}}, conflict=NOT_NOW)
async def verify(ticket: TicketReference, body: commands.Verify, call: TicketWrite, rules: Rules) -> Response:
    """Record that the resolution was confirmed."""
    return await carry_out(ticket, body, call, rules)


@router.post("/tickets/{ticket}/close", response_model=TicketView, summary="Close a ticket")
@shown(
    examples.CLOSED,
    {"After its resolution": {}, "Nobody needs it any more": {"resolution_code": "cancelled"}},
    conflict=NOT_NOW,
)
async def close(ticket: TicketReference, body: commands.Close, call: TicketWrite, rules: Rules) -> Response:
    """End the case; before it is resolved only as `cancelled` or `duplicate`."""
    return await carry_out(ticket, body, call, rules)


@router.post("/tickets/{ticket}/reopen", response_model=TicketView, summary="Reopen a ticket")
@shown(examples.REOPENED, {"It came back": {"reason": "The 502 is back since 10:00"}}, conflict=NOT_NOW)
async def reopen(ticket: TicketReference, body: commands.Reopen, call: TicketWrite, rules: Rules) -> Response:
    """Begin a new cycle of work."""
    return await carry_out(ticket, body, call, rules)


@router.post("/tickets/{ticket}/hold", response_model=TicketView, summary="Put a ticket on hold")
@shown(examples.HELD, {"The customer is asked": {"waiting_on": "customer"}}, conflict=NOT_NOW)
async def hold(ticket: TicketReference, body: commands.Hold, call: TicketWrite, rules: Rules) -> Response:
    """Wait for somebody else. A second hold replaces the first one's reason."""
    return await carry_out(ticket, body, call, rules)


@router.post("/tickets/{ticket}/resume", response_model=TicketView, summary="End a hold")
@shown(examples.RESUMED, {"The answer is there": {}}, conflict=NOT_NOW)
async def resume(ticket: TicketReference, body: commands.Resume, call: TicketWrite, rules: Rules) -> Response:
    """End the wait."""
    return await carry_out(ticket, body, call, rules)


@router.post(
    "/tickets/{ticket}/replies",
    status_code=201,
    response_model=TicketWithMessageView,
    summary="Write to the other side",
)
@shown(examples.REPLIED, examples.REPLIES, conflict=NOT_NOW)
async def reply(ticket: TicketReference, body: ReplyBody, call: TicketWrite, rules: Rules) -> Response:
    """Write a public message. A customer's reply ends a wait for the customer and reopens what is resolved."""
    return await carry_out(ticket, body, call, rules, status=201)


@router.post(
    "/tickets/{ticket}/notes", status_code=201, response_model=TicketWithMessageView, summary="Write an internal note"
)
@shown(
    examples.NOTED,
    {"A hint for the next shift": {"body": "Certificates renew at 03:00; look at the log then."}},
    conflict=NOT_NOW,
)
async def note(ticket: TicketReference, body: NoteBody, call: TicketWrite, rules: Rules) -> Response:
    """Write a note that the customer never sees. Possible at every step."""
    return await carry_out(ticket, body, call, rules, status=201)
