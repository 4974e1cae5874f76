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

from opora_contracts.clocks import (
    ClockBreached,
    ClockCancelled,
    ClockCorrected,
    ClockEscalated,
    ClockMet,
    ClockPaused,
    ClockResumed,
    ClockStarted,
    ClockWarning,
)
from opora_contracts.fact import Fact, ShortText
from opora_contracts.vocabulary import Evidence


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


class CommitmentStarted(ClockStarted, CommitmentFact, event_type="commitment.started"):
    """A clock runs."""


class CommitmentPaused(ClockPaused, CommitmentFact, event_type="commitment.paused"):
    """The clock stands still while the ticket waits."""


class CommitmentResumed(ClockResumed, CommitmentFact, event_type="commitment.resumed"):
    """The clock runs again, with a new due date."""


class CommitmentWarning(ClockWarning, CommitmentFact, event_type="commitment.warning"):
    """A share of the budget is used."""


class CommitmentBreached(ClockBreached, CommitmentFact, event_type="commitment.breached"):
    """The budget is used up and the target was not reached: once per (ticket, metric, cycle)."""

    evidence: Evidence = Evidence.COMPLETE
    """`incomplete`: declared after a long outage, before every earlier fact was seen; `commitment.corrected` may
    follow.
    """


class CommitmentEscalated(ClockEscalated, CommitmentFact, event_type="commitment.escalated"):
    """A step of the agreement's ladder: somebody further is to be told. Once per level and repetition of a clock."""


class CommitmentMet(ClockMet, CommitmentFact, event_type="commitment.met"):
    """The target was reached in time."""


class CommitmentCancelled(ClockCancelled, CommitmentFact, event_type="commitment.cancelled"):
    """The clock ended without an outcome."""


class CommitmentCorrected(ClockCorrected, CommitmentFact, event_type="commitment.corrected"):
    """A late fact, or another version of the agreement, changed what was said before: the outcome and the party are now
    these.
    """
