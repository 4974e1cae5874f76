"""What aiokafka 0.14 does not recover from by itself, after a connection broke. `install` mends two things.

A connection that closed a moment ago: uvloop raises RuntimeError from a write on it, which aiokafka does not take for a
broken connection (its issue 1038). The consumer's coordination ends by it for good: the process lives on, a member of
no group, and consumes nothing. Here it is a KafkaConnectionError, which aiokafka recovers from.

A commit that is refused late: a consumer that was put out of its group and joins again forgets the member id that it is
joining with when the answer to a commit under its *former* id arrives ("unknown member"). The broker then waits a whole
session for a member that will never come, and the group stands still. Here such an answer only fails the commit.

Rests on internals of aiokafka 0.14 (`AIOKafkaConnection.send`, `GroupCoordinator._send_req`); `test_recovery.py` guards
them.
"""

from collections.abc import Awaitable
from typing import Any, Final

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import IllegalGenerationError, KafkaConnectionError, KafkaError, UnknownMemberIdError
from aiokafka.protocol.commit import OffsetCommitRequest

_send: Final = AIOKafkaConnection.send
_send_req: Final = GroupCoordinator._send_req  # noqa: SLF001
_NOT_A_MEMBER: Final = frozenset({UnknownMemberIdError.errno, IllegalGenerationError.errno})


def install() -> None:
    """Give all aiokafka clients of this process both remedies. May be called again."""
    AIOKafkaConnection.send = _send_or_say_that_it_broke
    GroupCoordinator._send_req = _send_and_know_who_was_meant  # noqa: SLF001


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
