"""Files: kept under their digest, never half; names and headers; what the scanner's answers mean."""

import asyncio
import hashlib
import os
import struct
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from opora_intake.attachments.clamd import Clamd, Scan, Verdict, scan_of
from opora_intake.attachments.storage import PIECE_BYTES, Directory, TooLarge
from opora_intake.domain import attachments as rules

LATER = 4_000_000_000.0
VIRUS = b"a made-up virus"


async def pieces(*contents: bytes) -> AsyncIterator[bytes]:
    """These, one after the other."""
    for content in contents:
        yield content


async def read(storage: Directory, sha256: bytes) -> bytes:
    """The whole file."""
    return b"".join([piece async for piece in storage.read(sha256)])


def files_below(root: Path) -> list[Path]:
    """Every file that lies there."""
    return [path for path in root.rglob("*") if path.is_file()]


async def test_a_file_lies_under_its_digest_once(tmp_path: Path) -> None:
    """Pieces make one content; the same content again is the same file, whatever its name."""
    storage = Directory(tmp_path)
    kept = await storage.keep(pieces(b"ab", b"", b"c"), most_bytes=3)
    assert (kept.sha256, kept.size_bytes, kept.head) == (hashlib.sha256(b"abc").digest(), 3, b"abc")
    assert await storage.keep(pieces(b"abc"), most_bytes=9) == kept
    assert files_below(tmp_path) == [storage.path_of(kept.sha256.hex())]
    assert await read(storage, kept.sha256) == b"abc"
    assert storage.path_of(kept.sha256.hex()).stat().st_mode & 0o077 == 0


async def test_what_is_too_large_or_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    """One byte too many, or a sender who goes away in the middle: no file, no temporary one."""

    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionError

    storage = Directory(tmp_path)
    with pytest.raises(TooLarge, match="at most 3 bytes"):
        await storage.keep(pieces(b"ab", b"cd"), most_bytes=3)
    with pytest.raises(ConnectionError):
        await storage.keep(broken(), most_bytes=99)
    assert files_below(tmp_path) == []


async def test_bytes_and_name_are_on_the_disk_before_it_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is synced before it gets its name, its new directories afterwards: a crash leaves no half file."""
    order: list[str] = []
    real_sync, real_replace = os.fsync, Path.replace

    def sync(descriptor: int) -> None:
        order.append(Path(f"/proc/self/fd/{descriptor}").readlink().parent.name)
        real_sync(descriptor)

    def replace(self: Path, target: Path) -> Path:
        order.append("renamed")
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", replace)
    kept = await Directory(tmp_path / "files").keep(pieces(b"abc"), most_bytes=9)
    first = kept.sha256.hex()[:2]
    assert order[:2] == ["incoming", "renamed"]
    assert set(order[2:]) == {first, "files", tmp_path.name}


async def test_a_large_file_is_never_in_memory(tmp_path: Path) -> None:
    """64 MB go through a few pieces of 256 KB."""

    async def large() -> AsyncIterator[bytes]:
        for number in range(256):
            yield number.to_bytes(1) * PIECE_BYTES

    storage = Directory(tmp_path)
    tracemalloc.start()
    try:
        kept = await storage.keep(large(), most_bytes=10**9)
        size = 0
        async for piece in storage.read(kept.sha256):
            size += len(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size == kept.size_bytes == 256 * PIECE_BYTES
    assert peak < 8 * PIECE_BYTES


async def test_a_file_that_is_written_again_meanwhile_is_not_removed(tmp_path: Path) -> None:
    """The sweep takes only what nobody wrote since; others' files, foreign names and fresh ones stay."""
    storage = Directory(tmp_path)
    kept = await storage.keep(pieces(b"abc"), most_bytes=9)
    digest = kept.sha256.hex()
    foreign = storage.path_of(digest).with_name("notes.txt")
    foreign.write_text("x")
    now = storage.path_of(digest).stat().st_mtime
    assert list(storage.digests(now)) == []
    assert list(storage.digests(LATER)) == [digest]
    assert storage.remove(digest, now) is False
    assert await read(storage, kept.sha256) == b"abc"
    assert storage.remove(digest, LATER) is True
    assert storage.remove(digest, LATER) is False
    assert files_below(tmp_path) == [foreign]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("\uff21\ufb01le\x00.txt", "Afile.txt"),
        ("...", "attachment"),
        ("x" * 300 + ".pdf", "x" * 116 + ".pdf"),
    ],
)
def test_a_name_is_data(given: str, shown: str) -> None:
    """NFKC, without control and direction characters, without path, 120 characters at most with its ending."""
    assert rules.file_name(given) == shown


