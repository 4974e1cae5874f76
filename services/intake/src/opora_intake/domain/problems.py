"""Problems (ITIL problem management): what many incidents come from, what helps meanwhile, what is announced."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, StringConstraints

from opora_contracts.vocabulary import AuthorKind, Channel, Kind, ResolutionCode, Step
from opora_intake.domain.commands import RecordText, Reply, Resolve
from opora_intake.domain.errors import RuleBroken
from opora_intake.domain.lifecycle import decide
from opora_intake.domain.rules import CaseRules
from opora_intake.domain.ticket import Decision, Ticket
from opora_intake.domain.transitions import BEFORE_RESOLVED

MOST_ANNOUNCEMENTS = 50
"""Announcements of a problem."""
AnnouncedText = Annotated[str, StringConstraints(min_length=1, max_length=10_000, strip_whitespace=True)]


class After(StrEnum):
    """When an announcement goes out."""

    NOW = "now"
    RESOLVED = "resolved"
    """When the problem is resolved; at once if it is. One that ends as cancelled or as a duplicate has no fix to tell
    of: the announcement waits, in case it is reopened."""


class AnnouncementDraft(BaseModel):
    """What is said to the requester of every incident of a problem."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    body: AnnouncedText
    """What each of them reads, as an answer in their own ticket."""
    after: After = After.NOW
    resolves: bool = False
    """Resolve the incidents with it that are not resolved yet, as far as their profiles and fields allow."""
    resolution_code: ResolutionCode = ResolutionCode.SOLVED
    """With which they are resolved; `workaround` where the fault itself is still there."""


class KnownErrorDraft(BaseModel):
    """What helps until the problem is resolved."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    workaround: RecordText


class Outcome(StrEnum):
    """What became of an incident when an announcement came to it."""

    TOLD = "told"
    RESOLVED = "resolved"
    """Told and resolved."""
    NOT_RESOLVED = "not_resolved"
    """Told, and not to be resolved where it stands: `reason` says why."""
    PASSED_OVER = "passed_over"
    """Not told: `reason` says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownError:
    """A workaround that is known."""

    ticket_id: UUID
    workaround: str
    version: int
    changed_at: datetime
    changed_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """An announcement and how far it has come."""

    id: UUID
    problem_id: UUID
    body: str
    after: After
    resolves: bool
    resolution_code: ResolutionCode
    asked_at: datetime
    asked_by: str
    position: UUID | None = None
    told: int = 0
    """Incidents on which it was said; those that were resolved with it among them."""
    resolved: int = 0
    passed_over: int = 0
    finished_at: datetime | None = None
    withdrawn_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Announced:
    """What became of one incident."""

    ticket_id: UUID
    outcome: Outcome
    reason: str | None = None


@dataclass
class NoProblem(RuleBroken):
    """What only a problem can do was asked of another ticket."""

    label: str
    kind: Kind

    def __str__(self) -> str:
        return f"{self.label} is of the kind {self.kind.value}: only a problem gathers incidents (PATCH its kind first)"


@dataclass
class AnnouncementOver(RuleBroken):
    """An announcement that went out, or was withdrawn, cannot be withdrawn."""

    def __str__(self) -> str:
        return "The announcement has begun to go out, or was withdrawn: announce again what is to be said otherwise"


def require_problem(ticket: Ticket) -> None:
    """Raises NoProblem for a ticket of another kind."""
    if ticket.kind is not Kind.PROBLEM:
        raise NoProblem(ticket.label, ticket.kind)


def tell(
    incident: Ticket,
    announcement: Announcement,
    now: datetime,
    *,
    message_id: UUID,
    rules: CaseRules,
) -> tuple[Announced, list[Decision]]:
    """Say it on the incident as an answer of whoever announced it, and resolve it where that was asked for."""
    if incident.step is Step.CLOSED:
        return Announced(incident.id, Outcome.PASSED_OVER, "it is closed"), []
    reply = Reply(
        body=announcement.body, author_kind=AuthorKind.AGENT, author=announcement.asked_by, channel=Channel.API
    )
    told = decide(incident, reply, now, message_id=message_id, actor=announcement.asked_by, rules=rules)
    if not announcement.resolves or incident.step not in BEFORE_RESOLVED:
        return Announced(incident.id, Outcome.TOLD), [told]
    resolve = Resolve(resolution_code=announcement.resolution_code, resolution=announcement.body)
    try:
        resolved = decide(told.ticket, resolve, now, message_id=message_id, actor=announcement.asked_by, rules=rules)
    except RuleBroken as refusal:
        return Announced(incident.id, Outcome.NOT_RESOLVED, str(refusal)[:500]), [told]
    return Announced(incident.id, Outcome.RESOLVED), [told, resolved]
