"""Mail over SMTP (RFC 5321) and LMTP (RFC 2033): a letter is acknowledged when it is on disk, and read afterwards.

aiosmtpd speaks the protocol. The stretch after DATA is read here, because it keeps each line as an object of its own:
25 MB of empty lines would take more than a gigabyte of it.
"""

import asyncio
import logging
from asyncio import LimitOverrunError
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP
from prometheus_client import Counter

from opora_chassis.database import Database
from opora_chassis.errors import is_transient
from opora_intake.channels.recipients import Recipients
from opora_intake.handlers.letters import take_in
from opora_intake.mail.addresses import parse_address
from opora_intake.mail.limits import MOST_LETTER_BYTES

MOST_RECIPIENTS = 100
"""Of one letter (RFC 5321 §4.5.3.1.8)."""

MOST_CALLS = 1000
"""Of each command in one session: a mail server that keeps its connection brings many letters by it."""

MOST_LINE_BYTES = 1024
"""A command with its arguments."""

_MOST_DRAINED_BYTES = 2 * MOST_LETTER_BYTES
_PIECE_BYTES = 64 * 1024
_COMMIT_SECONDS = 30.0
_FAREWELL_SECONDS = 10.0
_END = b"\r\n.\r\n"

TAKEN_IN = Counter(
    "opora_letters_taken_in_total", "Letters offered by mail servers, by the answer", ["channel", "answer"]
)
log = structlog.get_logger()


@dataclass(slots=True)
class Door:
    """One port: whom it lets in, how many at a time, and where letters go. Seconds are real ones."""

    channel: str
    database: Database
    recipients: Recipients
    woken: asyncio.Event
    most_sessions: int
    idle_seconds: float
    session_seconds: float
    sessions: set[Any] = field(default_factory=set)
    committing: int = 0
    quiet: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while no letter is being stored."""

    async def handle_MAIL(self, _server: Any, _session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        """Take note of the sender; nobody's address is believed."""
        if not address.isprintable():
            return "553 5.1.7 The address cannot be stored"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        """Let in what is for support: 550 for other addresses, 452 for more than 100, which the sender sends again."""
        if not self.recipients.accepts(address):
            TAKEN_IN.labels(self.channel, "refused").inc()
            return "550 5.1.1 No such mailbox here"
        if len(envelope.rcpt_tos) >= MOST_RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        """250 once the letter is durable, or one of which it is a copy; 451 when it is not, so that it comes again."""
        self.committing += 1
        self.quiet.clear()
        try:
            async with asyncio.timeout(_COMMIT_SECONDS), self.database.transaction() as tx:
                letter_id = await take_in(
                    tx,
                    envelope.content,
                    channel=self.channel,
                    envelope_from="" if envelope.mail_from == "<>" else parse_address(envelope.mail_from),
                    envelope_to=envelope.rcpt_tos,
                )
        except Exception as error:
            TAKEN_IN.labels(self.channel, "put_off").inc()
            if is_transient(error):
                log.warning("letter_not_taken_in", channel=self.channel, error=repr(error))
            else:
                log.exception("letter_not_taken_in", channel=self.channel)
            return "451 4.3.0 It cannot be stored at the moment: send it again later"
        finally:
            self.committing -= 1
            if not self.committing:
                self.quiet.set()
        TAKEN_IN.labels(self.channel, "stored").inc()
        self.woken.set()
        log.info("letter_taken_in", letter_id=str(letter_id), channel=self.channel, size_bytes=len(envelope.content))
        return f"250 2.0.0 Stored as {letter_id}"

    async def handle_exception(self, error: Exception) -> str:
        """A fault of ours refuses no letter for good."""
        log.error("mail_session_failed", channel=self.channel, exc_info=error)
        return "451 4.3.0 It cannot be handled at the moment: send it again later"


