"""The owner's side of the guard: start a program that cannot outlive this process, stop it, kill it."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from opora_embedded import guard
from opora_embedded.account import Account

_GUARD_START_SECONDS = 10.0
_GUARD_END_SECONDS = 5.0


class DirectoryLockedError(Exception):
    """Another guard holds the lock of the data directory."""


class ProgramStartError(Exception):
    """The program could not even be executed; the message says why."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to run and how to end it."""

    command: tuple[str, ...]
    log_path: Path
    lock_path: Path
    environment: dict[str, str]
    stop_signal: signal.Signals
    death_signal: signal.Signals
    working_directory: Path = Path("/")
    account: Account | None = None
    lock_deadline_seconds: float = 0.0
    stop_grace_seconds: float = 15.0
    remove_directory: Path | None = None


class GuardedProcess:
    """One program under a guard of its own. Not safe for use by several threads at once.

    The program leads its own process group, so a Ctrl-C in the terminal does not reach it.
    Raises DirectoryLockedError when the lock is held past `lock_deadline_seconds`, ProgramStartError when it does not
    run.
    """

    def __init__(self, order: Order) -> None:
        self._answers = b""
        self._exit_code: int | None = None
        with order.log_path.open("ab") as log:
            self._guard = subprocess.Popen(  # noqa: S603 - our own script
                [sys.executable, "-I", "-S", guard.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._tell(json.dumps({**asdict(order), "account": order.account and asdict(order.account)}, default=str))
        answer = self._next_answer(order.lock_deadline_seconds + _GUARD_START_SECONDS)
        if answer is None or "pid" not in answer:
            self._release()
            if answer and "in_use" in answer:
                raise DirectoryLockedError
            raise ProgramStartError(answer["failed"] if answer else "its guard did not answer")
        self.pid = int(answer["pid"])
        try:
            self._created_at: float | None = psutil.Process(self.pid).create_time()
        except psutil.NoSuchProcess:
            self._created_at = None

    @property
    def running(self) -> bool:
        """Whether the program is still running, as its guard sees it."""
        return self._guard.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The program's exit code (negative: the signal that ended it); None while it runs or when nobody knows."""
        return self._exit_code

    def stop(self, grace_seconds: float) -> None:
        """Send the stop signal, SIGKILL after the grace; returns when nothing of the program is left."""
        self._end(f"stop {grace_seconds}", grace_seconds)

    def kill(self) -> None:
        """SIGKILL the program and every descendant; returns when nothing of it is left."""
        self._end("kill", 0.0)

    def wait(self, timeout_seconds: float) -> bool:
        """Wait for the program to end by itself; True when it did within the time."""
        try:
            self._guard.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            return False
        self._collect()
        return True

    def _end(self, command: str, grace_seconds: float) -> None:
        if self.running:
            self._tell(command)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._guard.wait(grace_seconds + _GUARD_END_SECONDS)
        self._collect()

    def _tell(self, line: str) -> None:
        # A guard that ended meanwhile needs no order.
        with contextlib.suppress(BrokenPipeError):
            os.write(self._input, line.encode() + b"\n")

    @property
    def _input(self) -> int:
        if self._guard.stdin is None:
            raise BrokenPipeError
        return self._guard.stdin.fileno()

    def _next_answer(self, timeout_seconds: float) -> dict[str, Any] | None:
        if self._guard.stdout is None:
            return None
        deadline = time.monotonic() + timeout_seconds
        while b"\n" not in self._answers:
            ready, _, _ = select.select([self._guard.stdout], [], [], max(0.0, deadline - time.monotonic()))
            received = os.read(self._guard.stdout.fileno(), 4096) if ready else b""
            if not received:
                return None
            self._answers += received
        line, _, self._answers = self._answers.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _collect(self) -> None:
        """Read the last answer; when the guard was killed, end what the kernel's death signal may have missed."""
        if self._guard.stdout is None or self._guard.stdout.closed:
            return
        answer = self._next_answer(0.0) if self._guard.poll() is not None else None
        if answer is not None:
            self._exit_code = answer["exit_code"]
        elif self._created_at is not None:
            _kill_tree(self.pid, self._created_at)
        self._release()

    def _release(self) -> None:
        if self._guard.poll() is None:
            self._guard.kill()
        self._guard.wait()
        for pipe in (self._guard.stdin, self._guard.stdout):
            if pipe is not None:
                pipe.close()


def _kill_tree(pid: int, created_at: float) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        if process.create_time() != created_at:
            return  # the number belongs to somebody else by now
        processes = [process, *process.children(recursive=True)]
        for each in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(processes, timeout=_GUARD_END_SECONDS)
