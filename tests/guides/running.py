"""Running the programs of the guides, and what every language's publisher and consumer must do."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4
from zlib import crc32

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.partitioner import murmur2

from opora_chassis.consume.consumers import group_of
from opora_chassis.outbox import partition_of
from opora_chassis.testing import wait_until
from tests.e2e.stack import Stack

SOURCE = "//monitoring.example"
PARTITIONS = 12
_SECONDS = 120
"""For a JVM or a build on a machine that is busy with other tests."""


@dataclass(slots=True)
class Following:
    """A consumer of a guide, running. `lines` are those that it has printed so far."""

    process: asyncio.subprocess.Process
    lines: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    async def printed(self, *words: str) -> str:
        """The first line that holds all these words, once it is there."""

        def found() -> str | None:
            assert self.process.returncode is None, "\n".join(self.errors)
            return next((line for line in self.lines if all(word in line for word in words)), None)

        line: str = await wait_until(found, _SECONDS, what=f"a line with {' '.join(words)}")
        return line


async def run(command: Sequence[str], stack: Stack, directory: Path) -> str:
    """Run a program to its end, which must be good; returns what it printed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=directory,
        env=_environment(stack),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), _SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, f"{' '.join(command)} ended with {process.returncode}:\n{err.decode()}"
    return out.decode()


@asynccontextmanager
async def following(command: Sequence[str], stack: Stack, directory: Path) -> AsyncIterator[Following]:
    """Run a consumer of a guide; at the end it is stopped as by Ctrl-C and must end well."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=directory,
        env=_environment(stack),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    consumer = Following(process)

    async def gather(stream: asyncio.StreamReader | None, into: list[str]) -> None:
        assert stream is not None
        while line := await stream.readline():
            into.append(line.decode().rstrip("\n"))

    gathering = asyncio.gather(gather(process.stdout, consumer.lines), gather(process.stderr, consumer.errors))
    try:
        yield consumer
        process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.wait(), _SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await gathering
    # The JVM and Python tell in their exit codes that Ctrl-C ended them, however well they did.
    assert process.returncode in {0, 128 + signal.SIGINT, -signal.SIGINT}, "\n".join(consumer.errors)


async def check_publisher(command: Sequence[str], stack: Stack, directory: Path) -> str:
    """Publish the same event twice with a guide's program: one ticket, on the key's own partition. Returns its id."""
    alert, subject = f"alert-{uuid4()}", telling_subject()
    for _ in range(2):
        assert subject in await run([*command, alert, subject], stack, directory)
    first, second = await records_of(stack, "opora.requests", subject)
    assert first.partition == second.partition == expected_partition(subject)
    assert dict(first.headers)["ce_id"] == dict(second.headers)["ce_id"] == alert.encode()
    return await only_ticket(stack, subject)


async def check_consumer(command: Sequence[str], stack: Stack, directory: Path, ticket_id: str) -> None:
    """Follow with a guide's program: it prints each fact once, though delivered twice, and commits after it did."""
    group = f"guide-{uuid4()}"
    (created,) = await records_of(stack, "opora.tickets", ticket_id)
    async with following([*command, group], stack, directory) as consumer:
        assert f"{ticket_id} 1" in await consumer.printed("ticket.created", ticket_id)
        async with AIOKafkaProducer(bootstrap_servers=stack.kafka_bootstrap) as producer:
            repeated = {"key": created.key, "headers": list(created.headers), "partition": created.partition}
            await producer.send_and_wait("opora.tickets", created.value, **repeated)
        async with stack.client("intake") as intake:
            (await intake.post(f"/tickets/{ticket_id}/notes", json={"body": "Seen."})).raise_for_status()
        await consumer.printed("ticket.noted", ticket_id)
        assert len([each for each in consumer.lines if "ticket.created" in each and ticket_id in each]) == 1
        await committed(stack, group, "opora.tickets", created.partition)
    async with following([*command, group], stack, directory) as again:
        async with stack.client("intake") as intake:
            (await intake.post(f"/tickets/{ticket_id}/notes", json={"body": "Still there."})).raise_for_status()
        line = await again.printed("ticket.noted", ticket_id)
        assert f"{ticket_id} 3" in line, "what was committed is not delivered to the next run"
        assert not [each for each in again.lines if "ticket.created" in each]


async def only_ticket(stack: Stack, subject: str) -> str:
    """The id of the one ticket that a subject has, once intake has taken in everything that was sent."""
    partition = expected_partition(subject)
    await committed(stack, group_of("intake", "opora.requests"), "opora.requests", partition)
    async with stack.client("intake") as intake:
        found = (await intake.get("/tickets", params={"external_id": subject})).json()["items"]
    assert [ticket["external_source"] for ticket in found] == [SOURCE]
    return str(found[0]["id"])


async def records_of(stack: Stack, topic: str, key: str) -> list[ConsumerRecord]:
    """Every record of a key that stands on a topic now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=stack.kafka_bootstrap, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(partitions)
        found: list[ConsumerRecord] = []
        while any([await consumer.position(each) < ends[each] for each in partitions]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += [record for record in records if record.key == key.encode()]
        return found
    finally:
        await consumer.stop()


async def committed(stack: Stack, group: str, topic: str, partition: int) -> None:
    """Wait until a group has committed everything that stands on this partition."""
    place = TopicPartition(topic, partition)
    watcher = AIOKafkaConsumer(bootstrap_servers=stack.kafka_bootstrap, group_id=group, enable_auto_commit=False)
    await watcher.start()
    try:
        watcher.assign([place])

        async def caught_up() -> bool:
            ends = await watcher.end_offsets([place])
            return bool(await watcher.committed(place) == ends[place])

        await wait_until(caught_up, _SECONDS, what=f"{group}'s commit")
    finally:
        await watcher.stop()


def telling_subject() -> str:
    """A new subject for which the usual mistakes lead to another partition: an unsigned hash, and CRC32."""
    while True:
        subject = f"disk-{uuid4()}"
        hashed = murmur2(subject.encode()) & 0xFFFFFFFF
        if expected_partition(subject) not in {hashed % PARTITIONS, crc32(subject.encode()) % PARTITIONS}:
            return subject


def expected_partition(key: str) -> int:
    """Where every client puts a key: Kafka's murmur2."""
    return partition_of(key.encode(), PARTITIONS)


def _environment(stack: Stack) -> dict[str, str]:
    return {**os.environ, "KAFKA_BOOTSTRAP": stack.kafka_bootstrap}