class _Session(SMTP):
    """One connection, with limits of its own beside aiosmtpd's."""

    line_length_limit = _PIECE_BYTES
    command_size_limit = MOST_LINE_BYTES

    def __init__(self, door: Door) -> None:
        super().__init__(
            door,
            data_size_limit=MOST_LETTER_BYTES,
            enable_SMTPUTF8=True,
            hostname="opora",
            ident="ready",
            timeout=door.idle_seconds,
            command_call_limit=MOST_CALLS,
            loop=asyncio.get_running_loop(),
        )
        # aiosmtpd keeps one table for all sessions, and each EHLO raises it.
        self.command_size_limits = defaultdict(lambda: MOST_LINE_BYTES)
        self._door = door
        self._admitted = False
        self._end_of_session: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin the session, or turn it away with 421 when there are too many."""
        if len(self._door.sessions) >= self._door.most_sessions:
            transport.write(b"421 4.3.2 Too many connections: come again later\r\n")
            transport.close()
            return
        self._admitted = True
        self._door.sessions.add(self)
        self._end_of_session = self.loop.call_later(self._door.session_seconds, transport.close)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Hand on what an admitted client says."""
        if self._admitted:
            super().data_received(data)

    def eof_received(self) -> bool | None:
        """The client has said everything."""
        return super().eof_received() if self._admitted else None

    def connection_lost(self, error: Exception | None) -> None:
        """Make room for the next one."""
        self._door.sessions.discard(self)
        if self._end_of_session is not None:
            self._end_of_session.cancel()
        if self._admitted:
            super().connection_lost(error)

    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802
        """Take the letter in; 552 when it is larger than a letter may be."""
        if await self.check_helo_needed():
            return
        envelope = self.envelope
        if envelope is None or not envelope.rcpt_tos:
            await self.push("503 5.5.1 Name a recipient first")
            return
        if arg:
            await self.push("501 5.5.4 DATA takes no argument")
            return
        # The end is a dot on a line of its own, which may be the first one: so a line end is put before everything.
        self._reader.feed_data(b"\r\n")
        await self.push("354 End with a dot on a line of its own")
        content = await self._content()
        status = f"552 5.3.4 Larger than {MOST_LETTER_BYTES // 1024**2} MB"
        if content is not None:
            envelope.content = content
            status = await self._door.handle_DATA(self, self.session, envelope)
        self.envelope = self._create_envelope()
        await self.answer_letter(status, len(envelope.rcpt_tos))

    async def answer_letter(self, status: str, _recipients: int) -> None:
        """One answer for the letter (RFC 5321 §4.1.1.4)."""
        await self.push(status)

    async def _content(self) -> bytes | None:
        """The letter, with the dots taken off that the client put before lines; None when it is too large.

        What is too large is read to its end, so that the client sees why, but no further than twice the limit. A client
        that goes away in the middle ends this task.
        """
        pieces: list[bytes] = []
        size = 0
        ended = False
        while not ended:
            try:
                piece: bytes = await self._reader.readuntil(_END)
                ended = True
            except LimitOverrunError as overrun:
                piece = await self._reader.read(overrun.consumed)
            self._reset_timeout()
            size += len(piece)
            if size > MOST_LETTER_BYTES + len(_END):
                pieces.clear()
            else:
                pieces.append(piece)
            if size > _MOST_DRAINED_BYTES:
                await self.push("552 5.3.4 Much too large")
                # Ends the session's task and its connection, as when the client goes away.
                raise asyncio.CancelledError
        if size > MOST_LETTER_BYTES + len(_END):
            return None
        return b"".join(pieces)[: -len(b".\r\n")].replace(b"\r\n.", b"\r\n").removeprefix(b"\r\n")


class _LocalSession(_Session, LMTP):
    """One connection of a local mail server, which wants an answer for each recipient."""

    async def answer_letter(self, status: str, recipients: int) -> None:
        """The same answer for each recipient that was accepted, since one row holds them all (RFC 2033 §4.2)."""
        await self.push("\r\n".join([status] * recipients))


SESSIONS: dict[str, Callable[[Door], _Session]] = {"smtp": _Session, "lmtp": _LocalSession}


async def listen(door: Door, host: str, port: int, stop: asyncio.Event) -> None:
    """Take letters in until told to stop; letters that are being stored then are still answered.

    Raises OSError when the port cannot be had.
    """
    # It logs each command, addresses included, as information.
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    for answer in ("stored", "put_off", "refused"):
        TAKEN_IN.labels(door.channel, answer)
    session_of = SESSIONS[door.channel]
    server = await asyncio.get_running_loop().create_server(lambda: session_of(door), host, port)
    try:
        log.info("mail_listener_opened", channel=door.channel, host=host, port=port)
        await stop.wait()
    finally:
        server.close()
        await _farewell(door)


async def _farewell(door: Door) -> None:
    try:
        if door.committing:
            await asyncio.wait_for(door.quiet.wait(), _FAREWELL_SECONDS)
    except TimeoutError:
        log.warning("letters_left_unanswered", channel=door.channel, letters=door.committing)
    for session in tuple(door.sessions):
        if session.transport is not None:
            session.transport.close()
