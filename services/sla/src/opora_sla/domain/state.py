"""What a fold yields: clocks, the steps that they went through, and the intervals that they counted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal, NamedTuple

from opora_contracts.vocabulary import Metric, Outcome, Priority, WaitingOn


class StepName(StrEnum):
    """What happened to a clock."""

    STARTED = "started"
    PAUSED = "paused"
    RESUMED = "resumed"
    WARNING = "warning"
    BREACHED = "breached"
    MET = "met"
    CANCELLED = "cancelled"


class ClockKey(NamedTuple):
    """Which clock of a ticket. Cycles count from 1 per metric, including those without a target."""

    metric: Metric
    cycle: int


class StepKey(NamedTuple):
    """What makes a step the same step, however often it is computed and whatever arrives late."""

    metric: Metric
    cycle: int
    name: StepName
    ordinal: int
    """A warning's percent; the sequence of the fact that started, paused, resumed or cancelled; 0 for the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that happened to a clock, with the clock as it stood then."""

    key: StepKey
    at: datetime
    cause: str | None
    """The id of the event that caused it; None when time did."""
    started_at: datetime
    due_at: datetime | None
    used_seconds: int
    target_seconds: int
    priority: Priority
    waiting_on: WaitingOn | None
    assignee: str | None
    group: str | None


@dataclass(frozen=True, slots=True)
class Interval:
    """A stretch of a clock's life in which it either counted all working time or none."""

    from_at: datetime
    to_at: datetime
    counted: bool
    working_seconds: int
    """Working time in it, whether counted or not."""
    began_by: str
    """The id of the event that began it."""
    ended_by: str | None
    """The id of the event that ended it; None where the judgement ends it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """One clock as it stands. `used_seconds` counts working time, a begun second as a whole one."""

    key: ClockKey
    outcome: Outcome
    running: bool
    """Whether it counts now; False when paused and when stopped."""
    started_at: datetime
    due_at: datetime | None
    """The last instant at which the target can be, or could have been, met. None while paused, and when the calendar
    does not open long enough within ten years. After a breach it stays the due date that was missed."""
    stopped_at: datetime | None
    used_seconds: int
    """Until the stop, or until the judgement."""
    target_seconds: int
    """The current priority's target; after a breach the one that was missed."""
    priority: Priority
    intervals: tuple[Interval, ...]

    @property
    def state(self) -> Literal["running", "paused", "stopped"]:
        """Whether it counts, waits or is over."""
        if self.stopped_at is not None:
            return "stopped"
        return "running" if self.running else "paused"

    @property
    def open(self) -> bool:
        """Whether it may still change without a late fact: it runs or is paused, breached or not."""
        return self.stopped_at is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """All clocks of a ticket, judged at one instant, with everything that happened to them in order of time."""

    clocks: tuple[Clock, ...]
    steps: tuple[Step, ...]
    judged_at: datetime
    next_fire_at: datetime | None
    """Time alone makes the next warning or breach just after this instant; None when it never will."""
    priority: Priority
    assignee: str | None
    group: str | None
