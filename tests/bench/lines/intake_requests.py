"""Tickets that other systems submit on opora.requests, opened by intake's consumer."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

from opora_chassis.consume.consumers import group_of
from opora_chassis.identifiers import new_id
from opora_chassis.topics import create_topics
from opora_cli.chaos.log import forget_group
from opora_contracts import Event
from opora_contracts.requests import TicketSubmitted
from opora_contracts.topics import REQUESTS
from tests.bench.bare_consumer import PROGRAM, create_table
from tests.bench.consumption import database_row, produce, rate_of_program
from tests.bench.ground import Ground, settings_of
from tests.bench.row import Reach, Row, alternate, per_second, ratio

_EVENTS = 10_000
_ALL_EVENTS = 50_000
_PEOPLE = 2_000
_NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


async def measure(ground: Ground) -> list[Row]:
    """With guard, people, audit and outbox, against a raw loop that inserts what it reads."""
    count = _ALL_EVENTS if ground.full else _EVENTS
    prefix = f"requests{count}."
    await create_topics(ground.kafka.bootstrap, prefix=prefix)
    await produce(ground, prefix + REQUESTS.name, submissions(count))
    spent: list[float] = []
    figures = await alternate(
        {"ours": partial(_intake, ground, prefix, count, spent), "bare": partial(_bare, ground, prefix, count)},
        ground.rounds,
    )
    line = f"intake from opora.requests, {count:,} tickets"
    return [
        Row(
            line,
            per_second(figures["ours"]),
            "aiokafka and one multi-row insert a batch",
            per_second(figures["bare"]),
            ratio(figures["ours"], figures["bare"]),
            Reach(0.5),
        ),
        database_row(line, spent, figures["bare"]),
    ]


async def _intake(ground: Ground, prefix: str, count: int, spent: list[float]) -> float:
    database = await ground.database("intake")
    await forget_group(ground.kafka.bootstrap, group_of("intake", prefix + REQUESTS.name))
    settings = {
        **settings_of(ground, database),
        "OPORA_TOPIC_PREFIX": prefix,
    }
    return await rate_of_program(
        ground,
        ["-m", "opora_intake", "consume"],
        settings,
        table="tickets",
        count="select count(*) from tickets",
        whole=count,
        database_seconds=spent,
    )


async def _bare(ground: Ground, prefix: str, count: int) -> float:
    database = await ground.database("intake")
    await forget_group(ground.kafka.bootstrap, "bare")
    settings = {
        **settings_of(ground, database),
        "BENCH_TOPIC": prefix + REQUESTS.name,
        "BENCH_KEEPS": "everything",
    }
    await create_table(database.dsn)
    return await rate_of_program(
        ground, [PROGRAM], settings, table="bare", count="select count(*) from bare", whole=count
    )


def submissions(count: int) -> Iterator[Event[TicketSubmitted]]:
    """As a monitoring system would publish them, in the name of 2,000 people."""
    for number in range(count):
        subject = f"alert-{number}"
        yield Event(
            id=str(new_id()),
            source="/bench/monitoring",
            type=TicketSubmitted.event_type,
            version=TicketSubmitted.version,
            time=_NOON,
            subject=subject,
            key=subject,
            data=TicketSubmitted(
                title=f"Disk {number} is nearly full",
                body="It has 3 % left and loses 1 % an hour. " * 6,
                requester_email=f"person-{number % _PEOPLE}@bench.example",
            ),
        )
