"""API keys: who calls, and what they may do.

A token holds 256 random bits, so its plain SHA-256 is stored: there is nothing to guess, and a slow hash, which
protects passwords that people choose, would only slow every request down.
"""

import re
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from string import ascii_letters, digits
from uuid import UUID

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.security import HTTPBearer

from opora_chassis.database import Database
from opora_chassis.http.errors import BadRequest, Forbidden, Problem
from opora_chassis.identifiers import new_id

ADMIN = "admin"
"""The scope that holds all others."""
ASSUME_ACTOR = "actor:assume"

_ALPHABET = digits + ascii_letters
_TOKEN = re.compile(r"opk_[0-9A-Za-z]{43}")
_ACTOR = re.compile(r"(agent|customer):[^\s:]{1,100}")
_CACHE_SECONDS = 5.0
_CACHE_CALLERS = 10_000


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request. `actor` is what facts record: the person named by X-Opora-Actor, or else the key."""

    key_id: UUID
    name: str
    scopes: frozenset[str]
    actor: str

    def holds(self, scope: str) -> bool:
        """Whether the key was given this scope."""
        return scope in self.scopes or ADMIN in self.scopes


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known about a key; never the token."""

    id: UUID
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


async def create_key(
    database: Database,
    name: str,
    scopes: Sequence[str],
    token: str | None = None,
    *,
    expires_at: datetime | None = None,
) -> str:
    """Make a key and return its token, which is shown this once. A `token` given again changes nothing.

    Raises ValueError for a given token that is not `opk_` and 43 letters and digits.
    """
    if token is not None and not _TOKEN.fullmatch(token):
        raise ValueError("a token is `opk_` and 43 letters or digits (32 random bytes in base 62)")
    token = token or "opk_" + _base62(secrets.token_bytes(32))
    async with database.transaction() as tx:
        await tx.execute(
            "insert into api_keys (id, name, hash, scopes, created_at, expires_at) values ($1, $2, $3, $4, $5, $6)"
            " on conflict (hash) do nothing",
            new_id(),
            name,
            token_hash(token),
            sorted(set(scopes)),
            tx.now,
            expires_at,
        )
    return token


async def revoke_key(database: Database, key_id: UUID) -> bool:
    """Take a key back; it stops working within 5 s everywhere. False when there is no such key or it was revoked."""
    async with database.transaction() as tx:
        tag = await tx.execute(
            "update api_keys set revoked_at = $2 where id = $1 and revoked_at is null", key_id, tx.now
        )
    return tag == "UPDATE 1"


async def list_keys(database: Database) -> list[ApiKey]:
    """Every key, oldest first."""
    rows = await database.fetch(
        "select id, name, scopes, created_at, expires_at, revoked_at from api_keys order by created_at, id"
    )
    return [ApiKey(**{**row, "scopes": tuple(row["scopes"])}) for row in rows]


def token_hash(token: str) -> bytes:
    """What is stored of a token."""
    return sha256(token.encode()).digest()


def hashed_token_of(authorization: str) -> bytes | None:
    """What is stored of the token in an Authorization header; None when there is no token in its form."""
    scheme, _, token = authorization.partition(" ")
    token = token.strip()
    return token_hash(token) if scheme.lower() == "bearer" and _TOKEN.fullmatch(token) else None


class KeyRing:
    """The keys that this process saw in the last 5 s, so that a busy caller costs no query per request."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: dict[bytes, tuple[float, Caller]] = {}

    def seen_caller(self, hashed: bytes) -> Caller | None:
        """The caller with this token, if this process found it in the last 5 s."""
        until, caller = self._seen.get(hashed, (0.0, None))
        return caller if time.monotonic() < until else None

    async def find_caller(self, hashed: bytes) -> Caller | None:
        """The caller with this token, or None for an unknown, expired or revoked one. Unknown ones are not kept."""
        if (seen := self.seen_caller(hashed)) is not None:
            return seen
        now = await self._database.now()
        row = await self._database.fetchrow(
            "select id, name, scopes from api_keys"
            " where hash = $1 and revoked_at is null and (expires_at is null or expires_at > $2)",
            hashed,
            now,
        )
        if row is None:
            self._seen.pop(hashed, None)
            return None
        if len(self._seen) >= _CACHE_CALLERS:
            self._seen.clear()
        caller = Caller(row["id"], row["name"], frozenset(row["scopes"]), f"key:{row['name']}")
        self._seen[hashed] = (time.monotonic() + _CACHE_SECONDS, caller)
        return caller


class RequiredScope(HTTPBearer):
    """A dependency that gives the Caller: 401 without a valid key, 403 when the key lacks the scope."""

    def __init__(self, scope: str) -> None:
        super().__init__(
            scheme_name="API key", description=f"`Authorization: Bearer opk_…` with scope `{scope}`", auto_error=False
        )
        self.scope = scope

    async def __call__(self, request: Request) -> Caller:  # type: ignore[override]
        """The caller of this request. Raises Problem 401 or 403."""
        hashed = hashed_token_of(request.headers.get("authorization", ""))
        if hashed is None:
            raise _unauthorized("Send a key: `Authorization: Bearer opk_…`.")
        ring: KeyRing = request.app.state.keys
        caller = await ring.find_caller(hashed)
        if caller is None:
            raise _unauthorized("This key is unknown, expired or revoked.", error="invalid_token")
        if not caller.holds(self.scope):
            raise _lacking(self.scope, caller)
        named = request.headers.get("x-opora-actor")
        return caller if named is None else _assume(caller, named)


def scopes_of(dependant: Dependant) -> Iterator[RequiredScope]:
    """The scopes that a route's caller needs."""
    for needed in dependant.dependencies:
        if isinstance(needed.call, RequiredScope):
            yield needed.call
        yield from scopes_of(needed)


def requires(scope: str) -> RequiredScope:
    """For a route: `caller: Annotated[Caller, Depends(requires("tickets:read"))]`. Plain routes may await it."""
    return RequiredScope(scope)


def _assume(caller: Caller, actor: str) -> Caller:
    if not caller.holds(ASSUME_ACTOR):
        raise _lacking(ASSUME_ACTOR, caller)
    if not _ACTOR.fullmatch(actor):
        raise BadRequest("X-Opora-Actor names a person as `agent:<id>` or `customer:<id>`.")
    return Caller(caller.key_id, caller.name, caller.scopes, actor)


def _unauthorized(detail: str, *, error: str | None = None) -> Problem:
    challenge = "Bearer" if error is None else f'Bearer error="{error}"'
    return Problem(401, "unauthorized", "A valid key is needed", detail, headers={"WWW-Authenticate": challenge})


def _lacking(scope: str, caller: Caller) -> Forbidden:
    return Forbidden(f"The key {caller.name} lacks the scope {scope}.", scope=scope)


def _base62(data: bytes) -> str:
    number = int.from_bytes(data)
    letters: list[str] = []
    for _ in range(43):
        number, remainder = divmod(number, 62)
        letters.append(_ALPHABET[remainder])
    return "".join(reversed(letters))
