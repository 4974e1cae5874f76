"""What intake answers with."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from opora_contracts.vocabulary import (
    AuthorKind,
    Channel,
    Kind,
    Level,
    Priority,
    Profile,
    ResolutionCode,
    Step,
    WaitingOn,
)
from opora_intake.domain import Message, StepRecord, Ticket, Visibility, allowed_actions
from opora_intake.handlers.imports import Imported
from opora_intake.store.imports import Import


class View(BaseModel):
    """An answer: built from a domain object by its attributes."""

    model_config = ConfigDict(frozen=True, from_attributes=True, use_attribute_docstrings=True)


class TicketView(View):
    """A ticket as it stands."""

    id: UUID
    number: str
    version: int
    """Give it as `expected_version` to be refused when somebody else was faster."""
    step: Step
    profile: Profile
    """Under which the present cycle is worked."""
    waiting_on: WaitingOn | None
    allowed: list[str]
    """The actions that are possible now."""
    title: str
    channel: Channel
    kind: Kind
    language: str
    impact: Level
    urgency: Level
    priority: Priority
    priority_explicit: bool
    requester_id: UUID | None
    organization_id: UUID | None
    tier: str | None
    product: str | None
    category: str | None
    component: str | None
    tags: tuple[str, ...]
    watchers: tuple[str, ...]
    """`agent:` or `customer:` and the id, in the order in which they came."""
    fields: dict[str, Any]
    """The installation's own fields that have a value."""
    group: str | None
    assignee: str | None
    external_source: str | None
    external_id: str | None
    import_id: UUID | None
    """The import of history to which the ticket still belongs."""
    merged_into: UUID | None
    """The ticket that goes on for this one."""
    cycle: int
    resolution_code: ResolutionCode | None
    cause: str | None
    planned_for: datetime | None
    opened_at: datetime
    resolved_at: datetime | None
    closed_at: datetime | None
    last_time: datetime


class TicketWithMessageView(TicketView):
    """A ticket after a message was written on it."""

    message_id: UUID


def ticket_view(ticket: Ticket) -> TicketView:
    """The ticket for callers."""
    return TicketView(**_ticket_fields(ticket))


def ticket_with_message_view(ticket: Ticket, message: Message) -> TicketWithMessageView:
    """The ticket for callers who have just written on it."""
    return TicketWithMessageView(**_ticket_fields(ticket), message_id=message.id)


def _ticket_fields(ticket: Ticket) -> dict[str, Any]:
    fields = {name: getattr(ticket, name) for name in TicketView.model_fields if name not in {"number", "allowed"}}
    return {**fields, "number": ticket.label, "allowed": list(allowed_actions(ticket))}


class StepView(View):
    """What a step left behind. Of the fields of the record only those are there that were given."""

    cycle: int
    step: Step
    sequence: int
    time: datetime
    actor: str | None
    note: str | None = None
    impact: Level | None = None
    urgency: Level | None = None
    priority: Priority | None = None
    category: str | None = None
    cause: str | None = None
    evidence: str | None = None
    steps: tuple[str, ...] | None = None
    owner: str | None = None
    planned_for: datetime | None = None
    resolution: str | None = None
    resolution_code: ResolutionCode | None = None
    verified_by: AuthorKind | None = None
    seen: str | None = None


def step_view(record: StepRecord) -> StepView:
    """The record for callers."""
    return StepView(
        cycle=record.cycle,
        step=record.step,
        sequence=record.sequence,
        time=record.time,
        actor=record.actor,
        **record.content,
    )


class FactView(View):
    """One thing that happened to a ticket, as it was published."""

    sequence: int
    type: str
    time: datetime
    recorded_at: datetime
    """When intake learnt of it; later than `time` for late facts and history."""
    actor: str | None
    data: dict[str, Any]


class MessageView(View):
    """What somebody wrote on a ticket."""

    id: UUID
    ticket_id: UUID
    visibility: Visibility
    author_kind: AuthorKind
    author: str | None
    channel: Channel
    body: str
    written_at: datetime
    sequence: int
    """The fact that announced it."""


class ImportView(View):
    """An import of history as it stands."""

    id: UUID
    name: str
    state: str
    """`open`, or `closed`: it takes no more entries."""
    watermark: datetime | None
    tickets: int
    facts: int
    closed_at: datetime | None
    joined_at: datetime | None
    """When the last ticket that was still open had joined live time."""


class RefusedEntryView(View):
    """An entry that was not applied."""

    index: int
    source_id: str
    ordinal: int
    problem: str


class ImportedView(View):
    """What became of a request's entries."""

    applied: int
    skipped: int
    """Entries that had been applied before."""
    refused: list[RefusedEntryView]
    watermark: datetime | None
    tickets: int
    facts: int
    """Totals of the import so far."""


def import_view(history: Import) -> ImportView:
    """The import for callers."""
    return ImportView(
        id=history.id,
        name=history.name,
        state="open" if history.is_open else "closed",
        watermark=history.watermark,
        tickets=history.tickets,
        facts=history.facts,
        closed_at=history.closed_at,
        joined_at=history.joined_at,
    )


def imported_view(imported: Imported) -> ImportedView:
    """What became of the entries, for the importer."""
    return ImportedView(
        applied=imported.applied,
        skipped=imported.skipped,
        refused=[RefusedEntryView.model_validate(refusal) for refusal in imported.refused],
        watermark=imported.history.watermark,
        tickets=imported.history.tickets,
        facts=imported.history.facts,
    )
