"""What the nemesis does to the log itself: records put on it again, groups that begin anew."""

import asyncio
import time
from random import Random

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, GroupIdNotFound, NoError
from aiokafka.protocol.admin import DeleteGroupsRequest

from opora_chassis.consume.consumers import group_of
from opora_cli.backup.cut import KEPT_TOPICS, committed_positions
from opora_cli.backup.log import set_positions
from opora_cli.errors import CommandError
from opora_cli.waiting import came_true
from opora_contracts import Topic

_MOST_COPIES = 4
_GROUP_SECONDS = 30.0
_READ_SECONDS = 120.0
_LOOK_SECONDS = 0.25


async def redeliver(bootstrap: str, random: Random, seconds: float) -> int:
    """For so long, put each new record of every topic on its partition 0 to 4 more times; returns how many copies.

    Progress marks stay as they are: nothing tells one from its copy. A record is copied once, its copies are not.
    """
    partitions = [TopicPartition(topic.name, number) for topic in KEPT_TOPICS for number in range(topic.partitions)]
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    copies, mine = 0, set[tuple[str, int, int]]()
    async with consumer, producer:
        consumer.assign(partitions)
        await consumer.seek_to_end(*partitions)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                for record in records:
                    if (record.topic, record.partition, record.offset) in mine:
                        continue
                    for _ in range(random.randint(0, _MOST_COPIES)):
                        written = await producer.send_and_wait(
                            record.topic, record.value, record.key, record.partition, headers=list(record.headers)
                        )
                        mine.add((written.topic, written.partition, written.offset))
                        copies += 1
    return copies


async def rewind(bootstrap: str, service: str) -> list[str]:
    """Set the service's groups back to the beginning of their topics; returns their names.

    Its consumers must be down: a group with members is waited for, until their sessions are over.
    Raises CommandError when one is not empty after 30 s.
    """
    topics = _read_by(service)
    beginning = {service: {topic.name: dict.fromkeys(range(topic.partitions), 0) for topic in topics}}
    deadline = time.monotonic() + _GROUP_SECONDS
    while True:
        try:
            await set_positions(bootstrap, beginning)
        except CommandError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(_LOOK_SECONDS)
        else:
            return [group_of(service, topic.name) for topic in topics]


async def forget(bootstrap: str, service: str) -> list[str]:
    """Delete the service's groups with their positions, as a broker does when they expire; returns their names.

    Its consumers must be down, as for `rewind`. Raises CommandError when one is not empty after 30 s.
    """
    groups = [group_of(service, topic.name) for topic in _read_by(service)]
    for group in groups:
        await forget_group(bootstrap, group)
    return groups


async def forget_group(bootstrap: str, group: str) -> None:
    """Delete a consumer group, once the sessions of members that were killed are over; none is fine too.

    Raises CommandError when it has members after 30 s.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()

    async def forgotten() -> bool:
        try:
            coordinator = await admin.find_coordinator(group)
        except GroupCoordinatorNotAvailableError:
            return False  # the broker's first group: it makes room for it
        # aiokafka knows the request but has no method for it.
        ((_, code),) = (await admin._send_request(DeleteGroupsRequest([group]), coordinator)).results  # noqa: SLF001
        return code in {NoError.errno, GroupIdNotFound.errno}

    try:
        if not await came_true(forgotten, _GROUP_SECONDS, look_seconds=_LOOK_SECONDS):
            raise CommandError(f"the group {group} is in use after {_GROUP_SECONDS:.0f} s")
    finally:
        await admin.close()


async def read_again(bootstrap: str, service: str) -> int:
    """Wait until the service's groups are where their topics end now; returns how many records stand there.

    Raises CommandError when they are not within 2 min.
    """
    partitions = [
        TopicPartition(topic.name, number) for topic in _read_by(service) for number in range(topic.partitions)
    ]
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        ends = await consumer.end_offsets(partitions)

    async def caught_up() -> bool:
        positions = (await committed_positions(bootstrap))[service]
        return all(positions[at.topic].get(at.partition, 0) >= end for at, end in ends.items())

    if not await came_true(caught_up, _READ_SECONDS, look_seconds=_LOOK_SECONDS):
        raise CommandError(f"{service} did not read its topics again within {_READ_SECONDS:.0f} s")
    return sum(ends.values())


def _read_by(service: str) -> list[Topic]:
    return [topic for topic in KEPT_TOPICS if service in topic.consumers]
