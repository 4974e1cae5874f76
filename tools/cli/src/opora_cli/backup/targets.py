"""Where a backup is restored to: the directory of a platform that does not exist yet, or servers that others run."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition

from opora_cli.backup import store
from opora_cli.backup.cut import KEPT_TOPICS
from opora_cli.backup.manifest import Manifest
from opora_cli.backup.secrets import give_secrets, is_signing, read_secrets
from opora_cli.endpoints import Endpoints, described_endpoints, lock_directory, running_supervisor
from opora_cli.errors import NOT_STARTED, UNUSABLE_INPUT, AlreadyRunningError, CommandError

if TYPE_CHECKING:
    from opora_embedded import Kafka, Postgres

_ASK_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Target:
    """Empty databases and an empty broker, and nobody at work on them."""

    kafka_bootstrap: str
    dsns: dict[str, str]


class NotEmptyError(CommandError):
    """Something is there that a restore would destroy."""

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(
            f"{what}: a backup is restored into an empty platform only. {advice}", exit_code=UNUSABLE_INPUT
        )


@asynccontextmanager
async def new_directory(directory: Path, backup: Path, manifest: Manifest) -> AsyncIterator[Target]:
    """Servers with fresh data for the time of the block. At its end they are stopped and the data takes its place.

    When the block fails nothing stays, so that the next attempt finds the directory as this one did.
    Raises NotEmptyError, AlreadyRunningError, or CommandError when a server does not start.
    """
    from opora_cli.stack import StackOptions, load_secrets

    lock = lock_directory(directory)
    if lock is None:
        raise AlreadyRunningError(directory, running_supervisor(directory))
    try:
        options = StackOptions(directory=directory)
        unfinished = directory / "data.unfinished"
        given = [directory / "secrets.json", options.api_key_file]
        _refuse_used_directory(options.data_directory, given)
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            if manifest.has_secrets:
                give_secrets(read_secrets(backup), directory)
            passwords = load_secrets(options).database_passwords
            async with _servers(unfinished) as (kafka, postgres):
                yield Target(kafka.bootstrap, await _databases(postgres, passwords))
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            for path in given:
                path.unlink(missing_ok=True)
            raise
        with suppress(FileNotFoundError):
            options.data_directory.rmdir()
        unfinished.rename(options.data_directory)
    finally:
        lock.close()


@asynccontextmanager
async def stopped_platform(directory: Path, *, make_database_of: str | None = None) -> AsyncIterator[Endpoints]:
    """The servers of a platform that was stopped, on their own data, for the time of the block; no service runs.

    The named service's database is made anew, empty, if it is gone; nobody else's is. Raises AlreadyRunningError, or
    CommandError when no platform was ever there or a server does not start.
    """
    from opora_cli.stack import StackOptions, load_secrets

    lock = lock_directory(directory)
    if lock is None:
        raise AlreadyRunningError(directory, running_supervisor(directory))
    try:
        options = StackOptions(directory=directory)
        previous = described_endpoints(directory)
        if previous is None or not options.data_directory.exists():
            raise CommandError(f"no platform was ever in {directory}", exit_code=UNUSABLE_INPUT)
        passwords = load_secrets(options).database_passwords
        async with _servers(options.data_directory) as (kafka, postgres):
            if make_database_of is not None:
                await _databases(postgres, {make_database_of: passwords[make_database_of]})
            services = {
                name: service.model_copy(update={"database_dsn": _dsn(postgres, name, passwords[name])})
                for name, service in previous.services.items()
            }
            yield previous.model_copy(update={"kafka_bootstrap": kafka.bootstrap, "services": services})
    finally:
        lock.close()


@asynccontextmanager
async def _servers(directory: Path) -> AsyncIterator[tuple["Kafka", "Postgres"]]:
    from opora_embedded import EmbeddedServerError, Kafka, Postgres

    servers = Kafka(directory / "kafka"), Postgres(directory / "postgres")
    starting = asyncio.gather(*(asyncio.to_thread(server.start) for server in servers))
    try:
        # A thread cannot be cancelled: whoever ends us while the servers start waits for them first.
        await asyncio.shield(starting)
        yield servers
    except EmbeddedServerError as error:
        raise CommandError(str(error), exit_code=NOT_STARTED) from error
    finally:
        await asyncio.wait([starting])
        await asyncio.gather(*(asyncio.to_thread(server.stop) for server in servers))


async def _databases(postgres: "Postgres", passwords: Mapping[str, str]) -> dict[str, str]:
    from opora_cli.stack import database_name
    from opora_cli.store import ensure_role_and_database

    for service, password in passwords.items():
        await ensure_role_and_database(postgres.dsn(), database_name(service), password)
    return {service: _dsn(postgres, service, password) for service, password in passwords.items()}


def _dsn(postgres: "Postgres", service: str, password: str) -> str:
    from opora_cli.stack import database_name

    name = database_name(service)
    return f"postgresql://{name}:{password}@127.0.0.1:{postgres.port}/{name}"


def _refuse_used_directory(data: Path, secrets: Iterable[Path]) -> None:
    if data.exists() and any(data.iterdir()):
        raise NotEmptyError(
            f"{data} holds the data of a platform", "Name another directory with --into, or move it away"
        )
    for path in secrets:
        if path.exists():
            raise NotEmptyError(f"{path} is of another platform", "Name another directory with --into, or move it away")


async def described_platform(endpoints: Endpoints, backup: Path, manifest: Manifest, *, other_secrets: bool) -> Target:
    """The servers of a platform that something else runs, with its services stopped and nothing in them.

    Raises NotEmptyError, or CommandError when services still run, a database is missing, or the secrets differ.
    """
    if manifest.has_secrets and not other_secrets and not is_signing(read_secrets(backup)):
        raise CommandError(
            f"OPORA_SIGNING_SECRET is not the one in {backup / 'secrets.json'}: survey links in letters that were sent"
            " would be refused. Give the platform the backed-up secrets, or say --other-secrets",
            exit_code=UNUSABLE_INPUT,
        )
    missing = manifest.databases.keys() - endpoints.services.keys()
    if missing:
        raise CommandError(f"the platform has no service {', '.join(sorted(missing))}", exit_code=UNUSABLE_INPUT)
    dsns = {service: endpoints.services[service].database_dsn for service in manifest.databases}
    await refuse_running_services(endpoints)
    for service, dsn in dsns.items():
        await _refuse_filled_database(service, dsn)
    await refuse_filled_topics(endpoints.kafka_bootstrap)
    return Target(endpoints.kafka_bootstrap, dsns)


async def refuse_running_services(endpoints: Endpoints) -> None:
    """Raises CommandError while a process of a service answers."""
    async with httpx.AsyncClient(timeout=_ASK_SECONDS, trust_env=False) as client:

        async def answers(url: str) -> bool:
            try:
                await client.get(f"{url}/health/live")
            except httpx.HTTPError:
                return False
            return True

        processes = [process for service in endpoints.services.values() for process in service.processes]
        running = await asyncio.gather(*(answers(process.url) for process in processes))
    names = [process.name for process, runs in zip(processes, running, strict=True) if runs]
    if names:
        raise CommandError(
            f"these processes run: {', '.join(names)}. Stop the services, and only them, before the restore",
            next_command="opora status",
            exit_code=UNUSABLE_INPUT,
        )


async def _refuse_filled_database(service: str, dsn: str) -> None:
    connection = await store.connect(dsn)
    try:
        filled = await store.filled_tables(connection)
        others = await store.other_sessions(connection)
    finally:
        await connection.close()
    if filled:
        raise NotEmptyError(
            f"the database of {service} has rows in {', '.join(filled)}", "Create the databases anew, then restore"
        )
    if others:
        raise CommandError(
            f"{', '.join(others)} is connected to the database of {service}: nobody may use it during the restore",
            exit_code=UNUSABLE_INPUT,
        )


async def refuse_filled_topics(bootstrap: str) -> None:
    """Raises NotEmptyError for a broker that ever had a record on one of the platform's topics."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False)
    await consumer.start()
    try:
        existing = await consumer.topics()
        partitions = [
            TopicPartition(topic.name, number)
            for topic in KEPT_TOPICS
            if topic.name in existing
            for number in range(topic.partitions)
        ]
        ends = await consumer.end_offsets(partitions) if partitions else {}
    finally:
        await consumer.stop()
    filled = sorted({partition.topic for partition, end in ends.items() if end > 0})
    if filled:
        raise NotEmptyError(
            f"{', '.join(filled)} had records already", "Delete the topics, or create the broker anew, then restore"
        )
