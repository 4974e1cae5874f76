"""The publisher, the consumer and the documents' scripts on a broker of their own, which is killed and stopped."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from opora_chassis.testing import wait_until
from opora_chassis.topics import create_topics
from opora_contracts.consumer import ConsumeError, Consumer
from opora_contracts.publisher import PublishError
from opora_contracts.requests import TicketSubmitted
from opora_embedded import Kafka

from .conftest import put, records_of
from .test_contracts_consumer import TOPIC, ids, noted, stored, take
from .test_contracts_publisher import ASKED, publisher

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"


class MakingTopics(Kafka):
    """A broker that makes any topic that somebody asks for by name, as many do outside of our care."""

    def _write_settings(self, *ports: Any) -> None:
        super()._write_settings(*ports)
        with self._settings_path.open("a") as settings:
            settings.write("auto.create.topics.enable=true\n")


@pytest.fixture(scope="module")
def own_kafka() -> Iterator[Kafka]:
    """A broker that these tests may kill and stop."""
    with MakingTopics() as own:
        yield own


@asynccontextmanager
async def hanging(kafka: Kafka) -> AsyncIterator[None]:
    """A broker that hangs while the block runs: in none of its threads, which the kernel stops one after the other."""

    def stands_still() -> bool:
        threads = Path(f"/proc/{kafka.pid}/task").glob("*/stat")
        try:
            # The state stands behind the thread's name, which may have brackets and spaces in it.
            return all(stat.read_text().rpartition(")")[2].split()[0] == "T" for stat in threads)
        except (FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
            return False

    os.kill(kafka.pid, signal.SIGSTOP)
    try:
        await wait_until(stands_still, timeout_seconds=60)
        yield
    finally:
        os.kill(kafka.pid, signal.SIGCONT)


async def test_a_broker_without_the_topics_is_not_published_to(own_kafka: Kafka) -> None:
    """A wrong prefix, or a broker that is not Opora's: said at once, and no topic comes into being by asking."""
    with pytest.raises(PublishError, match=r"has no topic strange\.opora\.requests"):
        async with publisher(own_kafka.bootstrap, "strange."):
            pass
    admin = AIOKafkaAdminClient(bootstrap_servers=own_kafka.bootstrap)
    await admin.start()
    try:
        assert "strange.opora.requests" not in await admin.list_topics()
    finally:
        await admin.close()


async def test_what_the_broker_refuses_for_good_is_not_tried_again(own_kafka: Kafka) -> None:
    """An event above the topic's own limit: an error at once, which says that it is not there and what to do."""
    admin = AIOKafkaAdminClient(bootstrap_servers=own_kafka.bootstrap)
    await admin.start()
    try:
        await admin.create_topics(
            [NewTopic("narrow.opora.requests", 1, 1, topic_configs={"max.message.bytes": "2000"})]
        )

        async def made() -> bool:
            return "narrow.opora.requests" in await admin.list_topics()

        await wait_until(made)
    finally:
        await admin.close()
    async with publisher(own_kafka.bootstrap, "narrow.") as open_publisher:
        with pytest.raises(RuntimeError, match="open already"):
            await open_publisher.__aenter__()
        large = TicketSubmitted(title="Disk full", body="x" * 5000)
        with pytest.raises(PublishError, match=r"larger than the topic's max\.message\.bytes") as refused:
            await open_publisher.publish(large, subject="s", id="large")
        assert (refused.value.event_id, refused.value.outcome_unknown) == ("large", False)
        await open_publisher.publish(ASKED, subject="s", id="small")
    (record,) = await records_of(own_kafka.bootstrap, "narrow.opora.requests", partitions=1)
    assert dict(record.headers)["ce_id"] == b"small"


@pytest.mark.slow
async def test_a_broker_that_is_killed_is_waited_for(own_kafka: Kafka) -> None:
    """Killed and back within the deadline: what was on its way is acknowledged, in order, none lost."""
    await create_topics(own_kafka.bootstrap, prefix="killed.")
    async with publisher(own_kafka.bootstrap, "killed.", deadline_seconds=90) as open_publisher:
        await open_publisher.publish(ASKED, subject="s", id="0")
        own_kafka.kill()
        waiting = [
            asyncio.create_task(open_publisher.publish(ASKED, subject="s", id=str(number))) for number in range(1, 6)
        ]
        await asyncio.to_thread(own_kafka.start)
        stands = await asyncio.gather(*waiting)
    assert [one.event_id for one in stands] == ["1", "2", "3", "4", "5"]
    assert [one.offset for one in stands] == sorted(one.offset for one in stands)
    records = await records_of(own_kafka.bootstrap, "killed.opora.requests")
    ids = [dict(one.headers)["ce_id"].decode() for one in records]
    assert list(dict.fromkeys(ids)) == ["0", "1", "2", "3", "4", "5"]


