"""A ticket's state, and how each fact changes it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from opora_contracts.tickets import (
    TicketAssessed,
    TicketAssigned,
    TicketClosed,
    TicketCreated,
    TicketDiagnosed,
    TicketFact,
    TicketHeld,
    TicketMerged,
    TicketPlanned,
    TicketReopened,
    TicketResolved,
    TicketResumed,
    TicketUpdated,
    TicketVerified,
)
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

DESCRIPTIVE = ("title", "kind", "product", "category", "component", "profile", "tags", "watchers")
"""What `ticket.updated` changes when it names it."""
NUMBER_PREFIX = "OP-"
NUMBER = re.compile(r"(?:OP-)?([1-9][0-9]{0,17})", re.IGNORECASE)
"""How people write a ticket's number; the group is the number itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """One request for help, as the fold of its facts. `version` is the number of facts so far."""

    id: UUID
    number: int
    title: str
    channel: Channel
    kind: Kind
    language: str
    impact: Level
    urgency: Level
    priority: Priority
    priority_explicit: bool
    """True when a person set the priority against the matrix."""
    requester_id: UUID | None
    organization_id: UUID | None
    tier: str | None
    product: str | None
    category: str | None
    component: str | None
    tags: tuple[str, ...]
    watchers: tuple[str, ...]
    """Who is told what becomes of the ticket, in the order in which they came: `agent:anna`, `customer:<id>`."""
    fields: Mapping[str, Any]
    """The values of the installation's own fields. Facts tell of the published ones only."""
    group: str | None
    assignee: str | None
    external_source: str | None
    external_id: str | None
    import_id: UUID | None
    """The import of history to which the ticket still belongs; None when it lives by live time."""
    import_ordinal: int
    """How many entries of the import were applied; 0 for a live ticket."""
    profile: Profile
    """Under which the present cycle is worked: that of the ticket's kind when the cycle began."""
    merged_into: UUID | None
    """The ticket that goes on for this one, which is closed then."""
    step: Step
    step_changed_at: datetime
    waiting_on: WaitingOn | None
    waiting_changed_at: datetime
    """When the ticket was last held, resumed, opened or reopened."""
    cycle: int
    cycle_started_at: datetime
    resolution_code: ResolutionCode | None
    cause: str | None
    planned_for: datetime | None
    opened_at: datetime
    resolved_at: datetime | None
    closed_at: datetime | None
    last_time: datetime
    """The latest time of any fact: live facts never carry an earlier one."""
    version: int

    @property
    def label(self) -> str:
        """The number as people write it: OP-1042."""
        return f"{NUMBER_PREFIX}{self.number}"


@dataclass(frozen=True, slots=True)
class RecordedFact:
    """A fact with its place in the ticket's life."""

    data: TicketFact
    sequence: int
    time: datetime


