"""The databases' way out and back: pg_dump of a snapshot, pg_restore into an empty database."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from opora_cli.backup import store
from opora_cli.backup.manifest import BackedUpDatabase, Manifest
from opora_cli.backup.programs import find_program, run_program


async def server_major_of(dsns: Mapping[str, str]) -> int:
    """The newest major version among the servers that hold the databases."""
    majors = []
    for dsn in dsns.values():
        connection = await store.connect(dsn)
        try:
            majors.append(await store.server_major(connection))
        finally:
            await connection.close()
    return max(majors)


def file_of(service: str) -> str:
    """The file of a service's database, below the backup's directory."""
    return f"databases/{service}.dump"


async def dump_databases(
    dsns: Mapping[str, str], snapshots: Mapping[str, str], major: int, directory: Path
) -> dict[str, BackedUpDatabase]:
    """Dump each database as its snapshot shows it, all at once. Raises CommandError with what pg_dump said."""
    program = await find_program("pg_dump", major)
    (directory / "databases").mkdir(mode=0o700, exist_ok=True)

    async def dump(service: str) -> BackedUpDatabase:
        arguments = (
            "--format=custom",
            "--compress=gzip:1",
            "--no-owner",
            "--no-privileges",
            "--lock-wait-timeout=60000",
            f"--snapshot={snapshots[service]}",
            f"--file={directory / file_of(service)}",
        )
        await run_program(program, arguments, dsns[service])
        connection = await store.connect(dsns[service])
        try:
            return BackedUpDatabase(file=file_of(service), migrations=await store.applied_migrations(connection))
        finally:
            await connection.close()

    described = await asyncio.gather(*(dump(service) for service in dsns))
    return dict(zip(dsns, described, strict=True))


async def restore_databases(dsns: Mapping[str, str], manifest: Manifest, directory: Path) -> None:
    """Fill each of these databases, whatever schema it has, from the backup; each in one transaction.

    Raises CommandError with what pg_restore said.
    """
    program = await find_program("pg_restore", await server_major_of(dsns))

    async def fill(service: str, dsn: str) -> None:
        connection = await store.connect(dsn)
        try:
            await store.drop_everything(connection)
        finally:
            await connection.close()
        arguments = ("--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction")
        path = directory / manifest.databases[service].file
        await run_program(program, (*arguments, str(path)), dsn)

    await asyncio.gather(*(fill(service, dsn) for service, dsn in dsns.items()))