def test_a_download_runs_nowhere() -> None:
    """An attachment with its name in both forms; nothing that a browser would run keeps its type."""
    headers = rules.download_headers('Räch"nung\\ €.pdf', "application/pdf")
    assert headers["Content-Disposition"] == (
        "attachment; filename=\"R_ch_nung_ _.pdf\"; filename*=UTF-8''R%C3%A4ch%22nung%5C%20%E2%82%AC.pdf"
    )
    assert headers["Content-Type"] == "application/pdf"
    assert headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    for running in ("text/html", "image/svg+xml", "application/xml", "text/x-shellscript"):
        assert rules.download_headers("x", running)["Content-Type"] == "application/octet-stream"


def test_a_type_is_what_the_bytes_speak_of() -> None:
    """Whatever is claimed; what says nothing is bytes."""
    assert rules.type_of(b"%PDF-1.7") == "application/pdf"
    assert rules.type_of(b"<svg onload=x>") == "image/svg+xml"
    assert rules.type_of(b"hello") == "application/octet-stream"


def test_a_ticket_has_room_up_to_its_limits() -> None:
    """To the byte and to the file."""
    few = rules.FileRules(most_file_bytes=10, most_ticket_bytes=100, most_ticket_files=3)
    assert rules.has_room(few, files=2, used_bytes=90, size_bytes=10)
    assert not rules.has_room(few, files=2, used_bytes=90, size_bytes=11)
    assert not rules.has_room(few, files=3, used_bytes=0, size_bytes=1)


@asynccontextmanager
async def scanner(address: str) -> AsyncIterator[list[bytes]]:
    """Speaks clamd's INSTREAM as its manual has it, on a port or a socket; gives what it was shown."""
    shown: list[bytes] = []
    serving = asyncio.TaskGroup()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serving.create_task(answer(reader, writer))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readuntil(b"\0") == b"zINSTREAM\0"
        content = b""
        while length := struct.unpack("!I", await reader.readexactly(4))[0]:
            content += await reader.readexactly(length)
        shown.append(content)
        writer.write(b"stream: Made.Up-1 FOUND\0" if VIRUS in content else b"stream: OK\0")
        writer.close()
        await writer.wait_closed()

    if address.startswith("/"):
        server = await asyncio.start_unix_server(serve, address)
    else:
        host, _, port = address.rpartition(":")
        server = await asyncio.start_server(serve, host, int(port))
    async with server, serving:
        yield shown


async def test_the_scanner_is_shown_every_byte(tmp_path: Path) -> None:
    """Over a socket, in pieces; its words become a verdict."""
    address = str(tmp_path / "clamd.sock")
    async with scanner(address) as shown:
        assert await Clamd(address).scan(pieces(b"good", b" file")) == Scan(Verdict.CLEAN)
        assert await Clamd(address).scan(pieces(VIRUS)) == Scan(Verdict.INFECTED, "Made.Up-1")
    assert shown == [b"good file", VIRUS]


async def test_a_scanner_that_is_away_gives_no_verdict(tmp_path: Path) -> None:
    """Nobody listens, or nobody answers: the file is unscanned, and says why."""
    away = await Clamd(str(tmp_path / "nobody.sock")).scan(pieces(b"x"))
    assert (away.verdict, away.finding) == (Verdict.UNSCANNED, "clamd does not answer: FileNotFoundError")

    ended = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        ended.set()

    async with await asyncio.start_unix_server(silent, str(tmp_path / "silent.sock")):
        mute = await Clamd(str(tmp_path / "silent.sock"), seconds=0.2).scan(pieces(b"x"))
        await asyncio.wait_for(ended.wait(), 20)
    assert mute.verdict is Verdict.UNSCANNED


@pytest.mark.parametrize("answer", [b"INSTREAM size limit exceeded. ERROR", b"", b"stream: OK but", b"\xff"])
def test_only_clear_words_are_a_verdict(answer: bytes) -> None:
    """Whatever else it says leaves the file unscanned."""
    assert scan_of(answer).verdict is Verdict.UNSCANNED
