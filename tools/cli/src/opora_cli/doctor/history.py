"""Whether each service remembers what it has published: a database that was set back does not."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition

from opora_cli import store
from opora_cli.doctor import store as doctor_store
from opora_cli.doctor.diagnosis import Diagnosis, judge_history
from opora_contracts import decode
from opora_contracts.errors import UndecodableEvent
from opora_contracts.topics import CUSTOMERS, FEEDBACK, NOTIFICATIONS, SLA, TICKETS, Topic

OWNED: Mapping[Topic, str] = {
    TICKETS: "intake",
    CUSTOMERS: "intake",
    SLA: "sla",
    NOTIFICATIONS: "notify",
    FEEDBACK: "feedback",
}
"""Topics of facts and the service that alone writes each."""
_NEWEST = 50
"""Facts that are looked at per partition: what was lost is what came last."""
_POLL_MS = 500
_POLLS_WITHOUT_NEWS = 10


async def examine_histories(bootstrap: str, dsns: Mapping[str, str]) -> list[Diagnosis]:
    """Compare the newest facts on each topic with the numbers in its owner's database."""
    found: list[Diagnosis] = []
    for topic, owner in OWNED.items():
        if owner not in dsns:
            continue
        # The log first: a fact is on it only after its transaction was committed.
        newest = await _newest_sequences(bootstrap, topic, owner)
        connection = await store.connect(dsns[owner])
        try:
            numbers = await doctor_store.numbers_of(connection, owner, newest.keys())
        finally:
            await connection.close()
        unknown = sum(sequence > numbers.get(subject, 0) for subject, sequence in newest.items())
        found.append(judge_history(topic.name, owner, len(newest), unknown))
    return found


async def _newest_sequences(bootstrap: str, topic: Topic, owner: str) -> dict[str, int]:
    """The highest number of each subject among the newest facts of every partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
        if topic.name not in await consumer.topics():
            return {}
        consumer.assign(partitions)
        begins, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        for partition, end in ends.items():
            consumer.seek(partition, max(begins[partition], end - _NEWEST))
        newest: dict[str, int] = {}
        polls_without_news = 0
        while polls_without_news < _POLLS_WITHOUT_NEWS and any(
            [await consumer.position(partition) < end for partition, end in ends.items()]
        ):
            batches = await consumer.getmany(timeout_ms=_POLL_MS)
            polls_without_news = 0 if batches else polls_without_news + 1
            for records in batches.values():
                for record in records:
                    _note(record, f"/opora/{owner}", newest)
        return newest
    finally:
        await consumer.stop()


def _note(record: Any, source: str, newest: dict[str, int]) -> None:
    with suppress(UndecodableEvent, ValueError):
        event = decode(record.key, record.value, record.headers)
        if event.source == source and event.sequence is not None:
            subject = str(UUID(event.subject))
            newest[subject] = max(event.sequence, newest.get(subject, 0))
