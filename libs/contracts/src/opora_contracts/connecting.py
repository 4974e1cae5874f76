"""Beginning to talk to a broker: within a time, with pauses that grow, and nothing left open when it fails."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0
_STOP_SECONDS = 5.0

CONNECTION_SETTINGS = frozenset(
    {
        "client_id",
        "security_protocol",
        "ssl_context",
        "sasl_mechanism",
        "sasl_plain_username",
        "sasl_plain_password",
        "sasl_kerberos_service_name",
        "sasl_kerberos_domain_name",
        "sasl_oauth_token_provider",
    }
)
"""What a caller may hand through to aiokafka: how to reach the broker, and nothing that a guarantee rests on."""


class Client(Protocol):
    """What aiokafka's producer and consumer have in common."""

    async def start(self) -> None:
        """Connect."""

    async def stop(self) -> None:
        """Disconnect."""


ClientT = TypeVar("ClientT", bound=Client)


def checked_connection(connection: dict[str, Any] | None) -> dict[str, Any]:
    """The settings that lead to the broker. Raises ValueError for one that would change what is guaranteed."""
    given = dict(connection or {})
    if unknown := sorted(given.keys() - CONNECTION_SETTINGS):
        raise ValueError(
            f"connection: {', '.join(unknown)} cannot be set; allowed: {', '.join(sorted(CONNECTION_SETTINGS))}"
        )
    return given


def pause_seconds(attempt: int) -> float:
    """How long to wait after the `attempt`-th failure (1, 2, …): doubling from 0.1 to 2 s, half of it by chance."""
    step: float = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** min(attempt - 1, 30))
    return step * (0.5 + 0.5 * random.random())  # noqa: S311


async def started(
    make: Callable[[], ClientT], retried: type[Exception], *, then: Callable[[ClientT], Awaitable[None]] | None = None
) -> ClientT:
    """A client that has started and passed `then`; tried again while `retried` is raised, until the caller gives up.

    A client that did not get so far is stopped, also when this is cancelled.
    """
    attempt = 0
    while True:
        client = make()
        try:
            await client.start()
            if then is not None:
                await then(client)
        except retried:
            await stopped(client)
        except BaseException:
            await stopped(client)
            raise
        else:
            return client
        attempt += 1
        await asyncio.sleep(pause_seconds(attempt))


async def stopped(client: Client) -> None:
    """Stop the client, within 5 s; a broker that is away must not hold up whoever is leaving."""
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await client.stop()
    except Exception:  # noqa: BLE001  closing is best effort
        return
