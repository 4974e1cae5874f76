"""Apache Kafka as a child process."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from opora_embedded import Kafka, ServerNotRunningError, ServerStartError
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


async def test_a_client_behind_a_proxy_is_told_of_the_proxy_only(tmp_path: Path) -> None:
    """Each further listener tells its clients the port that was given for it, and keeps its own over restarts."""
    proxies = {"SLA": find_free_port(), "FEEDBACK": find_free_port()}
    with Kafka(tmp_path / "data", further_listeners=proxies) as server:
        ports = {name: server.listener_port(name) for name in proxies}
        async with forwarding(proxies["SLA"], ports["SLA"]):
            assert await told_ports(proxies["SLA"]) == {proxies["SLA"]}
        assert await told_ports(ports["FEEDBACK"]) == {proxies["FEEDBACK"]}
        assert await told_ports(server.port) == {server.port}
        server.kill()
        server.start()
        assert {name: server.listener_port(name) for name in proxies} == ports
    elsewhere = {"SLA": find_free_port()}
    with Kafka(tmp_path / "data", further_listeners=elsewhere) as server:
        assert server.listener_port("SLA") == ports["SLA"]
        assert await told_ports(ports["SLA"]) == {elsewhere["SLA"]}
        with pytest.raises(KeyError):
            server.listener_port("FEEDBACK")


def test_a_further_listener_has_a_name_that_kafka_takes_and_no_port_before_the_start(tmp_path: Path) -> None:
    """A wrong name is refused at once; before the first start the port is not known."""
    for name in ("sla", "CONTROLLER", "PLAINTEXT", "S-LA", ""):
        with pytest.raises(ValueError, match="cannot name a further listener"):
            Kafka(tmp_path, further_listeners={name: 4711})
    with pytest.raises(ServerNotRunningError):
        Kafka(tmp_path, further_listeners={"SLA": 4711}).listener_port("SLA")


async def told_ports(bootstrap_port: int) -> set[int]:
    """Where a client that asks at this port is told to go, once it has gone there and been answered."""
    admin = AIOKafkaAdminClient(bootstrap_servers=f"127.0.0.1:{bootstrap_port}", request_timeout_ms=5_000)
    try:
        # The client connects to what it is told only when it needs it; behind an unmanned proxy it would wait.
        await admin._client.bootstrap()
        return {broker.port for broker in admin._client.cluster.brokers()}
    finally:
        await admin.close()


@asynccontextmanager
async def forwarding(port: int, target: int) -> AsyncIterator[None]:
    """The simplest of proxies."""
    writers: list[asyncio.StreamWriter] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", target)
        writers.extend((writer, server_writer))
        await asyncio.gather(pump(reader, server_writer), pump(server_reader, writer))

    server = await asyncio.start_server(forward, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()
        for writer in writers:
            writer.close()
            await writer.wait_closed()


OWNER = """
import pathlib, threading
from opora_embedded import Kafka
server = Kafka(pathlib.Path("{directory}"))
server.start()
print(server.pid, flush=True)
threading.Event().wait()
"""
