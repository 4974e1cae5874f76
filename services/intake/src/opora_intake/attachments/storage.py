"""Files under their SHA-256 in a directory that no web server serves.

`Storage` is all that the rest of intake asks of it, so that an object store can be a second one.
"""

import asyncio
import hashlib
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from uuid import uuid4

PIECE_BYTES = 256 * 1024
HEAD_BYTES = 4096
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Kept:
    """Bytes that are durable: their digest, how many, and the first of them."""

    sha256: bytes
    size_bytes: int
    head: bytes


@dataclass
class TooLarge(Exception):  # noqa: N818  a refusal, not a fault
    """More bytes came than a file may have; nothing of it is kept."""

    most_bytes: int

    def __str__(self) -> str:
        return f"A file has at most {self.most_bytes} bytes"


class Storage(Protocol):
    """Where bytes are kept. Content that is kept already is kept once."""

    async def keep(self, pieces: AsyncIterator[bytes], *, most_bytes: int) -> Kept:
        """Keep what comes, piece by piece; durable when it returns. Raises TooLarge, or OSError when it cannot."""
        ...

    def read(self, sha256: bytes) -> AsyncGenerator[bytes, None]:
        """The bytes in pieces. Raises FileNotFoundError."""
        ...


class Directory:
    """Files in a directory of this machine, or one that is mounted here.

    A file appears under its name when its bytes and its name are on the disk: temporary file, fsync, rename,
    fsync of the directory. Whoever dies in between leaves a temporary file, or one that no
    row names; the sweep takes both.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._incoming = root / "incoming"

    async def keep(self, pieces: AsyncIterator[bytes], *, most_bytes: int) -> Kept:
        """As the protocol says. Memory holds one piece; the disk is written by another thread."""
        await asyncio.to_thread(self._incoming.mkdir, parents=True, exist_ok=True, mode=0o700)
        path = self._incoming / uuid4().hex
        digest, size, head = hashlib.sha256(), 0, b""
        descriptor = await asyncio.to_thread(os.open, path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            try:
                async for piece in pieces:
                    size += len(piece)
                    if size > most_bytes:
                        raise TooLarge(most_bytes)
                    if len(head) < HEAD_BYTES:
                        head = (head + piece)[:HEAD_BYTES]
                    await asyncio.to_thread(_write, descriptor, piece, digest)
                await asyncio.to_thread(os.fsync, descriptor)
            finally:
                await asyncio.to_thread(os.close, descriptor)
            # Also where the content is there already: the sweep may be about to take the file that nobody named.
            await asyncio.to_thread(self._publish, path, digest.hexdigest())
        finally:
            with suppress(FileNotFoundError):
                await asyncio.to_thread(path.unlink)
        return Kept(digest.digest(), size, head)

    async def read(self, sha256: bytes) -> AsyncGenerator[bytes, None]:
        """As the protocol says."""
        file = await asyncio.to_thread(self.path_of(sha256.hex()).open, "rb")
        try:
            while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
                yield piece
        finally:
            await asyncio.to_thread(file.close)

    def path_of(self, digest: str) -> Path:
        """Where the content with this digest lies: no name that anybody chose is part of it."""
        return self._root / digest[:2] / digest[2:4] / digest

    def digests(self, before: float) -> Iterator[str]:
        """The files whose newest write is before this time (seconds since the epoch), in no order. Blocks."""
        for path in self._root.glob("??/??/*"):
            with suppress(FileNotFoundError):
                if _DIGEST.fullmatch(path.name) and path.stat().st_mtime < before:
                    yield path.name

    def unfinished(self, before: float) -> Iterator[Path]:
        """Temporary files that nobody has written to since this time. Blocks."""
        for path in self._incoming.glob("*"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    yield path

    def remove(self, digest: str, before: float) -> bool:
        """Remove the file unless it was written again since this time. Blocks."""
        path, aside = self.path_of(digest), self._incoming / f"removed-{digest}"
        try:
            path.rename(aside)
        except FileNotFoundError:
            return False
        if aside.stat().st_mtime >= before:
            # Written between the look and the rename: whoever did so counts on it.
            aside.rename(path)
            return False
        aside.unlink()
        return True

    def _publish(self, path: Path, digest: str) -> None:
        target = self.path_of(digest)
        made = [folder for folder in (target.parent, target.parent.parent) if not folder.exists()]
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.replace(target)
        for folder in dict.fromkeys((target.parent, *(folder.parent for folder in made))):
            _sync_directory(folder)


def _write(descriptor: int, piece: bytes, digest: "hashlib._Hash") -> None:
    digest.update(piece)
    view = memoryview(piece)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
