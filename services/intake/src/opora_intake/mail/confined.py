"""Letters read in a process that may fail: a letter can end that process, not intake."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeVar

from opora_intake.mail.letter import Reading, Unreadable
from opora_intake.mail.limits import MOST_LETTER_BYTES, MOST_WALL_SECONDS, Reason
from opora_intake.mail.wire import PREFIX, BrokenFrame, frame, frame_lengths, reading_of, signed_of

_Answer = TypeVar("_Answer")
_LETTERS_PER_PROCESS = 200
"""Then a new process takes over, so that no letter leaves anything to more than so many others."""

_START_SECONDS = 30.0
_EXIT_SECONDS = 2.0
_WORKER = (sys.executable, "-P", "-m", "opora_intake.mail.worker")
_PASSED_ON = ("PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "PYTHONDONTWRITEBYTECODE")


class ReaderUnavailable(Exception):  # noqa: N818  the state of the reader; says nothing of the letter
    """No process could be started that reads letters: the letter was not looked at, and can be read later."""


class Reader:
    """Reads letters one at a time in a confined process; use it as `async with Reader() as reader`.

    Each letter gets 5 s of a processor, 512 MB of memory and 10 s in all. Whatever it does, `read` answers: what
    breaks the process or takes too long is Unreadable, and the next letter finds a new process. Cancelling `read` ends
    the process too. Letters wait for each other in the order of their calls; who wants several at a time takes several
    readers.
    """

    def __init__(
        self,
        *,
        wall_seconds: float = MOST_WALL_SECONDS,
        letters_per_process: int = _LETTERS_PER_PROCESS,
        command: tuple[str, ...] = _WORKER,
    ) -> None:
        self._wall_seconds = wall_seconds
        self._letters_per_process = letters_per_process
        self._command = command
        self._turn = asyncio.Lock()
        self._process: Process | None = None
        self._read = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process; a letter that is being read is waited for."""
        async with self._turn:
            await self._end()

    async def read(self, raw: bytes, *, envelope_sender: str | None = None, instance: str | None = None) -> Reading:
        """What the letter is; parameters as of `reading.read_letter`.

        Raises ReaderUnavailable, which is transient, when no process starts; never because of the letter. A process
        that was killed by something else than its limits is replaced once for the same letter, because the letter need
        not be the reason.
        """
        if len(raw) > MOST_LETTER_BYTES:
            return Unreadable(Reason.TOO_LARGE)
        asked = frame({"envelope_sender": envelope_sender, "instance": instance}, raw)
        return await self._asked(asked, reading_of)

    async def signed_by(self, raw: bytes, keys: Mapping[str, str]) -> tuple[str, ...]:
        """Of which domains a signature of the letter is true; parameters as of `signatures.signed_by`.

        None's where finding out breaks the process or takes too long: as with `read`, and raises as it does.
        """
        answer = await self._asked(frame({"keys": dict(keys)}, raw), signed_of)
        return answer if isinstance(answer, tuple) else ()

    async def _asked(self, asked: bytes, understood: Callable[[bytes, bytes], _Answer]) -> _Answer | Unreadable:
        async with self._turn:
            answer = await self._ask(asked, understood)
            if answer == Unreadable(Reason.READER_BROKE):
                answer = await self._ask(asked, understood)
        return answer

    async def _ask(self, asked: bytes, understood: Callable[[bytes, bytes], _Answer]) -> _Answer | Unreadable:
        process = await self._started()
        reading: _Answer | Unreadable | None = None
        try:
            async with asyncio.timeout(self._wall_seconds):
                reading = understood(*await _answer(process, asked))
        except TimeoutError:
            reading = Unreadable(Reason.TOO_SLOW)
            await self._end()
        except (OSError, asyncio.IncompleteReadError, BrokenFrame):
            code = await self._end(_EXIT_SECONDS)
            return Unreadable(Reason.TOO_SLOW if code == -signal.SIGXCPU else Reason.READER_BROKE)
        finally:
            if reading is None:
                await self._end()
        self._read += 1
        if self._read >= self._letters_per_process or _is_of_the_process(reading):
            await self._end()
        return reading

    async def _started(self) -> Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        await self._end()
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=PIPE, stdout=PIPE, env=environment, start_new_session=True
            )
            async with asyncio.timeout(_START_SECONDS):
                await _frame(self._process)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, BrokenFrame) as error:
            code = await self._end(_EXIT_SECONDS)
            raise ReaderUnavailable(f"the process that reads letters did not start (exit code {code})") from error
        return self._process

    async def _end(self, wait_seconds: float = 0.0) -> int | None:
        """End the process, if there is one, and return its exit code, once nothing of it is left.

        It is killed when it has not ended by itself within so many seconds: one that closed its output is ending, and
        its own exit code tells why.
        """
        process, self._process, self._read = self._process, None, 0
        if process is None or process.stdin is None or process.stdout is None:
            return None
        process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_seconds):
                await process.wait()
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        while await process.stdout.read(65536):
            pass
        return await process.wait()


async def _answer(process: Process, asked: bytes) -> tuple[bytes, bytes]:
    assert process.stdin is not None  # noqa: S101  it was started with a pipe
    process.stdin.write(asked)
    await process.stdin.drain()
    return await _frame(process)


async def _frame(process: Process) -> tuple[bytes, bytes]:
    assert process.stdout is not None  # noqa: S101  (same)
    document, content = frame_lengths(await process.stdout.readexactly(PREFIX.size))
    return await process.stdout.readexactly(document), await process.stdout.readexactly(content)


def _is_of_the_process(reading: object) -> bool:
    """Whether the reading says more about the process than about the letter: then it reads no other."""
    return isinstance(reading, Unreadable) and reading.reason in (Reason.TOO_MUCH_MEMORY, Reason.READER_BROKE)
