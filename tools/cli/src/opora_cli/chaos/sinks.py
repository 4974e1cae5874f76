"""Where the platform's mail and webhooks arrive: receivers that keep everything, and misbehave when told to."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.parser import BytesHeaderParser
from email.policy import default as modern
from http import HTTPStatus
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, cast

from aiosmtpd.smtp import SMTP
from pydantic import TypeAdapter

from opora_chassis.clock import host_now
from opora_cli.chaos.links.listening import listen
from opora_cli.mail_sink import MailFolder
from opora_embedded.ports import HOST


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail that was accepted, for one of its recipients."""

    message_id: str
    recipient: str
    subject: str
    received_at: datetime
    path: Path | None
    """The whole mail."""


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook that arrived."""

    webhook_id: str
    event_id: str
    event_type: str
    received_at: datetime
    answered: int | None
    """The status that it was answered with; None when its sender went away before."""


_LETTERS = TypeAdapter(Letter)
_HOOKS = TypeAdapter(Hook)


def read_letters(path: Path) -> list[Letter]:
    """What a letterbox wrote to its `path`, in order of arrival; an unfinished last line is left out."""
    return _read(path, _LETTERS)


def read_hooks(path: Path) -> list[Hook]:
    """What a hookbox wrote to its `path`, in the order in which it was done with them."""
    return _read(path, _HOOKS)


Entry = TypeVar("Entry")


def _read(path: Path, adapter: TypeAdapter[Entry]) -> list[Entry]:
    if not path.exists():
        return []
    with path.open("rb") as file:
        return [adapter.validate_json(line) for line in file if line.endswith(b"\n")]


class _Arrivals(Generic[Entry]):
    """Everything that arrived, earlier runs included: in memory, and as lines of a file."""

    def __init__(self, path: Path, adapter: TypeAdapter[Entry]) -> None:
        self.path = path
        self.entries = _read(path, adapter)
        self._adapter = adapter

    def add(self, entry: Entry) -> None:
        with self.path.open("ab") as file:
            file.write(self._adapter.dump_json(entry) + b"\n")
        self.entries.append(entry)


class Letterbox:
    """A mail server whose behaviour may be switched at any time; it begins with `accept`.

    It lives in the event loop in which it is started. What it accepts is in `letters`, and on disk, before it is
    acknowledged: a line of `path`, and the whole mail in the directory beside it.
    """

    def __init__(self, directory: Path, *, port: int | None = None) -> None:
        self.path = directory / "letters.jsonl"
        self._folder = MailFolder(directory)
        self._arrivals = _Arrivals(self.path, _LETTERS)
        self._port = port
        self._mode: Literal["accept", "slow", "reject_temporarily", "reject_for_good", "drop"] = "accept"
        self._slow_seconds = 0.0
        self._server: asyncio.Server | None = None
        self._receivers: set[_Receiver] = set()

    @property
    def letters(self) -> list[Letter]:
        """Everything accepted so far, in order of arrival."""
        return self._arrivals.entries

    @property
    def mode(self) -> str:
        """How it behaves: the name of the method that switched to it."""
        return self._mode

    @property
    def port(self) -> int:
        """Fixed from the first start. Raises RuntimeError before that, unless it was given."""
        return _known(self._port)

    @property
    def address(self) -> str:
        """HOST:PORT for SMTP clients."""
        return f"{HOST}:{self.port}"

    async def start(self) -> None:
        """Listen. Raises OSError when its port is taken."""
        self._folder.open()
        listener = listen(self._port)
        self._port = listener.getsockname()[1]
        self._server = await asyncio.get_running_loop().create_server(lambda: _Receiver(self), sock=listener)

    async def stop(self) -> None:
        """Stop listening and drop whoever is connected; letters stay."""
        if self._server is not None:
            self._server.close()
            self._server = None
        while self._receivers:
            for receiver in self._receivers:
                receiver.drop()
            await asyncio.sleep(0)  # a socket is closed in the turn after its end

    def accept(self) -> None:
        """Take every letter."""
        self._mode = "accept"

    def slow(self, seconds: float) -> None:
        """Take every letter, and acknowledge it only after so long: who does not wait will send it again."""
        self._mode, self._slow_seconds = "slow", seconds

    def reject_temporarily(self) -> None:
        """451 at the end of each letter."""
        self._mode = "reject_temporarily"

    def reject_for_good(self) -> None:
        """550 to each recipient."""
        self._mode = "reject_for_good"

    def drop(self) -> None:
        """Cut the connection in the middle of each letter."""
        self._mode = "drop"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]
    ) -> str:
        """Take a recipient or not; called by the SMTP server."""
        if self._mode == "reject_for_good":
            return "550 5.1.1 There is nobody of this name here"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Recipient taken"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Take a letter or not; called by the SMTP server."""
        if self._mode == "reject_temporarily":
            return "451 4.3.0 Not now"
        content: bytes = envelope.original_content
        headers = BytesHeaderParser(policy=modern).parsebytes(content)
        received_at = host_now()
        for recipient in envelope.rcpt_tos:
            path = self._folder.add(content, recipient)
            message_id, subject = str(headers["Message-ID"] or "").strip(), str(headers["Subject"] or "")
            self._arrivals.add(Letter(message_id, recipient, subject, received_at, path))
        if self._mode == "slow":
            await asyncio.sleep(self._slow_seconds)
        return "250 2.0.0 Letter taken"

    def enter(self, receiver: "_Receiver") -> None:
        """Somebody is connected."""
        self._receivers.add(receiver)

    def leave(self, receiver: "_Receiver") -> None:
        """And is no more."""
        self._receivers.discard(receiver)


