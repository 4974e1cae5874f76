"""A mail server that delivers to nobody: every message becomes a file that can be looked at."""

import re
import threading
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller

_UNSAFE = re.compile(r"[^A-Za-z0-9@._+-]+")


class MailFolder:
    """A directory of `NNNNNN-recipient.eml` files. Numbers go on from those already in it. Safe for several threads."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._numbering = threading.Lock()
        self._number = 0

    @property
    def received(self) -> int:
        """How many messages the directory holds."""
        return self._number

    def open(self) -> None:
        """Make the directory, or go on with what it holds."""
        self.directory.mkdir(parents=True, exist_ok=True)
        numbers = [int(path.name[:6]) for path in self.directory.glob("[0-9]" * 6 + "-*.eml")]
        self._number = max(numbers, default=0)

    def add(self, content: bytes, recipient: str) -> Path:
        """Write one message; under its name there is never less than the whole."""
        with self._numbering:
            self._number += 1
            number = self._number
        path = self.directory / f"{number:06d}-{_UNSAFE.sub('_', recipient)[:80]}.eml"
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_bytes(content)
        unfinished.rename(path)
        return path


class MailSink:
    """Accepts mail over SMTP and writes it into a folder.

    A message is acknowledged only when its file is whole.
    """

    def __init__(self, directory: Path, *, host: str = "127.0.0.1", port: int | None = None) -> None:
        self.directory = directory
        self.host = host
        self.port = port or _free_port()
        self._folder = MailFolder(directory)
        self._controller: Controller | None = None

    @property
    def address(self) -> str:
        """HOST:PORT for SMTP clients."""
        return f"{self.host}:{self.port}"

    @property
    def received(self) -> int:
        """How many messages the directory holds."""
        return self._folder.received

    def start(self) -> None:
        """Listen; returns when mail is accepted."""
        self._folder.open()
        self._controller = Controller(self, hostname=self.host, port=self.port, ready_timeout=10)
        self._controller.start()

    def stop(self) -> None:
        """Stop listening; files stay."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Write one message; called by the SMTP server."""
        recipient = envelope.rcpt_tos[0] if envelope.rcpt_tos else "nobody"
        self._folder.add(envelope.original_content or b"", recipient)
        return "250 Message accepted for the files"


def _free_port() -> int:
    from opora_embedded.ports import find_free_port

    return find_free_port()
