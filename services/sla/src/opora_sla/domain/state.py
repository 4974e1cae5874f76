"""What a fold yields: clocks, the steps that they went through, and the intervals that they counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from opora_contracts.vocabulary import Outcome, Priority, WaitingOn
from opora_sla.domain.ladder import LadderState
from opora_sla.metrics import ClockMetric

_WAYPOINT_VERSION = 3
"""Raised when the form of a waypoint changes, or a rule of the walk such that an old one no longer leads on rightly."""


class StepName(StrEnum):
    """What happened to a clock."""

    STARTED = "started"
    PAUSED = "paused"
    RESUMED = "resumed"
    WARNING = "warning"
    ESCALATED = "escalated"
    BREACHED = "breached"
    MET = "met"
    CANCELLED = "cancelled"


class ClockKey(NamedTuple):
    """Which clock of a ticket. Cycles count from 1 per metric, including those without a target: of `operational` all
    assignments to a group, whether or not the agreement has a target for it.
    """

    metric: ClockMetric
    cycle: int


class StepKey(NamedTuple):
    """What makes a step the same step, however often it is computed and whatever arrives late."""

    metric: ClockMetric
    cycle: int
    name: StepName
    ordinal: int
    """A warning's percent, or the seconds left below zero; the sequence of the fact that started, paused, resumed or
    cancelled, that of the hold below zero where its cap resumed; the call of a ladder; 0 for the others."""


class Step(NamedTuple):
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
    party: str | None = None
    """Who owes what the clock measures; None for the support side as a whole."""


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


class Clock(NamedTuple):
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
    intervals: tuple[Interval, ...] = ()
    """From its start on; empty unless asked for."""
    changed: bool = True
    """Whether more happened to it in this walk than that its use went on."""
    party: str | None = None
    """Who owes what it measures: a group, `third_party`; None for the support side as a whole."""

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


class Told(NamedTuple):
    """How one clock stands as far as the world was told."""

    outcome: Outcome
    due_at: datetime | None
    target_seconds: int
    party: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """Clocks of a ticket, judged at one instant, with what happened to them in order of time.

    From a fold: all of them, with everything that happened. From a walk that went on: those that were not over at its
    waypoint, with what happened since.
    """

    clocks: tuple[Clock, ...]
    steps: tuple[Step, ...]
    judged_at: datetime
    next_fire_at: datetime | None
    """Time alone makes the next warning or breach just after this instant; None when it never will."""
    priority: Priority
    assignee: str | None
    group: str | None
    waypoint: Waypoint
    """From where the walk can go on."""

    def latest(self) -> dict[ClockMetric, Clock]:
        """Of each metric that has a clock the one of its newest cycle."""
        return {clock.key.metric: clock for clock in sorted(self.clocks, key=lambda clock: clock.key.cycle)}


class PauseState(NamedTuple):
    """What a clock with capped pauses, or with a ladder, keeps of its waits."""

    waiting_on: WaitingOn | None
    held_by: int
    cap_us: int | None
    paused_us: Sequence[tuple[WaitingOn, int]]


class RunnerState(NamedTuple):
    """A clock between two stretches of its way, in microseconds; as small as it can be, since it is kept per ticket."""

    metric: ClockMetric
    cycle: int
    outcome: Outcome
    priority: Priority
    target_us: int | None
    started_us: int
    used_us: int
    final_used_us: int
    since_us: int
    due_us: int | None
    stopped_us: int | None
    counts: bool
    ever_started: bool
    warnings: Sequence[tuple[int, int]]
    warned: Sequence[int]
    pause: PauseState | None = None
    ladder: LadderState | None = None
    party: str | None = None


class Waypoint(NamedTuple):
    """Where a ticket's walk through time stands, beside what its case says anyway: instant, priority, assignment."""

    waiting_on: WaitingOn | None
    answered: bool
    done: bool
    customer_wrote_when_done: bool
    cycles: Mapping[ClockMetric, int]
    live: Sequence[RunnerState]
    """The clocks that are not over."""


def waypoint_to_json(waypoint: Waypoint) -> list[Any]:
    """The waypoint as a JSON array, with the version of its form first."""
    return [_WAYPOINT_VERSION, *waypoint[:4], list(waypoint.cycles.items()), waypoint.live]


def waypoint_from_json(written: Sequence[Any]) -> Waypoint | None:
    """The inverse of `waypoint_to_json`; None for another version of its form, which is folded anew instead."""
    version, waiting_on, answered, done, customer_wrote, cycles, live = written
    if version != _WAYPOINT_VERSION:
        return None
    return Waypoint(
        None if waiting_on is None else WaitingOn(waiting_on),
        answered,
        done,
        customer_wrote,
        {ClockMetric(metric): cycle for metric, cycle in cycles},
        [
            RunnerState._make(
                [
                    *(ClockMetric(metric), cycle, Outcome(outcome), Priority(priority)),
                    *numbers,
                    None if pause is None else _pause(*pause),
                    None if ladder is None else LadderState(*ladder),
                    party,
                ]
            )
            for metric, cycle, outcome, priority, *numbers, pause, ladder, party in live
        ],
    )


def _pause(
    waiting_on: str | None, held_by: int, cap_us: int | None, paused_us: Sequence[tuple[str, int]]
) -> PauseState:
    return PauseState(
        None if waiting_on is None else WaitingOn(waiting_on),
        held_by,
        cap_us,
        [(WaitingOn(reason), spent_us) for reason, spent_us in paused_us],
    )
