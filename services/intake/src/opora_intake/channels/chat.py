"""Chats as they go on: streams to both sides, and the end of those in which nobody writes any more."""

import asyncio
import contextlib
from collections import Counter as Tally
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import structlog
from prometheus_client import Counter, Gauge
from pydantic_core import to_json
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from opora_chassis.database import Database
from opora_chassis.errors import is_transient
from opora_chassis.platform import Platform
from opora_chassis.resting import rest
from opora_chassis.service import Loop
from opora_intake.api.dependencies import rules_of
from opora_intake.domain.chats import ChatMessage
from opora_intake.handlers.chats import close_chat
from opora_intake.settings import IntakeSettings
from opora_intake.store import chats as store

MOST_STREAMS_PER_CHAT = 10
_BATCH = 100
_IDLE_POLL_SECONDS = 5.0
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

STREAMS = Gauge("opora_chat_streams", "Streams of chats that are open in this process")
CUT = Counter("opora_chat_streams_cut_total", "Streams that were cut because their client did not read")
CLOSED = Counter("opora_chats_closed_total", "Chats that ended, by who ended them", ["by"])
for _by in ("visitor", "agent", "silence"):
    CLOSED.labels(_by)
log = structlog.get_logger()


class TooManyStreamsError(Exception):
    """No further stream can be opened now."""


@dataclass(slots=True)
class ChatRoom:
    """The streams of one process. Seconds are real ones."""

    platform: Platform
    poll_seconds: float = 1.0
    """How late a message is seen that another process took in."""
    heartbeat_seconds: float = 15.0
    """After so much silence a comment is sent, by which proxies and clients know that the stream lives."""
    send_seconds: float = 10.0
    """A client that does not take a piece within this time is cut off: it comes again with Last-Event-ID."""
    longest_seconds: float = 3600.0
    _wakers: dict[UUID, set[asyncio.Event]] = field(default_factory=dict)
    _open: Tally[UUID] = field(default_factory=Tally)

    @property
    def settings(self) -> IntakeSettings:
        """Intake's settings."""
        return cast("IntakeSettings", self.platform.settings)

    def loops(self) -> tuple[Loop, ...]:
        """What the role `timers` runs."""
        return (Loop("close_idle_chats", self._close_idle),)

    def wake(self, chat_id: UUID) -> None:
        """Something was written in the chat: its streams in this process look at once."""
        for waker in self._wakers.get(chat_id, ()):
            waker.set()

    def check_place(self, chat_id: UUID) -> None:
        """Raises TooManyStreamsError when no further stream may begin."""
        if self._open.total() >= self.settings.intake_chat_streams or self._open[chat_id] >= MOST_STREAMS_PER_CHAT:
            raise TooManyStreamsError

    def take_place(self, chat_id: UUID) -> None:
        """Count a stream that begins."""
        self._open[chat_id] += 1
        STREAMS.set(self._open.total())

    def leave_place(self, chat_id: UUID) -> None:
        """Count a stream that ended."""
        self._open[chat_id] -= 1
        if not self._open[chat_id]:
            del self._open[chat_id]
        STREAMS.set(self._open.total())

    async def pieces(self, chat_id: UUID, after: int, stopping: asyncio.Event) -> AsyncGenerator[bytes, None]:
        """Server-sent events from the message after this one on, until the chat or the process ends.

        Every message is read from the database, so that none is missed whoever took it in.
        """
        waker, clock = asyncio.Event(), asyncio.get_running_loop()
        ends_at, silent_since = clock.time() + self.longest_seconds, clock.time()
        self._wakers.setdefault(chat_id, set()).add(waker)
        try:
            yield b"retry: 2000\n\n"
            while not stopping.is_set() and clock.time() < ends_at:
                waker.clear()
                # The chat before its messages: what is written between the two is not missed when the chat is closed.
                chat = await store.find_chat(self.platform.database, chat_id)
                found = await store.messages_after(self.platform.database, chat_id, after, _BATCH)
                for message in found:
                    yield _event("message", message_view(message), message.sequence)
                    after, silent_since = message.sequence, clock.time()
                if len(found) == _BATCH:
                    continue
                if chat is None or chat.closed_at is not None:
                    yield _event("closed", {"ticket_id": None if chat is None else chat.ticket_id}, None)
                    return
                if clock.time() - silent_since >= self.heartbeat_seconds:
                    yield b": still here\n\n"
                    silent_since = clock.time()
                await _any_of(waker, stopping, seconds=self.poll_seconds)
        finally:
            wakers = self._wakers[chat_id]
            wakers.discard(waker)
            if not wakers:
                del self._wakers[chat_id]

    async def _close_idle(self, stop: asyncio.Event) -> None:
        """Close chats in which nobody has written for `intake_chat_idle_seconds`, until told to stop."""
        while not stop.is_set():
            try:
                closed = await close_idle_chats(self.platform, self.settings.intake_chat_idle_seconds)
            except Exception as error:
                if not is_transient(error):
                    raise
                log.warning("idle_chats_put_off", error=repr(error))
                closed = []
            for chat_id in closed:
                self.wake(chat_id)
            await rest(stop, _IDLE_POLL_SECONDS)


