"""Dead letters over HTTP: what a service could not handle, for publishers, operators and consoles.

What a record holds may be personal: the list shows no contents, and whoever may open a letter needs
`dead-letters:read` as much as for the list. Give the scope to people who may see what customers wrote.
"""

import base64
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import Annotated
from uuid import UUID

import structlog
from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from opora_chassis.consume import dead_letters
from opora_chassis.consume.dead_letters import Search
from opora_chassis.consume.redrive import give_up, redrive
from opora_chassis.consume.subscription import Subscription
from opora_chassis.database import Transaction
from opora_chassis.http.application import PlatformDependency
from opora_chassis.http.documentation import shown
from opora_chassis.http.errors import NotFound
from opora_chassis.http.idempotency import WriteCall, writes
from opora_chassis.http.keys import Caller, requires
from opora_chassis.http.model import Input
from opora_chassis.http.pages import Limit, Page, decode_cursor, page_of
from opora_contracts.attributes import escaped

log = structlog.get_logger()

TEXT_CHARACTERS = 10_000
"""So much of a value or header is shown as text; base64 always holds all of it."""
MOST_REDRIVEN = 500
"""Letters of one key that one call handles; a call more goes on."""

MayRead = Annotated[Caller, Depends(requires("dead-letters:read"))]
MayRedrive = Annotated[Caller, Depends(requires("dead-letters:write"))]
MayDiscard = Annotated[WriteCall, Depends(writes("dead-letters:write"))]

_EXAMPLE = {
    "id": "018f3a60-1c22-7b1e-8a00-4d1e6c2b0107",
    "consumer": "opora.requests",
    "topic": "opora.requests",
    "partition": 7,
    "offset": 4711,
    "key": "alert-7781",
    "source": "//monitoring.example",
    "event_id": "alert-7781-1",
    "reason_code": "wrong_schema",
    "reason": "wrong_schema: not a valid ticket.submitted version 1: data.title: required, but absent",
    "attempts": 0,
    "created_at": "2026-03-02T08:14:06.120000Z",
}
_EXAMPLE_CONTENTS = {
    "raw_key": {"size_bytes": 10, "text": "alert-7781", "is_whole": True, "base64": "YWxlcnQtNzc4MQ=="},
    "headers": [
        {"name": "ce_specversion", "value": {"size_bytes": 3, "text": "1.0", "is_whole": True, "base64": "MS4w"}},
        {"name": "x-trace", "value": None},
    ],
    "value": {
        "size_bytes": 22,
        "text": '{"body":"Sign-in 502"}',
        "is_whole": True,
        "base64": "eyJib2R5IjoiU2lnbi1pbiA1MDIifQ==",
    },
}


class DeadLetterQuery(Input):
    """Which dead letters to list: those that match every given filter.

    A publisher finds its record by topic, partition and offset, which the broker told it, or by source and event_id.
    """

    consumer: str | None = None
    """The topic's name without any prefix, such as opora.requests."""
    topic: str | None = None
    """The topic's whole name on the broker."""
    partition: Annotated[int | None, Field(ge=0, lt=2**31)] = None
    offset: Annotated[int | None, Field(ge=0, lt=2**63)] = None
    key: str | None = None
    """What is parked: the record's key; `topic/partition/offset` for a record without one."""
    source: str | None = None
    event_id: str | None = None
    reason_code: str | None = None
    """Such as wrong_schema; `queued` are those that wait behind an earlier letter of their key."""
    limit: Limit = 50
    cursor: str | None = None


class DeadLetterView(BaseModel):
    """A record that could not be handled, without what it holds."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)

    id: UUID
    consumer: str
    topic: str
    partition: int
    offset: int
    key: str
    """What is parked: later events of this key wait behind the letter."""
    source: str | None
    """With `event_id`, the event as its publisher knows it; null where that could not be read."""
    event_id: str | None
    reason_code: str
    reason: str
    """What is wrong and what was expected; it never repeats the data."""
    attempts: int
    created_at: datetime


class BytesView(BaseModel):
    """Bytes as they came, and as a person can read them."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    size_bytes: int
    text: str
    """At most 10,000 characters; what is no UTF-8, control and text-direction characters are written as escapes."""
    is_whole: bool
    """Whether `text` shows everything."""
    base64: str
    """All of the bytes, exactly."""


class HeaderView(BaseModel):
    """A record's header; a null value is none at all."""

    name: str
    value: BytesView | None