class Visibility(StrEnum):
    """Who may read a message."""

    PUBLIC = "public"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What somebody wrote on a ticket. Its text never leaves intake in an event."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """The record of one step. A step that is repeated in a cycle has several; the newest counts."""

    ticket_id: UUID
    cycle: int
    step: Step
    sequence: int
    """The fact that announced the step."""
    time: datetime
    actor: str | None
    content: Mapping[str, Any]
    """The given fields of the record, as JSON values."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a command leads to: the ticket afterwards, the facts that say so, a message when one was written, and the
    step's record when one was taken.
    """

    ticket: Ticket
    facts: tuple[RecordedFact, ...]
    message: Message | None = None
    record: StepRecord | None = None


def evolve(ticket: Ticket, fact: TicketFact, time: datetime) -> Ticket:
    """The ticket after one more fact. Facts that only announce a message change nothing but version and time."""
    changes = _CHANGES.get(type(fact))
    return replace(
        ticket,
        version=ticket.version + 1,
        last_time=max(ticket.last_time, time),
        **(changes(ticket, fact, time) if changes else {}),
    )


def _assessed(ticket: Ticket, fact: TicketAssessed, time: datetime) -> dict[str, Any]:
    changes: dict[str, Any] = {"impact": fact.impact, "urgency": fact.urgency, "priority": fact.priority}
    if fact.category is not None:
        changes["category"] = fact.category
    if fact.kind is not None:
        changes["kind"] = fact.kind
    if fact.profile is not None:
        changes["profile"] = fact.profile
    if ticket.step is Step.RECEIVED:
        changes.update(step=Step.ASSESSED, step_changed_at=time)
    return changes


def _assigned(_ticket: Ticket, fact: TicketAssigned, _time: datetime) -> dict[str, Any]:
    return {"group": fact.group, "assignee": fact.assignee}


def _diagnosed(_ticket: Ticket, fact: TicketDiagnosed, time: datetime) -> dict[str, Any]:
    return {"step": Step.DIAGNOSED, "step_changed_at": time, "cause": fact.cause}


def _planned(_ticket: Ticket, fact: TicketPlanned, time: datetime) -> dict[str, Any]:
    return {"step": Step.PLANNED, "step_changed_at": time, "planned_for": fact.planned_for}


def _resolved(_ticket: Ticket, fact: TicketResolved, time: datetime) -> dict[str, Any]:
    return {
        "step": Step.RESOLVED,
        "step_changed_at": time,
        "resolved_at": time,
        "resolution_code": fact.resolution_code,
    }


def _verified(_ticket: Ticket, _fact: TicketVerified, time: datetime) -> dict[str, Any]:
    return {"step": Step.VERIFIED, "step_changed_at": time}


def _closed(_ticket: Ticket, fact: TicketClosed, time: datetime) -> dict[str, Any]:
    return {
        "step": Step.CLOSED,
        "step_changed_at": time,
        "closed_at": time,
        "resolution_code": fact.resolution_code,
    }


def _reopened(_ticket: Ticket, fact: TicketReopened, time: datetime) -> dict[str, Any]:
    return {
        "step": Step.RECEIVED,
        "step_changed_at": time,
        "cycle": fact.cycle,
        "profile": fact.profile or Profile.LIGHT,
        "cycle_started_at": time,
        "waiting_on": None,
        "waiting_changed_at": time,
        "resolution_code": None,
        "cause": None,
        "planned_for": None,
        "resolved_at": None,
        "closed_at": None,
    }


def _held(_ticket: Ticket, fact: TicketHeld, time: datetime) -> dict[str, Any]:
    return {"waiting_on": fact.waiting_on, "waiting_changed_at": time}


def _resumed(_ticket: Ticket, _fact: TicketResumed, time: datetime) -> dict[str, Any]:
    return {"waiting_on": None, "waiting_changed_at": time}


def _updated(_ticket: Ticket, fact: TicketUpdated, _time: datetime) -> dict[str, Any]:
    given = {name: getattr(fact, name) for name in DESCRIPTIVE}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if fact.joined_live:
        changes["import_id"] = None
    return changes


def _merged(_ticket: Ticket, fact: TicketMerged, _time: datetime) -> dict[str, Any]:
    return {"merged_into": fact.into_id}


_CHANGES: dict[type[TicketFact], Any] = {
    TicketAssessed: _assessed,
    TicketAssigned: _assigned,
    TicketDiagnosed: _diagnosed,
    TicketPlanned: _planned,
    TicketResolved: _resolved,
    TicketVerified: _verified,
    TicketClosed: _closed,
    TicketReopened: _reopened,
    TicketHeld: _held,
    TicketMerged: _merged,
    TicketResumed: _resumed,
    TicketUpdated: _updated,
}


def opened(
    fact: TicketCreated,
    time: datetime,
    *,
    number: int,
    priority_explicit: bool,
    import_id: UUID | None,
    fields: Mapping[str, Any],
) -> Ticket:
    """A ticket that has just been received."""
    return Ticket(
        id=fact.ticket_id,
        number=number,
        title=fact.title,
        channel=fact.channel,
        kind=fact.kind,
        language=fact.language,
        impact=fact.impact,
        urgency=fact.urgency,
        priority=fact.priority,
        priority_explicit=priority_explicit,
        requester_id=fact.requester_id,
        organization_id=fact.organization_id,
        tier=fact.tier,
        product=fact.product,
        category=fact.category,
        component=fact.component,
        tags=fact.tags or (),
        watchers=(),
        fields=fields,
        group=fact.group,
        assignee=fact.assignee,
        external_source=fact.external_source,
        external_id=fact.external_id,
        import_id=import_id,
        import_ordinal=0 if import_id is None else 1,
        merged_into=None,
        profile=fact.profile or Profile.LIGHT,
        step=Step.RECEIVED,
        step_changed_at=time,
        waiting_on=None,
        waiting_changed_at=time,
        cycle=1,
        cycle_started_at=time,
        resolution_code=None,
        cause=None,
        planned_for=None,
        opened_at=time,
        resolved_at=None,
        closed_at=None,
        last_time=time,
        version=1,
    )
