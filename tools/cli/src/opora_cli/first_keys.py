"""The keys that every platform has from its first start: the one with every scope, and those between services."""

from collections.abc import Mapping

from opora_chassis.clock import Clock
from opora_chassis.database import Database
from opora_chassis.http.keys import ADMIN, create_key

INTERNAL_KEYS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "intake": ("notify_intake_key", ("messages:read",)),
    "feedback": ("notify_feedback_key", ("surveys:read",)),
}
"""By the service that is called: the name of notify's key, and its scopes, the least that will do."""


async def ensure_keys(service: str, dsn: str, api_key: str, internal_keys: Mapping[str, str]) -> None:
    """Let these keys in at the service. Keys that are known already change nothing.

    Raises ValueError for one that is not `opk_` and 43 letters and digits.
    """
    database = await Database.open(dsn, service=service, clock=Clock(), pool_size=2)
    try:
        await create_key(database, "first", [ADMIN], api_key)
        if service in INTERNAL_KEYS:
            name, scopes = INTERNAL_KEYS[service]
            await create_key(database, "notify", scopes, internal_keys[name])
    finally:
        await database.close()
