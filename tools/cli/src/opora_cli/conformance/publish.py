"""Publishing records as they are, right or wrong, as a foreign producer would."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

from opora_contracts.conformance import Compression, Record

_MOST_BYTES = 4 * 1_048_576
"""The producer's own limit stands above every case, so that the broker answers, not the client."""
_CLIENT_ID = "opora-conformance"


@dataclass(frozen=True, slots=True)
class Position:
    """Where the broker put a record."""

    partition: int
    offset: int


class BrokerRefusal(Exception):  # noqa: N818  it is the broker's answer, and may be the one expected
    """The broker does not take the record."""


Publish = Callable[[Record, int | None], Awaitable[Position]]
"""Publishes one record, to this partition or to the one of its key; raises BrokerRefusal or another KafkaError."""


@asynccontextmanager
async def publishing(bootstrap: str, topic: str) -> AsyncIterator[Publish]:
    """A way to publish to the topic. Raises a KafkaError when the broker does not answer."""
    async with AsyncExitStack() as cleanup:
        producers: dict[Compression, AIOKafkaProducer] = {}

        async def producer_of(compression: Compression) -> AIOKafkaProducer:
            if compression not in producers:
                producer = AIOKafkaProducer(
                    bootstrap_servers=bootstrap,
                    client_id=_CLIENT_ID,
                    acks="all",
                    enable_idempotence=False,
                    max_request_size=_MOST_BYTES,
                    compression_type=None if compression is Compression.NONE else compression.value,
                )
                await producer.start()
                cleanup.push_async_callback(producer.stop)
                producers[compression] = producer
            return producers[compression]

        async def publish(record: Record, partition: int | None) -> Position:
            producer = await producer_of(record.compression)
            try:
                acknowledged = await producer.send_and_wait(
                    topic, record.value, key=record.key, headers=list(record.headers), partition=partition
                )
            except (MessageSizeTooLargeError, RecordListTooLargeError) as error:
                raise BrokerRefusal(type(error).__name__) from error
            return Position(acknowledged.partition, acknowledged.offset)

        await producer_of(Compression.NONE)
        yield publish
