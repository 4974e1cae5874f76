"""What the broker tells: topics and their settings, how far each service has come, how much room is left."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from opora_chassis.consume.consumers import group_of
from opora_chassis.topics import check_retention, check_topics
from opora_cli.doctor.diagnosis import Diagnosis, Reading
from opora_contracts import TOPICS
from opora_contracts.topics import PROGRESS, Topic

_MEMBERS = 5
"""Where a group's members stand in the broker's answer."""

Readings = dict[tuple[str, str], Reading]
"""By service and topic."""


async def examine_topics(bootstrap: str) -> list[Diagnosis]:
    """Whether the topics are as the registry has them."""
    problems = await check_topics(bootstrap)
    missing = [problem for problem in problems if "does not exist" in problem]
    other = [problem for problem in problems if problem not in missing]
    found = [Diagnosis("topics", "missing", problem, "opora topics create") for problem in missing]
    found += [Diagnosis("topics", "differ from the registry", problem, "opora topics check") for problem in other]
    found += [
        Diagnosis("topics", "differ from the registry", problem, "opora topics configure")
        for problem in await check_retention(bootstrap)
    ]
    return found or [Diagnosis("topics", "as the registry has them")]


async def read_positions(bootstrap: str, services: set[str]) -> Readings:
    """How far each service has come on each topic that it consumes; topics that do not exist are left out."""
    readings: Readings = {}
    async with _clients(bootstrap) as (admin, consumer):
        for topic, partitions in (await _existing(admin)).items():
            # Marks are read by nobody's group: each process of sla follows them for itself.
            if topic is PROGRESS:
                continue
            # Positions before ends, or a record in between would seem to be acknowledged before it was there.
            committed = {service: await _committed(admin, service, topic) for service in topic.consumers}
            begins, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
            for service in services.intersection(topic.consumers):
                readings[service, topic.name] = Reading(
                    committed=committed[service],
                    begins={at.partition: begin for at, begin in begins.items()},
                    ends={at.partition: end for at, end in ends.items()},
                    members=await _members(admin, service, topic),
                )
    return readings


async def count_marks(bootstrap: str) -> int:
    """How many progress marks were ever published: the sum of the topic's ends; 0 without the topic."""
    async with _clients(bootstrap) as (admin, consumer):
        partitions = (await _existing(admin)).get(PROGRESS, [])
        return sum((await consumer.end_offsets(partitions)).values()) if partitions else 0


@asynccontextmanager
async def _clients(bootstrap: str) -> AsyncIterator[tuple[AIOKafkaAdminClient, AIOKafkaConsumer]]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False)
    try:
        await admin.start()
        await consumer.start()
        yield admin, consumer
    finally:
        await admin.close()
        await consumer.stop()


async def _existing(admin: AIOKafkaAdminClient) -> dict[Topic, list[TopicPartition]]:
    """Those topics of the registry that exist, with the partitions that they have."""
    described = await admin.describe_topics([topic.name for topic in TOPICS])
    partitions = {
        entry["topic"]: [TopicPartition(entry["topic"], part["partition"]) for part in entry["partitions"]]
        for entry in described
        if entry["error_code"] == 0
    }
    return {topic: partitions[topic.name] for topic in TOPICS if topic.name in partitions}


async def _committed(admin: AIOKafkaAdminClient, service: str, topic: Topic) -> dict[int, int]:
    offsets = await admin.list_consumer_group_offsets(group_of(service, topic.name))
    return {at.partition: position.offset for at, position in offsets.items() if position.offset >= 0}


async def _members(admin: AIOKafkaAdminClient, service: str, topic: Topic) -> int:
    (response,) = await admin.describe_consumer_groups([group_of(service, topic.name)])
    return sum(len(group[_MEMBERS]) for group in response.groups)
