"""`opora backup create|verify|show`, `opora restore`."""

from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.table import Table
from typer.core import TyperGroup

from opora_cli.backup.manifest import Manifest, read_manifest
from opora_cli.console import AsJson, Directory, err, out, print_json, run, say
from opora_cli.endpoints import DEFAULT_DIRECTORY, Endpoints, read_endpoints
from opora_cli.errors import NOT_RUNNING, PROBLEMS_FOUND, UNUSABLE_INPUT, CommandError, NotRunningError

if TYPE_CHECKING:
    from opora_cli.backup.republishing.run import Republished

_MEGABYTE = 1_000_000
ResultT = TypeVar("ResultT")


class _CreateByDefault(TyperGroup):
    """`opora backup DIR` is `opora backup create DIR`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put in the command that was left out."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["create", *args]
        return super().parse_args(ctx, args)


backup_app = typer.Typer(
    cls=_CreateByDefault, help="Backups of the whole platform: databases and log of one instant.", no_args_is_help=True
)
Target = Annotated[Path, typer.Argument(metavar="DIR", help="The backup's directory.")]


@backup_app.command()
def create(
    target: Target,
    *,
    without_secrets: Annotated[
        bool, typer.Option("--without-secrets", help="Leave out signing secret and keys; keep them yourself.")
    ] = False,
    as_json: AsJson = False,
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Back up the running platform into DIR, which must not exist. Work goes on meanwhile.

    The backup is as secret as the databases: it holds names, addresses, texts, and secrets unless they are left out.
    Exit codes: 0 the backup is whole and on the disk, 1 it could not be taken (nothing is left), 2 DIR or a program
    cannot be used, 3 no platform runs.
    """
    from opora_cli.backup.create import take_backup

    endpoints = read_endpoints(directory)
    with err.status("taking the backup") as shown:
        manifest = run(
            _answered(
                take_backup(
                    endpoints,
                    directory,
                    target,
                    with_secrets=not without_secrets,
                    say=say,
                    on_progress=lambda records: shown.update(f"{records:,} records"),
                )
            )
        )
    _show(target, manifest, as_json=as_json)


@backup_app.command()
def verify(target: Target, *, as_json: AsJson = False) -> None:
    """Read a backup whole: sizes, checksums, every record. Needs no platform.

    Exit codes: 0 every byte is as it was written, 1 a file is damaged (it is named), 2 DIR is no backup.
    """
    from opora_cli.backup.restore import verify_backup

    manifest, problems = verify_backup(target)
    if as_json:
        print_json({"problems": problems, "manifest": manifest.model_dump(mode="json")})
    elif not problems:
        out.print(
            f"{target} is whole: {len(manifest.files)} files, {manifest.size_bytes / _MEGABYTE:,.1f} MB,"
            f" {manifest.records:,} records, taken at {manifest.taken_at.isoformat()}",
            markup=False,
            soft_wrap=True,
        )
    else:
        for problem in problems:
            out.print(problem, markup=False, soft_wrap=True)
    if problems:
        raise typer.Exit(PROBLEMS_FOUND)


@backup_app.command()
def show(target: Target, *, as_json: AsJson = False) -> None:
    """What a backup says of itself; its files are not read. Exit codes: 0 shown, 2 DIR is no backup."""
    _show(target, read_manifest(target), as_json=as_json)


def restore(
    backup: Target,
    *,
    into: Annotated[
        Path, typer.Option("--into", "-d", metavar="DIRECTORY", help="The platform's directory.")
    ] = DEFAULT_DIRECTORY,
    service: Annotated[
        str | None,
        typer.Option(help="Only this service's database, caught up from the log: sla, notify or feedback."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="With --service: drop what its database holds now.")
    ] = False,
    skip_ticket_numbers: Annotated[
        int, typer.Option(min=0, help="So many ticket numbers are left out: they may have been given since the backup.")
    ] = 10_000,
    replication_factor: Annotated[int, typer.Option(min=1, max=10, help="Copies of each record, for new topics.")] = 1,
    other_secrets: Annotated[
        bool, typer.Option("--other-secrets", help="Go on although survey links in sent letters will be refused.")
    ] = False,
) -> None:
    """Restore a backup into an empty platform: a new DIRECTORY, or the servers that are described there.

    In a directory of our own Kafka and PostgreSQL run for the time of the restore, and `opora up` starts the platform
    afterwards. Of a platform that something else runs, the servers must run and the services must be stopped.
    Exit codes: 0 restored, 1 it failed, 2 the platform is not empty or the backup is damaged (nothing was changed),
    3 a server does not answer, 4 a server did not start.
    """
    from opora_cli.backup.restore import refuse_later_release, sound_backup
    from opora_cli.stack import migrations_directory

    manifest = sound_backup(backup)
    refuse_later_release(manifest, migrations_directory)
    described = _described(into)
    with err.status("restoring") as shown:
        if service is not None:
            run(_answered(_recover(backup, manifest, into, described, service, replace=replace)))
        else:
            work = _restore(
                backup,
                manifest,
                into,
                described,
                other_secrets=other_secrets,
                replication_factor=replication_factor,
                skip_ticket_numbers=skip_ticket_numbers,
                on_progress=lambda records: shown.update(f"{records:,} of {manifest.records:,} records"),
            )
            run(_answered(work))
    say("next: start the services" if described else f"next: opora up --detach --directory {into}")


