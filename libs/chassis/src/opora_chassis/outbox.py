"""The outbox: facts stand in the service's own database until the broker has them."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from aiokafka.partitioner import murmur2
from pydantic_core import to_json

from opora_chassis.identifiers import new_id
from opora_chassis.telemetry import current_traceparent
from opora_contracts import Event, NewEvent, topic_of
from opora_contracts.codec import encode

_KEYS_KEPT = 4_096
"""Facts of one aggregate come together: the partition of its key is computed once for them."""


@lru_cache(maxsize=_KEYS_KEPT)
def partition_of(key: bytes, partitions: int) -> int:
    """The partition that Kafka's default partitioner gives this key, so that foreign producers agree with ours."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


async def write(connection: Any, source: str, events: Sequence[NewEvent]) -> None:
    """Add the facts in order. Runs inside the caller's transaction."""
    topics: list[str] = []
    partitions: list[int] = []
    keys: list[bytes] = []
    values: list[bytes] = []
    headers: list[str] = []
    traceparent = current_traceparent()
    for new in events:
        record = encode(_event(source, new, traceparent))
        topic = topic_of(new.data)
        topics.append(topic.name)
        partitions.append(partition_of(record.key, topic.partitions))
        keys.append(record.key)
        values.append(record.value)
        headers.append(to_json(record.headers).decode())
    # WITH ORDINALITY: identity values are drawn in the order of the list.
    await connection.execute(
        "insert into outbox (topic, partition, key, value, headers)"
        " select topic, partition, key, value, headers"
        " from unnest($1::text[], $2::integer[], $3::bytea[], $4::bytea[], $5::text[])"
        " with ordinality as fact (topic, partition, key, value, headers, position) order by position",
        topics,
        partitions,
        keys,
        values,
        headers,
    )


def _event(source: str, new: NewEvent, working_in: str | None) -> Event[Any]:
    event_id = str(new_id())
    cause = new.cause
    # A batch serves many traces: the trace of a fact's own request or cause goes on, not the batch's.
    traceparent = new.traceparent or (None if cause is None else cause.traceparent) or working_in
    return Event(
        id=event_id,
        source=source,
        type=new.data.event_type,
        version=new.data.version,
        time=new.time,
        subject=new.subject,
        data=new.data,
        sequence=new.sequence,
        key=new.subject,
        correlation_id=event_id if cause is None else cause.correlation_id or cause.id,
        causation_id=None if cause is None else cause.id,
        actor=new.actor,
        import_id=new.import_id,
        traceparent=traceparent,
    )
