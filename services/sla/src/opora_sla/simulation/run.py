"""Histories in, one after the other; a report out."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from opora_contracts.vocabulary import Outcome, Priority
from opora_sla.agreement import DEFAULT_AGREEMENT_ID, Agreement, choose
from opora_sla.domain import Clocks, fold
from opora_sla.metrics import ClockMetric
from opora_sla.simulation.history import History
from opora_sla.simulation.report import (
    Changes,
    Comparison,
    FoundTarget,
    MetricReport,
    Percentiles,
    Rate,
    Report,
)
from opora_sla.simulation.verdicts import Verdict, verdicts

Basis = Literal["agreement", "recorded"]
_Key = tuple[str, str]
"""A dimension of the report (`all`, `priority`, `group`, `hour`) and a value of it."""
_ALL: _Key = ("all", "")
_Of = tuple[ClockMetric, str | None]
"""A metric, and whose clocks of it."""
_METRICS = tuple(ClockMetric)
_DECIDED = frozenset({Outcome.MET, Outcome.BREACHED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is tried out."""

    draft: Sequence[Agreement]
    """What is tried out, chosen for each ticket as the platform would; a ticket that none matches is not covered."""
    current: Sequence[Agreement] | None = None
    """What it is compared with; without it, with what the histories say of themselves, if they do."""
    judged_at: datetime
    """Until when the histories are complete: what is open then is judged by this instant."""
    time_zone: ZoneInfo
    """In which the hours of creation are read."""
    met_by_percent: int = 95
    """How many of the tickets, of 100, a found target must hold for; from 1 to 100."""


def simulate(histories: Iterable[History], plan: Plan) -> Report:
    """Fold every history under the plan's agreements. Holds one history at a time, and of all of them counts and the
    use of each. Raises ValueError for a history without its creation.
    """
    simulation = Simulation(plan)
    for history in histories:
        simulation.take(history)
    return simulation.report()


@dataclass(slots=True)
class _Tally:
    """What is kept of all tickets in one metric."""

    before: Counter[tuple[_Key, Outcome]] = field(default_factory=Counter)
    after: Counter[tuple[_Key, Outcome]] = field(default_factory=Counter)
    newly_breached: int = 0
    relieved: int = 0
    used_seconds: dict[Priority, array[int]] = field(default_factory=dict)
    targets_seconds: dict[Priority, set[int]] = field(default_factory=dict)


