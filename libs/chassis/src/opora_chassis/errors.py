"""Two kinds of failure, and the rule that tells them apart."""

import asyncio

import asyncpg
from aiokafka.errors import KafkaError


class PermanentError(Exception):
    """This event can never be handled; the message says what is wrong and what to do. It becomes a dead letter."""


class TransientError(Exception):
    """It failed now and may work later; it is tried again and never counted against the event."""


_TRANSIENT = (
    TransientError,
    OSError,
    asyncio.TimeoutError,
    KafkaError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InternalClientError,
)


def is_transient(error: BaseException) -> bool:
    """Whether the failure lies in the surroundings (network, database, broker) and not in the event or the code."""
    # asyncpg says InterfaceError for an argument of the wrong type too; that one is a ValueError and will not pass.
    return isinstance(error, _TRANSIENT) and not isinstance(error, ValueError)
