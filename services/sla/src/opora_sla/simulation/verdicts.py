"""How one ticket stands in each metric."""

from __future__ import annotations

from dataclasses import dataclass

from opora_contracts.vocabulary import Outcome, Priority
from opora_sla.domain import Clock, Clocks, StepName
from opora_sla.metrics import ClockMetric

_GRAVITY = {Outcome.CANCELLED: 0, Outcome.MET: 1, Outcome.OPEN: 2, Outcome.BREACHED: 3}


@dataclass(frozen=True, slots=True)
class Verdict:
    """A ticket in one metric: breached if one of its clocks is, else open if one is, else met, else cancelled.

    The other fields are those of the gravest clock, among equals of the one with the greatest use.
    """

    metric: ClockMetric
    party: str | None
    """Whose clocks: a ticket has a verdict for each group that owed something for it."""
    outcome: Outcome
    priority: Priority
    """Whose target counts; after a breach the one whose target was missed."""
    group: str | None
    """Which group had the ticket when that clock was decided; while it is open, the ticket's present one."""
    used_seconds: int
    target_seconds: int
    ended: bool
    """Whether none of its clocks goes on: only then the use is final."""


def verdicts(clocks: Clocks) -> tuple[Verdict, ...]:
    """A verdict for each metric and party that has a clock, in the order of the metrics and of the parties' names."""
    found: dict[tuple[ClockMetric, str | None], list[Clock]] = {}
    for clock in clocks.clocks:
        found.setdefault((clock.key.metric, clock.party), []).append(clock)
    order = {metric: place for place, metric in enumerate(ClockMetric)}
    return tuple(_verdict(found[key], clocks) for key in sorted(found, key=lambda key: (order[key[0]], key[1] or "")))


def _verdict(of_metric: list[Clock], clocks: Clocks) -> Verdict:
    gravest = max(of_metric, key=lambda clock: (_GRAVITY[clock.outcome], clock.used_seconds))
    return Verdict(
        metric=gravest.key.metric,
        party=gravest.party,
        outcome=gravest.outcome,
        priority=gravest.priority,
        group=_group(gravest, clocks),
        used_seconds=gravest.used_seconds,
        target_seconds=gravest.target_seconds,
        ended=not any(clock.open for clock in of_metric),
    )


def _group(clock: Clock, clocks: Clocks) -> str | None:
    if clock.key.metric is ClockMetric.OPERATIONAL:
        return clock.party
    for step in clocks.steps:
        decides = step.key.name is StepName.BREACHED or step.key.name is StepName.MET
        if decides and (step.key.metric, step.key.cycle) == clock.key:
            return step.group
    return clocks.group
