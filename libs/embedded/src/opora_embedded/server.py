"""What Kafka and PostgreSQL have in common as child processes: data directory, port, start, stop, log."""

import contextlib
import shutil
import tempfile
import time
import weakref
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from opora_embedded.errors import DirectoryInUseError, ServerNotRunningError, ServerStartError
from opora_embedded.guarded import DirectoryLockedError, GuardedProcess, Order, ProgramStartError
from opora_embedded.ports import find_free_port, is_free

_TAIL_LINES = 30
_LOG_KEPT_BYTES = 10_000_000
_POLL_SECONDS = 0.05
_PORT_TAKEN = ("address already in use", "address in use")


class EmbeddedServer(ABC):
    """A server that is a child of this process and ends with it, however this process ends.

    Without `data_directory` the data lives in a temporary directory that is removed by `close()`, by leaving the
    `with` block, or when this process ends. With it, data is kept, and so is the port while it stays free.
    Listens on 127.0.0.1 only. Not safe for use by several threads at once.
    """

    name: ClassVar[str]

    def __init__(self, data_directory: Path | None = None, port: int | None = None) -> None:
        self.temporary = data_directory is None
        self.data_directory = Path(tempfile.mkdtemp(prefix="opora-")) if data_directory is None else data_directory
        self.data_directory = self.data_directory.resolve()
        self._port: int | None = port
        self._had_port = False
        self._process: GuardedProcess | None = None
        if self.temporary:
            # At the interpreter's end the server's guard removes the directory, if the server is still running.
            weakref.finalize(self, _remove_unless_locked, self.data_directory)

    @property
    def log_path(self) -> Path:
        """The server's own log, appended to at every start."""
        return self.data_directory / f"{self.name}.log"

    @property
    def port(self) -> int:
        """The port it listens on; fixed from the first successful start. Raises ServerNotRunningError before that."""
        if self._port is None:
            raise ServerNotRunningError(self.name)
        return self._port

    @property
    def running(self) -> bool:
        """Whether the server's process is alive."""
        return self._process is not None and self._process.running

    @property
    def pid(self) -> int:
        """Process id of the running server. Raises ServerNotRunningError."""
        if self._process is None or not self._process.running:
            raise ServerNotRunningError(self.name)
        return self._process.pid

    def start(self, deadline_seconds: float = 120) -> None:
        """Start and return when the server answers; does nothing when it is running.

        After `stop` or `kill` it comes back with the same port and data. A port that another process takes in the last
        moment is replaced (first start) or waited for (later starts).
        Raises ServerStartError with the tail of the log, DirectoryInUseError when another server has the directory.
        """
        if self.running:
            return
        self.kill()  # what is left of one that ended by itself
        deadline = time.monotonic() + deadline_seconds
        self.data_directory.mkdir(parents=True, exist_ok=True)
        if self.log_path.exists() and self.log_path.stat().st_size > _LOG_KEPT_BYTES:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        self._prepare(deadline)
        while not self._attempt(deadline):
            time.sleep(_POLL_SECONDS)
        (self.data_directory / "port").write_text(f"{self.port}\n")

    def stop(self, deadline_seconds: float = 20) -> None:
        """Stop gently, with SIGKILL at the deadline; returns when no process of it is left. Data stays."""
        if self._process is not None:
            self._process.stop(deadline_seconds)
            self._process = None

    def kill(self) -> None:
        """SIGKILL the server and all its processes, as a power cut would; returns when none is left. Data stays."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def close(self) -> None:
        """Stop, and remove the data directory when it is a temporary one."""
        self.stop()
        if self.temporary:
            shutil.rmtree(self.data_directory, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def _prepare(self, deadline: float) -> None:
        """Bring the data directory into the state that the server starts from."""

    @abstractmethod
    def _order(self, port: int, deadline: float) -> Order:
        """What to run so that the server listens on `port`."""

    @abstractmethod
    def _answers(self, port: int) -> bool:
        """Whether our own server, not a stranger on the same port, serves requests."""

    def _run_once(self, order: Order, purpose: str, deadline: float) -> None:
        """Run a program of the server's to its end, e.g. the one that formats the data directory."""
        log_start = self._log_size()
        process = self._launch(order, log_start)
        if not process.wait(max(0.0, deadline - time.monotonic())):
            process.kill()
            raise self._not_started(f"{purpose} did not end before the deadline", log_start)
        if process.exit_code != 0:
            raise self._not_started(f"{purpose} ended with exit code {process.exit_code}", log_start)

    def _attempt(self, deadline: float) -> bool:
        """One start; False when the port was taken by another process and it is worth trying again."""
        port = self._port or self._remembered_port() or find_free_port()
        log_start = self._log_size()
        process = self._launch(self._order(port, deadline), log_start)
        while process.running and time.monotonic() < deadline:
            if self._answers(port):
                self._process, self._port, self._had_port = process, port, True
                return True
            time.sleep(_POLL_SECONDS)
        ended = not process.running
        process.kill()
        if ended and time.monotonic() < deadline and self._worth_another_try(self._log_since(log_start), port):
            return False
        reason = f"it ended with exit code {process.exit_code}" if ended else "it did not answer before the deadline"
        raise self._not_started(f"{reason} (port {port})", log_start)

    def _worth_another_try(self, log: str, port: int) -> bool:
        if not any(message in log.lower() for message in _PORT_TAKEN):
            return False
        # A port that the caller asked for, and that we never had, will not become free by waiting.
        return self._port is None or self._had_port or is_free(port)

    def _launch(self, order: Order, log_start: int) -> GuardedProcess:
        try:
            return GuardedProcess(order)
        except DirectoryLockedError:
            raise DirectoryInUseError(self.name, self.data_directory) from None
        except ProgramStartError as error:
            raise self._not_started(str(error), log_start) from error

    def _remembered_port(self) -> int | None:
        with contextlib.suppress(FileNotFoundError, ValueError):
            port = int((self.data_directory / "port").read_text())
            if is_free(port):
                return port
        return None

    def _log_size(self) -> int:
        return self.log_path.stat().st_size if self.log_path.exists() else 0

    def _log_since(self, position: int) -> str:
        if not self.log_path.exists():
            return ""
        with self.log_path.open("rb") as log:
            log.seek(position)
            return log.read().decode(errors="replace")

    def _not_started(self, reason: str, log_start: int) -> ServerStartError:
        tail = "\n".join(self._log_since(log_start).splitlines()[-_TAIL_LINES:])
        return ServerStartError(self.name, reason, self.log_path, tail)


def _remove_unless_locked(directory: Path) -> None:
    import fcntl

    with contextlib.suppress(OSError):
        with (directory / ".lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(directory, ignore_errors=True)
