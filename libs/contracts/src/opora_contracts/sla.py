"""Facts about service level clocks, published by sla on `opora.sla`, keyed by ticket id, numbered per ticket.

`used_seconds` and `target_seconds` are seconds of working time under the agreement's calendar. A target is met when
`used_seconds ≤ target_seconds`.
"""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from opora_contracts.fact import Fact, Identifier, Instant, Seconds, ShortText
from opora_contracts.vocabulary import Evidence, Metric, Outcome, Priority, WaitingOn


class SlaFact(Fact):
    """Which clock a fact is about: (ticket, metric, cycle), under the agreement version that the ticket pinned."""

    ticket_id: UUID
    metric: Metric
    cycle: Annotated[int, Field(ge=1)]
    agreement_id: UUID
    agreement_version: Annotated[int, Field(ge=1)]


class SlaStarted(SlaFact, event_type="sla.started"):
    """A clock runs."""

    started_at: Instant
    target_seconds: Seconds
    due_at: Instant | None = None
    """Null when the calendar never opens long enough."""
    priority: Priority


class SlaPaused(SlaFact, event_type="sla.paused"):
    """The clock stands still while the ticket waits."""

    paused_at: Instant
    waiting_on: WaitingOn
    used_seconds: Seconds


class SlaResumed(SlaFact, event_type="sla.resumed"):
    """The clock runs again, with a new due date."""

    resumed_at: Instant
    used_seconds: Seconds
    due_at: Instant | None = None
    waiting_on: WaitingOn | None = None
    """For whom the ticket still waits, when the pause for it has taken as much time as it may."""


class SlaWarning(SlaFact, event_type="sla.warning"):
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


class SlaBreached(SlaFact, event_type="sla.breached"):
    """The budget is used up and the target was not reached: once per (ticket, metric, cycle)."""

    due_at: Instant
    """The last instant at which the target could have been met."""
    detected_at: Instant
    used_seconds: Seconds
    """Working time at `detected_at`."""
    target_seconds: Seconds
    priority: Priority
    evidence: Evidence = Evidence.COMPLETE
    """`incomplete`: declared after a long outage, before every earlier fact was seen; `sla.corrected` may follow."""
    assignee: Identifier | None = None
    group: ShortText | None = None


class SlaEscalated(SlaFact, event_type="sla.escalated"):
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


class SlaMet(SlaFact, event_type="sla.met"):
    """The target was reached in time."""

    stopped_at: Instant
    due_at: Instant | None = None
    used_seconds: Seconds
    target_seconds: Seconds


class SlaCancelled(SlaFact, event_type="sla.cancelled"):
    """The clock ended without an outcome."""

    cancelled_at: Instant
    used_seconds: Seconds
    reason: ShortText


class SlaCorrected(SlaFact, event_type="sla.corrected"):
    """A late fact changed what was said before: the outcome is now this."""

    before: Outcome
    after: Outcome
    due_at: Instant | None = None
    used_seconds: Seconds
    target_seconds: Seconds
    reason: ShortText