class WholeDeadLetterView(DeadLetterView):
    """A record that could not be handled, with what it holds, which may be personal."""

    raw_key: BytesView | None
    headers: list[HeaderView]
    value: BytesView | None


class RedriveView(BaseModel):
    """What a redrive did."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)

    redriven: int
    """Letters of the key that were handled, or passed over as repetitions."""
    failed: int
    """1 when the key's first letter failed again; `detail` says why."""
    remaining: int
    """Letters that the service still has, of all keys."""
    detail: list[str]


def dead_letter_routes(subscriptions: Sequence[Subscription]) -> APIRouter:
    """The routes over the dead letters of these subscriptions, the same at every service."""
    router = APIRouter(prefix="/v1/dead-letters", tags=["dead letters"])

    @router.get("", summary="List dead letters")
    @shown({"items": [_EXAMPLE], "next_cursor": None})
    async def list_dead_letters(
        query: Annotated[DeadLetterQuery, Query()], platform: PlatformDependency, _caller: MayRead
    ) -> Page[DeadLetterView]:
        """Dead letters without what they hold, those that have waited longest first."""
        position = decode_cursor(query.cursor, after=UUID) or {}
        search = Search(**query.model_dump(exclude={"limit", "cursor"}))
        letters = await dead_letters.find_letters(platform.database, search, limit=query.limit + 1, **position)
        page = page_of(letters, query.limit, lambda letter: {"after": letter.id})
        items = [DeadLetterView.model_validate(letter) for letter in page.items]
        return Page(items=items, next_cursor=page.next_cursor)

    @router.get("/{letter_id}", summary="Read a dead letter")
    @shown(_EXAMPLE | _EXAMPLE_CONTENTS)
    async def get_dead_letter(letter_id: UUID, platform: PlatformDependency, _caller: MayRead) -> WholeDeadLetterView:
        """One dead letter with its key, headers and value, which may hold personal data."""
        found = await dead_letters.find_letter(platform.database, letter_id)
        if found is None:
            raise NotFound("dead letter", letter_id)
        summary, record = found
        return WholeDeadLetterView(
            **DeadLetterView.model_validate(summary).model_dump(),
            raw_key=_bytes_view(record.key),
            headers=[HeaderView(name=escaped(name), value=_bytes_view(value)) for name, value in record.headers],
            value=_bytes_view(record.value),
        )

    @router.post("/{letter_id}/redrive", summary="Redrive a key")
    @shown({"redriven": 3, "failed": 0, "remaining": 0, "detail": []})
    async def redrive_dead_letter(letter_id: UUID, platform: PlatformDependency, caller: MayRedrive) -> RedriveView:
        """Handle the letters of this letter's key again, in order, under the same guard as ever.

        At most 500 letters a call. A letter whose cause was not mended fails again and keeps its place. Repeated
        after a lost answer it does no harm; it answers 404 once the letter is gone.
        """
        if await dead_letters.find_letter(platform.database, letter_id) is None:
            raise NotFound("dead letter", letter_id)
        report = await redrive(
            platform.database, subscriptions, key=None, dead_letter_id=letter_id, most_letters=MOST_REDRIVEN
        )
        log.info("dead_letters_redriven", letter_id=str(letter_id), actor=caller.actor, **asdict(report))
        return RedriveView.model_validate(report)

    @router.delete("/{letter_id}", status_code=204, summary="Discard a dead letter")
    async def discard_dead_letter(letter_id: UUID, call: MayDiscard) -> Response:
        """Give the letter up for good. What waits behind it stays until it is redriven; the last one frees the key."""

        async def work(tx: Transaction) -> None:
            if not await give_up(tx, subscriptions, dead_letter_id=letter_id):
                raise NotFound("dead letter", letter_id)
            tx.after_commit(
                partial(log.info, "dead_letter_discarded", letter_id=str(letter_id), actor=call.caller.actor)
            )

        return await call.run(work, status=204)

    return router


def _bytes_view(raw: bytes | None) -> BytesView | None:
    if raw is None:
        return None
    text = escaped(raw.decode("utf-8", "backslashreplace"))
    return BytesView(
        size_bytes=len(raw),
        text=text[:TEXT_CHARACTERS],
        is_whole=len(text) <= TEXT_CHARACTERS,
        base64=base64.b64encode(raw).decode(),
    )
