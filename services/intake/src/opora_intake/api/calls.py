"""Telephone calls over HTTP."""

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field, StringConstraints, model_validator
from starlette.responses import Response

from opora_chassis.database import Transaction
from opora_chassis.http import Input, Limit, NotFound, Page, PlatformDependency, decode_cursor, page_of, shown
from opora_contracts.fact import BodyText, Identifier, Instant, ShortText, Title
from opora_contracts.vocabulary import Channel, Kind, Level
from opora_intake.api.dependencies import ReadMessages, Rules, TicketWrite, broken_rules_as_problems
from opora_intake.api.examples import TICKET, page
from opora_intake.api.views import View
from opora_intake.domain import Open, Ticket
from opora_intake.domain.calls import Call, Direction, RecordAs
from opora_intake.domain.commands import EmailAddress
from opora_intake.domain.ticket import NUMBER
from opora_intake.handlers.calls import Logged, log_call
from opora_intake.store import calls as store

router = APIRouter(prefix="/v1", tags=["calls"])

Json = dict[str, Any]
_FOR_NEW = frozenset({"title", "requester_email", "requester_name", "kind", "impact", "urgency", "product", "category"})
CALL: Json = {
    "id": "018f3a60-1b2c-7d3e-9f40-5a6b7c8d9e0f",
    "ticket_id": TICKET["id"],
    "ticket_number": TICKET["number"],
    "message_id": "018f3a60-1b2d-7a01-8b22-3c4d5e6f7a8b",
    "customer_id": TICKET["requester_id"],
    "direction": "inbound",
    "number": "+4930901820",
    "number_given": "030 901820",
    "was_answered": True,
    "started_at": "2026-03-02T08:10:00Z",
    "ended_at": "2026-03-02T08:13:30Z",
    "duration_seconds": 210,
    "opened_ticket": True,
    "logged_at": "2026-03-02T08:14:05Z",
    "logged_by": "agent:anna",
}
CALLS: Json = {
    "A new case": {
        "direction": "inbound",
        "number": "030 901820",
        "region": "DE",
        "started_at": "2026-03-02T08:10:00Z",
        "ended_at": "2026-03-02T08:13:30Z",
        "title": "The login page answers 502",
        "summary": "Nobody in the office can sign in since eight. Told them that we look into it.",
    },
}


class NewCall(Input):
    """A call as the agent logs it. Name the ticket, or give a title and whoever asks for help."""

    direction: Direction
    number: Annotated[str | None, StringConstraints(min_length=1, max_length=50)] = None
    """The other side's number as it is shown; kept as it is where it is no valid number."""
    region: Annotated[str | None, StringConstraints(pattern=r"^[A-Z]{2}$")] = None
    """The country of a number without one, as ISO 3166 has it: DE."""
    started_at: Instant
    ended_at: Instant
    summary: Annotated[BodyText, StringConstraints(min_length=1)]
    was_answered: bool = True
    """False: nobody was reached, or there was a voice message. Then no clock of response stops."""
    ticket: Annotated[str | None, Field(max_length=100)] = None
    """The id or the number of the ticket that the call is about. Absent: a new ticket."""
    record_as: RecordAs = RecordAs.REPLY
    """On an existing ticket: a public answer at the time when the call ended, or a note."""
    customer_id: UUID | None = None
    """Whom the call was with; for a new ticket its requester."""
    title: Title | None = None
    requester_email: EmailAddress | None = None
    requester_name: ShortText | None = None
    kind: Kind = Kind.INCIDENT
    impact: Level = Level.MEDIUM
    urgency: Level = Level.MEDIUM
    product: ShortText | None = None
    category: ShortText | None = None
    group: ShortText | None = None
    assignee: Identifier | None = None

    @model_validator(mode="after")
    def _is_about_one_ticket(self) -> Self:
        if self.ticket is None and self.title is None:
            raise ValueError("name the ticket, or give a title for a new one")
        surplus = sorted((self.model_fields_set & _FOR_NEW) | ({"group", "assignee"} & self.model_fields_set))
        if self.ticket is not None and surplus:
            raise ValueError(f"with a ticket there is no place for {', '.join(surplus)}: change the ticket itself")
        return self


