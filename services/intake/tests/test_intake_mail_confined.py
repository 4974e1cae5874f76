"""The process that reads letters: it may fail, intake may not."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from opora_intake.mail.confined import Reader, ReaderUnavailable
from opora_intake.mail.letter import Automatic, Letter, Unreadable
from opora_intake.mail.limits import MOST_CPU_SECONDS, MOST_LETTER_BYTES, MOST_MEMORY_BYTES, Reason
from opora_intake.mail.reading import read_letter
from services.intake.tests.hostile_letters import (
    empty_parts,
    hostile_letters,
    nested_messages,
    with_header,
    with_html,
    with_text,
)

LETTER = with_text("hello")

# A worker as ours is, but for what it does when it sees these words: what no letter is known to make ours do.
_MISBEHAVING = """
import os, resource, signal, sys, time
from opora_intake.mail import worker
from opora_intake.mail.reading import read_letter

def misbehave(raw, **asked):
    if b"eat the processor" in raw:
        while True:
            pass
    if b"eat memory" in raw:
        return bytearray(600 * 1024 * 1024)
    if b"sleep" in raw:
        time.sleep(60)
    if b"crash" in raw:
        os.kill(os.getpid(), signal.SIGSEGV)
    if b"raise" in raw:
        raise LookupError("secret of the letter")
    if b"lie" in raw:
        os.write(1, b"\\xff" * 8)
    if b"open" in raw:
        os.write(os.open(raw.rpartition(b"open ")[2], os.O_CREAT | os.O_WRONLY), b"x")
    if b"tell" in raw:
        limits = [resource.getrlimit(kind) for kind in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_CORE)]
        raw = b"From: a@b\\n\\n" + repr((os.getpid(), limits, sorted(os.environ))).encode()
    return read_letter(raw, **asked)

worker.read_letter = misbehave
sys.exit(worker.main(*map(int, sys.argv[1:])))
"""
MISBEHAVING = (sys.executable, "-P", "-c", _MISBEHAVING)


@pytest_asyncio.fixture
async def reader() -> AsyncIterator[Reader]:
    """A reader as intake has it."""
    async with Reader() as reader:
        yield reader


@pytest_asyncio.fixture
async def misbehaving() -> AsyncIterator[Reader]:
    """A reader whose process can be told to misbehave."""
    async with Reader(command=MISBEHAVING, wall_seconds=30) as reader:
        yield reader


async def told(reader: Reader) -> tuple[int, list[tuple[int, int]], list[str]]:
    """The process' id, its limits and the names in its environment."""
    letter = await reader.read(with_text("tell"))
    assert isinstance(letter, Letter)
    answer: tuple[int, list[tuple[int, int]], list[str]] = eval(letter.text)  # noqa: S307  written by this file
    return answer


async def test_the_process_reads_as_the_function_does(reader: Reader) -> None:
    """A letter, with its attachments and what the envelope says of it, comes through the pipe as it was read."""
    binary = bytes(range(256)) * 5_000
    letter = (
        LETTER.partition(b"Content-Type")[0]
        + b"X-Opora-Instance: desk\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\ntext\n--b\n"
        b"Content-Type: application/octet-stream; name=x.bin\n\n" + binary + b"\n--b--\n"
    )
    reading = await reader.read(letter, envelope_sender="eve@example.net", instance="desk")
    assert reading == read_letter(letter, envelope_sender="eve@example.net", instance="desk")
    assert isinstance(reading, Letter)
    assert reading.automatic is not None
    assert reading.automatic.kind is Automatic.OWN
    assert reading.attachments[0].content == binary


async def test_hostile_letters_end_within_the_limits(reader: Reader) -> None:
    """The classical attacks and a hundred drawn ones, one after the other in one process: each ends as something."""
    attacks = {
        empty_parts(200_000): Reason.TOO_MANY_PARTS,
        nested_messages(3_000): Reason.TOO_DEEP,
        with_header(b"To", b"(" * 1_000_000): Reason.HEADER_TOO_LONG,
        with_header(b"Subject", b"\r\n ".join([b"=?utf-8?b?0YI=?="] * 20_000)): Reason.HEADER_TOO_LONG,
        with_text("x" * MOST_LETTER_BYTES): Reason.TOO_LARGE,
    }
    for raw, reason in attacks.items():
        assert await reader.read(raw) == Unreadable(reason)
    for raw in (with_header(b"To", b"(" * 8_000), with_html("<div>" * 100_000), with_text("On 1.1.2026 x\n" * 20_000)):
        assert isinstance(await reader.read(raw), Letter)
    for raw in hostile_letters(100):
        assert await reader.read(raw) == read_letter(raw)


async def test_a_letter_that_eats_the_processor_is_given_up() -> None:
    """After its seconds of a processor the kernel ends the process; the letter is unreadable, the next one is read."""
    async with Reader(command=(*MISBEHAVING, "1"), wall_seconds=60) as reader:
        assert await reader.read(with_text("eat the processor")) == Unreadable(Reason.TOO_SLOW)
        assert isinstance(await reader.read(LETTER), Letter)


