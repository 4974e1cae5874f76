"""A cell: one service's database, topics of its own, and the delivery core on them, without any service's rules."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaProducer
from pydantic import SecretStr

from opora_chassis import testing
from opora_chassis.clock import Clock
from opora_chassis.consume import Consumers, Guard, Subscription
from opora_chassis.database import Database, Transaction
from opora_chassis.identifiers import new_id
from opora_chassis.marks import FollowMarks, MarkSource
from opora_chassis.migrations import migrate, read_set
from opora_chassis.outbox import partition_of
from opora_chassis.platform import Platform
from opora_chassis.relay import Relay
from opora_chassis.settings import ServiceSettings
from opora_chassis.topics import create_topics, delete_topics
from opora_contracts import Event, NewEvent, Topic
from opora_contracts.codec import encode
from opora_contracts.tickets import TicketNoted
from opora_contracts.topics import TICKETS
from opora_embedded.testing import KafkaServer

CHASSIS = Path(__file__).parents[2] / "src/opora_chassis/migrations"
SEEN = "create table seen (position bigint generated always as identity, subject text, sequence bigint, event_id text)"


async def wait_until(condition: Callable[[], Awaitable[bool]], what: str, seconds: float = 30) -> None:
    """Poll the condition; fail with `what` when it does not come true in time."""
    await testing.wait_until(condition, seconds, what=what)


def noted(ticket_id: UUID, sequence: int, **attributes: Any) -> Event[TicketNoted]:
    """A small fact of a ticket, as intake's relay would have published it."""
    given: dict[str, Any] = {
        "id": str(new_id()),
        "source": "/opora/intake",
        "type": "ticket.noted",
        "version": 1,
        "time": datetime(2026, 3, 1, 12, 0, tzinfo=UTC),
        "subject": str(ticket_id),
        "key": str(ticket_id),
        "sequence": sequence,
        "data": TicketNoted(ticket_id=ticket_id, message_id=uuid4()),
    }
    return Event(**(given | attributes))


@dataclass
class Cell:
    """What a delivery test drives."""

    bootstrap: str
    platform: Platform
    producer: AIOKafkaProducer
    prefix: str
    before: Callable[[Event[Any]], Awaitable[None]] | None = None
    """Called for each event inside the handler, before its effect: where a test makes it fail or wait."""
    stops: list[asyncio.Event] = field(default_factory=list)

    @property
    def database(self) -> Database:
        """The cell's database."""
        return self.platform.database

    async def send(self, *events: Event[Any], topic: Topic = TICKETS) -> None:
        """Publish events as a relay would, in order per key."""
        for event in events:
            record = encode(event)
            await self.send_raw(record.key, record.value, list(record.headers), topic=topic)

    async def send_raw(
        self, key: bytes | None, value: bytes | None, headers: list[tuple[str, Any]], *, topic: Topic = TICKETS
    ) -> None:
        """Publish bytes as they are."""
        partition = partition_of(key or b"", topic.partitions)
        await self.producer.send_and_wait(
            self.prefix + topic.name, value=value, key=key, headers=headers, partition=partition
        )

    async def handle(self, events: Sequence[Event[Any]], tx: Transaction) -> None:
        """The handler under test: its whole effect is a row per event."""
        for event in events:
            if self.before is not None:
                await self.before(event)
            await tx.execute(
                "insert into seen (subject, sequence, event_id) values ($1, $2, $3)",
                event.subject,
                event.sequence,
                event.id,
            )

    def subscription(self, topic: Topic = TICKETS, guard: Guard = Guard.SEQUENCE) -> Subscription:
        """The cell's subscription to a topic."""
        return Subscription(topic, self.handle, topic.types, guard)

    @asynccontextmanager
    async def consuming(
        self, topic: Topic = TICKETS, guard: Guard = Guard.SEQUENCE, follow_marks: FollowMarks | None = None
    ) -> AsyncIterator[Consumers]:
        """One consumer process's worth of consumption."""
        consumers = Consumers(self.platform, [self.subscription(topic, guard)], follow_marks)
        await consumers.start()
        try:
            yield consumers
        finally:
            await consumers.stop()

    @asynccontextmanager
    async def relaying(self, mark_source: MarkSource | None = None) -> AsyncIterator[Relay]:
        """One relay process's worth of relaying."""
        relay, stop = Relay(self.platform, mark_source), asyncio.Event()
        task = asyncio.create_task(relay.run(stop))
        try:
            yield relay
        finally:
            stop.set()
            await asyncio.wait_for(task, 30)

    async def emit(self, ticket_id: UUID, *sequences: int) -> None:
        """Write facts of a ticket through a transaction of the cell's own service."""
        async with self.database.transaction() as tx:
            for sequence in sequences:
                tx.emit(
                    NewEvent(
                        data=TicketNoted(ticket_id=ticket_id, message_id=uuid4()),
                        subject=str(ticket_id),
                        sequence=sequence,
                        time=tx.now,
                    )
                )

    async def seen(self, subject: UUID | str) -> list[int]:
        """Sequences of this subject whose effect is there, in the order in which they took effect."""
        rows = await self.database.fetch("select sequence from seen where subject = $1 order by position", str(subject))
        return [row["sequence"] for row in rows]

    async def wait_seen(self, subject: UUID | str, expected: Sequence[int | None], seconds: float = 30) -> None:
        """Wait until exactly these took effect."""

        async def there() -> bool:
            return await self.seen(subject) == list(expected)

        await wait_until(there, f"effects {expected} of {subject}", seconds)

    async def wait_seen_without_dead_letter(self, subject: UUID, *sequences: int) -> None:
        """Wait until these (by default the first) took effect, through relay, topic and consumer."""
        await self.wait_seen(subject, list(sequences or (1,)), seconds=60)
        assert await self.letters() == []

    async def letters(self) -> list[dict[str, Any]]:
        """The dead letters in order."""
        return [dict(row) for row in await self.database.fetch("select * from dead_letters order by position")]

    async def wait_letters(self, count: int) -> list[dict[str, Any]]:
        """Wait until there are so many dead letters."""

        async def there() -> bool:
            return len(await self.letters()) == count

        await wait_until(there, f"{count} dead letters")
        return await self.letters()


@asynccontextmanager
async def open_cell(bootstrap: str, dsn: str) -> AsyncIterator[Cell]:
    """A fresh cell on these servers; its topics are gone afterwards."""
    prefix = f"t{uuid4().hex[:10]}."
    await create_topics(bootstrap, prefix=prefix)
    await migrate(dsn, read_set("chassis", CHASSIS))
    settings = ServiceSettings(
        database_dsn=SecretStr(dsn),
        kafka_bootstrap=bootstrap,
        topic_prefix=prefix,
        fuse_limit=3,
        fuse_retry_seconds=0.2,
        grace_seconds=10,
    )
    clock = Clock.from_settings(settings)
    opened = await Database.open(dsn, service="cell", clock=clock)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        async with opened.transaction() as tx:
            await tx.execute(SEEN)
        yield Cell(bootstrap, Platform("cell", settings, opened, clock), producer, prefix)
    finally:
        await producer.stop()
        await opened.close()
        await delete_topics(bootstrap, prefix=prefix)


@pytest.fixture
async def cell(kafka: KafkaServer, database: str) -> AsyncIterator[Cell]:
    """A cell on the session's servers."""
    async with open_cell(kafka.bootstrap, database) as opened:
        yield opened
