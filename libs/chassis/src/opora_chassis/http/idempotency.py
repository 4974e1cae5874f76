"""Writes that can be repeated: one transaction each, and with an Idempotency-Key one effect."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any

import structlog
from fastapi import Depends, Header, Request
from pydantic_core import to_json
from starlette.responses import Response

from opora_chassis.database import Database, Transaction
from opora_chassis.errors import is_transient
from opora_chassis.http.errors import Unprocessable
from opora_chassis.http.keys import Caller, requires

log = structlog.get_logger()

KEY_MAX_CHARACTERS = 200
_PRUNE_EVERY_SECONDS = 600.0

_KeyHeader = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=KEY_MAX_CHARACTERS,
        description="Repeating a write under the same key, within 7 days, gives the first answer again.",
    ),
]


@dataclass(frozen=True, slots=True)
class WriteCall:
    """One write as it was asked for."""

    caller: Caller
    method: str
    path: str
    key: str | None
    request_hash: bytes
    database: Database

    async def run(self, work: Callable[[Transaction], Awaitable[Any]], *, status: int = 200) -> Response:
        """Do the work in one transaction and answer with its result as JSON (None: an empty body).

        With an Idempotency-Key the answer is stored in the same transaction. The same request again gets it again,
        with `Idempotent-Replayed: true`, and does nothing; one that arrives while the first still runs waits for it.
        Another request under the same key raises Unprocessable. An exception in `work` rolls everything back, the
        key included, so that the caller may correct the request and repeat it.
        """
        async with self.database.transaction() as tx:
            if self.key is not None:
                answered = await self._claim(tx, self.key)
                if answered is not None:
                    return answered
            result = await work(tx)
            body = "" if result is None else to_json(result).decode()
            if self.key is not None:
                await tx.execute(
                    "update idempotency_keys set status = $3, body = $4 where caller = $1 and key = $2",
                    self.caller.key_id,
                    self.key,
                    status,
                    body,
                )
        return _answer(status, body)

    async def _claim(self, tx: Transaction, key: str) -> Response | None:
        """Take the key for this transaction (None), or give the answer of the one that had it."""
        while True:
            # A twin that runs now holds the row's place in the primary key: this waits until it commits or fails.
            claimed = await tx.fetchval(
                "insert into idempotency_keys (caller, key, method, path, request_hash) values ($1, $2, $3, $4, $5)"
                " on conflict do nothing returning true",
                self.caller.key_id,
                key,
                self.method,
                self.path,
                self.request_hash,
            )
            if claimed:
                return None
            first = await tx.fetchrow(
                "select method, path, request_hash, status, body from idempotency_keys where caller = $1 and key = $2",
                self.caller.key_id,
                key,
            )
            if first is None:  # pruned between the two statements
                continue
            if first["request_hash"] != self.request_hash:
                raise Unprocessable(
                    f"The Idempotency-Key was used for another request ({first['method']} {first['path']});"
                    " use a new key for a new request."
                )
            return _answer(first["status"], first["body"], replayed=True)


async def write_call(request: Request, caller: Caller) -> WriteCall:
    """The write that a request asks for; for plain routes, which check the header's length by themselves."""
    key = request.headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= KEY_MAX_CHARACTERS:
        raise Unprocessable(f"An Idempotency-Key has 1 to {KEY_MAX_CHARACTERS} characters.")
    path = request.url.path
    told = f"{request.method}\n{path}\n{request.url.query}\n{caller.actor}\n"
    request_hash = sha256(told.encode() + await request.body()).digest()
    return WriteCall(caller, request.method, path, key, request_hash, request.app.state.platform.database)


def writes(scope: str) -> Callable[..., Awaitable[WriteCall]]:
    """For a route: `call: Annotated[WriteCall, Depends(writes("tickets:write"))]`."""

    async def call(
        request: Request,
        caller: Annotated[Caller, Depends(requires(scope))],
        idempotency_key: _KeyHeader = None,  # noqa: ARG001  declared for the documentation and its length
    ) -> WriteCall:
        return await write_call(request, caller)

    return call


async def forget_old_keys(database: Database, stop: asyncio.Event) -> None:
    """Until told to stop, drop stored answers older than 7 days, so that the table holds a week's writes at most."""
    while not stop.is_set():
        try:
            async with database.transaction() as tx:
                # Plan: range scan of idempotency_keys_age.
                await tx.execute("delete from idempotency_keys where created_at < now() - interval '7 days'")
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("idempotency_prune_waits", error=repr(error))
        try:
            await asyncio.wait_for(stop.wait(), timeout=_PRUNE_EVERY_SECONDS)
        except TimeoutError:
            continue


def _answer(status: int, body: str, *, replayed: bool = False) -> Response:
    headers = {"Idempotent-Replayed": "true"} if replayed else None
    return Response(body, status_code=status, headers=headers, media_type="application/json" if body else None)
