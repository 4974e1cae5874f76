"""What a benchmark says: figures beside baselines that were measured in the same run, and their ratios."""

import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reach:
    """What a ratio has to come to."""

    bound: float
    at_most: bool = False
    """Whether the ratio may not exceed the bound; otherwise it may not fall short of it."""

    def is_reached_by(self, ratio: float) -> bool:
        """Whether the ratio is good enough."""
        return ratio <= self.bound if self.at_most else ratio >= self.bound

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.bound:g} x"


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison."""

    line: str
    """What was measured, at which size."""
    figure: str
    """Ours, with its unit."""
    against: str
    baseline: str
    """The other one's, with its unit."""
    ratio: float
    """Ours by the other's: the median over the rounds."""
    reach: Reach | None
    """None where a figure is only told."""
    remark: str = ""

    @property
    def ok(self) -> bool:
        """Whether the ratio is good enough."""
        return self.reach is None or self.reach.is_reached_by(self.ratio)


Measure = Callable[[], Awaitable[float]]
"""One round of one contender; returns its figure."""


async def alternate(contenders: Mapping[str, Measure], rounds: int) -> dict[str, list[float]]:
    """The figures of every contender, round by round; who begins changes, so that a machine's drift meets all alike."""
    figures: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        names = list(contenders)
        for name in names if number % 2 == 0 else reversed(names):
            figures[name].append(await contenders[name]())
    return figures


def ratio(ours: Sequence[float], others: Sequence[float]) -> float:
    """The median of the rounds' ratios: figures of one round were measured side by side."""
    return statistics.median(our / other for our, other in zip(ours, others, strict=True))


def per_second(figures: Sequence[float]) -> str:
    """The median of rates."""
    return f"{statistics.median(figures):,.0f}/s"


def duration(seconds: float) -> str:
    """In the unit that suits it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def limited(line: str, seconds: float, limit_seconds: float, remark: str = "") -> Row:
    """A duration that may not exceed a limit, as its ratio to the limit."""
    ratio_to_limit = seconds / limit_seconds
    return Row(
        line, duration(seconds), "the limit", duration(limit_seconds), ratio_to_limit, Reach(1, at_most=True), remark
    )
