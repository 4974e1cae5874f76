"""What one item costs when there are many tickets already, against the same when there are few."""

import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from opora_chassis.clock import Clock
from opora_chassis.database import Database
from opora_chassis.topics import create_topics
from opora_contracts.topics import TICKETS
from opora_sla.store import cases
from tests.bench.consumption import held_back, produce, rate_of
from tests.bench.facts import lives
from tests.bench.ground import Ground, settings_of
from tests.bench.history import History, make_history
from tests.bench.http_load import Requests, press
from tests.bench.lines.intake_http import openings
from tests.bench.lines.relay import fill, run_relay
from tests.bench.row import Reach, Row, alternate, duration, ratio

_SIZES, _ALL_SIZES = (10_000, 100_000), (10_000, 100_000, 1_000_000)
_ALL_ROUNDS = 3
_CLIENTS = 16
_CREATE_SECONDS = 1.0
"""Few: what is created adds to the smallest size most."""
_OUTBOX_ROWS = 50_000
_FOLDED_TICKETS = 1_000
_TICKS = 1_000
_REACH = Reach(1.3, at_most=True)


@dataclass(frozen=True, slots=True)
class _Size:
    """So many tickets in intake and sla, and the processes and connections that work on them. Costs are in seconds."""

    ground: Ground
    history: History
    address: str
    """Of intake's `serve`."""
    next_request: Requests
    sla: Database

    @property
    def name(self) -> str:
        return f"{self.history.tickets:,} tickets"

    async def create(self) -> float:
        load = await press([self.address], self.next_request, clients=_CLIENTS, seconds=_CREATE_SECONDS)
        return 1 / load.per_second

    async def drain(self) -> float:
        await fill(self.history.intake, _OUTBOX_ROWS)
        began = time.perf_counter()
        await run_relay(self.ground, self.history.intake)
        return (time.perf_counter() - began) / _OUTBOX_ROWS

    async def fold(self) -> float:
        facts = list(lives(_FOLDED_TICKETS))
        async with held_back(self.history.sla.dsn) as arrived:
            await produce(self.ground, self.history.prefix + TICKETS.name, facts)
            await arrived()
        # A range of the primary key: what was there before has lower ids.
        taken_in = f"select coalesce(sum(last_sequence), 0)::bigint from cases where ticket_id >= '{facts[0].subject}'"
        return 1 / await rate_of(self.history.sla.dsn, taken_in, len(facts))

    async def tick(self) -> float:
        """What the timers do when nothing is due."""
        began = time.perf_counter()
        for _ in range(_TICKS):
            assert not (await cases.look(self.sla)).due
        return (time.perf_counter() - began) / _TICKS


_ITEMS: dict[str, Callable[[_Size], Awaitable[float]]] = {
    "intake HTTP create": _Size.create,
    "relay drain of a row": _Size.drain,
    "sla consumer's fold of a fact": _Size.fold,
    "idle tick of sla's timers": _Size.tick,
}


async def measure(ground: Ground) -> list[Row]:
    """Each item at each size, turn by turn."""
    await create_topics(ground.kafka.bootstrap)
    rows: list[Row] = []
    async with AsyncExitStack() as stack:
        sizes = [
            await stack.enter_async_context(_running(ground, await make_history(ground, tickets)))
            for tickets in (_ALL_SIZES if ground.full else _SIZES)
        ]
        for name, cost in _ITEMS.items():
            figures = await alternate(
                {size.name: partial(cost, size) for size in sizes}, _ALL_ROUNDS if ground.full else ground.rounds
            )
            few = sizes[0].name
            rows += [
                Row(
                    f"{name}, {size.name}",
                    duration(statistics.median(figures[size.name])),
                    f"the same, {few}",
                    duration(statistics.median(figures[few])),
                    ratio(figures[size.name], figures[few]),
                    _REACH,
                )
                for size in sizes[1:]
            ]
    return rows


@asynccontextmanager
async def _running(ground: Ground, history: History) -> AsyncIterator[_Size]:
    intake = {**settings_of(ground, history.intake), "OPORA_TOPIC_PREFIX": history.prefix}
    sla = {**settings_of(ground, history.sla), "OPORA_TOPIC_PREFIX": history.prefix}
    opened = await Database.open(history.sla.dsn, service="sla", clock=Clock(), pool_size=2)
    try:
        async with (
            ground.processes([["-m", "opora_intake", "serve"]], **intake) as (address,),
            ground.processes([["-m", "opora_sla", "consume"]], **sla),
        ):
            yield _Size(ground, history, address, openings(history.intake.token), opened)
    finally:
        await opened.close()
