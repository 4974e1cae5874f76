"""The few SQL statements that an embedded PostgreSQL server itself needs."""

import asyncio
import re
import threading
from collections.abc import Coroutine
from typing import Any

import asyncpg

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_CONNECT_SECONDS = 5.0


def answers(dsn: str) -> bool:
    """Whether a server accepts this very user and password and serves queries."""
    try:
        _run(_execute(dsn, "SELECT 1"))
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    return True


def create_database(dsn: str, name: str) -> None:
    """Create the database unless it exists. Raises ValueError for a name that is not a plain lower-case identifier."""
    _check(name)
    try:
        _run(_execute(dsn, f'CREATE DATABASE "{name}"'))
    except asyncpg.DuplicateDatabaseError:
        return


def drop_database(dsn: str, name: str) -> None:
    """Drop the database, if it exists, and cut off whoever is connected to it."""
    _check(name)
    _run(_execute(dsn, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))


def _check(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"not a database name: {name!r} (lower-case letters, digits and _, at most 63)")


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=_CONNECT_SECONDS)
    try:
        await connection.execute(statement)
    finally:
        await connection.close(timeout=_CONNECT_SECONDS)


def _run(coroutine: Coroutine[Any, Any, None]) -> None:
    # A thread of its own, because the caller's thread may be running an event loop.
    failures: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(coroutine)
        except BaseException as error:  # noqa: BLE001 - handed to the caller below
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
