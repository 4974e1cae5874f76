"""What aiokafka 0.14 does not recover from by itself, after a connection broke. `install` mends three things.

A connection that closed a moment ago: uvloop raises RuntimeError from a write on it, which aiokafka does not take for a
broken connection (its issue 1038). The consumer's coordination ends by it for good: the process lives on, a member of
no group, and consumes nothing. Here it is a KafkaConnectionError, which aiokafka recovers from.

A commit that is refused late: a consumer that was put out of its group and joins again forgets the member id that it is
joining with when the answer to a commit under its *former* id arrives ("unknown member"). The broker then waits a whole
session for a member that will never come, and the group stands still. Here such an answer only fails the commit.

A broker that is away: each task of a client that needs it (fetching, heartbeats, metadata) tries to connect again at
once, several dozen times a second in one client, and a whole platform of them takes the processor from the broker that
starts. A client tries once in `RECONNECT_SECONDS` for each node here (reconnect.backoff.ms of Kafka's own clients).

Rests on internals of aiokafka 0.14 (`AIOKafkaConnection.send`, `GroupCoordinator._send_req`,
`AIOKafkaClient._get_conn`); `test_recovery.py` guards them.
"""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any, Final
from weakref import WeakKeyDictionary

from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import IllegalGenerationError, KafkaConnectionError, KafkaError, UnknownMemberIdError
from aiokafka.protocol.commit import OffsetCommitRequest

RECONNECT_SECONDS: Final = 0.25
"""How long a client leaves a node alone that it could not connect to: its return is seen so much later at most."""


@dataclass(slots=True)
class _Node:
    """One attempt to connect at a time; who asks meanwhile gets what came of it."""

    attempt: asyncio.Lock = field(default_factory=asyncio.Lock)
    refused_at: float = float("-inf")


_nodes: Final[WeakKeyDictionary[AIOKafkaClient, dict[Any, _Node]]] = WeakKeyDictionary()
_get_conn: Final = AIOKafkaClient._get_conn  # noqa: SLF001
_send: Final = AIOKafkaConnection.send
_send_req: Final = GroupCoordinator._send_req  # noqa: SLF001
_NOT_A_MEMBER: Final = frozenset({UnknownMemberIdError.errno, IllegalGenerationError.errno})


def install() -> None:
    """Give all aiokafka clients of this process the remedies. May be called again."""
    AIOKafkaClient._get_conn = _connect_in_turn  # noqa: SLF001
    AIOKafkaConnection.send = _send_or_say_that_it_broke
    GroupCoordinator._send_req = _send_and_know_who_was_meant  # noqa: SLF001


async def _connect_in_turn(client: AIOKafkaClient, node_id: Any, **options: Any) -> Any:
    connection = client._conns.get((node_id, options.get("group", ConnectionGroup.DEFAULT)))  # noqa: SLF001
    if connection is not None and connection.connected():
        return connection
    node = _nodes.setdefault(client, {}).setdefault(node_id, _Node())
    asked_at = time.monotonic()
    async with node.attempt:
        if node.refused_at > asked_at:
            return None
        await asyncio.sleep(max(0.0, node.refused_at + RECONNECT_SECONDS - time.monotonic()))
        connection = await _get_conn(client, node_id, **options)
        node.refused_at = time.monotonic() if connection is None else float("-inf")
    return connection


def _send_or_say_that_it_broke(
    connection: AIOKafkaConnection, request: Any, expect_response: bool = True
) -> Awaitable[Any]:
    try:
        sent: Awaitable[Any] = _send(connection, request, expect_response)
    except KafkaError:
        raise  # a RuntimeError too
    except RuntimeError as error:
        connection.close(reason=CloseReason.CONNECTION_BROKEN)
        raise KafkaConnectionError(f"Connection at {connection.host}:{connection.port} broken: {error}") from error
    return sent


async def _send_and_know_who_was_meant(coordinator: GroupCoordinator, request: Any) -> Any:
    sent_as = (coordinator.generation, coordinator.member_id)
    response = await _send_req(coordinator, request)
    if isinstance(request, OffsetCommitRequest) and _is_refused(response):
        former = sent_as != (coordinator.generation, coordinator.member_id)
        joining = coordinator.generation == OffsetCommitRequest.DEFAULT_GENERATION_ID
        if former or joining:
            raise UnknownMemberIdError(coordinator.group_id)
    return response


def _is_refused(response: Any) -> bool:
    return any(error in _NOT_A_MEMBER for _, partitions in response.topics for _, error in partitions)
