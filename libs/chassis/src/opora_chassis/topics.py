"""The broker's topics, made and checked against the registry."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from opora_contracts import TOPICS, Topic

_DEADLINE_SECONDS = 30
_SET_ON_THE_TOPIC = 1
"""Where a setting comes from, in Kafka's numbers."""
_RISKS = {
    "retention.ms": "records are dropped earlier or kept longer than the services expect",
    "cleanup.policy": "compaction would drop facts and leave gaps",
}


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


async def check_retention(bootstrap: str, *, prefix: str = "") -> list[str]:
    """Topics that keep their records otherwise than the registry says, a sentence each. Those that miss are left out.

    A service works all the same, so this is no part of `check_topics`, which decides whether a process may start.
    """
    async with _admin(bootstrap) as admin:
        configured = await _configurations(admin, prefix)
    return [
        f"topic {prefix}{topic.name} has {name}={found[name]}, the registry says {wanted}: {_RISKS[name]}"
        for topic in TOPICS
        if (found := configured.get(prefix + topic.name)) is not None
        for name, wanted in _differing(topic, found).items()
    ]


async def configure_topics(bootstrap: str, *, prefix: str = "") -> list[str]:
    """Give existing topics the registry's retention, whatever else is set on them stays; returns those changed.

    Raises a KafkaError when the broker refuses.
    """
    changed: list[str] = []
    async with _admin(bootstrap) as admin:
        configured = await _configurations(admin, prefix)
        for topic in TOPICS:
            found = configured.get(prefix + topic.name)
            if found is None or not _differing(topic, found):
                continue
            # The broker forgets every setting that is not named here.
            settings = found | _configuration(topic)
            resource = ConfigResource(ConfigResourceType.TOPIC, prefix + topic.name, configs=settings)
            for response in await admin.alter_configs([resource]):
                for code, detail, *_ in response.resources:
                    if code != 0:
                        raise for_code(code)(f"{topic.name}: {detail}")
            changed.append(prefix + topic.name)
    return changed


def _differing(topic: Topic, found: dict[str, str]) -> dict[str, str]:
    return {name: wanted for name, wanted in _configuration(topic).items() if found[name] != wanted}


async def _configurations(admin: AIOKafkaAdminClient, prefix: str) -> dict[str, dict[str, str]]:
    """What is set on each of the registry's topics itself, and what holds for its retention, by topic."""
    existing = set(await admin.list_topics())
    names = [prefix + topic.name for topic in TOPICS if prefix + topic.name in existing]
    if not names:
        return {}
    responses = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    found: dict[str, dict[str, str]] = {}
    for code, detail, _, name, entries in (resource for response in responses for resource in response.resources):
        if code != 0:
            raise for_code(code)(f"{name}: {detail}")
        found[name] = {
            key: value for key, value, _, source, *_ in entries if source == _SET_ON_THE_TOPIC or key in _RISKS
        }
    return found


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
