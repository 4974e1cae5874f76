"""The way back: a whole backup into a platform that is empty and whose services do not run.

What makes it sound is the instant (see `cut`): databases and log agree with each other, so nothing has to be guessed.
Each outbox is published once the services run; the consumers go on where they stood, and what comes a second time is
dropped by the guards.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from opora_chassis.migrations import all_migrations
from opora_chassis.topics import check_topics, create_topics
from opora_cli.backup import store
from opora_cli.backup.databases import restore_databases
from opora_cli.backup.log import Progress, Renumbered, import_log, set_positions
from opora_cli.backup.manifest import Manifest, broken_records, damaged_files, read_manifest
from opora_cli.backup.together import together
from opora_cli.errors import UNUSABLE_INPUT, CommandError

Say = Callable[[str], None]
SKIPPED_TICKET_NUMBERS = 10_000
"""Numbers that were given to tickets after the backup's instant stand in letters: nobody else gets them."""


class DamagedBackupError(CommandError):
    """A file of the backup is not what was written."""

    def __init__(self, directory: Path, problems: list[str]) -> None:
        super().__init__(
            f"the backup {directory} is damaged: {'; '.join(problems)}",
            next_command=f"opora backup verify {directory}",
            exit_code=UNUSABLE_INPUT,
        )


def sound_backup(directory: Path) -> Manifest:
    """The manifest of a backup of which every byte is as it was written, and which this release understands.

    Raises NoBackupError, DamagedBackupError naming the files, or CommandError for one of a later release.
    """
    manifest = read_manifest(directory)
    problems = list(damaged_files(directory, manifest))
    if problems:
        raise DamagedBackupError(directory, problems)
    return manifest


def verify_backup(directory: Path) -> tuple[Manifest, list[str]]:
    """The manifest, and everything that is wrong with the files: bytes, and each record of the log."""
    manifest = read_manifest(directory)
    problems = list(damaged_files(directory, manifest))
    return manifest, problems or list(broken_records(directory, manifest))


def refuse_later_release(manifest: Manifest, migrations_of: Callable[[str], Path]) -> None:
    """Raises CommandError for a backup with migrations that this release does not have."""
    for service, database in manifest.databases.items():
        known = {f"{one.set_name}/{one.file_name}" for one in all_migrations(service, migrations_of(service))}
        unknown = [name for name in database.migrations if name not in known]
        if unknown:
            raise CommandError(
                f"the backup is of release {manifest.release}, whose {service} has {', '.join(unknown)}; this release"
                " has not: restore it with that release or a later one",
                exit_code=UNUSABLE_INPUT,
            )


async def fill_platform(
    bootstrap: str,
    dsns: Mapping[str, str],
    directory: Path,
    manifest: Manifest,
    *,
    replication_factor: int = 1,
    skip_ticket_numbers: int = SKIPPED_TICKET_NUMBERS,
    say: Say,
    on_progress: Progress = lambda _records: None,
) -> None:
    """Fill empty databases and an empty broker from a sound backup. The services must not run.

    Raises CommandError; what was filled until then stays, and has to be emptied before the next attempt.
    """
    await create_topics(bootstrap, replication_factor=replication_factor)
    differing = await check_topics(bootstrap)
    if differing:
        raise CommandError("; ".join(differing), next_command="opora topics check")
    await together(
        restore_databases(dsns, manifest, directory), import_log(bootstrap, directory, manifest, on_progress)
    )
    say(f"{len(dsns)} databases and {manifest.records:,} records of the log are back")
    numbering = await asyncio.to_thread(numbering_of, directory, manifest)
    await set_positions(bootstrap, positions_of(manifest, numbering))
    for dsn in dsns.values():
        await _renumber_letters(dsn, numbering)
    if skip_ticket_numbers and "intake" in dsns:
        connection = await store.connect(dsns["intake"])
        try:
            last = await store.skip_ticket_numbers(connection, skip_ticket_numbers)
        finally:
            await connection.close()
        say(f"ticket numbers go on after OP-{last}")


def numbering_of(directory: Path, manifest: Manifest) -> dict[tuple[str, int], Renumbered]:
    """How the records of each partition are numbered on a log that was filled from the backup."""
    return {
        (topic, number): Renumbered.of(directory, partition)
        for topic, partitions in manifest.topics.items()
        for number, partition in partitions.items()
    }


def positions_of(
    manifest: Manifest, numbering: Mapping[tuple[str, int], Renumbered]
) -> dict[str, dict[str, dict[int, int]]]:
    """The consumers' positions in that numbering."""
    return {
        service: {
            topic: {number: max(0, numbering[topic, number].position(offset)) for number, offset in offsets.items()}
            for topic, offsets in topics.items()
        }
        for service, topics in manifest.positions.items()
    }


async def _renumber_letters(dsn: str, numbering: Mapping[tuple[str, int], Renumbered]) -> None:
    """A dead letter is known by where its record stood: the next record of that number must not be taken for it."""
    connection = await store.connect(dsn)
    try:
        offsets = {
            row["id"]: numbering[row["topic"], row["partition"]].record(row["offset"])
            for row in await store.letters_of_topics(connection)
            if (row["topic"], row["partition"]) in numbering
        }
        if offsets:
            await store.renumber_letters(connection, offsets)
    finally:
        await connection.close()
