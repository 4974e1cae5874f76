"""The course of a recovery: the backup's database, then every fact since, then what had been told since."""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition

from opora_chassis.consume import Consumers, Subscription
from opora_chassis.migrations import MigrationError, all_migrations, migrate
from opora_chassis.platform import Platform
from opora_cli.backup import store
from opora_cli.backup.cut import committed_positions
from opora_cli.backup.databases import restore_databases
from opora_cli.backup.log import set_positions
from opora_cli.backup.manifest import Manifest
from opora_cli.backup.recovery.store import TAKE_OVER, drop_told_again
from opora_cli.backup.recovery.told import OWN_TOPIC, refuse_other_log, told_since
from opora_cli.endpoints import Endpoints
from opora_cli.errors import UNUSABLE_INPUT, CommandError
from opora_cli.services import open_service
from opora_cli.stack import migrations_directory

Say = Callable[[str], None]

_LOOK_SECONDS = 0.25
_STILL_SECONDS = 90.0


async def recover_service(
    endpoints: Endpoints, directory: Path, service: str, backup: Path, manifest: Manifest, *, replace: bool, say: Say
) -> None:
    """Make one service's database again and bring it up to now. The service must not run; the others may.

    Raises CommandError when the service cannot be made from the log, its database is in use or not empty (unless
    `replace`), or the broker's log is not the one of the backup; nothing was changed then.
    """
    if service not in OWN_TOPIC:
        raise CommandError(
            f"{service} cannot be caught up from the log: what it alone knows travels in no event. Restore the whole"
            f" backup; one of {', '.join(OWN_TOPIC)} can be recovered alone",
            exit_code=UNUSABLE_INPUT,
        )
    dsn = endpoints.services[service].database_dsn
    await _refuse_used_database(service, dsn, replace=replace)
    await refuse_other_log(endpoints.kafka_bootstrap, service, manifest)
    await restore_databases({service: dsn}, manifest, backup)
    try:
        await migrate(dsn, all_migrations(service, migrations_directory(service)))
    except MigrationError as error:
        raise CommandError(f"{service}: {error}") from error
    await set_positions(endpoints.kafka_bootstrap, {service: manifest.positions.get(service, {})})
    say(f"the database of {service} is back as of {manifest.taken_at.isoformat()}; catching up from the log")
    told = await told_since(endpoints.kafka_bootstrap, service, manifest)
    async with open_service(endpoints, directory, service) as opened:
        await catch_up(opened.platform, opened.subscriptions)
    connection = await store.connect(dsn)
    try:
        async with connection.transaction():
            await TAKE_OVER[service](connection, told.events, told.numbers)
            again = await drop_told_again(connection, OWN_TOPIC[service].name, told.numbers)
    finally:
        await connection.close()
    say(f"{service} has caught up; of {len(told.events)} facts that it had told since, none is told again ({again})")


async def _refuse_used_database(service: str, dsn: str, *, replace: bool) -> None:
    connection = await store.connect(dsn)
    try:
        others = await store.other_sessions(connection)
        filled = await store.filled_tables(connection)
    finally:
        await connection.close()
    if others:
        raise CommandError(
            f"{', '.join(others)} is connected to the database of {service}: stop {service} first",
            next_command="opora status",
            exit_code=UNUSABLE_INPUT,
        )
    if filled and not replace:
        raise CommandError(
            f"the database of {service} has rows in {', '.join(filled)}: say --replace to drop what it holds now",
            exit_code=UNUSABLE_INPUT,
        )


async def catch_up(platform: Platform, subscriptions: Sequence[Subscription]) -> None:
    """Consume until nothing waits. The relay does not run: what follows from the facts stays in the outbox."""
    consumers = Consumers(platform, subscriptions)
    await consumers.start()
    try:
        seen, moved_at = -1, time.monotonic()
        while (behind := await _behind(platform, subscriptions)) > 0:
            if behind != seen:
                seen, moved_at = behind, time.monotonic()
            elif time.monotonic() - moved_at > _STILL_SECONDS:
                raise CommandError(
                    f"{platform.service} does not get on: {behind} records wait", next_command="opora doctor"
                )
            await asyncio.sleep(_LOOK_SECONDS)
    finally:
        await consumers.stop()


async def _behind(platform: Platform, subscriptions: Sequence[Subscription]) -> int:
    bootstrap = platform.settings.kafka_bootstrap
    positions = (await committed_positions(bootstrap)).get(platform.service, {})
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False)
    await consumer.start()
    try:
        places = [
            TopicPartition(subscription.topic.name, number)
            for subscription in subscriptions
            for number in range(subscription.topic.partitions)
        ]
        ends = await consumer.end_offsets(places)
    finally:
        await consumer.stop()
    return sum(max(0, end - positions.get(place.topic, {}).get(place.partition, 0)) for place, end in ends.items())
