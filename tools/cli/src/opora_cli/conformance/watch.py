"""Following opora.tickets from now on, to see which tickets were opened."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from opora_contracts import Event, UndecodableEvent, decode
from opora_contracts.tickets import TicketCreated
from opora_contracts.topics import TICKETS

_POLL_MS = 200


class OpenedTickets:
    """The facts that say that a ticket was opened, as they arrive."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._facts: dict[str, dict[str, Event[Any]]] = {}

    async def read(self) -> None:
        """Take what has arrived, after 0.2 s at most."""
        for records in (await self._consumer.getmany(timeout_ms=_POLL_MS)).values():
            for record in records:
                try:
                    event = decode(record.key, record.value, record.headers)
                except UndecodableEvent:
                    continue  # not one of those that are looked for
                if isinstance(event, Event) and isinstance(event.data, TicketCreated):
                    self._facts.setdefault(event.subject, {})[event.id] = event

    def of(self, ticket_id: str) -> list[Event[Any]]:
        """The facts about this ticket; one that was sent twice counts once."""
        return list(self._facts.get(ticket_id, {}).values())


@asynccontextmanager
async def following(bootstrap: str, prefix: str) -> AsyncIterator[OpenedTickets]:
    """What is published on opora.tickets from now on. Raises a KafkaError when the broker does not answer."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(prefix + TICKETS.name, number) for number in range(TICKETS.partitions)]
        consumer.assign(partitions)
        for partition, offset in (await consumer.end_offsets(partitions)).items():
            consumer.seek(partition, offset)
        yield OpenedTickets(consumer)
    finally:
        await consumer.stop()
