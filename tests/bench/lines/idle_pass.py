"""Looking for what is due while nothing is, against another help desk that is written in Python."""

import statistics

from tests.bench.clocks import STANDARD, look, standing_clocks
from tests.bench.ground import Ground
from tests.bench.peers.escalated_desk import installed_escalated
from tests.bench.row import Reach, Row, alternate, duration, ratio

_TICKETS = 100_000


async def measure(ground: Ground) -> list[Row]:
    """As many open tickets in each, every one with a first response and a resolution to come."""
    database = await standing_clocks(ground, _TICKETS * STANDARD.clocks_of_a_ticket)
    escalated = await installed_escalated(ground, _TICKETS)

    async def ours() -> float:
        return 1 / (await look(database)).median_seconds

    async def theirs() -> float:
        return 1 / await escalated.pass_seconds()

    figures = await alternate({"ours": ours, "theirs": theirs}, ground.rounds)
    return [
        Row(
            f"look for what is due, {_TICKETS:,} open tickets, none due",
            duration(1 / statistics.median(figures["ours"])),
            "escalated-django 0.7.8, check_sla",
            duration(1 / statistics.median(figures["theirs"])),
            ratio(figures["ours"], figures["theirs"]),
            Reach(1_000),
            "how often the other's time ours goes into; without the start of its program",
        )
    ]