class Simulation:
    """A simulation while it goes on. The order in which histories are taken does not matter."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._tallies: dict[_Of, _Tally] = {}
        self._tickets = self._not_covered = self._not_covered_before = 0
        self._recorded = False

    def take(self, history: History) -> Clocks | None:
        """Count one more ticket. Returns its clocks under the draft; None when the draft does not cover it."""
        self._tickets += 1
        clocks = self._fold(history, self._plan.draft)
        after = verdicts(clocks) if clocks else ()
        self._not_covered += clocks is None
        before = self._before(history, after)
        hour = f"{history.created_at.astimezone(self._plan.time_zone).hour:02}"
        for verdict in before:
            _count(self._tally(verdict).before, verdict, hour)
        earlier = {_of(verdict): verdict.outcome for verdict in before}
        for verdict in after:
            tally = self._tally(verdict)
            _count(tally.after, verdict, hour)
            outcomes = (earlier.get(_of(verdict)), verdict.outcome)
            tally.newly_breached += outcomes == (Outcome.MET, Outcome.BREACHED)
            tally.relieved += outcomes == (Outcome.BREACHED, Outcome.MET)
            if verdict.ended and verdict.outcome in _DECIDED:
                tally.used_seconds.setdefault(verdict.priority, array("q")).append(verdict.used_seconds)
                tally.targets_seconds.setdefault(verdict.priority, set()).add(verdict.target_seconds)
        return clocks

    def report(self) -> Report:
        """What was found so far."""
        basis: Basis | None = "recorded" if self._recorded else None
        if self._plan.current is not None:
            basis = "agreement"
        return Report(
            before=basis,
            tickets=self._tickets,
            not_covered=self._not_covered,
            not_covered_before=self._not_covered_before,
            met_by_percent=self._plan.met_by_percent,
            metrics=tuple(self._metric(of, basis) for of in sorted(self._tallies, key=_place)),
        )

    def _fold(self, history: History, agreements: Sequence[Agreement]) -> Clocks | None:
        agreement = choose(agreements, history.dimensions, history.created_at)
        if agreement.id == DEFAULT_AGREEMENT_ID:
            return None
        return fold(history.facts, agreement, self._plan.judged_at)

    def _before(self, history: History, after: Sequence[Verdict]) -> tuple[Verdict, ...]:
        if self._plan.current is not None:
            clocks = self._fold(history, self._plan.current)
            self._not_covered_before += clocks is None
            return verdicts(clocks) if clocks else ()
        resolution = next((verdict for verdict in after if verdict.metric is ClockMetric.RESOLUTION), None)
        if history.resolved_in_time is None or resolution is None:
            return ()
        self._recorded = True
        outcome = Outcome.MET if history.resolved_in_time else Outcome.BREACHED
        # Such a word has no priority and no group: it is counted where the ticket stands afterwards.
        return (replace(resolution, outcome=outcome, ended=True),)

    def _tally(self, verdict: Verdict) -> _Tally:
        return self._tallies.setdefault(_of(verdict), _Tally())

    def _metric(self, of: _Of, basis: Basis | None) -> MetricReport:
        tally = self._tallies[of]
        metric, party = of
        compared = basis == "agreement" or (basis == "recorded" and metric is ClockMetric.RESOLUTION)
        by_priority = {priority: sorted(tally.used_seconds[priority]) for priority in sorted(tally.used_seconds)}
        return MetricReport(
            metric=metric,
            party=party,
            all=_comparison(tally, _ALL),
            by_priority=_by(tally, "priority"),
            by_group=_by(tally, "group"),
            by_hour=_by(tally, "hour"),
            changes=Changes(tally.newly_breached, tally.relieved) if compared else None,
            used_seconds=_percentiles(sorted(used for each in by_priority.values() for used in each)),
            used_seconds_by_priority={
                priority.value: found for priority, used in by_priority.items() if (found := _percentiles(used))
            },
            targets=tuple(
                FoundTarget(
                    priority=priority,
                    n=len(used),
                    target_seconds=_the_only(tally.targets_seconds[priority]),
                    # No agreement has a target below a second.
                    found_seconds=max(1, _nearest_rank(used, self._plan.met_by_percent)),
                )
                for priority, used in by_priority.items()
            ),
        )


def _of(verdict: Verdict) -> _Of:
    return verdict.metric, verdict.party


def _place(of: _Of) -> tuple[int, str]:
    metric, party = of
    return _METRICS.index(metric), party or ""


def _count(counts: Counter[tuple[_Key, Outcome]], verdict: Verdict, hour: str) -> None:
    for key in (
        _ALL,
        ("priority", verdict.priority.value),
        ("group", verdict.group or ""),
        ("hour", hour),
    ):
        counts[key, verdict.outcome] += 1


def _comparison(tally: _Tally, key: _Key) -> Comparison:
    return Comparison(_rate(tally.before, key), _rate(tally.after, key))


def _rate(counts: Counter[tuple[_Key, Outcome]], key: _Key) -> Rate:
    return Rate(**{outcome.value: counts[key, outcome] for outcome in Outcome})


def _by(tally: _Tally, dimension: str) -> dict[str, Comparison]:
    values = {value for (of, value), _ in (*tally.before, *tally.after) if of == dimension}
    return {value: _comparison(tally, (dimension, value)) for value in sorted(values)}


def _percentiles(ordered: Sequence[int]) -> Percentiles | None:
    if not ordered:
        return None
    p50, p75, p90, p95, p99 = (_nearest_rank(ordered, percent) for percent in (50, 75, 90, 95, 99))
    return Percentiles(len(ordered), p50, p75, p90, p95, p99, ordered[-1])


def _nearest_rank(ordered: Sequence[int], percent: int) -> int:
    """The smallest value that at least so many of 100 do not exceed."""
    return ordered[-(-percent * len(ordered) // 100) - 1]


def _the_only(values: set[int]) -> int | None:
    return next(iter(values)) if len(values) == 1 else None
