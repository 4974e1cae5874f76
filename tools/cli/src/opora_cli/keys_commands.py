"""`opora keys create|ensure|list|revoke`."""

import os
from datetime import UTC, timedelta
from typing import Annotated, Any

import typer
from rich.table import Table

from opora_cli.console import AsJson, Directory, out, print_json, run, say
from opora_cli.endpoints import DEFAULT_DIRECTORY, Endpoints, read_endpoints
from opora_cli.errors import PROBLEMS_FOUND, UNUSABLE_INPUT, CommandError

keys_app = typer.Typer(help="API keys: who may call which service, and for what.", no_args_is_help=True)
Services = Annotated[
    list[str] | None, typer.Option("--service", "-s", help="Only this service; may be repeated. Default: all.")
]


@keys_app.command()
def create(
    name: Annotated[str, typer.Argument(help="Who uses the key; facts record `key:<name>`.")],
    *,
    scope: Annotated[
        list[str], typer.Option("--scope", help="What it may do, such as tickets:write; may be repeated.")
    ],
    service: Services = None,
    days: Annotated[int | None, typer.Option(min=1, help="Days until it expires. Default: never.")] = None,
    as_json: AsJson = False,
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Make a key, write its hash into the services' databases, and show it, this once, on standard output.

    Exit codes: 0 made, 2 an unknown service, 3 no platform runs.
    """
    token = run(_create(read_endpoints(directory), name, scope, service, days))
    if as_json:
        print_json({"name": name, "key": token, "scopes": scope})
    else:
        say("This key is shown this once:")
        print(token)


@keys_app.command()
def ensure(*, service: Services = None, directory: Directory = DEFAULT_DIRECTORY) -> None:
    """Let the platform's own keys in, as the environment has them; repeating it changes nothing.

    OPORA_API_KEY gets every scope everywhere; OPORA_NOTIFY_INTAKE_KEY and OPORA_NOTIFY_FEEDBACK_KEY are what notify
    reads messages and survey links with. Exit codes: 0 done, 2 a key is missing or malformed, 3 no platform runs.
    """
    run(_ensure(read_endpoints(directory), service))
    out.print("the platform's own keys are known", markup=False)


@keys_app.command("list")
def list_keys(*, service: Services = None, as_json: AsJson = False, directory: Directory = DEFAULT_DIRECTORY) -> None:
    """Every key of every service, without the keys themselves. Exit codes: 0 done, 3 no platform runs."""
    rows = run(_list(read_endpoints(directory), service))
    if as_json:
        print_json(rows)
        return
    table = Table()
    for heading in ("service", "name", "scopes", "created", "state", "id"):
        table.add_column(heading)
    for row in rows:
        table.add_row(
            row["service"],
            row["name"],
            ", ".join(row["scopes"]),
            f"{row['created_at']:%Y-%m-%d %H:%M}",
            row["state"],
            row["id"],
        )
    out.print(table)


@keys_app.command()
def revoke(
    name: Annotated[str, typer.Argument(help="The key's name, or its id.")],
    *,
    service: Services = None,
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Take back every key of this name or id; it stops working within 5 seconds.

    Exit codes: 0 taken back, 1 there was none, 3 no platform runs.
    """
    revoked = run(_revoke(read_endpoints(directory), name, service))
    if not revoked:
        raise CommandError(f"no valid key is called {name}", next_command="opora keys list", exit_code=PROBLEMS_FOUND)
    out.print(f"revoked at {', '.join(revoked)}", markup=False)


async def _create(
    endpoints: Endpoints, name: str, scopes: list[str], services: list[str] | None, days: int | None
) -> str:
    from opora_chassis.http.keys import create_key
    from opora_cli.services import chosen, open_database
    from opora_cli.stack import new_api_token

    if not name.strip() or len(name) > 100:  # noqa: PLR2004 - the length that actors have in facts
        raise CommandError("a key's name has 1 to 100 characters", exit_code=UNUSABLE_INPUT)
    token = new_api_token()
    for service in chosen(endpoints, services):
        async with open_database(endpoints, service) as database:
            now = await database.now()
            expires_at = None if days is None else now.astimezone(UTC) + timedelta(days=days)
            await create_key(database, name, scopes, token, expires_at=expires_at)
    return token


async def _ensure(endpoints: Endpoints, services: list[str] | None) -> None:
    from opora_cli.first_keys import INTERNAL_KEYS, ensure_keys
    from opora_cli.services import chosen

    internal_keys = {}
    for key_name, _ in INTERNAL_KEYS.values():
        variable = f"OPORA_{key_name.upper()}"
        if not os.environ.get(variable):
            raise CommandError(f"set {variable}", exit_code=UNUSABLE_INPUT)
        internal_keys[key_name] = os.environ[variable]
    for name in chosen(endpoints, services):
        try:
            await ensure_keys(name, endpoints.services[name].database_dsn, endpoints.api_key, internal_keys)
        except ValueError as error:
            raise CommandError(f"{name}: {error}", exit_code=UNUSABLE_INPUT) from error


async def _list(endpoints: Endpoints, services: list[str] | None) -> list[dict[str, Any]]:
    from opora_chassis.http.keys import list_keys as keys_of
    from opora_cli.services import chosen, open_database

    rows: list[dict[str, Any]] = []
    for service in chosen(endpoints, services):
        async with open_database(endpoints, service) as database:
            now = await database.now()
            for key in await keys_of(database):
                expired = key.expires_at is not None and key.expires_at <= now
                state = "revoked" if key.revoked_at else "expired" if expired else "valid"
                rows.append(
                    {
                        "service": service,
                        "id": str(key.id),
                        "name": key.name,
                        "scopes": list(key.scopes),
                        "created_at": key.created_at,
                        "expires_at": key.expires_at,
                        "state": state,
                    }
                )
    return rows


async def _revoke(endpoints: Endpoints, name: str, services: list[str] | None) -> list[str]:
    from uuid import UUID

    from opora_chassis.http.keys import revoke_key
    from opora_cli.services import open_database

    revoked: list[str] = []
    for row in await _list(endpoints, services):
        if name in {row["name"], row["id"]} and row["state"] != "revoked":
            async with open_database(endpoints, row["service"]) as database:
                if await revoke_key(database, UUID(row["id"])):
                    revoked.append(row["service"])
    return revoked
