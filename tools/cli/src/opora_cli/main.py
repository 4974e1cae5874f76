"""The `opora` command."""

import sys

import typer

from opora_cli import stack_commands
from opora_cli.backup.commands import backup_app, republish, restore
from opora_cli.backup.drill.commands import drill
from opora_cli.chaos.commands import chaos
from opora_cli.conformance.command import conformance
from opora_cli.console import err
from opora_cli.contracts_commands import contracts_app
from opora_cli.customers_commands import customers_app
from opora_cli.dead_letters_commands import dead_letters_app
from opora_cli.demo.commands import demo, desk
from opora_cli.doctor import doctor
from opora_cli.errors import CommandError
from opora_cli.events.commands import events_app
from opora_cli.keys_commands import keys_app
from opora_cli.mail_commands import mail_sink
from opora_cli.migrate_commands import migrate
from opora_cli.openapi_commands import write_openapi
from opora_cli.replay.commands import replay_app
from opora_cli.sla_commands import sla_app
from opora_cli.topics_commands import topics_app

_EPILOG = (
    "Exit codes: 0 done; 1 something is wrong (an invariant, a malformed line, a check);"
    " 2 wrong usage or unusable input; 3 no platform runs or it does not answer; 4 the platform could not be started."
)

app = typer.Typer(
    name="opora",
    help="Event-driven technical support: run the platform, look after it, replay logs, see a demonstration.",
    epilog=_EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(stack_commands.up)
app.command()(stack_commands.down)
app.command()(stack_commands.status)
app.command()(demo)
app.command()(desk)
app.add_typer(replay_app, name="replay")
app.command()(doctor)
app.command()(migrate)
app.add_typer(backup_app, name="backup")
app.command()(restore)
app.command()(republish)
app.command()(drill)
app.command()(chaos)
app.command("mail-sink")(mail_sink)
app.add_typer(topics_app, name="topics")
app.add_typer(keys_app, name="keys")
app.add_typer(dead_letters_app, name="dead-letters")
contracts_app.command("conformance")(conformance)
contracts_app.command("openapi")(write_openapi)
app.add_typer(contracts_app, name="contracts")
app.add_typer(events_app, name="events")
app.add_typer(sla_app, name="sla")
app.add_typer(customers_app, name="customers")


def run() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        app()
    except CommandError as error:
        err.print(f"opora: {error.message}", markup=False, soft_wrap=True)
        if error.next_command:
            err.print(f"next: {error.next_command}", markup=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
