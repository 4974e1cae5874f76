"""The ladder of one clock: which step is given when, and what stops it. Only the clock drives it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from opora_sla.calendar import Calendar, due_microseconds
from opora_sla.metrics import Terms

REPETITIONS = 1_000
"""A step's ordinal is its level × this + its repetition; a step is repeated at most a hundred times."""


class Call(NamedTuple):
    """A step of the ladder that time will bring just after `at_us`."""

    at_us: int
    level: int
    """From 1, in the order in which the steps are written."""
    repetition: int
    """0 for the first time."""

    @property
    def ordinal(self) -> int:
        """What tells it from the clock's other calls."""
        return self.level * REPETITIONS + self.repetition


class LadderState(NamedTuple):
    """What the ladder's further way depends on."""

    stopped: bool
    climbed: Sequence[tuple[int, int]]
    """Per step how often it was given, and when last (0: never)."""
    calls: Sequence[tuple[int, int, int]]
    """Those to come, the earliest first."""


class Footing(NamedTuple):
    """The clock under the ladder at an instant up to which its use is accounted."""

    at_us: int
    used_us: int
    target_us: int
    due_us: int | None
    counts: bool
    held: bool
    """Whether the ticket waits for somebody; after the cap of a pause the clock goes on as if it did not."""


class Ladder:
    """Steps of a clock that has a target and is not over."""

    def __init__(self, terms: Terms, calendar: Calendar, state: LadderState | None = None) -> None:
        self._rungs, self._stops_on, self._calendar = terms.rungs, terms.stops_on, calendar
        self._stopped = state.stopped if state else False
        self._climbed = [(count, last) for count, last in state.climbed] if state else [(0, 0)] * len(self._rungs)
        self._calls = [Call(*call) for call in state.calls] if state else []

    def state(self) -> LadderState | None:
        """From where it goes on; None for a ladder without steps."""
        return LadderState(self._stopped, self._climbed, self._calls) if self._rungs else None

    @property
    def next_us(self) -> int | None:
        """The instant after which time alone brings the next step."""
        return self._calls[0].at_us if self._calls else None

    def stop(self) -> None:
        """No further step, whatever happens to the clock."""
        self._stopped = True
        self.rest()

    def rest(self) -> None:
        """No step until it is planned again."""
        self._calls = []

    def acknowledge(self) -> None:
        """Somebody took the ticket: an answer to the ladder if it has called."""
        if "acknowledged" in self._stops_on and any(count for count, _ in self._climbed):
            self.stop()

    def answer(self) -> None:
        """The support side wrote to the customer."""
        if "replied" in self._stops_on:
            self.stop()

    def plan(self, footing: Footing) -> None:
        """Foresee the next call of every step. A step whose instant has passed meanwhile is given at once."""
        if not self._rungs or self._stopped:
            return
        self.rest()
        if footing.held and "held" in self._stops_on:
            return
        for index, (count, last_us) in enumerate(self._climbed):
            at_us = self._again(index, last_us) if count else self._first(index, footing)
            if at_us is not None and count <= self._rungs[index].times:
                self._calls.append(Call(max(at_us, footing.at_us), index + 1, count))
        self._calls.sort()

    def climb(self, until_us: int) -> Call | None:
        """The next call before `until_us`, which is given from now on; None when there is none."""
        if not self._calls or self._calls[0].at_us >= until_us:
            return None
        call = self._calls.pop(0)
        index = call.level - 1
        self._climbed[index] = (call.repetition + 1, call.at_us)
        again_us = self._again(index, call.at_us)
        if again_us is not None and call.repetition < self._rungs[index].times:
            self._calls.append(Call(again_us, call.level, call.repetition + 1))
            self._calls.sort()
        return call

    def _first(self, index: int, footing: Footing) -> int | None:
        rung = self._rungs[index]
        if rung.after_us is not None:
            return None if footing.due_us is None else self._later(index, footing.due_us, rung.after_us)
        if rung.percent is not None:
            threshold_us = footing.target_us * rung.percent // 100
        else:
            threshold_us = footing.target_us - (rung.before_us or 0)
        if threshold_us < 0:
            return None
        if footing.used_us > threshold_us:
            return footing.at_us
        return (
            due_microseconds(self._calendar, footing.at_us, threshold_us - footing.used_us) if footing.counts else None
        )

    def _again(self, index: int, last_us: int) -> int | None:
        return self._later(index, last_us, self._rungs[index].every_us)

    def _later(self, index: int, at_us: int, delay_us: int) -> int | None:
        if self._rungs[index].working_hours:
            return due_microseconds(self._calendar, at_us, delay_us)
        return at_us + delay_us