class _Receiver(SMTP):
    """One connection to the letterbox."""

    def __init__(self, letterbox: Letterbox) -> None:
        super().__init__(letterbox, hostname="letterbox", enable_SMTPUTF8=True, loop=asyncio.get_running_loop())
        self._letterbox = letterbox

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._letterbox.enter(self)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._letterbox.leave(self)

    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        if self._letterbox.mode != "drop":
            await super().smtp_DATA(arg)
            return
        await self.push("354 Go on")
        await self._reader.readline()
        self.drop()

    def drop(self) -> None:
        self._writer.transport.abort()


class Hookbox:
    """A receiver of webhooks (Standard Webhooks) whose behaviour may be switched at any time; it begins with `accept`.

    It lives in the event loop in which it is started. What arrives is in `hooks`, and a line of `path`, before it is
    answered; a request that is no webhook is answered 400 and not kept. Signatures are required but not verified.
    """

    def __init__(self, path: Path, *, port: int | None = None) -> None:
        self.path = path
        self._arrivals = _Arrivals(path, _HOOKS)
        self._port = port
        self._answer: HTTPStatus | None = HTTPStatus.NO_CONTENT
        self._switched = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[Any]] = set()

    @property
    def hooks(self) -> list[Hook]:
        """Everything that arrived and is done with, in that order."""
        return self._arrivals.entries

    @property
    def mode(self) -> str:
        """How it behaves: the name of the method that switched to it."""
        return {HTTPStatus.NO_CONTENT: "accept", HTTPStatus.INTERNAL_SERVER_ERROR: "fail", None: "hang"}[self._answer]

    @property
    def port(self) -> int:
        """Fixed from the first start. Raises RuntimeError before that, unless it was given."""
        return _known(self._port)

    @property
    def url(self) -> str:
        """Where to POST to."""
        return f"http://{HOST}:{self.port}/hooks"

    async def start(self) -> None:
        """Listen. Raises OSError when its port is taken."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        listener = listen(self._port)
        self._port = listener.getsockname()[1]
        self._server = await asyncio.start_server(self._serve, sock=listener)

    async def stop(self) -> None:
        """Stop listening and leave whoever waits without an answer; hooks stay."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def accept(self) -> None:
        """204 to each, those that hang included."""
        self._switch(HTTPStatus.NO_CONTENT)

    def fail(self) -> None:
        """500 to each, those that hang included."""
        self._switch(HTTPStatus.INTERNAL_SERVER_ERROR)

    def hang(self) -> None:
        """No answer until the mode changes."""
        self._switch(None)

    def _switch(self, answer: HTTPStatus | None) -> None:
        self._answer = answer
        self._switched.set()
        self._switched = asyncio.Event()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._serving.add(task)
        try:
            while status := await self._take(reader):
                length = "" if status == HTTPStatus.NO_CONTENT else "content-length: 0\r\n"
                writer.write(f"HTTP/1.1 {status.value} {status.phrase}\r\n{length}\r\n".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            return
        finally:
            self._serving.discard(task)
            writer.close()

    async def _take(self, reader: asyncio.StreamReader) -> HTTPStatus | None:
        """The answer to the next request; None when its sender has gone."""
        headers = _headers(await reader.readuntil(b"\r\n\r\n"))
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        received_at = host_now()
        try:
            event = json.loads(body)
            webhook_id, event_id, event_type = headers["webhook-id"], str(event["id"]), str(event["type"])
            _signed = headers["webhook-timestamp"], headers["webhook-signature"]
        except (ValueError, KeyError, TypeError):
            return HTTPStatus.BAD_REQUEST
        answer: HTTPStatus | None = None
        try:
            answer = await self._decide(reader)
        finally:
            self._arrivals.add(Hook(webhook_id, event_id, event_type, received_at, answer))
        return answer

    async def _decide(self, reader: asyncio.StreamReader) -> HTTPStatus | None:
        while self._answer is None:
            # A sender says nothing before it has its answer: whatever is read is its farewell.
            leaves = asyncio.create_task(reader.read(1))
            switched = asyncio.create_task(self._switched.wait())
            try:
                await asyncio.wait({leaves, switched}, return_when=asyncio.FIRST_COMPLETED)
                if leaves.done():
                    return None
            finally:
                leaves.cancel()
                switched.cancel()
                await asyncio.gather(leaves, switched, return_exceptions=True)
        return self._answer


def _headers(head: bytes) -> Mapping[str, str]:
    """The fields of an HTTP request, names in small letters."""
    fields = (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:])
    return {name.strip().lower(): value.strip() for name, _, value in fields}


def _known(port: int | None) -> int:
    if port is None:
        raise RuntimeError("it has no port before it was started")
    return port
