"""How long tickets were in each step, and how long each group had them in hand."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from opora_contracts.vocabulary import Step
from opora_sla.calendar import Calendar, microseconds, working_microseconds
from opora_sla.domain import CaseFact
from opora_sla.reporting.standing import Standing, standings

Place = Literal["step", "group"]
_SECOND_US = 1_000_000
_OVER = frozenset({Step.RESOLVED, Step.VERIFIED, Step.CLOSED})
_PERCENTS = (50, 90, 95, 99)


class Stay(NamedTuple):
    """All the time that a ticket was in one step, or with one group."""

    key: str | None
    """None for no group."""
    elapsed_us: int
    """By the wall."""
    handled_us: int
    """Working time in which the ticket waited for nobody else."""


class TimeRow(NamedTuple):
    """The stays of many tickets under one key. Percentiles are 50, 90, 95 and 99, by nearest rank."""

    key: str | None
    n: int
    """Tickets."""
    elapsed_seconds: Sequence[int]
    handled_seconds: Sequence[int]
    handled_seconds_sum: int


def stays(facts: Sequence[CaseFact], calendar: Calendar, by: Place) -> list[Stay]:
    """A ticket's stays, one for each key, in the order of its first. One that goes on is left out: it is not known yet.

    A group has a ticket in hand until it is resolved; what comes after is nobody's work.
    """
    spent: dict[str | None, tuple[int, int]] = {}
    found = standings(facts)
    for standing, after in pairwise(found):
        if _counts(standing, by):
            from_us, to_us = microseconds(standing.at), microseconds(after.at)
            handled_us = 0 if standing.waiting_on else working_microseconds(calendar, from_us, to_us)
            elapsed_before, handled_before = spent.get(_key(standing, by), (0, 0))
            spent[_key(standing, by)] = (elapsed_before + to_us - from_us, handled_before + handled_us)
    if _counts(found[-1], by):
        spent.pop(_key(found[-1], by), None)
    return [Stay(key, *both) for key, both in spent.items()]


class Times:
    """The stays of many tickets. The order in which they are taken does not matter."""

    def __init__(self, by: Place) -> None:
        self._by = by
        self._elapsed: dict[str | None, array[int]] = {}
        self._handled: dict[str | None, array[int]] = {}
        self.tickets = 0
        """How many were taken."""

    def take(self, of_ticket: Iterable[Stay]) -> None:
        """Count one more ticket."""
        self.tickets += 1
        for stay in of_ticket:
            self._elapsed.setdefault(stay.key, array("q")).append(stay.elapsed_us)
            self._handled.setdefault(stay.key, array("q")).append(stay.handled_us)

    def rows(self) -> list[TimeRow]:
        """By step in the order of the process, by group in that of the names, no group last."""
        order = {step.value: place for place, step in enumerate(Step)} if self._by == "step" else {}
        keys = sorted(self._elapsed, key=lambda key: (key is None, order.get(key or "", 0), key or ""))
        return [
            TimeRow(
                key=key,
                n=len(self._elapsed[key]),
                elapsed_seconds=_percentiles(self._elapsed[key]),
                handled_seconds=_percentiles(self._handled[key]),
                handled_seconds_sum=round(sum(self._handled[key]) / _SECOND_US),
            )
            for key in keys
        ]


def _counts(standing: Standing, by: Place) -> bool:
    return by == "step" or standing.step not in _OVER


def _key(standing: Standing, by: Place) -> str | None:
    return standing.step.value if by == "step" else standing.group


def _percentiles(values: Sequence[int]) -> list[int]:
    ordered = sorted(values)
    return [round(ordered[-(-percent * len(ordered) // 100) - 1] / _SECOND_US) for percent in _PERCENTS]
