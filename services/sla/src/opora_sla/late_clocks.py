"""How many clocks are at risk or late, for the metrics; counted beside the timers, so that no judgement waits."""

from __future__ import annotations

import asyncio
import time

from prometheus_client import Gauge

from opora_chassis.database import Database
from opora_chassis.platform import Platform
from opora_chassis.resting import rest
from opora_sla.store import gauges

AT_RISK_CLOCKS = Gauge("opora_sla_at_risk_clocks", "Open clocks of which a warning was given", ["metric"])
BREACHED_OPEN_CLOCKS = Gauge("opora_sla_breached_open_clocks", "Clocks that are breached and go on", ["metric"])

_COUNT_SECONDS = 10.0
_COUNT_PAUSE = 99
"""How many times as long as counting took nothing is counted: a count reads every open and every breached clock."""


async def watch_late_clocks(stop: asyncio.Event, *, platform: Platform) -> None:
    """Count again and again until `stop`: one second in a hundred at most. Raises what the database raises."""
    while not stop.is_set():
        began = time.monotonic()
        await count_late_clocks(platform.database)
        pause = max(_COUNT_SECONDS, _COUNT_PAUSE * (time.monotonic() - began))
        await rest(stop, pause)


async def count_late_clocks(database: Database) -> None:
    """Set both gauges for every metric, zeroes included."""
    for gauge, count in ((AT_RISK_CLOCKS, gauges.at_risk_clocks), (BREACHED_OPEN_CLOCKS, gauges.breached_open_clocks)):
        for metric, clocks in (await count(database)).items():
            gauge.labels(metric).set(clocks)
