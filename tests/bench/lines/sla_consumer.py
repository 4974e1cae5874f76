"""sla's consumer: facts of tickets folded into clocks and stored."""

from functools import partial

from opora_chassis.consume.consumers import group_of
from opora_chassis.topics import create_topics
from opora_cli.chaos.log import forget_group
from opora_contracts.topics import TICKETS
from tests.bench.bare_consumer import PROGRAM, create_table
from tests.bench.consumption import database_row, produce, rate_of_program
from tests.bench.facts import lives
from tests.bench.ground import Ground, settings_of
from tests.bench.row import Reach, Row, alternate, per_second, ratio

_TICKETS = 5_000
_ALL_TICKETS = 30_000
_SHARE_ONE_BY_ONE = 20
"""Of the tickets, every so many-th is enough for the slow mode."""


async def measure(ground: Ground) -> list[Row]:
    """The rate of facts, against a raw loop that keeps each ticket's newest state, and against one fact a time."""
    tickets = _ALL_TICKETS if ground.full else _TICKETS
    full, part = f"bench{tickets}.", "benchpart."
    for prefix, count in ((full, tickets), (part, tickets // _SHARE_ONE_BY_ONE)):
        await create_topics(ground.kafka.bootstrap, prefix=prefix)
        await produce(ground, prefix + TICKETS.name, lives(count))
    spent: list[float] = []
    few = 3 * (tickets // _SHARE_ONE_BY_ONE)
    figures = await alternate(
        {
            "ours": partial(_sla, ground, full, 3 * tickets, spent),
            "single": partial(_sla, ground, part, few, None, OPORA_CONSUMER_BATCH_RECORDS="1"),
            "bare": partial(_bare, ground, full, tickets),
        },
        ground.rounds,
    )
    line = f"sla consumer, {3 * tickets:,} facts of {tickets:,} tickets"
    return [
        Row(
            line,
            per_second(figures["ours"]),
            "aiokafka and one guarded upsert a batch",
            per_second(figures["bare"]),
            ratio(figures["ours"], figures["bare"]),
            Reach(0.35),
        ),
        Row(
            line,
            per_second(figures["ours"]),
            "the same consumer, one fact a transaction",
            per_second(figures["single"]),
            ratio(figures["ours"], figures["single"]),
            Reach(7),
        ),
        database_row(line, spent, figures["bare"]),
    ]


async def _sla(ground: Ground, prefix: str, facts: int, spent: list[float] | None, **settings: str) -> float:
    database = await ground.database("sla")
    prepared = {
        **settings_of(ground, database),
        "OPORA_TOPIC_PREFIX": prefix,
        **settings,
    }
    await forget_group(ground.kafka.bootstrap, group_of("sla", prefix + TICKETS.name))
    taken_in = "select coalesce(sum(last_sequence), 0)::bigint from cases"
    return await rate_of_program(
        ground,
        ["-m", "opora_sla", "consume"],
        prepared,
        table="applied",
        count=taken_in,
        whole=facts,
        database_seconds=spent,
    )


async def _bare(ground: Ground, prefix: str, tickets: int) -> float:
    database = await ground.database("sla")
    settings = {
        **settings_of(ground, database),
        "BENCH_TOPIC": prefix + TICKETS.name,
    }
    await forget_group(ground.kafka.bootstrap, "bare")
    await create_table(database.dsn)
    taken_in = "select coalesce(sum(version), 0)::bigint from bare"
    return await rate_of_program(ground, [PROGRAM], settings, table="bare", count=taken_in, whole=3 * tickets)
