"""One clock on its way through time, in exact microseconds. Only the fold drives it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from opora_contracts.vocabulary import Outcome, Priority, WaitingOn
from opora_sla.calendar import Calendar, due_microseconds, instant, working_microseconds
from opora_sla.domain.ladder import Footing, Ladder
from opora_sla.domain.state import Clock, ClockKey, Interval, RunnerState, Step, StepKey, StepName
from opora_sla.domain.waits import Waits
from opora_sla.metrics import Terms

_SECOND_US = 1_000_000


class Moment(NamedTuple):
    """The ticket at an instant, with the fact that acts there, if any."""

    at_us: int
    cause: str | None
    sequence: int
    waiting_on: WaitingOn | None
    assignee: str | None
    group: str | None


class Runner:
    """A clock from its start to its stop. It must be driven forward in time; it writes its steps into `steps`.

    Without a target (`None`) it is dormant: it counts, so that a later target can be judged, but takes no steps.
    """

    def __init__(
        self,
        key: ClockKey,
        party: str | None,
        terms: Terms,
        calendar: Calendar,
        steps: list[tuple[int, Step]],
    ) -> None:
        self._key = key
        self._party = party
        self._terms = terms
        self._calendar = calendar
        self._steps = steps
        self._target_us: int | None = None
        self._priority = Priority.P5
        self._started_us = 0
        self._used_us = 0
        self._counts = False
        self._since_us = 0
        """Where the current interval began; the use before it stands in `_used_us`."""
        self._began_by = ""
        self._due_us: int | None = None
        self._warnings: list[tuple[int, int]] = []
        """Warnings to come: (instant, ordinal), the earliest first."""
        self._warned: set[int] = set()
        self._waits = Waits(terms, calendar)
        self._ladder = Ladder(terms, calendar)
        self._outcome = Outcome.OPEN
        self._stopped_us: int | None = None
        self._final_used_us = 0
        self._intervals: list[tuple[int, int, bool, int, str, str | None]] = []
        self._changed = False
        self.ever_started = False

    @classmethod
    def resume(cls, state: RunnerState, terms: Terms, calendar: Calendar, steps: list[tuple[int, Step]]) -> Runner:
        """The clock as it was when this was its `state`; its intervals begin here."""
        runner = cls(ClockKey(state.metric, state.cycle), state.party, terms, calendar, steps)
        runner._outcome, runner._priority = state.outcome, state.priority
        runner._target_us, runner._started_us = state.target_us, state.started_us
        runner._used_us, runner._final_used_us = state.used_us, state.final_used_us
        runner._since_us, runner._due_us, runner._stopped_us = state.since_us, state.due_us, state.stopped_us
        runner._counts, runner.ever_started = state.counts, state.ever_started
        runner._warnings, runner._warned = list(state.warnings), set(state.warned)
        if state.pause is not None:
            runner._waits = Waits(terms, calendar, state.pause)
        if state.ladder is not None:
            runner._ladder = Ladder(terms, calendar, state.ladder)
        return runner

    def state(self) -> RunnerState:
        """All that the clock's further way depends on."""
        return RunnerState(
            self._key.metric,
            self._key.cycle,
            self._outcome,
            self._priority,
            self._target_us,
            self._started_us,
            self._used_us,
            self._final_used_us,
            self._since_us,
            self._due_us,
            self._stopped_us,
            self._counts,
            self.ever_started,
            self._warnings,
            sorted(self._warned),
            self._waits.state(),
            self._ladder.state(),
            self._party,
        )

    @property
    def key(self) -> ClockKey:
        """Which clock it is."""
        return self._key

    @property
    def outcome(self) -> Outcome:
        """As it stands."""
        return self._outcome

    @property
    def next_fire_us(self) -> int | None:
        """The instant after which time alone brings the next step."""
        if self._stopped_us is not None or self._target_us is None:
            return None
        fires = [self._waits.cap_us, self._ladder.next_us]
        if self._outcome is Outcome.OPEN:
            fires.append(self._warnings[0][0] if self._warnings else self._due_us)
        return min((fire_us for fire_us in fires if fire_us is not None), default=None)

    def start(self, moment: Moment, priority: Priority) -> None:
        """The clock's first instant; it begins paused when the ticket waits for somebody the metric pauses for."""
        self._started_us = self._since_us = moment.at_us
        self._began_by = moment.cause or ""
        self._counts = self._waits.counts_while(moment.waiting_on)
        self._waits.take_up(moment.waiting_on, moment.sequence, moment.at_us)
        self._aim(moment, priority)

    def retarget(self, moment: Moment, priority: Priority) -> None:
        """The ticket has another priority from now on."""
        if self._outcome is Outcome.BREACHED:
            return
        self.account(moment.at_us, moment.cause)
        self._aim(moment, priority)

    def wait(self, moment: Moment) -> None:
        """The ticket waits for somebody else than before, or for nobody."""
        if self._waits.capped and not self._counts:
            self.account(moment.at_us, moment.cause)
        counts = self._waits.counts_while(moment.waiting_on)
        if counts == self._counts:
            self._waits.take_up(moment.waiting_on, moment.sequence, moment.at_us)
            self._plan_ladder(moment.at_us)
            return
        self.account(moment.at_us, moment.cause)
        self._waits.take_up(moment.waiting_on, moment.sequence, moment.at_us)
        self._turn(StepName.RESUMED if counts else StepName.PAUSED, moment.sequence, moment.at_us, moment)

    def acknowledge(self) -> None:
        """Somebody was assigned."""
        self._ladder.acknowledge()

    def answer(self) -> None:
        """The support side wrote to the customer, which is not the clock's end."""
        self._ladder.answer()

    def stop(self, moment: Moment, outcome: Outcome) -> None:
        """The end: `outcome` unless the clock is breached or was cancelled before."""
        self._changed = True
        self.account(moment.at_us, moment.cause)
        self._waits.cap_us = None
        self._ladder.stop()
        if self._outcome is Outcome.OPEN and self._target_us is not None:
            if outcome is Outcome.MET and self._used_us > self._target_us:
                self._breach(moment)
            else:
                self._outcome = outcome
                cancelled = outcome is Outcome.CANCELLED
                name, ordinal = (StepName.CANCELLED, moment.sequence) if cancelled else (StepName.MET, 0)
                self._step(name, ordinal, moment.at_us, moment)
        if self._stopped_us is None:
            self._stopped_us, self._final_used_us = moment.at_us, self._used_us

    def pass_time(self, until_us: int, moment: Moment) -> None:
        """Give the steps whose instants lie before `until_us`."""
        cap_us = self._waits.cap_us
        if cap_us is not None and cap_us < until_us:
            self._climb(cap_us, moment)
            self.account(cap_us, None)
            self._waits.cap_us = None
            self._turn(StepName.RESUMED, -self._waits.held_by, cap_us, moment)
        while self._warnings and self._warnings[0][0] < until_us:
            at_us, ordinal = self._warnings.pop(0)
            self._warned.add(ordinal)
            self._step(StepName.WARNING, ordinal, at_us, moment)
        if self._outcome is Outcome.OPEN and self._due_us is not None and self._due_us < until_us:
            self._breach(moment)
        self._climb(until_us, moment)

    def account(self, at_us: int, cause: str | None) -> None:
        """End the current interval here and begin another. A stopped clock has no more intervals."""
        if self._stopped_us is not None and self._outcome is not Outcome.CANCELLED:
            return
        if at_us > self._since_us:
            working_us = working_microseconds(self._calendar, self._since_us, at_us)
            if self._counts:
                self._used_us += working_us
            else:
                self._waits.paused_for(working_us)
            self._intervals.append((self._since_us, at_us, self._counts, working_us, self._began_by, cause))
        self._since_us = at_us
        self._began_by = cause or self._began_by

    def clock(self, *, with_intervals: bool) -> Clock:
        """The clock as it stands after the last accounting."""
        stopped_us = self._stopped_us
        return Clock(
            key=self._key,
            outcome=self._outcome,
            running=self._counts and stopped_us is None,
            started_at=instant(self._started_us),
            due_at=None if self._outcome is Outcome.CANCELLED else _instant(self._due_us),
            stopped_at=_instant(stopped_us),
            used_seconds=_whole_seconds(self._used_us if stopped_us is None else self._final_used_us),
            target_seconds=(self._target_us or 0) // _SECOND_US,
            priority=self._priority,
            intervals=tuple(self._intervals_until(stopped_us)) if with_intervals else (),
            changed=self._changed,
            party=self._party,
        )

    def _intervals_until(self, stopped_us: int | None) -> Iterator[Interval]:
        for from_us, to_us, counted, working_us, began_by, ended_by in self._intervals:
            if stopped_us is None or from_us < stopped_us:
                working_seconds = _whole_seconds(working_us)
                yield Interval(instant(from_us), instant(to_us), counted, working_seconds, began_by, ended_by)

    def _aim(self, moment: Moment, priority: Priority) -> None:
        self._changed = True
        target_seconds = self._terms.targets_seconds.get(priority)
        had_target = self._target_us is not None and self._outcome is Outcome.OPEN
        if target_seconds is None:
            if had_target:
                self._outcome = Outcome.CANCELLED
                self._stopped_us, self._final_used_us = moment.at_us, self._used_us
                self._step(StepName.CANCELLED, moment.sequence, moment.at_us, moment)
            self._due_us, self._warnings = None, []
            self._ladder.rest()
            return
        self._target_us, self._priority = target_seconds * _SECOND_US, priority
        self._outcome, self._stopped_us = Outcome.OPEN, None
        self._foresee(moment.at_us)
        if not had_target:
            self.ever_started = True
            self._step(StepName.STARTED, moment.sequence, moment.at_us, moment)
            if not self._counts:
                self._step(StepName.PAUSED, moment.sequence, moment.at_us, moment)

    def _turn(self, name: StepName, ordinal: int, at_us: int, moment: Moment) -> None:
        """From now on the clock counts when it did not, or does not when it did. The use is accounted up to here."""
        self._changed = True
        self._counts = name is StepName.RESUMED
        self._foresee(at_us)
        self._step(name, ordinal, at_us, moment)

    def _foresee(self, at_us: int) -> None:
        """Compute what time alone will bring. The use is accounted up to `at_us`."""
        if self._target_us is None or self._outcome is Outcome.CANCELLED:
            return
        if self._outcome is Outcome.OPEN:
            self._foresee_due(at_us, self._target_us)
        self._plan_ladder(at_us)

    def _foresee_due(self, at_us: int, target_us: int) -> None:
        self._due_us, self._warnings = None, []
        if self._used_us > target_us:
            self._due_us = at_us
        if not self._counts or self._due_us is not None:
            return
        self._due_us = due_microseconds(self._calendar, at_us, target_us - self._used_us)
        if self._due_us is None:
            return
        for ordinal, threshold_us in self._thresholds(target_us):
            if ordinal in self._warned:
                continue
            warn_us: int | None = at_us
            if threshold_us >= self._used_us:
                warn_us = due_microseconds(self._calendar, at_us, threshold_us - self._used_us)
            if warn_us is not None and warn_us < self._due_us:
                self._warnings.append((warn_us, ordinal))
        self._warnings.sort()

    def _thresholds(self, target_us: int) -> Iterator[tuple[int, int]]:
        """The ordinal of each warning (its percentage, or the seconds left below zero) and the use that brings it."""
        for percent in self._terms.warn_at_percent:
            yield percent, target_us * percent // 100
        for left_seconds in self._terms.warn_before_seconds:
            if left_seconds * _SECOND_US < target_us:
                yield -left_seconds, target_us - left_seconds * _SECOND_US

    def _plan_ladder(self, at_us: int) -> None:
        if not self._terms.rungs or self._target_us is None or self._stopped_us is not None:
            return
        held = self._waits.rests_ladder(counts=self._counts)
        used_us = self._used_us_at(at_us)
        self._ladder.plan(Footing(at_us, used_us, self._target_us, self._due_us, self._counts, held))

    def _climb(self, until_us: int, moment: Moment) -> None:
        while (call := self._ladder.climb(until_us)) is not None:
            self._changed = True
            self._step(StepName.ESCALATED, call.ordinal, call.at_us, moment)

    def _used_us_at(self, at_us: int) -> int:
        if not self._counts or at_us <= self._since_us:
            return self._used_us
        return self._used_us + working_microseconds(self._calendar, self._since_us, at_us)

    def _breach(self, moment: Moment) -> None:
        at_us = moment.at_us if self._due_us is None else self._due_us
        self._due_us = at_us
        self._changed = True
        self._outcome, self._warnings = Outcome.BREACHED, []
        self._step(StepName.BREACHED, 0, at_us, moment)

    def _step(self, name: StepName, ordinal: int, at_us: int, moment: Moment) -> None:
        if self._target_us is None or (self._outcome is Outcome.CANCELLED and name is not StepName.CANCELLED):
            return
        step = Step(
            key=StepKey(self._key.metric, self._key.cycle, name, ordinal),
            at=instant(at_us),
            cause=moment.cause,
            started_at=instant(self._started_us),
            due_at=_instant(self._due_us),
            used_seconds=_whole_seconds(self._used_us_at(at_us)),
            target_seconds=self._target_us // _SECOND_US,
            priority=self._priority,
            waiting_on=moment.waiting_on,
            assignee=moment.assignee,
            group=moment.group,
            party=self._party,
        )
        self._steps.append((at_us, step))


def _whole_seconds(duration_us: int) -> int:
    """A begun second counts whole, so that the rounded use is above a target exactly when the exact use is."""
    return -(-duration_us // _SECOND_US)


def _instant(at_us: int | None) -> datetime | None:
    return None if at_us is None else instant(at_us)
