"""What a service told the world after the backup: its own facts on the log, unknown to its restored database.

Without them it would tell the same again under other ids and numbers: breaches twice, surveys with dead links, letters
a second time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from opora_cli.backup.log import as_record
from opora_cli.backup.manifest import BackedUpPartition, Manifest
from opora_cli.errors import UNUSABLE_INPUT, CommandError
from opora_contracts import Event, decode
from opora_contracts.errors import UndecodableEvent
from opora_contracts.topics import FEEDBACK, NOTIFICATIONS, SLA, Topic

OWN_TOPIC: Mapping[str, Topic] = {"sla": SLA, "notify": NOTIFICATIONS, "feedback": FEEDBACK}
"""The services that can be caught up, and where each tells its facts. Intake is not among them: texts and addresses
travel in no event, so its database cannot be made again from the log."""
_POLL_MS = 500


class OtherLogError(CommandError):
    """The broker's log is not the one that the backup was taken of."""

    def __init__(self, topic: str, partition: int, why: str) -> None:
        super().__init__(
            f"{topic}/{partition} {why}: this broker's log is not the one that was backed up, so nothing can be caught"
            " up from it. Restore the whole backup into an empty platform",
            exit_code=UNUSABLE_INPUT,
        )


@dataclass(frozen=True, slots=True)
class Told:
    """Facts in order per subject."""

    events: Sequence[Event[Any]]

    @property
    def numbers(self) -> dict[str, int]:
        """The highest number that was told of each subject."""
        highest: dict[str, int] = {}
        for event in self.events:
            highest[event.subject] = max(event.sequence or 0, highest.get(event.subject, 0))
        return highest


async def refuse_other_log(bootstrap: str, service: str, manifest: Manifest) -> None:
    """Raises OtherLogError unless the broker still has what the service consumes and tells, as it was backed up."""
    topics = {OWN_TOPIC[service].name, *manifest.positions.get(service, {})}
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False)
    await consumer.start()
    try:
        for topic in sorted(topics):
            for number, partition in manifest.topics[topic].items():
                position = manifest.positions.get(service, {}).get(topic, {}).get(number, 0)
                await _refuse_other_partition(consumer, TopicPartition(topic, number), partition, position)
    finally:
        await consumer.stop()


async def _refuse_other_partition(
    consumer: AIOKafkaConsumer, place: TopicPartition, partition: BackedUpPartition, position: int
) -> None:
    begin = (await consumer.beginning_offsets([place]))[place]
    end = (await consumer.end_offsets([place]))[place]
    if end < partition.end_offset:
        raise OtherLogError(place.topic, place.partition, f"ends at {end}, before the backup's {partition.end_offset}")
    if begin > position:
        raise OtherLogError(place.topic, place.partition, f"begins at {begin}, after the service's position {position}")
    if partition.last_record is None:
        return
    consumer.assign([place])
    consumer.seek(place, partition.end_offset - 1)
    record = as_record(await consumer.getone(place))
    if record.offset == partition.end_offset - 1 and record.fingerprint != partition.last_record:
        raise OtherLogError(place.topic, place.partition, f"has another record at {record.offset}")


async def told_since(bootstrap: str, service: str, manifest: Manifest) -> Told:
    """Every fact that the service has published since the backup's instant."""
    topic = OWN_TOPIC[service]
    begins = {
        TopicPartition(topic.name, number): part.end_offset for number, part in manifest.topics[topic.name].items()
    }
    events: list[Event[Any]] = []
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign(list(begins))
        for place, begin in begins.items():
            consumer.seek(place, begin)
        ends = await consumer.end_offsets(list(begins))
        while any([await consumer.position(place) < end for place, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=_POLL_MS)).values():
                events += [event for record in records if (event := _own_fact(record, service)) is not None]
    finally:
        await consumer.stop()
    return Told(events)


def _own_fact(record: Any, service: str) -> Event[Any] | None:
    try:
        event = decode(record.key, record.value, record.headers)
    except UndecodableEvent:
        return None
    return event if isinstance(event, Event) and event.source == f"/opora/{service}" else None
