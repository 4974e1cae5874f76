"""The gauges of clocks at risk and late, counted beside the timers."""

from __future__ import annotations

import asyncio
from typing import Any

from prometheus_client import REGISTRY

from opora_sla import late_clocks


class Counted:
    """A platform, and the database of it, whose clocks a test wrote down; it remembers how often it was asked."""

    def __init__(self) -> None:
        self.database = self
        self.at_risk, self.late = 2, 1
        self.asked = 0
        self.enough_at = 0
        self.enough = asyncio.Event()
        """Set once it was asked `enough_at` times."""

    async def fetch(self, sql: str, *_: Any) -> list[dict[str, Any]]:
        """What both counts find."""
        self.asked += 1
        if self.asked >= self.enough_at:
            self.enough.set()
        return [{"metric": "resolution", "clocks": self.at_risk if "'warning'" in sql else self.late}]


def told(name: str, metric: str = "resolution") -> float | None:
    return REGISTRY.get_sample_value(f"opora_sla_{name}_clocks", {"metric": metric})


async def test_every_metric_is_told_zeroes_included() -> None:
    """What has gone is told as none and not left as it was."""
    counted: Any = Counted()
    await late_clocks.count_late_clocks(counted)
    assert (told("at_risk"), told("breached_open")) == (2, 1)
    assert (told("at_risk", "first_response"), told("breached_open", "next_response")) == (0, 0)
    counted.at_risk, counted.late = 0, 3
    await late_clocks.count_late_clocks(counted)
    assert (told("at_risk"), told("breached_open")) == (0, 3)


async def test_counting_goes_on_with_pauses_until_it_is_stopped(monkeypatch: Any) -> None:
    """It waits a hundred times as long as a count took, at least ten seconds, and ends at once when it is told to."""
    platform: Any = Counted()
    stop = asyncio.Event()
    for pause_seconds, counts in ((0.001, 3), (3_600, 1)):
        monkeypatch.setattr(late_clocks, "_COUNT_SECONDS", pause_seconds)
        stop.clear()
        platform.asked, platform.enough_at = 0, 2 * counts
        platform.enough.clear()
        async with asyncio.timeout(30):
            counting = asyncio.create_task(late_clocks.watch_late_clocks(stop, platform=platform))
            await platform.enough.wait()
            stop.set()
            await counting
        assert platform.asked == 2 * counts
