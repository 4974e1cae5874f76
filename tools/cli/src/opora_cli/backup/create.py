"""Taking a backup: the instant, then the dumps and the log's records of that instant, then the manifest."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from opora_chassis.clock import host_now
from opora_cli.backup.cut import consistent_cut
from opora_cli.backup.databases import dump_databases, server_major_of
from opora_cli.backup.log import Progress, export_log
from opora_cli.backup.manifest import FORMAT, BackedUpFile, Manifest, describe_files, write_manifest
from opora_cli.backup.programs import find_program
from opora_cli.backup.secrets import secrets_of_platform, write_secrets
from opora_cli.backup.together import together
from opora_cli.endpoints import Endpoints
from opora_cli.errors import UNUSABLE_INPUT, CommandError

Say = Callable[[str], None]


async def take_backup(
    endpoints: Endpoints,
    directory: Path,
    target: Path,
    *,
    with_secrets: bool,
    say: Say,
    on_progress: Progress = lambda _records: None,
) -> Manifest:
    """Back the running platform up into `target`, which must not exist; it appears when it is whole, and only then.

    `directory` is the platform's own. Raises CommandError with what to do; nothing is left behind then.
    """
    began_at = host_now()
    dsns = {name: service.database_dsn for name, service in endpoints.services.items()}
    major = await server_major_of(dsns)
    await find_program("pg_dump", major)
    kept = secrets_of_platform(endpoints, directory)
    if with_secrets and not kept.signing_secret:
        raise CommandError(
            "the secret that signs survey links is not known here: set OPORA_SIGNING_SECRET, or leave the secrets out"
            " with --without-secrets and keep them yourself",
            exit_code=UNUSABLE_INPUT,
        )
    with _appearing_whole(target) as unfinished:
        async with consistent_cut(endpoints.kafka_bootstrap, dsns) as cut:
            say(
                f"the instant is {cut.taken_at.isoformat()}; writers stood still for"
                f" {cut.stood_still_seconds * 1000:.0f} ms"
            )
            databases, topics = await together(
                dump_databases(dsns, cut.snapshots, major, unfinished),
                export_log(endpoints.kafka_bootstrap, cut.begins, cut.ends, unfinished, on_progress),
            )
        if with_secrets:
            write_secrets(unfinished, kept)
        manifest = Manifest(
            format=FORMAT,
            release=version("opora-cli"),
            postgres_major=major,
            began_at=began_at,
            taken_at=cut.taken_at,
            finished_at=host_now(),
            writers_stood_still_seconds=round(cut.stood_still_seconds, 3),
            databases=databases,
            topics=topics,
            positions=cut.positions,
            files=await asyncio.to_thread(_sealed_files, unfinished),
            has_secrets=with_secrets,
        )
        await asyncio.to_thread(write_manifest, unfinished, manifest)
    return manifest


def _sealed_files(directory: Path) -> dict[str, BackedUpFile]:
    """Every file, from now on readable by its owner only, whatever wrote it."""
    for path in directory.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return describe_files(directory)


@contextmanager
def _appearing_whole(target: Path) -> Iterator[Path]:
    """A directory beside the target that takes its name at the end of the block, and is removed when that fails."""
    if target.exists():
        raise CommandError(f"{target} exists already: name a directory that does not", exit_code=UNUSABLE_INPUT)
    unfinished = target.with_name(f".{target.name}.unfinished")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished.mkdir(mode=0o700)
    except FileExistsError:
        raise CommandError(
            f"{unfinished} is there: another backup to {target} is under way, or one was cut off",
            next_command=f"rm -r {unfinished}",
            exit_code=UNUSABLE_INPUT,
        ) from None
    except OSError as error:
        raise CommandError(f"{target} cannot be made: {error.strerror}", exit_code=UNUSABLE_INPUT) from error
    try:
        yield unfinished
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
