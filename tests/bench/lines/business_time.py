"""Business time: when a budget of working time runs out."""

import gc
import random
import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial

from opora_sla.calendar import Calendar, due_at, due_microseconds, microseconds
from tests.bench.ground import Ground
from tests.bench.row import Reach, Row, alternate, duration, limited, ratio

_CALLS = 20_000
_HOUR, _THOUSAND_HOURS = 3_600, 3_600_000
_YEAR_SECONDS = 365 * 86_400
_NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
_OFFICE_DAY = ((9 * 60, 12 * 60 + 30), (13 * 60 + 15, 18 * 60))
_OFFICE = Calendar(
    time_zone="Europe/Berlin",
    weekly_hours=(*(_OFFICE_DAY,) * 5, (), ()),
    holidays=frozenset(date(2026, month, day) for month, day in ((1, 1), (4, 3), (4, 6), (5, 1), (12, 25), (12, 28))),
)


async def measure(ground: Ground) -> list[Row]:
    """Of office hours with a break, holidays and daylight saving time, from starts all over a year."""
    numbers = random.Random(6)  # noqa: S311  the same starts each time
    starts = [_NEW_YEAR + timedelta(seconds=numbers.uniform(0, _YEAR_SECONDS)) for _ in range(_CALLS)]
    starts_us = [microseconds(start) for start in starts]

    def ask(budget_seconds: int) -> None:
        for start in starts:
            due_at(_OFFICE, start, budget_seconds)

    def ask_as_the_fold(budget_seconds: int) -> None:
        budget_us = budget_seconds * 1_000_000
        for start_us in starts_us:
            due_microseconds(_OFFICE, start_us, budget_us)

    contenders: dict[str, Callable[[], Awaitable[float]]] = {
        "hour": partial(_per_call, partial(ask, _HOUR)),
        "thousand": partial(_per_call, partial(ask, _THOUSAND_HOURS)),
        "fold": partial(_per_call, partial(ask_as_the_fold, _HOUR)),
    }
    for warm_up in contenders.values():
        await warm_up()
    figures = await alternate(contenders, ground.rounds)
    hour, thousand, fold = (statistics.median(figures[name]) for name in ("hour", "thousand", "fold"))
    return [
        limited("business time, warm calendar: due_at of a moment", hour, 2e-6),
        limited("business time, warm calendar: due_microseconds, as the fold asks", fold, 2e-6),
        Row(
            "business time, warm calendar: a budget of 1,000 h",
            duration(thousand),
            "a budget of 1 h",
            duration(hour),
            ratio(figures["thousand"], figures["hour"]),
            Reach(1.3, at_most=True),
        ),
        limited(
            f"business time, warm calendar: one of {_CALLS:,} in bulk",
            fold,
            0.3e-6,
            "sla has no function for many at once: this is one call after the other",
        ),
    ]


async def _per_call(work: Callable[[], None]) -> float:
    """Seconds of one call, without the garbage of other lines."""
    gc.collect()
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) / _CALLS
