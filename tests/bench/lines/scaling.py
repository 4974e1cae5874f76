"""Replicas: whether they share the work evenly, and whether an event costs as much processor time as with one."""

import statistics
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from opora_chassis.consume.consumers import group_of
from opora_chassis.topics import create_topics
from opora_cli.metrics import Metrics, total
from opora_cli.waiting import came_true
from opora_contracts.topics import TICKETS
from opora_intake.settings import IntakeSettings
from tests.bench.consumption import held_back, produce, rate_of
from tests.bench.facts import lives
from tests.bench.ground import Ground, ServiceDatabase, settings_of
from tests.bench.lines.relay import fill
from tests.bench.metrics import CPU_SECONDS, ask
from tests.bench.row import Reach, Row, ratio

_REPLICAS = (1, 2, 4)
_ROUNDS = 3
"""Processor time varies less than a rate."""
_ROWS, _ALL_ROWS = 50_000, 300_000
_TICKETS, _ALL_TICKETS = 3_000, 30_000
_JOINED_SECONDS = 60.0
_DRAINED_SECONDS = 300.0
_REACH = Reach(1.3, at_most=True)
_SHARDS_HELD = "opora_relay_shards"
_PUBLISHED = "opora_published_events_total"
_CONSUMED = "opora_consumed_events_total"
Addresses = Sequence[str]


@dataclass(frozen=True, slots=True)
class _Work:
    """What replicas did of one backlog."""

    events: list[float]
    """Of each replica."""
    cpu_seconds: float

    @property
    def largest_share(self) -> float:
        """By an even one."""
        return max(self.events) * len(self.events) / sum(self.events)

    @property
    def event_microseconds(self) -> float:
        """Processor time."""
        return self.cpu_seconds / sum(self.events) * 1e6


async def measure(ground: Ground) -> list[Row]:
    """The same backlog before one, two and four of them; each round begins with one and adds to it."""
    relays = [await _relays(ground, number) for number in range(_ROUNDS)]
    consumers = [await _consumers(ground, number) for number in range(_ROUNDS)]
    return [*_rows("relays", relays), *_rows("sla consumers", consumers)]


def _rows(name: str, rounds: Sequence[Sequence[_Work]]) -> list[Row]:
    alone = [works[0].event_microseconds for works in rounds]
    rows: list[Row] = []
    for place, replicas in enumerate(_REPLICAS[1:], start=1):
        together = [works[place] for works in rounds]
        line = f"{replicas} {name}, {sum(together[0].events):,.0f} events"
        share = statistics.median(work.largest_share for work in together)
        costs = [work.event_microseconds for work in together]
        rows += [
            Row(
                f"{line}: largest share",
                f"{share / replicas:.1%}",
                "an even share",
                f"{1 / replicas:.1%}",
                share,
                _REACH,
            ),
            Row(
                f"{line}: processor time of one",
                f"{statistics.median(costs):.0f} µs",
                "a single replica",
                f"{statistics.median(alone):.0f} µs",
                ratio(costs, alone),
                _REACH,
            ),
        ]
    return rows


async def _relays(ground: Ground, number: int) -> list[_Work]:
    prefix = f"relays{number}."
    await create_topics(ground.kafka.bootstrap, prefix=prefix)
    database = await ground.database("intake")
    settings = {**settings_of(ground, database), "OPORA_TOPIC_PREFIX": prefix}
    shards: int = IntakeSettings.model_fields["relay_shards"].default

    async def balanced(addresses: Addresses) -> bool:
        held = [total(metrics, _SHARDS_HELD) for metrics in await ask(addresses, _SHARDS_HELD)]
        return held == [shards / len(addresses)] * len(addresses)

    async def drain(addresses: Addresses) -> _Work:
        before = await ask(addresses, _PUBLISHED, CPU_SECONDS)
        await fill(database, _ALL_ROWS if ground.full else _ROWS)
        await _until_empty(database)
        return _work(before, await ask(addresses, _PUBLISHED, CPU_SECONDS), _PUBLISHED)

    return await _grow(ground, ["-m", "opora_intake", "relay"], settings, balanced, drain)


async def _until_empty(database: ServiceDatabase) -> None:
    connection = await asyncpg.connect(database.dsn)
    try:
        drained = partial(connection.fetchval, "select not exists (select from outbox)")
        if not await came_true(drained, _DRAINED_SECONDS, look_seconds=0.02):
            raise TimeoutError(f"the outbox is not empty after {_DRAINED_SECONDS:.0f} s")
    finally:
        await connection.close()


async def _consumers(ground: Ground, number: int) -> list[_Work]:
    prefix = f"consumers{number}."
    topic = prefix + TICKETS.name
    await create_topics(ground.kafka.bootstrap, prefix=prefix)
    database = await ground.database("sla")
    settings = {**settings_of(ground, database), "OPORA_TOPIC_PREFIX": prefix}
    tickets = _ALL_TICKETS if ground.full else _TICKETS

    async def stable(addresses: Addresses) -> bool:
        return await _members(ground, group_of("sla", topic)) == len(addresses)

    async def consume(addresses: Addresses) -> _Work:
        facts = list(lives(tickets))
        async with held_back(database.dsn) as arrived:
            await produce(ground, topic, facts)
            await arrived()
            before = await ask(addresses, _CONSUMED, CPU_SECONDS)
        taken_in = f"select coalesce(sum(last_sequence), 0)::bigint from cases where ticket_id >= '{facts[0].subject}'"
        await rate_of(database.dsn, taken_in, len(facts))
        return _work(before, await ask(addresses, _CONSUMED, CPU_SECONDS), _CONSUMED)

    return await _grow(ground, ["-m", "opora_sla", "consume"], settings, stable, consume)


async def _members(ground: Ground, group: str) -> int:
    """How many share the group's partitions; 0 while they are being divided."""
    admin = AIOKafkaAdminClient(bootstrap_servers=ground.kafka.bootstrap)
    await admin.start()
    try:
        ((_, _, state, _, _, members, *_),) = (await admin.describe_consumer_groups([group]))[0].groups
    except KafkaError:
        return 0  # the broker does not know the group yet
    finally:
        await admin.close()
    return len(members) if state == "Stable" else 0


async def _grow(
    ground: Ground,
    command: Sequence[str],
    settings: dict[str, str],
    joined: Callable[[Addresses], Awaitable[bool]],
    work: Callable[[Addresses], Awaitable[_Work]],
) -> list[_Work]:
    works: list[_Work] = []
    addresses: list[str] = []
    async with AsyncExitStack() as replicas:
        for count in _REPLICAS:
            more = ground.processes([command] * (count - len(addresses)), **settings)
            addresses += await replicas.enter_async_context(more)
            if not await came_true(partial(joined, addresses), _JOINED_SECONDS):
                raise TimeoutError(f"{count} replicas do not share the work after {_JOINED_SECONDS:.0f} s")
            works.append(await work(addresses))
    return works


def _work(before: Sequence[Metrics], after: Sequence[Metrics], counter: str) -> _Work:
    def grown(name: str) -> list[float]:
        return [total(now, name) - total(then, name) for then, now in zip(before, after, strict=True)]

    return _Work(grown(counter), sum(grown(CPU_SECONDS)))