@pytest.mark.slow
async def test_an_outcome_that_is_unknown_is_repeated_under_the_same_id(own_kafka: Kafka) -> None:
    """A broker that hangs: an error at the deadline that gives the id; repeated, every copy carries that one id."""
    await create_topics(own_kafka.bootstrap, prefix="frozen.")
    async with publisher(own_kafka.bootstrap, "frozen.") as open_publisher:
        await open_publisher.publish(ASKED, subject="s", id="before")
        open_publisher._deadline_seconds = 4
        async with hanging(own_kafka):
            begun = time.monotonic()
            with pytest.raises(
                PublishError, match=r"not acknowledged within 4 s .*Publish it again with id="
            ) as failed:
                await open_publisher.publish(ASKED, subject="s")
            assert 4 <= time.monotonic() - begun < 40
        assert failed.value.outcome_unknown
        assert failed.value.event_id is not None
    async with publisher(own_kafka.bootstrap, "frozen.") as open_publisher:
        await open_publisher.publish(ASKED, subject="s", id=failed.value.event_id)
    records = await records_of(own_kafka.bootstrap, "frozen.opora.requests")
    ids = [dict(one.headers)["ce_id"].decode() for one in records]
    assert (ids[0], set(ids[1:])) == ("before", {failed.value.event_id})


@pytest.mark.parametrize("group", [None, "readers"])
async def test_a_topic_that_is_not_there_is_said_and_not_made(own_kafka: Kafka, group: str | None) -> None:
    """A wrong name ends at once, and does not come into being on a broker that makes what is asked for."""
    with pytest.raises(ConsumeError, match=r"has no topic opora\.nothing that this user may see"):
        async with Consumer(own_kafka.bootstrap, "opora.nothing", group=group):
            pass
    async with AIOKafkaConsumer(bootstrap_servers=own_kafka.bootstrap) as plain:

        async def known() -> set[str] | None:
            """The topics; None while a broker that was just stopped and continued does not answer yet."""
            try:
                return await plain.topics()  # type: ignore[no-any-return]
            except KafkaError:
                return None

        topics = await wait_until(known, timeout_seconds=60)
    assert "opora.nothing" not in topics


@pytest.mark.slow
async def test_a_broker_that_hangs_is_waited_for_and_a_commit_is_bounded(own_kafka: Kafka) -> None:
    """While the broker hangs a commit ends at its deadline; afterwards everything goes on, and nothing was lost."""
    await create_topics(own_kafka.bootstrap, prefix="hung.")
    ticket, group = uuid4(), f"g-{uuid4()}"
    await put(own_kafka.bootstrap, f"hung.{TOPIC}", noted(ticket, 1))
    async with Consumer(own_kafka.bootstrap, TOPIC, group=group, topic_prefix="hung.") as consumer:
        await take(consumer, 1)
        consumer._deadline_seconds = 3
        async with hanging(own_kafka):
            with pytest.raises(ConsumeError, match=r"did not store how far .* will be given again"):
                await consumer.commit()
        consumer._deadline_seconds = 30
        await put(own_kafka.bootstrap, f"hung.{TOPIC}", noted(ticket, 2))
        seen: list[str] = []
        async with asyncio.timeout(60):
            while f"{ticket}-2" not in seen:
                seen += ids([await anext(consumer)])
        assert await consumer.commit()
    assert await stored(own_kafka.bootstrap, group, "hung.") == 2


@asynccontextmanager
async def running(script: str, kafka: Kafka) -> AsyncIterator[asyncio.subprocess.Process]:
    """An example at work; ended as by Ctrl-C if it has not ended by itself."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(EXAMPLES / script)),
        env={**os.environ, "KAFKA_BOOTSTRAP": kafka.bootstrap},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        async with asyncio.timeout(30):
            await process.communicate()


async def test_the_publishing_example_publishes_under_one_id(own_kafka: Kafka) -> None:
    """Run twice, it says where the event stands, and both copies are one event."""
    await create_topics(own_kafka.bootstrap)
    for offset in range(2):
        async with running("publish_with_library.py", own_kafka) as script, asyncio.timeout(60):
            said, complaint = await script.communicate()
        assert script.returncode == 0, complaint.decode()
        assert said.decode() == f"published alert-2231 at opora.requests 6 {offset}\n"
    records = await records_of(own_kafka.bootstrap, "opora.requests")
    assert [(one.key, dict(one.headers)["ce_id"]) for one in records] == [(b"disk-db-7", b"alert-2231")] * 2


async def test_the_consuming_example_goes_on_where_it_stopped(own_kafka: Kafka) -> None:
    """It prints what stands on the topic, and after Ctrl-C and a new start goes on behind what it had committed."""
    await create_topics(own_kafka.bootstrap)
    first, second, third = uuid4(), uuid4(), uuid4()
    await put(own_kafka.bootstrap, "opora.tickets", noted(first, 1))
    async with running("consume_with_library.py", own_kafka) as script:
        assert await lines_until(script, first) == [f"2026-03-01 09:30:00+00:00 ticket.noted {first} 1\n"]
        await put(own_kafka.bootstrap, "opora.tickets", noted(second, 1))
        await lines_until(script, second)  # so the first one has been committed
    await put(own_kafka.bootstrap, "opora.tickets", noted(third, 1))
    async with running("consume_with_library.py", own_kafka) as script:
        assert not any(str(first) in line for line in await lines_until(script, third))


async def lines_until(script: asyncio.subprocess.Process, subject: UUID) -> list[str]:
    """What a script prints up to the line about a subject."""
    assert script.stdout is not None
    lines: list[str] = []
    async with asyncio.timeout(60):
        while not any(str(subject) in line for line in lines):
            lines.append((await script.stdout.readline()).decode())
            assert lines[-1], "the script ended"
    return lines
