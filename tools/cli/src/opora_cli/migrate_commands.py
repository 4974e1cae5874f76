"""`opora migrate`."""

from collections.abc import Mapping
from typing import Annotated

import typer

from opora_chassis.migrations import Phase
from opora_cli.console import AsJson, Directory, out, print_json, run
from opora_cli.endpoints import DEFAULT_DIRECTORY, Endpoints, read_endpoints
from opora_cli.errors import UNUSABLE_INPUT, CommandError

_PHASES: Mapping[str, tuple[Phase, ...]] = {"pre": ("pre",), "post": ("post",), "all": ("pre", "post")}
Services = Annotated[
    list[str] | None, typer.Option("--service", "-s", help="Only this service; may be repeated. Default: all.")
]


def migrate(
    phase: Annotated[
        str, typer.Argument(metavar="[pre|post|all]", help="pre: before new code runs; post: when the old is gone.")
    ] = "all",
    *,
    service: Services = None,
    as_json: AsJson = False,
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Bring the services' databases to the schema of this release. Safe to repeat, and beside another run.

    Exit codes: 0 done, 1 a database cannot be migrated, 2 wrong usage, 3 no platform runs or its database does not
    answer.
    """
    if phase not in _PHASES:
        raise CommandError(f"{phase}: expected pre, post or all", exit_code=UNUSABLE_INPUT)
    applied = run(_migrate(read_endpoints(directory), phase, service))
    if as_json:
        print_json(applied)
        return
    for name, files in applied.items():
        out.print(f"{name}: {', '.join(files) or 'nothing to do'}", markup=False)


async def _migrate(endpoints: Endpoints, phase: str, services: list[str] | None) -> dict[str, list[str]]:
    from opora_chassis.migrations import MigrationError, all_migrations
    from opora_chassis.migrations import migrate as apply
    from opora_cli.services import chosen
    from opora_cli.stack import migrations_directory

    applied: dict[str, list[str]] = {}
    for name in chosen(endpoints, services):
        dsn = endpoints.services[name].database_dsn
        try:
            applied[name] = await apply(dsn, all_migrations(name, migrations_directory(name)), _PHASES[phase])
        except MigrationError as error:
            raise CommandError(f"{name}: {error}") from error
    return applied
