"""The guard: a small process that is the parent of one server and sees to it that nothing outlives its purpose.

Run as a script, `python guard.py`, with a pipe as standard input whose other end is held by the process that wants the
server (the owner). It uses the standard library only, and one thread only: Linux ties the death signal to the thread.

Guaranteed on Linux: when the owner ends in whatever way, the server and all its descendants end (gently, then with
SIGKILL); when the guard itself is killed, the kernel signals the server. Elsewhere the second part is missing.

Line 1 of the input is the order (JSON, see `guarded.Order`); then come `stop SECONDS` and `kill`. The end of the input
means that the owner is gone. Answers are JSON lines: {"in_use"}, {"failed"}, {"pid"}, then {"exit_code"}.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

_LINUX = sys.platform == "linux"
_SET_DEATH_SIGNAL = 1  # prctl numbers of Linux
_SET_CHILD_SUBREAPER = 36
_NEW_USER_NAMESPACE = 0x10000000
_LOOK_AROUND_SECONDS = 1.0


def enter_user_namespace(user_id: int, group_id: int) -> None:
    """As root: go on as `user_id` inside a user namespace in which it stands for root; access to files stays root's."""
    if ctypes.CDLL(None, use_errno=True).unshare(_NEW_USER_NAMESPACE):
        code = ctypes.get_errno()
        raise OSError(code, f"unshare(CLONE_NEWUSER): {os.strerror(code)}")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user_id} 0 1")
    Path("/proc/self/gid_map").write_text(f"{group_id} 0 1")


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")


def _become_server(order: dict[str, Any], guard_process: int) -> None:
    """Runs in the child before the server's program: take the account, ask for the death signal."""
    try:
        account = order["account"]
        if account and account["namespace"]:
            enter_user_namespace(account["user_id"], account["group_id"])
        elif account:
            os.setgroups([])
            os.setgid(account["group_id"])
            os.setuid(account["user_id"])
        if _LINUX:
            # After the change of account, which clears it.
            _prctl(_SET_DEATH_SIGNAL, order["death_signal"])
        if os.getppid() != guard_process:
            os._exit(1)  # the guard was killed before the death signal was in place
    except OSError as error:
        os.write(2, f"before starting {order['command'][0]}: {error}\n".encode())
        raise


def _answer(**fields: Any) -> None:
    # The owner may be gone already; the guard's work goes on.
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(fields).encode() + b"\n")


def _read_order() -> dict[str, Any] | None:
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            return None
        line += byte
    order: dict[str, Any] = json.loads(line)
    return order


def _take_directory(lock_path: str, deadline_seconds: float) -> bool:
    """Lock the data directory for as long as this guard lives; a predecessor that is still stopping is waited for."""
    lock = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + deadline_seconds
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        else:
            return True


