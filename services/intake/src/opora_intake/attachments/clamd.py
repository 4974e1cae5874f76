"""Files shown to clamd, the daemon of ClamAV, by its command INSTREAM (man clamd)."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

_LENGTH = struct.Struct("!I")
_LONGEST_ANSWER = 4096


class Verdict(StrEnum):
    """What is known of a file's content."""

    CLEAN = "clean"
    INFECTED = "infected"
    UNSCANNED = "unscanned"


@dataclass(frozen=True, slots=True)
class Scan:
    """What clamd said; the finding is the virus' name, or why there is no verdict."""

    verdict: Verdict
    finding: str | None = None


@dataclass(frozen=True, slots=True)
class Clamd:
    """Where clamd listens: `host:port`, or the path of a unix socket. Seconds are real ones, for a whole scan."""

    address: str
    seconds: float = 60.0

    async def scan(self, pieces: AsyncIterator[bytes]) -> Scan:
        """Show it the bytes. Never raises for what clamd does: without an answer that counts the file is unscanned."""
        try:
            async with asyncio.timeout(self.seconds):
                return scan_of(await self._ask(pieces))
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            return Scan(Verdict.UNSCANNED, f"clamd does not answer: {type(error).__name__}")

    async def _ask(self, pieces: AsyncIterator[bytes]) -> bytes:
        reader, writer = await self._connect()
        try:
            writer.write(b"zINSTREAM\0")
            try:
                async for piece in pieces:
                    if piece:
                        writer.write(_LENGTH.pack(len(piece)) + piece)
                        await writer.drain()
                writer.write(_LENGTH.pack(0))
                await writer.drain()
            except ConnectionError:
                # It answers before the end and hangs up when the file is larger than its StreamMaxLength.
                pass
            return (await reader.readuntil(b"\0"))[:-1]
        finally:
            # Nothing that is still to be written matters any more.
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.address.startswith("/"):
            return await asyncio.open_unix_connection(self.address, limit=_LONGEST_ANSWER)
        host, _, port = self.address.rpartition(":")
        return await asyncio.open_connection(host, int(port), limit=_LONGEST_ANSWER)


def scan_of(answer: bytes) -> Scan:
    """What clamd's answer means: `stream: OK`, `stream: NAME FOUND`, or else no verdict."""
    said = answer.decode("utf-8", "replace").strip()
    _, _, words = said.partition(": ")
    if words == "OK":
        return Scan(Verdict.CLEAN)
    if words.endswith(" FOUND"):
        return Scan(Verdict.INFECTED, words.removesuffix(" FOUND")[:200])
    return Scan(Verdict.UNSCANNED, said[:200] or "clamd said nothing")
