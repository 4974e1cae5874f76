"""What each service's database tells: schema, outbox, dead letters, clock."""

from typing import Any

from opora_chassis.clock import host_now
from opora_chassis.migrations import MigrationError, all_migrations, pending_migrations
from opora_cli import store
from opora_cli.doctor import store as doctor_store
from opora_cli.doctor.diagnosis import Diagnosis, judge_letters, judge_outbox, judge_skew
from opora_cli.stack import migrations_directory


async def examine_database(service: str, dsn: str) -> list[Diagnosis]:
    """Everything about one database. Raises when it does not answer."""
    connection = await store.connect(dsn)
    try:
        schema = await _schema(connection, service, dsn)
        if schema.problem:
            # Other questions may ask for tables that are not there.
            return [schema]
        outbox = await store.outbox_state(connection)
        return [
            schema,
            judge_outbox(service, outbox.depth, outbox.oldest_age_seconds, await doctor_store.held_shards(connection)),
            judge_letters(service, await store.dead_letter_count(connection), await store.parked_key_count(connection)),
            judge_skew(service, await _skew_seconds(connection)),
        ]
    finally:
        await connection.close()


async def _schema(connection: Any, service: str, dsn: str) -> Diagnosis:
    subject = f"{service}: migrations"
    migrations = all_migrations(service, migrations_directory(service))
    applied = await doctor_store.applied_migrations(connection)
    known = {f"{migration.set_name}/{migration.file_name}": migration for migration in migrations}
    measured = f"{len(applied)} applied"
    try:
        pending = await pending_migrations(dsn, migrations)
    except MigrationError as error:
        return Diagnosis(subject, measured, str(error), f"git diff -- {migrations_directory(service)}")
    if pending:
        return Diagnosis(subject, measured, f"not applied: {', '.join(pending)}", f"opora migrate --service {service}")
    later = [name for name in applied if name not in known]
    if later:
        return Diagnosis(
            subject,
            measured,
            f"the database has {', '.join(later)}, of a later release than this one: upgrade the code",
            "git log -1",
        )
    return Diagnosis(subject, measured)


async def _skew_seconds(connection: Any) -> float:
    asked_at = host_now()
    database_time = await store.database_time(connection)
    return float((database_time - (asked_at + (host_now() - asked_at) / 2)).total_seconds())