def republish(
    *,
    backup: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A backup whose log comes first: history is whole then.")
    ] = None,
    replication_factor: Annotated[int, typer.Option(min=1, max=10, help="Copies of each record, for new topics.")] = 1,
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """The broker's log is lost, the databases are not: publish again what they know, on an empty broker.

    Every ticket and customer fact that intake has gets to whoever had not seen it. The services must be stopped.
    Exit codes: 0 nobody missed anything, 1 it failed, or notify missed facts of sla or feedback (it says how many),
    2 the broker is not empty or the backup is damaged (nothing was changed), 3 a server does not answer, 4 one did not
    start.
    """
    from opora_cli.backup.republishing.run import refuse_incomplete
    from opora_cli.backup.restore import sound_backup

    manifest = None if backup is None else sound_backup(backup)
    with err.status("publishing again"):
        done = run(_answered(_republish(directory, _described(directory), backup, manifest, replication_factor)))
    out.print(
        f"published again: {done.ticket_facts:,} facts of tickets, {done.customer_facts:,} of customers", markup=False
    )
    refuse_incomplete(done)


async def _republish(
    directory: Path,
    described: Endpoints | None,
    backup: Path | None,
    manifest: Manifest | None,
    replication_factor: int,
) -> "Republished":
    from opora_cli.backup.republishing.run import republish as publish_again
    from opora_cli.backup.targets import refuse_filled_topics, refuse_running_services, stopped_platform

    async def work(endpoints: Endpoints) -> "Republished":
        await refuse_filled_topics(endpoints.kafka_bootstrap)
        return await publish_again(
            endpoints, directory, backup, manifest, replication_factor=replication_factor, say=say
        )

    if described is not None:
        await refuse_running_services(described)
        return await work(described)
    async with stopped_platform(directory) as endpoints:
        return await work(endpoints)


async def _restore(
    backup: Path,
    manifest: Manifest,
    into: Path,
    described: Endpoints | None,
    *,
    other_secrets: bool,
    **options: Any,
) -> None:
    from opora_cli.backup.restore import fill_platform
    from opora_cli.backup.targets import described_platform, new_directory

    if not manifest.has_secrets and not other_secrets:
        raise CommandError(
            f"{backup} has no secrets: with fresh ones, survey links in letters that were sent would be refused."
            " Say --other-secrets to go on",
            exit_code=UNUSABLE_INPUT,
        )
    if described is not None:
        place = await described_platform(described, backup, manifest, other_secrets=other_secrets)
        await fill_platform(place.kafka_bootstrap, place.dsns, backup, manifest, say=say, **options)
        return
    async with new_directory(into, backup, manifest) as place:
        await fill_platform(place.kafka_bootstrap, place.dsns, backup, manifest, say=say, **options)


async def _recover(
    backup: Path, manifest: Manifest, into: Path, described: Endpoints | None, service: str, *, replace: bool
) -> None:
    from opora_cli.backup.recovery.run import recover_service
    from opora_cli.backup.targets import stopped_platform
    from opora_cli.services import chosen
    from opora_cli.stack import SERVICES

    if described is not None:
        chosen(described, [service])
        await recover_service(described, into, service, backup, manifest, replace=replace, say=say)
        return
    async with stopped_platform(into, make_database_of=service if service in SERVICES else None) as endpoints:
        chosen(endpoints, [service])
        await recover_service(endpoints, into, service, backup, manifest, replace=replace, say=say)


def _described(directory: Path) -> Endpoints | None:
    """The platform that something else runs, if one is described; None for a directory of our own."""
    try:
        endpoints = read_endpoints(directory)
    except NotRunningError:
        return None
    return endpoints if endpoints.supervisor_pid is None else None


async def _answered(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """The result; a server that does not answer becomes a CommandError."""
    import asyncpg
    from aiokafka.errors import KafkaError

    try:
        return await work
    except (TimeoutError, KafkaError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CommandError(
            f"a server does not do its part: {type(error).__name__}: {error}",
            next_command="opora doctor",
            exit_code=NOT_RUNNING,
        ) from error


def _show(target: Path, manifest: Manifest, *, as_json: bool) -> None:
    if as_json:
        print_json({"directory": str(target), **manifest.model_dump(mode="json"), "size_bytes": manifest.size_bytes})
        return
    table = Table(show_header=False, box=None, pad_edge=False)
    dumps = sum(manifest.files[entry.file].bytes for entry in manifest.databases.values())
    table.add_row("backup", str(target))
    table.add_row("its instant", manifest.taken_at.isoformat())
    table.add_row("took", f"{(manifest.finished_at - manifest.began_at).total_seconds():.1f} s")
    table.add_row("writers stood still", f"{manifest.writers_stood_still_seconds * 1000:.0f} ms")
    table.add_row("databases", f"{', '.join(manifest.databases)}: {dumps / _MEGABYTE:,.1f} MB")
    table.add_row("log", f"{manifest.records:,} records: {(manifest.size_bytes - dumps) / _MEGABYTE:,.1f} MB")
    table.add_row("secrets", "yes" if manifest.has_secrets else "no: keep them yourself")
    table.add_row("release", manifest.release)
    out.print(table)
