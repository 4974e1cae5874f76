"""Publishing to Opora from any program: acknowledged or an error, within a time, with one effect however often tried.

    async with Publisher("kafka.example:9092", source="//monitoring.example") as publisher:
        await publisher.publish(TicketSubmitted(title="Disk full"), subject="disk-db-7", id="alert-2231")

Needs `opora-contracts[publisher]`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from opora_contracts.attributes import reserved_source_problem
from opora_contracts.codec import EncodedRecord, decode, encode
from opora_contracts.connecting import checked_connection, pause_seconds, started, stopped
from opora_contracts.event import Event
from opora_contracts.fact import Fact
from opora_contracts.publishing import is_open, refusal
from opora_contracts.topics import TOPICS, topic_of

try:
    from aiokafka import AIOKafkaProducer
    from aiokafka import errors as kafka_errors
    from aiokafka.errors import KafkaError
    from aiokafka.partitioner import murmur2

    from opora_contracts import recovery
except ImportError as error:
    raise ImportError("opora_contracts.publisher needs aiokafka: install opora-contracts[publisher]") from error

DEADLINE_SECONDS = 30.0
_LONGEST_REQUEST_SECONDS = 10.0
_SHORTEST_REQUEST_SECONDS = 1.0
_REQUEST_BYTES = 4 * 1_048_576
"""Above every broker's usual limit, so that the broker judges the size and not this client."""
_TOO_LARGE = (kafka_errors.MessageSizeTooLargeError, kafka_errors.RecordListTooLargeError)
_FINAL = (
    *_TOO_LARGE,
    kafka_errors.TopicAuthorizationFailedError,
    kafka_errors.ClusterAuthorizationFailedError,
    kafka_errors.InvalidTopicError,
    kafka_errors.InvalidTimestampError,
    kafka_errors.PolicyViolationError,
)
"""Answers of a broker that no repetition changes: the event is not on the topic."""


class EventRefusedError(ValueError):
    """The event may not be published as it is; nothing was sent. Its words say what to change."""


class PublishError(Exception):
    """The broker did not acknowledge the event. Its words say why, and what to do.

    `event_id` is the id to repeat it with, None when no connection was made. `outcome_unknown` is True when the event
    may stand on its topic nevertheless: published again with the same source and id it has one effect.
    """

    def __init__(self, message: str, *, event_id: str | None = None, outcome_unknown: bool = False) -> None:
        super().__init__(message)
        self.event_id = event_id
        self.outcome_unknown = outcome_unknown


@dataclass(frozen=True, slots=True)
class Published:
    """Where an acknowledged event stands."""

    event_id: str
    topic: str
    partition: int
    offset: int


