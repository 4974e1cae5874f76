"""When sla is blind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from opora_sla.sight import Sight

T0 = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def looks(sight: Sight, seconds: int, *, moving: frozenset[int] = frozenset()) -> Sight:
    """Look each half second; the watermarks of the `moving` partitions go on, the others stand."""
    for count in range(1, seconds * 2 + 1):
        moved = {
            partition: T0 + timedelta(seconds=count if partition in moving else 0)
            for partition in range(sight.partitions)
        }
        sight = sight.look(moved, sight.looked_at + 0.5)
    return sight


def test_a_partition_without_news_for_too_long_is_blind() -> None:
    """Only the partition that stands still, and only after the time is over."""
    seen = Sight(2, 0.0).look({0: T0, 1: T0}, 0.0)
    assert looks(seen, 60, moving=frozenset({1})).blind(60) == []
    assert looks(seen, 61, moving=frozenset({1})).blind(60) == [0]


def test_a_partition_that_never_had_a_mark_is_blind_from_the_start() -> None:
    """No mark is no news."""
    sight = Sight(1, 0.0)
    for second in range(62):
        sight = sight.look({}, float(second))
    assert sight.blind(60) == [0]


def test_news_ends_the_blindness() -> None:
    """One moved watermark is enough."""
    blind = looks(Sight(1, 0.0), 100)
    assert blind.look({0: T0 + timedelta(hours=1)}, blind.looked_at + 0.5).blind_seconds == 0


def test_time_in_which_nobody_looked_proves_nothing() -> None:
    """After an outage of the timers themselves the watermarks get their chance to move."""
    sight = Sight(1, 0.0).look({0: T0}, 0.0).look({0: T0}, 3_600.0)
    assert sight.blind(60) == []
    assert sight.blind_seconds == 1
