"""Apache Kafka as a child process."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from opora_embedded import Kafka, ServerStartError
from opora_embedded.ports import find_free_port

RunOwner = Callable[[str], tuple[subprocess.Popen[str], list[str]]]
FindFamily = Callable[[int], list[psutil.Process]]


async def produce(server: Kafka, *values: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=server.bootstrap, acks="all")
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait("kept", value)
    finally:
        await producer.stop()


async def consume(server: Kafka, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(bootstrap_servers=server.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition("kept", 0)])
        return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()


async def test_acknowledged_records_and_the_port_survive_stop_and_kill(tmp_path: Path) -> None:
    """Records are there after a stop and after a SIGKILL, at the same address, and topics never appear by accident."""
    server = Kafka(tmp_path / "data")
    server.start()
    try:
        bootstrap = server.bootstrap
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        await admin.create_topics([NewTopic("kept", num_partitions=1, replication_factor=1)])
        assert [topic for topic in await admin.list_topics() if not topic.startswith("__")] == ["kept"]
        await admin.close()
        await produce(server, b"one")
        server.stop()
        server.start()
        await produce(server, b"two")
        server.kill()
        assert not server.running
        server.start()
        assert server.bootstrap == bootstrap
        assert await consume(server, 2) == [b"one", b"two"]
    finally:
        server.close()


def test_no_process_outlives_a_killed_owner_or_guard(tmp_path: Path, owner: RunOwner, family: FindFamily) -> None:
    """A kill -9 of the owner ends the broker and its guard; kill -9 of the guard ends the broker."""
    process, words = owner(OWNER.format(directory=tmp_path / "data"))
    members = family(int(words[0]))
    process.kill()
    _, alive = psutil.wait_procs(members, timeout=60)
    assert alive == []
    with Kafka(tmp_path / "data") as server:
        guard, *others = family(server.pid)
        guard.kill()
        _, alive = psutil.wait_procs(others, timeout=60)
        assert alive == []


def test_a_stolen_port_is_replaced_unless_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port lost between finding and binding is replaced; a port that the caller asked for is not."""
    with Kafka() as first:
        offered = [first.port]
        monkeypatch.setattr(
            "opora_embedded.server.find_free_port", lambda: offered.pop() if offered else find_free_port()
        )
        with Kafka() as second:
            assert second.port != first.port
            assert offered == []
        with pytest.raises(ServerStartError, match="in use"):
            Kafka(port=first.port).start()


OWNER = """
import pathlib, threading
from opora_embedded import Kafka
server = Kafka(pathlib.Path("{directory}"))
server.start()
print(server.pid, flush=True)
threading.Event().wait()
"""