@dataclass(slots=True)
class _Turn:
    """Whose turn it is among the publications of one key."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0


class Publisher:
    """Publishes events of one source. Usable from many tasks of one event loop at once, inside `async with`.

    * An event that may not be published is refused before anything is sent (EventRefusedError).
    * A publication returns when all in-sync replicas have the event, or raises PublishError at the latest
      `deadline_seconds` later; until then it is tried again, under one id.
    * Publications of one key are acknowledged, and stand on the topic, in the order in which they were begun. The key
      is the subject; its partition is the one that every Kafka client gives it (murmur2).
    * It asks for no idempotent producer: a repetition that stands twice on the topic has one effect, by its id.

    `connection` holds what aiokafka needs to reach the broker: `security_protocol`, `ssl_context`, `sasl_…`,
    `client_id`. `topic_prefix` stands before the topics' names where a platform was set up so.
    """

    def __init__(
        self,
        bootstrap: str,
        *,
        source: str,
        deadline_seconds: float = DEADLINE_SECONDS,
        topic_prefix: str = "",
        connection: dict[str, Any] | None = None,
    ) -> None:
        """Raises ValueError for a source that is Opora's own, a deadline that is none, or a foreign setting."""
        if (problem := reserved_source_problem(source)) is not None:
            raise EventRefusedError(problem)
        if deadline_seconds <= 0:
            raise ValueError("deadline_seconds must be above 0")
        self._bootstrap = bootstrap
        self._source = source
        self._deadline_seconds = deadline_seconds
        self._prefix = topic_prefix
        self._connection = checked_connection(connection)
        self._producer: AIOKafkaProducer | None = None
        self._turns: dict[bytes, _Turn] = {}
        self._reopening = asyncio.Lock()

    async def __aenter__(self) -> Self:
        """Connect. Raises PublishError when no broker answers in time, or when it lacks the topics."""
        if self._producer is not None:
            raise RuntimeError("this Publisher is open already; share it, or make another")
        recovery.install()
        try:
            async with asyncio.timeout(self._deadline_seconds):
                self._producer = await started(self._make, KafkaError, then=self._check_topics)
        except TimeoutError:
            raise PublishError(
                f"no broker answered at {self._bootstrap} within {self._deadline_seconds:g} s: check the address, "
                "the network and, where the broker asks for them, the credentials; nothing was sent"
            ) from None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect, within 5 s."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await stopped(producer)

    async def publish(
        self,
        data: Fact,
        *,
        subject: str,
        id: str | None = None,  # noqa: A002  the attribute's own name
        time: datetime | None = None,
        actor: str | None = None,
        correlation_id: str | None = None,
        traceparent: str | None = None,
    ) -> Published:
        """Publish one fact and return where it stands. Raises EventRefusedError or PublishError.

        `subject` is your id of the case: it is the key, and later events about the case carry the same. `id` names
        this event for good: derive it from your own record, so that a repetition after a crash carries the same;
        without one a random id is taken. `time` is when it happened, now by default.
        """
        return await self.publish_event(
            Event(
                id=str(uuid4()) if id is None else id,
                source=self._source,
                type=data.event_type,
                version=data.version,
                time=datetime.now(UTC) if time is None else time,
                subject=subject,
                data=data,
                key=subject,
                actor=actor,
                correlation_id=correlation_id,
                traceparent=traceparent,
            )
        )

    async def publish_event(self, event: Event[Fact]) -> Published:
        """Publish a whole event, under its own source. Raises as `publish`."""
        record = _record(event)
        topic = self._prefix + topic_of(event.data).name
        last_problem, sent = "no answer", False
        try:
            async with asyncio.timeout(self._deadline_seconds), self._turn(record.key):
                attempt = 0
                while True:
                    producer, sent = self._open_producer(), True
                    try:
                        return await self._send(producer, topic, record, event.id)
                    except KafkaError as error:
                        _raise_if_final(error, event.id)
                        last_problem = _words(error)
                        if not error.retriable:
                            await self._reopen(producer)
                    attempt += 1
                    await asyncio.sleep(pause_seconds(attempt))
        except TimeoutError:
            within = f"within {self._deadline_seconds:g} s"
            if sent:
                words = f"was not acknowledged {within} ({last_problem}): it may stand on {topic} or not"
            else:
                words = f"was not sent {within}: an earlier event of its key is still waiting for the broker"
            raise PublishError(
                f"event {event.id} {words}. Publish it again with id={event.id!r}: it has one effect",
                event_id=event.id,
                outcome_unknown=sent,
            ) from None

    async def _send(self, producer: AIOKafkaProducer, topic: str, record: EncodedRecord, event_id: str) -> Published:
        partitions = await producer.partitions_for(topic)
        stands = await producer.send_and_wait(
            topic,
            record.value,
            key=record.key,
            headers=list(record.headers),
            partition=partition_of(record.key, len(partitions)),
        )
        return Published(event_id=event_id, topic=stands.topic, partition=stands.partition, offset=stands.offset)

    @asynccontextmanager
    async def _turn(self, key: bytes) -> AsyncIterator[None]:
        """One publication of a key at a time: one that is tried again must not be overtaken by its successor."""
        turn = self._turns.setdefault(key, _Turn())
        turn.waiting += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.waiting -= 1
            if turn.waiting == 0:
                del self._turns[key]

    def _make(self) -> AIOKafkaProducer:
        request_seconds = min(
            _LONGEST_REQUEST_SECONDS, max(_SHORTEST_REQUEST_SECONDS, self._deadline_seconds / 3)
        )  # a broker that hangs must leave time to try another
        return AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            acks="all",
            enable_idempotence=False,
            max_request_size=_REQUEST_BYTES,
            request_timeout_ms=int(request_seconds * 1000),
            **self._connection,
        )

    async def _check_topics(self, producer: AIOKafkaProducer) -> None:
        """A topic that does not exist would be made by some brokers, and block the sender at others."""
        there = (await producer.client.fetch_all_metadata()).topics()
        missing = [name for topic in TOPICS if is_open(topic) and (name := self._prefix + topic.name) not in there]
        if missing:
            raise PublishError(
                f"the broker at {self._bootstrap} has no topic {', '.join(missing)} that this user may see: check the "
                "address and the user's rights, or create the topics with `opora topics create`; nothing was sent"
            )

    def _open_producer(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise RuntimeError("a Publisher publishes inside `async with`")
        return self._producer

    async def _reopen(self, failed: AIOKafkaProducer) -> None:
        """Replace a producer whose sender has died: it would fail every later event the same way."""
        async with self._reopening:
            if self._producer is failed:
                fresh = await started(self._make, KafkaError)
                if self._producer is failed:
                    self._producer = fresh
                    await stopped(failed)
                else:
                    await stopped(fresh)


def partition_of(key: bytes, partitions: int) -> int:
    """The partition that Kafka's default partitioner gives this key, in every client."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


def _record(event: Event[Fact]) -> EncodedRecord:
    """The record of an event that may be published and that its readers can decode. Raises EventRefusedError."""
    if (reason := refusal(event)) is not None:
        raise EventRefusedError(f"nothing was sent: {reason}")
    try:
        record = encode(event)
        decode(record.key, record.value, record.headers)
    except ValueError as error:
        raise EventRefusedError(f"nothing was sent: {error}") from error
    return record


def _raise_if_final(error: KafkaError, event_id: str) -> None:
    """Raise PublishError for an answer of the broker that no repetition changes."""
    if not isinstance(error, _FINAL):
        return
    if isinstance(error, _TOO_LARGE):
        what = "it is larger than the topic's max.message.bytes. Send a link to large content instead"
    else:
        what = f"{_words(error)}. Ask whoever runs the broker"
    raise PublishError(
        f"the broker refuses event {event_id}: {what}; it is not on the topic", event_id=event_id
    ) from error


def _words(error: KafkaError) -> str:
    return str(error) or type(error).__name__
