"""PostgreSQL as a child process."""

import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import asyncpg
import psutil
import pytest

from opora_embedded import DirectoryInUseError, Postgres, ServerStartError, store

RunOwner = Callable[[str], tuple[subprocess.Popen[str], list[str]]]
FindFamily = Callable[[int], list[psutil.Process]]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="PostgreSQL changes its account only when started by root")


async def fetch(dsn: str, query: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_data_and_port_survive_stop_and_kill(tmp_path: Path) -> None:
    """What was committed is there after a stop, after a SIGKILL and for a later owner of the directory, on one port."""
    server = Postgres(tmp_path / "data")
    server.start()
    port = server.port
    dsn = server.create_database("kept")
    await fetch(dsn, "CREATE TABLE note (id int)")
    await fetch(dsn, "INSERT INTO note VALUES (1)")
    server.stop()
    assert not server.running
    server.start()
    await fetch(dsn, "INSERT INTO note VALUES (2)")
    server.kill()
    with pytest.raises(OSError, match=r".*"):
        await fetch(dsn, "SELECT 1")
    server.start()
    assert await fetch(dsn, "SELECT count(*) FROM note") == 2
    server.stop()
    with Postgres(tmp_path / "data") as later:
        assert later.port == port
        assert await fetch(later.dsn("kept"), "SELECT count(*) FROM note") == 2


async def test_it_has_the_settings_that_the_services_count_on() -> None:
    """Durable, loopback only, UTC, 300 connections, case mapping that knows Cyrillic."""
    with Postgres() as server:
        settings = {name: await fetch(server.dsn(), f"SHOW {name}") for name in SETTINGS}
        assert settings == SETTINGS
        assert await fetch(server.dsn(), "SELECT lower('ЗАЯВКА')") == "заявка"
        assert server.temporary
    assert not server.data_directory.exists()


SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "300",
    "shared_buffers": "128MB",
    "TimeZone": "UTC",
    "server_encoding": "UTF8",
}


async def test_the_superuser_needs_the_password_of_the_private_file(tmp_path: Path) -> None:
    """The random password is stored readable by its owner only, and a wrong one is refused."""
    with Postgres(tmp_path / "data") as server:
        password_file = tmp_path / "data" / "superuser-password"
        assert stat.S_IMODE(password_file.stat().st_mode) == 0o600
        wrong = server.dsn().replace(password_file.read_text(), "guess")
        with pytest.raises(asyncpg.InvalidPasswordError):
            await fetch(wrong, "SELECT 1")


def test_two_at_once_get_different_ports() -> None:
    """Two servers of one machine never share a port."""
    with Postgres() as one, Postgres() as other:
        assert one.port != other.port


def test_a_second_server_on_the_same_directory_is_refused(tmp_path: Path) -> None:
    """Starting on a directory whose server runs fails at the deadline and names the directory."""
    with Postgres(tmp_path / "data"), pytest.raises(DirectoryInUseError, match=str(tmp_path / "data")):
        Postgres(tmp_path / "data").start(deadline_seconds=0.5)


def test_a_failed_start_shows_the_end_of_the_log_and_its_path(tmp_path: Path) -> None:
    """A server that cannot start tells its own last words and where the whole log is."""
    server = Postgres(tmp_path / "data")
    server.start()
    server.stop()
    (server.cluster_directory / "PG_VERSION").write_text("9\n")
    with pytest.raises(ServerStartError, match="incompatible with server") as failed:
        server.start()
    assert str(server.log_path) in str(failed.value)


def test_a_stale_pid_file_of_a_foreign_process_does_not_matter(tmp_path: Path) -> None:
    """After a crash, a postmaster.pid whose number belongs to another program by now is ignored."""
    server = Postgres(tmp_path / "data")
    server.start()
    pid_file = server.cluster_directory / "postmaster.pid"
    _, *rest = pid_file.read_text().splitlines()
    server.kill()
    stranger = psutil.Process(os.getpid()).ppid()
    pid_file.write_text("\n".join([str(stranger), *rest]))
    server.start()
    server.stop()


def test_database_names_are_checked() -> None:
    """A name that is not a plain identifier is refused before anything is sent."""
    with pytest.raises(ValueError, match="not a database name"):
        store.create_database("postgresql://127.0.0.1:9/", 'x"; DROP DATABASE y')


async def test_creating_a_database_again_keeps_it() -> None:
    """Creating a database that exists changes nothing, dropping one that is gone neither."""
    with Postgres() as server:
        dsn = server.create_database("again")
        await fetch(dsn, "CREATE TABLE kept (id int)")
        assert server.create_database("again") == dsn
        assert await fetch(dsn, "SELECT count(*) FROM kept") == 0
        server.drop_database("again")
        server.drop_database("again")


@as_root
async def test_as_root_it_runs_under_a_named_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no user namespace can be had, root's server runs as an ordinary account, on the same data, and back."""
    with Postgres(tmp_path / "data") as server:
        dsn = server.create_database("handed_over")
    monkeypatch.setenv("OPORA_POSTGRES_ACCOUNT", "nobody")
    with Postgres(tmp_path / "data") as server:
        assert psutil.Process(server.pid).username() == "nobody"
        assert await fetch(dsn, "SELECT 1") == 1
    monkeypatch.delenv("OPORA_POSTGRES_ACCOUNT")
    with Postgres(tmp_path / "data"):
        assert await fetch(dsn, "SELECT 1") == 1


def test_no_process_outlives_a_killed_owner(tmp_path: Path, owner: RunOwner, family: FindFamily) -> None:
    """A kill -9 of the owner ends the server, its backends and the guard; the data can be used at once."""
    process, words = owner(OWNER.format(directory=tmp_path / "data"))
    members = family(int(words[0]))
    assert len(members) > 3
    process.kill()
    _, alive = psutil.wait_procs(members, timeout=60)
    assert alive == []
    with Postgres(tmp_path / "data"):
        pass


def test_no_process_outlives_a_killed_guard(family: FindFamily) -> None:
    """A kill -9 of the guard ends the server and its backends too, and the owner can start it again."""
    with Postgres() as server:
        guard, *others = family(server.pid)
        guard.kill()
        _, alive = psutil.wait_procs(others, timeout=60)
        assert alive == []
        server.start()


def test_the_temporary_directory_of_a_killed_owner_is_removed(owner: RunOwner) -> None:
    """The guard removes the temporary data of an owner that cannot do it any more."""
    process, words = owner(TEMPORARY_OWNER)
    guard = psutil.Process(int(words[0])).parent()
    assert guard is not None
    assert Path(words[1]).exists()
    process.kill()
    guard.wait(20)
    assert not Path(words[1]).exists()


OWNER = """
import pathlib, threading
from opora_embedded import Postgres
server = Postgres(pathlib.Path("{directory}"))
server.start()
print(server.pid, flush=True)
threading.Event().wait()
"""

TEMPORARY_OWNER = """
import threading
from opora_embedded import Postgres
server = Postgres()
server.start()
print(server.pid, server.data_directory, flush=True)
threading.Event().wait()
"""
