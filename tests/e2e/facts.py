"""What stands on a stack's topics, as a stranger with a Kafka client sees it."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from opora_contracts import TOPICS, Event, decode
from opora_contracts.topics import PROGRESS, REQUESTS
from tests.e2e.stack import Stack


@dataclass(frozen=True, slots=True)
class Arrival:
    """A record with the moment at which it was seen."""

    topic: str
    at: float
    """`time.monotonic()`"""
    event: Event[Any]


@dataclass(slots=True)
class Facts:
    """Every fact from the first record on, in the order of arrival; it grows while it is watched."""

    arrivals: list[Arrival] = field(default_factory=list)

    def of(self, event_type: str, subject: str | None = None) -> list[Event[Any]]:
        """Events of this type, of one subject or of all."""
        return [arrival.event for arrival in self.arrived(event_type) if subject in {None, arrival.event.subject}]

    def arrived(self, event_type: str) -> list[Arrival]:
        """The same with the moments of arrival."""
        return [arrival for arrival in self.arrivals if arrival.event.type == event_type]

    def sequences(self, topic: str) -> dict[str, list[int]]:
        """The sequence numbers per subject, as they stand on the topic; 0 where there is none."""
        found: dict[str, list[int]] = defaultdict(list)
        for arrival in self.arrivals:
            if arrival.topic == topic:
                found[arrival.event.subject].append(arrival.event.sequence or 0)
        return dict(found)


@asynccontextmanager
async def watched_facts(stack: Stack) -> AsyncIterator[Facts]:
    """Watch every topic on which services publish facts until the block ends. Raises what ended the watch before."""
    facts = Facts()
    topics = [topic for topic in TOPICS if topic not in {REQUESTS, PROGRESS}]
    places = [TopicPartition(stack.prefix + topic.name, n) for topic in topics for n in range(topic.partitions)]
    async with AsyncExitStack() as cleanup:
        consumer = AIOKafkaConsumer(bootstrap_servers=stack.kafka_bootstrap, enable_auto_commit=False)
        await consumer.start()
        cleanup.push_async_callback(consumer.stop)
        consumer.assign(places)
        await consumer.seek_to_beginning()
        watching = asyncio.create_task(_watch(consumer, stack.prefix, facts))
        cleanup.push_async_callback(_end, watching)
        yield facts


def in_order(sequences: Sequence[int]) -> bool:
    """Whether they are 1, 2, 3 … when what was delivered again is left out."""
    highest = 0
    for sequence in sequences:
        if not 0 < sequence <= highest + 1:
            return False
        highest = max(highest, sequence)
    return highest > 0


async def _watch(consumer: AIOKafkaConsumer, prefix: str, facts: Facts) -> None:
    while True:
        polled = await consumer.getmany(timeout_ms=100)
        now = time.monotonic()
        for place, records in polled.items():
            for record in records:
                event = decode(record.key, record.value, record.headers)
                if isinstance(event, Event):
                    facts.arrivals.append(Arrival(place.topic.removeprefix(prefix), now, event))


async def _end(watching: asyncio.Task[None]) -> None:
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
