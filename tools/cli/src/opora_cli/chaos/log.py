"""What the nemesis does to the log itself: records put on it again, groups that begin anew."""

import asyncio
import time
from random import Random

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from opora_chassis.consume.consumers import group_of
from opora_cli.backup.log import set_positions
from opora_cli.errors import CommandError
from opora_cli.waiting import came_true
from opora_contracts import TOPICS, Topic
from opora_contracts.topics import PROGRESS

_MOST_COPIES = 4
_GROUP_SECONDS = 30.0
_READ_SECONDS = 120.0
_LOOK_SECONDS = 0.25


async def redeliver(bootstrap: str, random: Random, seconds: float) -> int:
    """For so long, put each new record of every topic on its partition 0 to 4 more times; returns how many copies.

    Progress marks stay as they are: nothing tells one from its copy. A record is copied once, its copies are not.
    """
    topics = [topic for topic in TOPICS if topic is not PROGRESS]
    partitions = [TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)]
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


async def read_again(bootstrap: str, service: str) -> int:
    """Wait until the service's groups are where their topics end now; returns how many records stand there.

    Raises CommandError when they are not within 2 min.
    """
    topics = _read_by(service)
    partitions = [TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)]
    consumer, admin = AIOKafkaConsumer(bootstrap_servers=bootstrap), AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    async with consumer:
        ends = await consumer.end_offsets(partitions)
    await admin.start()

    async def caught_up() -> bool:
        for topic in topics:
            positions = await admin.list_consumer_group_offsets(group_of(service, topic.name))
            if any(position.offset < ends.get(partition, 0) for partition, position in positions.items()):
                return False
        return True

    try:
        if not await came_true(caught_up, _READ_SECONDS, look_seconds=_LOOK_SECONDS):
            raise CommandError(f"{service} did not read its topics again within {_READ_SECONDS:.0f} s")
    finally:
        await admin.close()
    return sum(ends.values())


def _read_by(service: str) -> list[Topic]:
    return [topic for topic in TOPICS if service in topic.consumers and topic is not PROGRESS]
