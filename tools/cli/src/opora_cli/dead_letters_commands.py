"""`opora dead-letters list|show|redrive|discard`."""

import base64
import json
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.table import Table

from opora_cli.console import AsJson, Directory, out, print_json, run
from opora_cli.endpoints import DEFAULT_DIRECTORY, Endpoints, read_endpoints
from opora_cli.errors import PROBLEMS_FOUND, UNUSABLE_INPUT, CommandError

dead_letters_app = typer.Typer(
    help="Events that could not be handled, and what waits behind them.", no_args_is_help=True
)
Services = Annotated[
    list[str] | None, typer.Option("--service", "-s", help="Only this service; may be repeated. Default: all.")
]
LetterId = Annotated[UUID, typer.Argument(metavar="ID", help="The dead letter's id.")]


@dead_letters_app.command("list")
def list_letters(
    *,
    service: Services = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many of each service.")] = 50,
    as_json: AsJson = False,
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Every dead letter, oldest first; `queued` ones wait behind an earlier letter of their key.

    Exit codes: 0 done, 3 no platform runs.
    """
    rows = run(_list(read_endpoints(directory), service, limit))
    if as_json:
        print_json(rows)
        return
    if not rows:
        out.print("no dead letters")
        return
    table = Table()
    for heading in ("service", "topic", "key", "reason", "attempts", "id"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(row["service"], row["topic"], row["key"], row["reason"], str(row["attempts"]), str(row["id"]))
    out.print(table)


@dead_letters_app.command()
def show(letter_id: LetterId, *, as_json: AsJson = False, directory: Directory = DEFAULT_DIRECTORY) -> None:
    """One dead letter whole: why it failed, its headers, its bytes.

    Exit codes: 0 shown, 1 there is none, 3 no platform runs.
    """
    letter = run(_find(read_endpoints(directory), letter_id))
    if as_json:
        print_json(letter)
        return
    for name, value in letter.items():
        if name == "headers":
            for header, content in value.items():
                out.print(f"header {header}: {content}", markup=False, soft_wrap=True)
        else:
            out.print(f"{name}: {value}", markup=False, soft_wrap=True)
    out.print(f"next: opora dead-letters redrive --id {letter_id}", markup=False)


@dead_letters_app.command()
def redrive(
    *,
    letter_id: Annotated[UUID | None, typer.Option("--id", help="The key of this letter.")] = None,
    key: Annotated[str | None, typer.Option(help="This parked key.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every parked key.")] = False,
    service: Services = None,
    as_json: AsJson = False,
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Handle letters again, in order per key, under the guard that all events pass; what fails again stays.

    Exit codes: 0 all went well, 1 some failed again, 2 say what to redrive, 3 no platform runs.
    """
    if [letter_id is not None, key is not None, everything].count(True) != 1:
        raise CommandError("say what to redrive: one of --id, --key, --all", exit_code=UNUSABLE_INPUT)
    reports = run(_redrive(read_endpoints(directory), directory, service, key, letter_id))
    if as_json:
        print_json(reports)
    else:
        for report in reports:
            out.print(
                f"{report['service']}: {report['redriven']} handled, {report['failed']} keys failed again,"
                f" {report['remaining']} letters remain",
                markup=False,
            )
            for line in report["detail"]:
                out.print(f"  {line}", markup=False, soft_wrap=True)
    if any(report["failed"] for report in reports):
        raise typer.Exit(PROBLEMS_FOUND)


@dead_letters_app.command()
def discard(
    letter_id: LetterId,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Give one letter up for good; what waits behind it may then be redriven. Exit codes: 0 done, 1 there is none."""
    if not yes and not typer.confirm(f"Give up {letter_id} for good?", err=True):
        raise typer.Exit(PROBLEMS_FOUND)
    if not run(_discard(read_endpoints(directory), directory, letter_id)):
        raise _nothing(letter_id)
    out.print(f"discarded {letter_id}; next: opora dead-letters redrive --all", markup=False)


async def _list(endpoints: Endpoints, services: list[str] | None, limit: int) -> list[dict[str, Any]]:
    from opora_cli import store
    from opora_cli.services import chosen

    rows: list[dict[str, Any]] = []
    for service in chosen(endpoints, services):
        connection = await store.connect(endpoints.services[service].database_dsn)
        try:
            rows += [{"service": service, **dict(row)} for row in await store.dead_letters(connection, limit=limit)]
        finally:
            await connection.close()
    return rows


async def _find(endpoints: Endpoints, letter_id: UUID) -> dict[str, Any]:
    from opora_cli import store

    for name, service in endpoints.services.items():
        connection = await store.connect(service.database_dsn)
        try:
            row = await store.dead_letter(connection, letter_id)
        finally:
            await connection.close()
        if row is not None:
            headers = {header: _decoded(content) for header, content in json.loads(row["headers"])}
            read = {"headers": headers, "raw_key": _text(row["raw_key"]), "value": _text(row["value"])}
            return {"service": name, **dict(row), **read}
    raise _nothing(letter_id)


async def _redrive(
    endpoints: Endpoints, directory: Path, services: list[str] | None, key: str | None, letter_id: UUID | None
) -> list[dict[str, Any]]:
    from dataclasses import asdict

    from opora_chassis.consume import redrive as redrive_letters
    from opora_cli.services import chosen, open_service

    reports: list[dict[str, Any]] = []
    for name in chosen(endpoints, services):
        async with open_service(endpoints, directory, name) as service:
            report = await redrive_letters(service.database, service.subscriptions, key=key, dead_letter_id=letter_id)
        reports.append({"service": name, **asdict(report)})
    return reports


async def _discard(endpoints: Endpoints, directory: Path, letter_id: UUID) -> bool:
    from opora_chassis.consume import discard as discard_letter
    from opora_cli.services import open_service

    for name in endpoints.services:
        async with open_service(endpoints, directory, name) as service:
            if await discard_letter(service.database, service.subscriptions, dead_letter_id=letter_id):
                return True
    return False


def _nothing(letter_id: UUID) -> CommandError:
    return CommandError(
        f"there is no dead letter {letter_id}", next_command="opora dead-letters list", exit_code=PROBLEMS_FOUND
    )


def _decoded(content: str | None) -> str | None:
    return None if content is None else _text(base64.b64decode(content))


def _text(content: bytes | None) -> str | None:
    """The bytes as text; what is no UTF-8 is shown escaped."""
    return None if content is None else content.decode("utf-8", "backslashreplace")
