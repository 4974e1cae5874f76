"""A running sla, with intake's facts and marks put in and its own facts read back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from opora_chassis.database import Database
from opora_chassis.identifiers import new_id
from opora_chassis.testing import RunningService, running_service, wait_until
from opora_contracts import Event, Topic
from opora_contracts.codec import UnknownEvent, decode, encode
from opora_contracts.progress import ProgressMarked
from opora_contracts.tickets import TicketCreated, TicketFact
from opora_contracts.topics import PROGRESS, SLA, TICKETS
from opora_contracts.vocabulary import Channel, Kind, Level, Priority
from opora_embedded.testing import KafkaServer
from opora_sla.app import SERVICE


@dataclass
class Desk:
    """A running sla, and the broker that it stands on."""

    service: RunningService
    producer: AIOKafkaProducer
    bootstrap: str
    start: datetime
    """A moment in the past; the hours of a test's story count from here."""
    sequences: dict[UUID, int] = field(default_factory=dict)
    sent: dict[int, int] = field(default_factory=dict)

    @property
    def database(self) -> Database:
        """Sla's own database."""
        return self.service.database

    @property
    def prefix(self) -> str:
        """What this test's topics begin with."""
        prefix: str = self.service.platform.settings.topic_prefix
        return prefix

    def at(self, hours: float) -> datetime:
        """So many hours after the story's start."""
        return self.start + timedelta(hours=hours)

    async def create(self, hours: float = 0, *, import_id: str | None = None, **changes: Any) -> UUID:
        """A ticket is created; returns its id."""
        ticket_id = new_id()
        data = TicketCreated(
            **{
                "ticket_id": ticket_id,
                "number": f"OP-{ticket_id.hex[-4:]}",
                "title": "It does not print",
                "channel": Channel.EMAIL,
                "kind": Kind.INCIDENT,
                "impact": Level.HIGH,
                "urgency": Level.HIGH,
                "priority": Priority.P1,
            }
            | changes
        )
        await self.say(hours, data, import_id=import_id)
        return ticket_id

    async def say(self, hours: float, data: TicketFact, *, import_id: str | None = None) -> str:
        """Intake publishes a fact that happened then; returns its event id."""
        sequence = self.sequences.get(data.ticket_id, 0) + 1
        self.sequences[data.ticket_id] = sequence
        event = Event(
            id=str(new_id()),
            source="/opora/intake",
            type=data.event_type,
            version=1,
            time=self.at(hours),
            subject=str(data.ticket_id),
            key=str(data.ticket_id),
            sequence=sequence,
            data=data,
            import_id=import_id,
        )
        record = encode(event)
        await self.send(record.key, record.value, list(record.headers))
        return event.id

    async def send(self, key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        """Put a record on the tickets' topic."""
        topic = self.prefix + TICKETS.name
        written = await self.producer.send_and_wait(topic, value, key=key, headers=headers)
        self.sent[written.partition] = written.offset + 1

    async def taken_in(self, ticket_id: UUID) -> None:
        """Wait until sla has taken in all facts of the ticket."""
        await wait_until(lambda: self._has(ticket_id), what="all facts were taken in")

    async def _has(self, ticket_id: UUID) -> bool:
        last = await self.database.fetchval("select last_sequence from cases where ticket_id = $1", ticket_id)
        return bool(last == self.sequences[ticket_id])

    async def mark(self, hours: float, import_id: str | None = None) -> None:
        """Intake promises that everything before then was sent; returns once sla has seen it on all partitions.

        As the real publisher does, it goes on giving marks: one that came before the follower listened is lost.
        """
        complete_before, domain = self.at(hours), import_id or ""

        async def marked() -> bool:
            for partition in range(TICKETS.partitions):
                await self._send_mark(partition, complete_before, import_id)
            count = await self.database.fetchval(
                "select count(*) from watermarks where domain = $1 and complete_before >= $2", domain, complete_before
            )
            return bool(count == TICKETS.partitions)

        await wait_until(marked, what=f"the mark of hour {hours} was seen")

    async def _send_mark(self, partition: int, complete_before: datetime, import_id: str | None) -> None:
        data = ProgressMarked(
            topic=TICKETS.name,
            partition=partition,
            offset=self.sent.get(partition, 0),
            complete_before=complete_before,
            import_id=import_id,
        )
        event = Event(
            id=str(new_id()),
            source="/opora/intake",
            type=data.event_type,
            version=1,
            time=complete_before,
            subject=f"{TICKETS.name}/{partition}",
            key=str(partition),
            data=data,
        )
        record = encode(event)
        await self.producer.send_and_wait(
            self.prefix + PROGRESS.name,
            record.value,
            key=record.key,
            partition=partition,
            headers=list(record.headers),
        )

    async def told(self, ticket_id: UUID, count: int) -> list[Event[Any]]:
        """What sla published about the ticket, in order, once there are `count` facts and no more wait."""
        found: list[Event[Any]] = []
        async with _reader(self.bootstrap, self.prefix, SLA) as consumer:

            async def enough() -> bool:
                for records in (await consumer.getmany(timeout_ms=50)).values():
                    for record in records:
                        event = decode(record.key, record.value, record.headers)
                        assert not isinstance(event, UnknownEvent)
                        if event.subject == str(ticket_id):
                            found.append(event)
                return len(found) >= count and not await self.database.fetchval("select count(*) from outbox")

            await wait_until(enough, what=f"{count} facts about the ticket were published")
        assert [event.sequence for event in found] == list(range(1, count + 1)), _types(found)
        return found

    async def get(self, path: str, **parameters: Any) -> Any:
        """The JSON that the interface answers with."""
        answer = await self.service.client.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()


def _types(events: list[Event[Any]]) -> list[str]:
    return [event.type for event in events]


DeskRunner = Callable[..., AbstractAsyncContextManager[Desk]]


@pytest.fixture
def sla(kafka: KafkaServer, database: str) -> DeskRunner:
    """A way to run sla with settings of the test's choice."""

    @asynccontextmanager
    async def run(**settings: Any) -> AsyncIterator[Desk]:
        async with (
            running_service(SERVICE, kafka, database, **settings) as service,
            AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer,
        ):
            now = await service.database.now()
            yield Desk(service, producer, kafka.bootstrap, start=now - timedelta(days=3))

    return run


@asynccontextmanager
async def _reader(bootstrap: str, prefix: str, topic: Topic) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(prefix + topic.name, partition) for partition in range(topic.partitions)])
        await consumer.seek_to_beginning()
        yield consumer
    finally:
        await consumer.stop()