class CallQuery(Input):
    """Which calls to list: those that match every given filter."""

    ticket_id: UUID | None = None
    customer_id: UUID | None = None
    number: Annotated[str | None, Field(max_length=20)] = None
    """In E.164."""
    limit: Limit = 50
    cursor: str | None = None


class CallView(View):
    """A logged call."""

    id: UUID
    ticket_id: UUID
    ticket_number: str | None = None
    """Where the call has just been logged."""
    message_id: UUID | None
    customer_id: UUID | None
    direction: Direction
    number: str | None
    """In E.164; absent where what was given is no valid number."""
    number_given: str | None
    was_answered: bool
    started_at: datetime
    ended_at: datetime
    duration_seconds: int
    opened_ticket: bool
    logged_at: datetime
    logged_by: str


@router.post("/calls", status_code=201, response_model=CallView, summary="Log a telephone call")
@shown(CALL, CALLS, conflict="The ticket takes no reply where it stands: log the call as a note.")
async def post_call(body: NewCall, call: TicketWrite, rules: Rules) -> Response:
    """Log a call: an answer or a note on its ticket, or a new ticket as of the call's beginning."""
    reference = None if body.ticket is None else _reference(body.ticket)
    logged = Logged(
        **{name: getattr(body, name) for name in _TAKEN_OVER},
        reference=reference,
        opening=_opening(body) if reference is None else None,
    )

    async def work(tx: Transaction) -> CallView:
        return _view(*await log_call(tx, logged, call.caller.actor, rules))

    with broken_rules_as_problems():
        return await call.run(work, status=201)


@router.get("/calls", summary="List telephone calls")
@shown(page(CALL | {"ticket_number": None}))
async def list_calls(
    query: Annotated[CallQuery, Query()], platform: PlatformDependency, _caller: ReadMessages
) -> Page[CallView]:
    """Calls, the one logged last first."""
    position = decode_cursor(query.cursor, before=UUID) or {}
    filters = query.model_dump(exclude={"limit", "cursor"}, exclude_none=True)
    calls = await store.list_calls(platform.database, limit=query.limit + 1, **filters, **position)
    return page_of([_view(each) for each in calls], query.limit, lambda each: {"before": each.id})


@router.get("/calls/{call_id}", summary="Read a telephone call")
@shown(CALL | {"ticket_number": None})
async def get_call(call_id: UUID, platform: PlatformDependency, _caller: ReadMessages) -> CallView:
    """One call."""
    found = await store.find_call(platform.database, call_id)
    if found is None:
        raise NotFound("call", call_id)
    return _view(found)


_TAKEN_OVER = (
    "direction",
    "number",
    "region",
    "started_at",
    "ended_at",
    "summary",
    "was_answered",
    "record_as",
    "customer_id",
)


def _reference(ticket: str) -> UUID | int:
    number = NUMBER.fullmatch(ticket)
    try:
        return int(number[1]) if number else UUID(ticket)
    except ValueError:
        raise NotFound("ticket", ticket) from None


def _opening(body: NewCall) -> Open:
    return Open(
        **{name: getattr(body, name) for name in sorted(_FOR_NEW)},
        group=body.group,
        assignee=body.assignee,
        body=body.summary,
        requester_id=body.customer_id,
        channel=Channel.PHONE,
        occurred_at=body.started_at,
    )


def _view(call: Call, ticket: Ticket | None = None) -> CallView:
    return CallView(
        **{name: getattr(call, name) for name in CallView.model_fields if hasattr(call, name)},
        ticket_number=None if ticket is None else ticket.label,
        duration_seconds=round((call.ended_at - call.started_at).total_seconds()),
    )