class Guard:
    """Watches one running server until it has ended; `run` returns when no descendant is left."""

    def __init__(self, order: dict[str, Any], owner_process: int) -> None:
        self._order = order
        self._owner_process = owner_process
        self._owner_gone = False
        self._stop_deadline: float | None = None
        self._kill_sent = False
        self._exit_code: int | None = None
        self._commands = b""
        self._wake_read, self._wake_write = socket.socketpair()
        for end in (self._wake_read, self._wake_write):
            end.settimeout(0.0)
        signal.set_wakeup_fd(self._wake_write.fileno())
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.signal(signal.SIGTERM, self._terminated)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        if _LINUX:
            # Descendants whose own parent died become ours, so that none can be overlooked.
            _prctl(_SET_CHILD_SUBREAPER, 1)
        guard_process = os.getpid()
        with Path(order["log_path"]).open("ab") as log:
            self._server = subprocess.Popen(  # noqa: S603 - the owner's own order
                order["command"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=order["environment"],
                cwd=order["working_directory"],
                process_group=0,
                preexec_fn=lambda: _become_server(order, guard_process),  # noqa: PLW1509 - one thread only
            )

    def run(self) -> None:
        """Serve the owner until the server has ended, then end what it left behind."""
        _answer(pid=self._server.pid)
        while not self._has_ended():
            self._wait_for_news()
            if not self._owner_gone and os.getppid() != self._owner_process:
                # A fork of the owner can hold the pipe open; being handed to another parent cannot be missed.
                self._owner_gone = True
            if self._owner_gone:
                self._stop(self._order["stop_grace_seconds"])
            if self._stop_deadline is not None and time.monotonic() >= self._stop_deadline:
                self._kill()
        self._end_descendants()
        _answer(exit_code=self._exit_code)
        if self._owner_gone and self._order["remove_directory"]:
            shutil.rmtree(self._order["remove_directory"], ignore_errors=True)

    def _terminated(self, _number: int, _frame: FrameType | None) -> None:
        self._stop(self._order["stop_grace_seconds"])

    def _has_ended(self) -> bool:
        with contextlib.suppress(ChildProcessError):
            while True:
                process, status = os.waitpid(-1, os.WNOHANG)
                if process == self._server.pid:
                    self._exit_code = self._server.returncode = os.waitstatus_to_exitcode(status)
                if process == 0:
                    break
        return self._exit_code is not None

    def _wait_for_news(self) -> None:
        timeout_seconds = _LOOK_AROUND_SECONDS
        if self._stop_deadline is not None and not self._kill_sent:
            timeout_seconds = min(timeout_seconds, max(0.0, self._stop_deadline - time.monotonic()))
        sources: list[Any] = [self._wake_read] if self._owner_gone else [self._wake_read, 0]
        ready, _, _ = select.select(sources, [], [], timeout_seconds)
        if self._wake_read in ready:
            with contextlib.suppress(BlockingIOError):
                self._wake_read.recv(4096)
        if 0 in ready:
            received = os.read(0, 4096)
            self._owner_gone = not received
            *lines, self._commands = (self._commands + received).split(b"\n")
            for line in lines:
                self._obey(line.decode().split())

    def _obey(self, words: list[str]) -> None:
        if words == ["kill"]:
            self._kill()
        else:
            self._stop(float(words[1]))

    def _stop(self, grace_seconds: float) -> None:
        if self._stop_deadline is None:
            self._stop_deadline = time.monotonic() + grace_seconds
            os.kill(self._server.pid, self._order["stop_signal"])

    def _kill(self) -> None:
        self._kill_sent = True
        # Not reaped yet, so the number is still the server's.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._server.pid, signal.SIGKILL)

    def _end_descendants(self) -> None:
        """SIGKILL what is left, e.g. PostgreSQL's backends, which lead process groups of their own."""
        with contextlib.suppress(ChildProcessError):
            while True:
                for process in _children_of(os.getpid()):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)
                if os.waitpid(-1, os.WNOHANG) == (0, 0):
                    time.sleep(0.01)


def _children_of(parent: int) -> list[int]:
    children = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            # The command in parentheses may itself hold blanks and parentheses; the parent follows the state.
            if int(status.read_text().rpartition(")")[2].split()[1]) == parent:
                children.append(int(status.parent.name))
    return children


def main() -> int:
    """Guard one server; `--probe UID GID` only tells by its exit code whether a user namespace can be entered."""
    if sys.argv[1:2] == ["--probe"]:
        try:
            enter_user_namespace(int(sys.argv[2]), int(sys.argv[3]))
        except OSError as error:
            sys.stderr.write(f"{error}\n")
            return 1
        return 0
    owner_process = os.getppid()
    order = _read_order()
    if order is None:
        return 0
    if not _take_directory(order["lock_path"], order["lock_deadline_seconds"]):
        _answer(in_use=True)
        return 1
    try:
        guard = Guard(order, owner_process)
    except (OSError, subprocess.SubprocessError) as error:
        _answer(failed=str(error))
        return 1
    guard.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
