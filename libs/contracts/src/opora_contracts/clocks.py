"""What facts about clocks say of them, whatever they measure: the fields that `sla.*` and `commitment.*` share."""

from typing import Annotated

from pydantic import Field

from opora_contracts.fact import Fact, Identifier, Instant, Seconds, ShortText
from opora_contracts.vocabulary import Evidence, Outcome, Priority, WaitingOn


class ClockStarted(Fact):
    """A clock runs."""

    started_at: Instant
    target_seconds: Seconds
    due_at: Instant | None = None
    """Null when the calendar never opens long enough."""
    priority: Priority


class ClockPaused(Fact):
    """The clock stands still while the ticket waits."""

    paused_at: Instant
    waiting_on: WaitingOn
    used_seconds: Seconds


class ClockResumed(Fact):
    """The clock runs again, with a new due date."""

    resumed_at: Instant
    used_seconds: Seconds
    due_at: Instant | None = None
    waiting_on: WaitingOn | None = None
    """For whom the ticket still waits, when the pause for it has taken as much time as it may."""


class ClockWarning(Fact):
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


class ClockBreached(Fact):
    """The budget is used up and the target was not reached: once per (ticket, metric, cycle)."""

    due_at: Instant
    """The last instant at which the target could have been met."""
    detected_at: Instant
    used_seconds: Seconds
    """Working time at `detected_at`."""
    target_seconds: Seconds
    priority: Priority
    evidence: Evidence = Evidence.COMPLETE
    assignee: Identifier | None = None
    group: ShortText | None = None


class ClockEscalated(Fact):
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


class ClockMet(Fact):
    """The target was reached in time."""

    stopped_at: Instant
    due_at: Instant | None = None
    used_seconds: Seconds
    target_seconds: Seconds


class ClockCancelled(Fact):
    """The clock ended without an outcome."""

    cancelled_at: Instant
    used_seconds: Seconds
    reason: ShortText


class ClockCorrected(Fact):
    """An outcome that was said is another one now."""

    before: Outcome
    after: Outcome
    due_at: Instant | None = None
    used_seconds: Seconds
    target_seconds: Seconds
    reason: ShortText
