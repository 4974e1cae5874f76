"""What the tests of the publisher and the consumer share: topics of their own, and plain clients to look at them."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from opora_chassis.topics import create_topics, delete_topics
from opora_contracts import Event, Fact
from opora_contracts.codec import encode
from opora_contracts.publisher import partition_of
from opora_embedded.testing import KafkaServer


@pytest.fixture
async def prefix(kafka: KafkaServer) -> AsyncIterator[str]:
    """What stands before the names of this test's own topics on the session's broker."""
    own = f"c{uuid4().hex[:10]}."
    await create_topics(kafka.bootstrap, prefix=own)
    yield own
    await delete_topics(kafka.bootstrap, prefix=own)


async def records_of(bootstrap: str, topic: str, partitions: int = 12) -> list[Any]:
    """Every record of a topic, read by a plain client, in order per partition."""
    places = [TopicPartition(topic, partition) for partition in range(partitions)]
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False) as consumer:
        consumer.assign(places)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(places)
        found: list[Any] = []
        for place in places:
            while await consumer.position(place) < ends[place]:
                found += (await consumer.getmany(place, timeout_ms=500)).get(place, [])
        return found


async def put(bootstrap: str, topic: str, *events: Event[Fact], partitions: int = 12) -> None:
    """Write events as the platform's own services do, past the publisher."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for event in events:
            record = encode(event)
            await producer.send_and_wait(
                topic,
                record.value,
                key=record.key,
                headers=list(record.headers),
                partition=partition_of(record.key, partitions),
            )
