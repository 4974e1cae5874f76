"""Writes that can be repeated: one transaction each, and with an Idempotency-Key one effect."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any

import asyncpg
import structlog
from fastapi import Depends, Header, Request
from pydantic_core import to_json
from starlette.responses import Response

from opora_chassis.database import Database, Transaction
from opora_chassis.errors import is_transient
from opora_chassis.http.errors import Problem, Unprocessable
from opora_chassis.http.keys import Caller, requires
from opora_chassis.resting import rest

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
            (answered,) = await claim_keys(tx, [self])
            if isinstance(answered, Problem):
                raise answered
            if answered is not None:
                return answered
            body = body_of(await work(tx))
            await keep_answers(tx, [(self, body)], status)
        return answer_with(status, body)


async def claim_keys(tx: Transaction, calls: Sequence[WriteCall]) -> list[Response | Problem | None]:
    """Take the calls' keys for this transaction. None for a call that is to be carried out; else its first answer, or
    the problem that its key was used for another request.

    No two of the calls may share a key. A call whose twin runs now waits until that one's transaction has ended.
    """
    answers: list[Response | Problem | None] = [None] * len(calls)
    waiting = {(call.caller.key_id, call.key): place for place, call in enumerate(calls) if call.key is not None}
    while waiting:
        # In the order of the keys, so that two groups never wait for each other in a circle.
        ordered = sorted(waiting)
        asked = [calls[waiting[each]] for each in ordered]
        # A twin that runs now holds the row's place in the primary key: this waits until it commits or fails.
        claimed = await tx.fetch(
            "insert into idempotency_keys (caller, key, method, path, request_hash)"
            " select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bytea[])"
            " on conflict do nothing returning caller, key",
            [caller for caller, _ in ordered],
            [key for _, key in ordered],
            [call.method for call in asked],
            [call.path for call in asked],
            [call.request_hash for call in asked],
        )
        for row in claimed:
            del waiting[row["caller"], row["key"]]
        if not waiting:
            break
        known = await tx.fetch(
            "select caller, key, method, path, request_hash, status, body from idempotency_keys"
            " where (caller, key) in (select * from unnest($1::uuid[], $2::text[]))",
            [caller for caller, _ in waiting],
            [key for _, key in waiting],
        )
        for first in known:  # what was pruned between the two statements is claimed in the next turn
            place = waiting.pop((first["caller"], first["key"]))
            answers[place] = _first_answer(first, calls[place])
    return answers


async def keep_answers(tx: Transaction, answers: Sequence[tuple[WriteCall, str]], status: int) -> None:
    """Store what the calls that have a key are answered with; the transaction has claimed their keys."""
    keyed = [(call, body) for call, body in answers if call.key is not None]
    if keyed:
        await tx.execute(
            "update idempotency_keys set status = $3, body = answer.body"
            " from unnest($1::uuid[], $2::text[], $4::text[]) as answer (caller, key, body)"
            " where idempotency_keys.caller = answer.caller and idempotency_keys.key = answer.key",
            [call.caller.key_id for call, _ in keyed],
            [call.key for call, _ in keyed],
            status,
            [body for _, body in keyed],
        )


def _first_answer(first: asyncpg.Record, call: WriteCall) -> Response | Problem:
    if first["request_hash"] != call.request_hash:
        return Unprocessable(
            f"The Idempotency-Key was used for another request ({first['method']} {first['path']});"
            " use a new key for a new request."
        )
    return answer_with(first["status"], first["body"], replayed=True)


async def write_call(request: Request, caller: Caller) -> WriteCall:
    """The write that a request asks for; for plain routes, which check the header's length by themselves."""
    key = request.headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= KEY_MAX_CHARACTERS:
        raise Unprocessable(f"An Idempotency-Key has 1 to {KEY_MAX_CHARACTERS} characters.")
    url, database = request.url, request.app.state.platform.database
    request_hash = hash_of(request.method, url.path, url.query, caller, await request.body())
    return WriteCall(caller, request.method, url.path, key, request_hash, database)


def hash_of(method: str, path: str, query: str, caller: Caller, body: bytes) -> bytes:
    """What tells a request from another one under the same key."""
    return sha256(f"{method}\n{path}\n{query}\n{caller.actor}\n".encode() + body).digest()


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
        await rest(stop, _PRUNE_EVERY_SECONDS)


def body_of(result: Any) -> str:
    """A write's result as the JSON that answers it; None: empty."""
    return "" if result is None else to_json(result).decode()


def answer_with(status: int, body: str, *, replayed: bool = False) -> Response:
    """The answer of a write."""
    headers = {"Idempotent-Replayed": "true"} if replayed else None
    return Response(body, status_code=status, headers=headers, media_type="application/json" if body else None)