async def test_a_letter_that_eats_memory_is_given_up(misbehaving: Reader) -> None:
    """Beyond 512 MB nothing is given; the letter is unreadable, and a new process reads the next one."""
    first = (await told(misbehaving))[0]
    assert await misbehaving.read(with_text("eat memory")) == Unreadable(Reason.TOO_MUCH_MEMORY)
    assert (await told(misbehaving))[0] != first


async def test_a_letter_that_hangs_is_given_up() -> None:
    """When the time is over the process is killed, though it uses no processor."""
    async with Reader(command=MISBEHAVING, wall_seconds=0.5) as reader:
        assert await reader.read(with_text("sleep")) == Unreadable(Reason.TOO_SLOW)


async def test_a_letter_that_breaks_the_process_is_given_up_after_a_second_try(misbehaving: Reader) -> None:
    """A crash may have another reason once; a fault of ours is told by type and place, without the letter's words."""
    assert await misbehaving.read(with_text("crash")) == Unreadable(Reason.READER_BROKE)
    assert await misbehaving.read(with_text("lie")) == Unreadable(Reason.READER_BROKE)
    fault = await misbehaving.read(with_text("raise"))
    assert isinstance(fault, Unreadable)
    assert fault.reason is Reason.READER_BROKE
    assert fault.detail.startswith("LookupError in misbehave, line ")
    assert "secret" not in str(fault)
    assert isinstance(await misbehaving.read(LETTER), Letter)


async def test_a_process_that_was_killed_costs_no_letter(misbehaving: Reader) -> None:
    """Who is killed between two letters, or by an operator, is replaced."""
    os.kill((await told(misbehaving))[0], signal.SIGKILL)
    assert isinstance(await misbehaving.read(LETTER), Letter)


async def test_the_process_is_confined(misbehaving: Reader, tmp_path: Path) -> None:
    """512 MB, 5 s of a processor for each letter, no core, no file to write, none of intake's secrets."""
    _, ((memory, hardest), (seconds, _), (core, _)), names = await told(misbehaving)
    assert (memory, hardest, core) == (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES, 0)
    assert MOST_CPU_SECONDS < seconds <= MOST_CPU_SECONDS + 5
    assert set(names) <= {"PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "PYTHONDONTWRITEBYTECODE", "LC_CTYPE"}
    fault = await misbehaving.read(with_text(f"open {tmp_path / 'file'}"))
    assert isinstance(fault, Unreadable)
    assert fault.detail.startswith("OSError")
    assert (tmp_path / "file").read_bytes() == b""


async def test_a_process_reads_so_many_letters_and_no_more() -> None:
    """One process reads several letters; after the given number another takes over."""
    async with Reader(command=MISBEHAVING, letters_per_process=2) as reader:
        first, second, third = [(await told(reader))[0] for _ in range(3)]
    assert first == second != third


async def test_letters_are_read_in_turn(reader: Reader) -> None:
    """Letters that come at the same time get each its own answer."""
    letters = [with_text(f"letter {number}") for number in range(20)]
    readings = await asyncio.gather(*map(reader.read, letters))
    assert [reading.text for reading in readings if isinstance(reading, Letter)] == [f"letter {n}" for n in range(20)]


async def test_who_gives_up_waiting_leaves_nothing_behind(misbehaving: Reader) -> None:
    """A cancelled reading ends its process, and its answer reaches nobody else."""
    first = (await told(misbehaving))[0]
    waiting = asyncio.create_task(misbehaving.read(with_text("sleep")))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    letter = await misbehaving.read(LETTER)
    assert isinstance(letter, Letter)
    assert letter.text == "hello"
    assert (await told(misbehaving))[0] != first


async def test_a_reader_that_cannot_start_is_no_fault_of_the_letter() -> None:
    """Without a process the letter is not quarantined: the error is another one, and can pass."""
    async with Reader(command=(sys.executable, "-c", "raise SystemExit(7)")) as reader:
        with pytest.raises(ReaderUnavailable, match="exit code 7"):
            await reader.read(LETTER)
    async with Reader(command=("/no/such/program",)) as reader:
        with pytest.raises(ReaderUnavailable):
            await reader.read(LETTER)


async def test_the_worker_loads_little() -> None:
    """What the process brings with it is small: no database, no broker, no web server."""
    program = "import sys, opora_intake.mail.worker; print(*sys.modules)"
    loading = await asyncio.create_subprocess_exec(sys.executable, "-P", "-c", program, stdout=asyncio.subprocess.PIPE)
    loaded = set((await loading.communicate())[0].decode().split())
    unwanted = {
        "asyncio",
        "asyncpg",
        "aiokafka",
        "fastapi",
        "pydantic",
        "structlog",
        "opora_chassis",
        "opora_contracts",
    }
    assert "nh3" in loaded
    assert not loaded & unwanted
