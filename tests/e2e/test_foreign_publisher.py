"""Other systems ask for help with nothing of Opora's: CloudEvents over a plain Kafka client."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary, to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from opora_chassis.testing import wait_until
from opora_embedded import Kafka
from tests.e2e.stack import Databases, Stack, running_stack

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
MODES = {"binary": to_binary, "structured": to_structured}
SOURCE = "//monitoring.example"


@pytest.mark.parametrize("mode", MODES)
async def test_a_submitted_event_becomes_one_ticket(platform: Stack, mode: str) -> None:
    """An event of the SDK opens a ticket; the same event again opens no other, and a reply finds its ticket."""
    subject = f"disk-{uuid4()}"
    data = {"title": "Диск db-7 почти полон", "body": "93 % и растёт", "impact": "high", "urgency": "high"}
    asked = cloud_event("ticket.submitted", subject, data)
    answered = cloud_event("ticket.reply.submitted", subject, {"body": "Now 97 %."})
    async with publishing(platform) as publish:
        for event in (asked, asked, answered, answered):
            await publish(MODES[mode](event, JSONFormat(), lambda _: subject))
    async with platform.client("intake") as intake:

        async def opened() -> Any:
            found = (await intake.get("/tickets", params={"external_id": subject})).json()["items"]
            return found and found[0]["version"] >= 2 and found

        (ticket,) = await wait_until(opened)
        assert (ticket["title"], ticket["priority"]) == ("Диск db-7 почти полон", "P1")
        assert (ticket["external_source"], ticket["channel"]) == (SOURCE, "event")
        messages = (await intake.get(f"/tickets/{ticket['number']}/messages")).json()["items"]
        assert [message["body"] for message in messages] == ["93 % и растёт", "Now 97 %."]
    created = await read_by_sdk(platform, ticket["id"])
    assert created.get_type() == "ticket.created"
    assert created.get_source() == "/opora/intake"
    assert created.get_data()["title"] == "Диск db-7 почти полон"  # type: ignore[index,call-overload]


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "without a title": ({"body": "help"}, "title"),
    "with an unknown impact": ({"title": "Help", "impact": "enormous"}, "impact"),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_a_broken_event_is_kept_with_its_reason(platform: Stack, case: str) -> None:
    """What cannot be used is not lost: it waits among the dead letters, and the reason names the field."""
    data, field = BROKEN[case]
    subject = f"broken-{uuid4()}"
    async with publishing(platform) as publish:
        await publish(to_binary(cloud_event("ticket.submitted", subject, data), JSONFormat(), lambda _: subject))
    letter = await dead_letter(platform, subject)
    assert field in letter["reason"]
    assert json.loads(letter["value"]) == data


async def test_a_record_that_is_no_cloud_event_is_told_what_was_expected(platform: Stack) -> None:
    """A stranger who sends plain JSON reads which headers are missing."""
    subject = f"plain-{uuid4()}"
    async with publishing(platform) as publish:
        await publish(KafkaMessage(headers={}, key=subject, value=b'{"title": "Help"}'))
    reason = (await dead_letter(platform, subject))["reason"]
    assert all(header in reason for header in ("ce_specversion", "ce_id", "ce_source", "ce_type"))


@pytest.mark.slow
async def test_the_examples_of_the_documents_work(databases: Databases, tmp_path: Path) -> None:
    """The two scripts of the documents, as they stand there, open a ticket and see it."""
    with Kafka() as own:
        async with running_stack(tmp_path, own, databases, ["intake all"], prefix="") as stack:
            environment = stack.environment("intake all") | {"KAFKA_BOOTSTRAP": own.bootstrap}
            following = await started("consume_events.py", environment)
            try:
                publishing_it = await started("publish_event.py", environment)
                said, _ = await asyncio.wait_for(publishing_it.communicate(), 30)
                assert publishing_it.returncode == 0, said.decode()
                subject = said.decode().split()[-1]
                assert following.stdout is not None
                line = await asyncio.wait_for(following.stdout.readline(), 30)
            finally:
                following.kill()
                await following.communicate()
            async with stack.client("intake") as intake:
                (ticket,) = (await intake.get("/tickets", params={"external_id": subject})).json()["items"]
            assert "ticket.created" in line.decode(), line.decode()
            assert ticket["id"] in line.decode()


def cloud_event(event_type: str, subject: str, data: dict[str, Any]) -> CloudEvent:
    """An event as the SDK makes it, with an id and a time of its own."""
    return CloudEvent(
        {"type": event_type, "source": SOURCE, "subject": subject, "datacontenttype": "application/json"}, data
    )


@asynccontextmanager
async def publishing(stack: Stack) -> AsyncIterator[Any]:
    """Sends messages of the SDK to opora.requests."""
    async with AIOKafkaProducer(bootstrap_servers=stack.kafka_bootstrap) as producer:

        async def publish(message: KafkaMessage) -> None:
            key = message.key.encode() if isinstance(message.key, str) else message.key
            headers = list(message.headers.items())
            await producer.send_and_wait(f"{stack.prefix}opora.requests", message.value, key=key, headers=headers)

        yield publish


async def read_by_sdk(stack: Stack, subject: str) -> CloudEvent:
    """The first fact of a ticket as the SDK reads it."""
    async with AIOKafkaConsumer(bootstrap_servers=stack.kafka_bootstrap, enable_auto_commit=False) as consumer:
        consumer.assign([TopicPartition(f"{stack.prefix}opora.tickets", partition) for partition in range(12)])
        await consumer.seek_to_beginning()
        async with asyncio.timeout(20):
            async for record in consumer:
                if record.key == subject.encode():
                    message = KafkaMessage(dict(record.headers), record.key, record.value)
                    return from_binary(message, JSONFormat(), CloudEvent)  # type: ignore[return-value]
    raise AssertionError("the topic ended")


async def dead_letter(stack: Stack, key: str) -> Any:
    """Intake's dead letter of this key, once it is there."""
    async with stack.databases() as connections:

        async def found() -> Any:
            return await connections["intake"].fetchrow("select * from dead_letters where raw_key = $1", key.encode())

        return await wait_until(found, what=f"a dead letter of {key}")


async def started(script: str, environment: dict[str, str]) -> asyncio.subprocess.Process:
    """An example, running."""
    path = EXAMPLES / script
    assert path.is_file(), f"the documents have no {path}"
    return await asyncio.create_subprocess_exec(
        *(sys.executable, str(path)), env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
