"""Facts about the other commitments of an agreement, published by sla on `opora.sla`, keyed by ticket id, numbered
with the `sla.*` facts of the ticket.

What `sla.*` says of a customer's response and resolution, `commitment.*` says of every other promise: the periodic
update (`agreement_kind` sla), what a group owes the others (operational level agreement, `ola`) and what a third party
owes us (underpinning contract, `uc`).

`used_seconds` and `target_seconds` are seconds of working time under the agreement's calendar. A target is met when
`used_seconds ≤ target_seconds`.
"""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from opora_contracts.fact import Fact, Identifier, Instant, Seconds, ShortText
from opora_contracts.vocabulary import Evidence, Outcome, Priority, WaitingOn


class AgreementKind(StrEnum):
    """Between whom something is agreed (ITIL)."""

    SLA = "sla"
    OLA = "ola"
    UC = "uc"


class CommitmentFact(Fact):
    """Which clock a fact is about: (ticket, metric, cycle), under the agreement version that the ticket goes by."""

    ticket_id: UUID
    metric: Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,50}$")]
    """`update`, `operational` or `underpinning`; a reader passes over words that it does not know."""
    cycle: Annotated[int, Field(ge=1)]
    """Counts the clocks of the metric in the ticket: periods, assignments to groups, waits."""
    agreement_kind: AgreementKind
    party: ShortText | None = None
    """Who owes it: the group, or `third_party`; null for the support side as a whole."""
    agreement_id: UUID
    agreement_version: Annotated[int, Field(ge=1)]


class CommitmentStarted(CommitmentFact, event_type="commitment.started"):
    """A clock runs."""

    started_at: Instant
    target_seconds: Seconds
    due_at: Instant | None = None
    """Null when the calendar never opens long enough."""
    priority: Priority


class CommitmentPaused(CommitmentFact, event_type="commitment.paused"):
    """The clock stands still while the ticket waits."""

    paused_at: Instant
    waiting_on: WaitingOn
    used_seconds: Seconds


class CommitmentResumed(CommitmentFact, event_type="commitment.resumed"):
    """The clock runs again, with a new due date."""

    resumed_at: Instant
    used_seconds: Seconds
    due_at: Instant | None = None
    waiting_on: WaitingOn | None = None
    """For whom the ticket still waits, when the pause for it has taken as much time as it may."""


class CommitmentWarning(CommitmentFact, event_type="commitment.warning"):
    """A share of the budget is used."""

    percent: Annotated[int, Field(ge=1, le=99)]
    left_seconds: Seconds | None = None
    """The working time left at which this warning is given; null for one that is given at a percentage."""
    due_at: Instant
    detected_at: Instant
    used_seconds: Seconds
    target_seconds: Seconds
    priority: Priority
    assignee: Identifier | None = None
    group: ShortText | None = None


class CommitmentBreached(CommitmentFact, event_type="commitment.breached"):
    """The budget is used up and the target was not reached: once per (ticket, metric, cycle)."""

    due_at: Instant
    """The last instant at which the target could have been met."""
    detected_at: Instant
    used_seconds: Seconds
    """Working time at `detected_at`."""
    target_seconds: Seconds
    priority: Priority
    evidence: Evidence = Evidence.COMPLETE
    """`incomplete`: declared after a long outage, before every earlier fact was seen; `commitment.corrected` may
    follow.
    """
    assignee: Identifier | None = None
    group: ShortText | None = None


class CommitmentEscalated(CommitmentFact, event_type="commitment.escalated"):
    """A step of the agreement's ladder: somebody further is to be told. Once per level and repetition of a clock."""

    level: Annotated[int, Field(ge=1, le=20)]
    """The step, in the order in which the agreement lists them."""
    repetition: Annotated[int, Field(ge=0, le=100)]
    """0 for the first time."""
    tell: Annotated[tuple[ShortText, ...], Field(min_length=1, max_length=20)]
    """`assignee`, or `group`, `lead`, `on_call` of the ticket's group, or one of them by name: `lead:network`."""
    due_at: Instant | None = None
    """Null while the clock is paused."""
    detected_at: Instant
    used_seconds: Seconds
    target_seconds: Seconds
    priority: Priority
    breached: bool
    """Whether the target was missed by then."""
    assignee: Identifier | None = None
    group: ShortText | None = None


class CommitmentMet(CommitmentFact, event_type="commitment.met"):
    """The target was reached in time."""

    stopped_at: Instant
    due_at: Instant | None = None
    used_seconds: Seconds
    target_seconds: Seconds


class CommitmentCancelled(CommitmentFact, event_type="commitment.cancelled"):
    """The clock ended without an outcome."""

    cancelled_at: Instant
    used_seconds: Seconds
    reason: ShortText


class CommitmentCorrected(CommitmentFact, event_type="commitment.corrected"):
    """A late fact, or another version of the agreement, changed what was said before: the outcome and the party are now
    these.
    """

    before: Outcome
    after: Outcome
    due_at: Instant | None = None
    used_seconds: Seconds
    target_seconds: Seconds
    reason: ShortText
