"""The broker's topics, made and checked against the registry."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from opora_contracts import TOPICS, Topic

_DEADLINE_SECONDS = 30


async def create_topics(bootstrap: str, *, prefix: str = "", replication_factor: int = 1) -> list[str]:
    """Create the registry's topics that do not exist yet and return their names; existing ones are left alone.

    They can be used when this returns. Raises a KafkaError when the broker refuses, TimeoutError after 30 s.
    """
    async with _admin(bootstrap) as admin:
        existing = set(await admin.list_topics())
        missing = [topic for topic in TOPICS if prefix + topic.name not in existing]
        if not missing:
            return []
        response = await admin.create_topics(
            [
                NewTopic(prefix + topic.name, topic.partitions, replication_factor, topic_configs=_configuration(topic))
                for topic in missing
            ]
        )
        for name, code, *detail in response.topic_errors:
            error = for_code(code)
            if code != 0 and error is not TopicAlreadyExistsError:
                raise error(f"{name}: {detail}")
        names = [prefix + topic.name for topic in missing]
        # The controller has made them; the brokers learn of it a moment later.
        while any(entry["error_code"] != 0 for entry in await admin.describe_topics(names)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return names


async def delete_topics(bootstrap: str, *, prefix: str) -> None:
    """Delete the registry's topics under this prefix, with everything in them: for tests. It may not be empty."""
    if not prefix:
        raise ValueError("deleting the topics of a platform without prefix is a mistake")
    async with _admin(bootstrap) as admin:
        await admin.delete_topics([prefix + topic.name for topic in TOPICS])


async def check_topics(bootstrap: str, *, prefix: str = "") -> list[str]:
    """What differs between the broker and the registry, a sentence each; empty when all is well."""
    async with _admin(bootstrap) as admin:
        described = await admin.describe_topics([prefix + topic.name for topic in TOPICS])
    partitions = {entry["topic"]: len(entry["partitions"]) for entry in described if entry["error_code"] == 0}
    problems: list[str] = []
    for topic in TOPICS:
        count = partitions.get(prefix + topic.name)
        if count is None:
            problems.append(f"topic {prefix}{topic.name} does not exist: run `opora topics create`")
        elif count != topic.partitions:
            problems.append(
                f"topic {prefix}{topic.name} has {count} partitions, the registry says {topic.partitions}:"
                " keys would change their partition; recreate the topic or change the registry"
            )
    return problems


@asynccontextmanager
async def _admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    async with asyncio.timeout(_DEADLINE_SECONDS):
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        try:
            await admin.start()
            yield admin
        finally:
            await admin.close()


def _configuration(topic: Topic) -> dict[str, str]:
    return {"retention.ms": str(topic.retention_ms), "cleanup.policy": "delete"}
