"""Where the time of breached clocks went: whom it waited for, in which step, with which group.

Counted is all time that passed from a clock's start to its breach, by the wall and not by the calendar, because a
customer waits through the night as well. Time on hold belongs to whom the ticket waited for, whether or not its
agreement pauses the clock then. The rest is the support side's, divided by the agreement's calendar.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Literal, NamedTuple

from opora_sla.calendar import Calendar, microseconds, working_microseconds
from opora_sla.domain import CaseFact
from opora_sla.metrics import ClockMetric
from opora_sla.reporting.standing import Standing, standings

By = Literal["waiting", "step", "group"]
INSIDE_HOURS, OUTSIDE_HOURS = "us_inside_hours", "us_outside_hours"
_SECOND_US = 1_000_000


class Way(NamedTuple):
    """Some time of a clock under one cause. `cause` is None for no group."""

    cause: str | None
    spent_us: int


class CauseShare(NamedTuple):
    """A cause among the breached clocks of one metric."""

    metric: ClockMetric
    cause: str | None
    n: int
    """Clocks that spent any time under it."""
    largest_in: int
    """Clocks that spent more time under it than under any other; of equals the first in the alphabet."""
    spent_seconds: int
    share: float
    """Of all the time that the metric's clocks took until their breach."""


def ways_until(
    facts: Sequence[CaseFact], calendar: Calendar, started_at: datetime, until: datetime, by: By
) -> list[Way]:
    """What the time from a clock's start until an instant was spent on; the sum is that time, to the microsecond."""
    ways: list[Way] = []
    for standing, from_at, to_at in _stretches(standings(facts), started_at, until):
        from_us, to_us = microseconds(from_at), microseconds(to_at)
        match by:
            case "step":
                ways.append(Way(standing.step.value, to_us - from_us))
            case "group":
                ways.append(Way(standing.group, to_us - from_us))
            case _ if standing.waiting_on is not None:
                ways.append(Way(standing.waiting_on.value, to_us - from_us))
            case _:
                inside_us = working_microseconds(calendar, from_us, to_us)
                ways += [Way(INSIDE_HOURS, inside_us), Way(OUTSIDE_HOURS, to_us - from_us - inside_us)]
    return ways


class Causes:
    """The causes of many breached clocks. The order in which clocks are taken does not matter."""

    def __init__(self) -> None:
        self._examined: Counter[ClockMetric] = Counter()
        self._spent_us: dict[ClockMetric, Counter[str | None]] = {}
        self._clocks: dict[ClockMetric, Counter[str | None]] = {}
        self._largest: dict[ClockMetric, Counter[str | None]] = {}

    @property
    def examined(self) -> Mapping[ClockMetric, int]:
        """How many clocks of each metric were taken."""
        return self._examined

    def take(self, metric: ClockMetric, ways: Iterable[Way]) -> None:
        """Count one more breached clock."""
        spent: Counter[str | None] = Counter()
        for way in ways:
            spent[way.cause] += way.spent_us
        spent = +spent
        self._examined[metric] += 1
        self._spent_us.setdefault(metric, Counter()).update(spent)
        self._clocks.setdefault(metric, Counter()).update(spent.keys())
        largest = self._largest.setdefault(metric, Counter())
        if spent:
            largest[min(spent, key=lambda cause: (-spent[cause], cause or ""))] += 1

    def shares(self) -> list[CauseShare]:
        """Each cause of each metric, in the order of the metrics, the greatest share first."""
        return [share for metric in ClockMetric if metric in self._spent_us for share in self._of(metric)]

    def _of(self, metric: ClockMetric) -> Iterator[CauseShare]:
        spent, whole_us = self._spent_us[metric], self._spent_us[metric].total()
        for cause in sorted(spent, key=lambda cause: (-spent[cause], cause or "")):
            yield CauseShare(
                metric=metric,
                cause=cause,
                n=self._clocks[metric][cause],
                largest_in=self._largest[metric][cause],
                spent_seconds=round(spent[cause] / _SECOND_US),
                share=spent[cause] / whole_us,
            )


def _stretches(
    found: Sequence[Standing], from_at: datetime, until: datetime
) -> Iterator[tuple[Standing, datetime, datetime]]:
    """What of each standing lies in [from, until)."""
    ends = [after.at for _, after in pairwise(found)] + [until]
    for standing, ends_at in zip(found, ends, strict=True):
        begin, end = max(standing.at, from_at), min(ends_at, until)
        if begin < end:
            yield standing, begin, end
