"""Where the parts of a running platform are: the file `endpoints.json`, and the lock that says that it runs."""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import IO

from pydantic import BaseModel, ConfigDict, ValidationError

from opora_cli.errors import UNUSABLE_INPUT, CommandError, NotRunningError, StillStartingError

DEFAULT_DIRECTORY = Path(os.environ.get("OPORA_DIRECTORY", ".opora"))


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class ProcessEndpoint(_Part):
    """One process of one service."""

    name: str
    """Also the name of its log: `<name>.log`."""
    roles: tuple[str, ...]
    url: str
    """Health and metrics; of the process with role `serve`, the API as well."""


class ServiceEndpoint(_Part):
    """One service."""

    url: str
    """The API."""
    database_dsn: str
    """With the password: the file is readable by its owner only."""
    processes: tuple[ProcessEndpoint, ...]


class Endpoints(_Part):
    """Everything that a client of the platform needs to know."""

    supervisor_pid: int | None = None
    """The `opora up` that runs it; None for a platform that something else runs, such as containers."""
    kafka_bootstrap: str
    kafka_pid: int | None = None
    postgres_pid: int | None = None
    services: dict[str, ServiceEndpoint]
    api_key_file: Path | None = None
    """Holds an API key with every scope, valid at every service; without it the key is in OPORA_API_KEY."""
    smtp: str
    """Where notify hands its mail over, HOST:PORT."""
    mail_directory: Path | None = None
    """Where mail can be looked at, when it goes to the local sink."""
    log_directory: Path | None = None
    """A log a process, where `opora up` writes them."""

    @property
    def api_key(self) -> str:
        """The key with every scope. Raises CommandError where none is known."""
        if self.api_key_file is not None:
            return self.api_key_file.read_text().strip()
        key = os.environ.get("OPORA_API_KEY")
        if not key:
            raise CommandError("no API key is known: set OPORA_API_KEY", exit_code=UNUSABLE_INPUT)
        return key


def endpoints_path(directory: Path) -> Path:
    """The file's place in a platform's directory."""
    return directory / "endpoints.json"


def write_endpoints(directory: Path, endpoints: Endpoints) -> None:
    """Write the file at once and whole, readable by its owner only."""
    write_private(endpoints_path(directory), endpoints.model_dump_json(indent=2) + "\n")


def read_endpoints(directory: Path) -> Endpoints:
    """The endpoints of the platform that runs in this directory, or that is described without a supervisor.

    The description is the text of OPORA_ENDPOINTS, where that is set, or the file in the directory.
    Raises NotRunningError or StillStartingError; CommandError for a text that is not a description.
    """
    text = os.environ.get("OPORA_ENDPOINTS")
    if text:
        return _endpoints_of_environment(text)
    described = described_endpoints(directory)
    if described is not None and described.supervisor_pid is None:
        return described
    pid = running_supervisor(directory)
    if pid is None:
        raise NotRunningError(directory)
    if described is not None and described.supervisor_pid == pid:
        return described
    raise StillStartingError(directory)


def described_endpoints(directory: Path) -> Endpoints | None:
    """What the file says, whether or not it still holds; None without a file, or with one of another version."""
    with contextlib.suppress(OSError, ValueError):
        return Endpoints.model_validate_json(endpoints_path(directory).read_text())
    return None


def _endpoints_of_environment(text: str) -> Endpoints:
    try:
        return Endpoints.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in problem["loc"]) or "the text"
        raise CommandError(f"OPORA_ENDPOINTS: {place}: {problem['msg']}", exit_code=UNUSABLE_INPUT) from None


def write_private(path: Path, text: str) -> None:
    """Replace the file by one that only its owner can read, at once and whole."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)


def lock_directory(directory: Path) -> IO[str] | None:
    """Take the directory for as long as the answer stays open; None when another platform has it."""
    directory.mkdir(parents=True, exist_ok=True)
    # Not inherited by children, so that it ends with this process and no other.
    lock = (directory / "lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def running_supervisor(directory: Path) -> int | None:
    """The process id of the platform that runs in this directory, ready or not; None when none does."""
    with contextlib.suppress(FileNotFoundError, ValueError), (directory / "lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(lock.read())
    return None
