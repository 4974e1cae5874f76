"""What a simulation found, and the same as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from opora_contracts.vocabulary import Priority
from opora_sla.metrics import ClockMetric


@dataclass(frozen=True, slots=True)
class Rate:
    """Tickets of one sort in one metric."""

    met: int = 0
    breached: int = 0
    open: int = 0
    """Neither met nor breached when the log ends."""
    cancelled: int = 0

    @property
    def n(self) -> int:
        """How many were decided: the breach rate is a share of these."""
        return self.met + self.breached

    @property
    def breach_percent(self) -> float | None:
        """The breach rate; None when nothing was decided."""
        return 100 * self.breached / self.n if self.n else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The same tickets before and after."""

    before: Rate
    after: Rate


@dataclass(frozen=True, slots=True)
class Changes:
    """Tickets that are decided both before and after, and otherwise."""

    newly_breached: int
    relieved: int


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Working time used by tickets whose clocks have ended: each value is one that occurred (nearest rank)."""

    n: int
    p50: int
    p75: int
    p90: int
    p95: int
    p99: int
    longest: int


@dataclass(frozen=True, slots=True)
class FoundTarget:
    """The smallest target that enough tickets of a priority would have met."""

    priority: Priority
    n: int
    """Tickets whose clocks have ended."""
    target_seconds: int | None
    """What the agreement says; None where several of them say different things."""
    found_seconds: int


@dataclass(frozen=True, slots=True)
class MetricReport:
    """One metric. The keys of `by_hour` are hours of the wall clock at creation, those of `by_group` names; tickets of
    no group are under the empty name.
    """

    metric: ClockMetric
    party: str | None
    """The group whose clocks these are, or `third_party`; None for those of the support side as a whole."""
    all: Comparison
    by_priority: Mapping[str, Comparison]
    by_group: Mapping[str, Comparison]
    by_hour: Mapping[str, Comparison]
    changes: Changes | None
    """None when there is nothing to compare with."""
    used_seconds: Percentiles | None
    """None when nothing has ended."""
    used_seconds_by_priority: Mapping[str, Percentiles]
    targets: tuple[FoundTarget, ...]

    @property
    def name(self) -> str:
        """The metric; of one between groups, with the group: `operational:network`."""
        between_groups = self.metric is ClockMetric.OPERATIONAL
        return f"{self.metric.value}:{self.party}" if between_groups else self.metric.value


@dataclass(frozen=True, slots=True)
class Report:
    """All of it. The same histories in any order give the same report."""

    before: Literal["agreement", "recorded"] | None
    """What stands as before: another agreement, what the log itself says, or nothing."""
    tickets: int
    not_covered: int
    """Tickets that no agreement of the draft applies to; they count nowhere as after."""
    not_covered_before: int
    met_by_percent: int
    metrics: tuple[MetricReport, ...]


def report_as_json(report: Report) -> dict[str, Any]:
    """The report as a JSON object; rates carry their `n` and their `breach_percent`, rounded to a thousandth."""
    return {
        "before": report.before,
        "tickets": report.tickets,
        "not_covered": report.not_covered,
        "not_covered_before": report.not_covered_before,
        "met_by_percent": report.met_by_percent,
        "metrics": {metric.name: _metric(metric) for metric in report.metrics},
    }


def _metric(report: MetricReport) -> dict[str, Any]:
    return {
        "all": _comparison(report.all),
        "by_priority": {key: _comparison(both) for key, both in report.by_priority.items()},
        "by_group": {key: _comparison(both) for key, both in report.by_group.items()},
        "by_hour": {key: _comparison(both) for key, both in report.by_hour.items()},
        "changes": None if report.changes is None else asdict(report.changes),
        "used_seconds": None if report.used_seconds is None else asdict(report.used_seconds),
        "used_seconds_by_priority": {key: asdict(used) for key, used in report.used_seconds_by_priority.items()},
        "targets": [{**asdict(found), "priority": found.priority.value} for found in report.targets],
    }


def _comparison(both: Comparison) -> dict[str, Any]:
    return {"before": _rate(both.before), "after": _rate(both.after)}


def _rate(rate: Rate) -> dict[str, Any]:
    percent = rate.breach_percent
    return {"n": rate.n, **asdict(rate), "breach_percent": None if percent is None else round(percent, 3)}