async def close_idle_chats(platform: Platform, idle_seconds: float) -> list[UUID]:
    """Close a batch of idle chats, each in a transaction of its own: one that fails is left for later."""
    database: Database = platform.database
    before = await database.now() - platform.clock.virtual(timedelta(seconds=idle_seconds))
    closed: list[UUID] = []
    for chat_id in await store.idle_chats(database, before, _BATCH):
        try:
            async with database.transaction() as tx:
                chat = await store.lock_chat(tx, chat_id)
                if chat is None or chat.closed_at is not None or chat.last_written_at >= before:
                    continue
                await close_chat(tx, chat_id, "system:chat", rules_of(platform))
        except Exception as error:
            if is_transient(error):
                raise
            log.exception("idle_chat_not_closed", chat_id=str(chat_id))
            continue
        CLOSED.labels("silence").inc()
        closed.append(chat_id)
    return closed


def message_view(message: ChatMessage) -> dict[str, Any]:
    """A message as both sides see it."""
    names = ("sequence", "client_id", "side", "author", "body", "written_at")
    return {name: getattr(message, name) for name in names}


class EventStream(Response):
    """Server-sent events (WHATWG HTML §9.2), ended when the client leaves, does not read, or the process stops."""

    media_type = "text/event-stream"

    def __init__(self, room: ChatRoom, chat_id: UUID, after: int, stopping: asyncio.Event) -> None:
        super().__init__(headers=_HEADERS)
        # How long it gets is not known.
        self.raw_headers[:] = [each for each in self.raw_headers if each[0] != b"content-length"]
        self._room, self._chat_id, self._after, self._stopping = room, chat_id, after, stopping

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send until there is no more to send, and give the place back."""
        self._room.take_place(self._chat_id)
        sending = asyncio.ensure_future(self._send_all(send))
        leaving = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            for task in (sending, leaving):
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(sending, leaving, return_exceptions=True)
            self._room.leave_place(self._chat_id)

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        pieces = self._room.pieces(self._chat_id, self._after, self._stopping)
        async with contextlib.aclosing(pieces):
            async for piece in pieces:
                try:
                    async with asyncio.timeout(self._room.send_seconds):
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
                except TimeoutError:
                    CUT.inc()
                    log.info("chat_stream_cut", chat_id=str(self._chat_id))
                    return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _any_of(*events: asyncio.Event, seconds: float) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def _event(name: str, data: Mapping[str, Any], identity: int | None) -> bytes:
    # JSON of one line: no line break of a message can end the event.
    numbered = b"" if identity is None else f"id: {identity}\n".encode()
    return numbered + f"event: {name}\ndata: ".encode() + to_json(dict(data)) + b"\n\n"
