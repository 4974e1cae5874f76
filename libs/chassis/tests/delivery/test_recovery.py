"""aiokafka after a broken connection, with the remedies of `opora_contracts.recovery`; and a consumer that ended."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.client import ConnectionGroup
from aiokafka.errors import CommitFailedError, KafkaConnectionError
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.group import LeaveGroupRequest

from opora_chassis.consume import ConsumptionEndedError
from opora_contracts import recovery
from opora_embedded.testing import KafkaServer

from .conftest import Cell, noted, wait_until


@asynccontextmanager
async def member(bootstrap: str) -> AsyncIterator[tuple[AIOKafkaConsumer, str]]:
    """A consumer in a group of its own that has its partition, and the topic."""
    recovery.install()
    topic = f"recovery-{uuid4()}"
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=topic, enable_auto_commit=False, heartbeat_interval_ms=200
    )
    try:
        await admin.create_topics([NewTopic(topic, 1, 1)])
        await consumer.start()
        yield consumer, topic
    finally:
        await consumer.stop()
        await admin.delete_topics([topic])
        await admin.close()


async def close_unnoticed(connection: Any) -> None:
    """Leave the connection as uvloop does for a moment when the peer resets it: closed, and nobody told yet."""
    connection._read_task.cancel()
    transport = connection._writer.transport
    transport.get_protocol().connection_lost(ConnectionResetError("by the peer"))
    transport.abort()

    async def closed() -> bool:
        try:
            transport.write(b"")
        except RuntimeError:
            return True
        return False

    await wait_until(closed, "the transport is closed")


def test_a_connection_that_just_closed_is_a_broken_one(kafka: KafkaServer) -> None:
    """A request on it fails with an error that aiokafka recovers from, and the next one has a new connection."""

    async def run() -> None:
        async with member(kafka.bootstrap) as (consumer, topic):
            client = consumer._client
            connection = client._conns[(consumer._coordinator.coordinator_id, ConnectionGroup.DEFAULT)]
            await close_unnoticed(connection)
            with pytest.raises(KafkaConnectionError):
                connection.send(LeaveGroupRequest(topic, "nobody"))
            assert not connection.connected()
            assert await consumer.end_offsets([TopicPartition(topic, 0)]) == {TopicPartition(topic, 0): 0}

    uvloop.run(run())


async def test_a_commit_refused_late_does_not_take_a_member_out_again(
    kafka: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to a commit of a former member comes when the consumer has joined anew: only the commit fails."""
    async with member(kafka.bootstrap) as (consumer, topic):
        coordinator, client = consumer._coordinator, consumer._client
        former, send = coordinator.member_id, client.send

        async def rejoined() -> bool:
            anew = coordinator.member_id not in {former, ""} and coordinator.generation > 0
            return anew and not coordinator._rejoin_needed_fut.done()

        async def late(node: Any, request: Any, **options: Any) -> Any:
            answer = await send(node, request, **options)
            if isinstance(request, OffsetCommitRequest):
                await wait_until(rejoined, "the consumer has joined again")
            return answer

        await coordinator._send_req(LeaveGroupRequest(topic, former))
        monkeypatch.setattr(client, "send", late)
        with pytest.raises(CommitFailedError):
            await consumer.commit({TopicPartition(topic, 0): 0})
        monkeypatch.undo()
        assert await rejoined()
        await consumer.commit({TopicPartition(topic, 0): 0})


async def test_a_client_whose_broker_is_away_asks_for_it_now_and_then(
    kafka: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many of its tasks need the broker, it is asked once in a pause, and found at once when it is back."""
    attempts = 0

    async def refused(*_: Any, **__: Any) -> None:
        nonlocal attempts
        attempts += 1
        raise KafkaConnectionError("refused")

    async with member(kafka.bootstrap) as (consumer, topic):
        client = consumer._client
        (node,) = (broker.nodeId for broker in client.cluster.brokers())
        asked = 0
        with monkeypatch.context() as away:
            away.setattr("aiokafka.client.create_conn", refused)
            for connection in list(client._conns.values()):
                connection.close()
            began = time.monotonic()
            while time.monotonic() < began + 2 * recovery.RECONNECT_SECONDS:
                assert not any(await asyncio.gather(*(client.ready(node) for _ in range(20))))
                asked += 20
            pauses = (time.monotonic() - began) / recovery.RECONNECT_SECONDS
        assert 1 <= attempts <= pauses + 1 < asked
        assert await consumer.end_offsets([TopicPartition(topic, 0)]) == {TopicPartition(topic, 0): 0}


async def test_a_consumer_that_can_never_consume_again_ends_its_process(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What takes a process out of its group for good is not waited out for ever: the watch raises, and says why."""
    ticket = uuid4()
    async with cell.consuming() as consumers:
        await cell.send(noted(ticket, 1))
        await cell.wait_seen(ticket, [1])
        (stream,) = consumers._streams
        consumer = stream._subscriber.consumer
        assert consumer is not None
        coordinator = consumer._coordinator

        async def broken(*_: Any) -> None:
            raise ValueError("not foreseen")

        monkeypatch.setattr(coordinator._client, "coordinator_lookup", broken)
        coordinator.coordinator_dead()
        with pytest.raises(ConsumptionEndedError, match=r"opora\.tickets.*not foreseen"):
            await asyncio.wait_for(consumers.run(asyncio.Event()), 30)
