"""`opora topics create|check`."""

from collections.abc import Awaitable
from typing import Annotated

import typer

from opora_cli.console import AsJson, Directory, out, print_json, run
from opora_cli.endpoints import DEFAULT_DIRECTORY, read_endpoints
from opora_cli.errors import NOT_RUNNING, PROBLEMS_FOUND, CommandError

topics_app = typer.Typer(help="The broker's topics and the registry.", no_args_is_help=True)
Bootstrap = Annotated[
    str | None, typer.Option("--bootstrap", metavar="HOST:PORT", help="A broker that was not started by `opora up`.")
]
ReplicationFactor = Annotated[int, typer.Option(min=1, max=10, help="Copies of each record, for new topics.")]


@topics_app.command()
def create(
    *,
    bootstrap: Bootstrap = None,
    replication_factor: ReplicationFactor = 1,
    as_json: AsJson = False,
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Create the registry's topics that do not exist; existing ones are left alone. Exit codes: 0 done, 3 no broker."""
    from opora_chassis.topics import create_topics

    broker = _broker(bootstrap, directory)
    made = run(_answered(broker, create_topics(broker, replication_factor=replication_factor)))
    if as_json:
        print_json({"created": made})
    else:
        out.print(f"created {', '.join(made)}" if made else "every topic of the registry exists", markup=False)


@topics_app.command()
def configure(
    *, bootstrap: Bootstrap = None, as_json: AsJson = False, directory: Directory = DEFAULT_DIRECTORY
) -> None:
    """Let existing topics keep their records as the registry says. Exit codes: 0 done, 3 no broker."""
    from opora_chassis.topics import configure_topics

    broker = _broker(bootstrap, directory)
    changed = run(_answered(broker, configure_topics(broker)))
    if as_json:
        print_json({"changed": changed})
    else:
        out.print(f"changed {', '.join(changed)}" if changed else "every topic is as the registry says", markup=False)


@topics_app.command()
def check(*, bootstrap: Bootstrap = None, as_json: AsJson = False, directory: Directory = DEFAULT_DIRECTORY) -> None:
    """Compare the broker's topics with the registry. Exit codes: 0 they agree, 1 they differ, 3 no broker."""
    from opora_chassis.topics import check_topics

    broker = _broker(bootstrap, directory)
    problems = run(_answered(broker, check_topics(broker)))
    if as_json:
        print_json({"problems": problems})
    else:
        for line in problems or ["topics and registry agree"]:
            out.print(line, markup=False)
    if problems:
        raise typer.Exit(PROBLEMS_FOUND)


def _broker(bootstrap: str | None, directory: Directory) -> str:
    return bootstrap or read_endpoints(directory).kafka_bootstrap


async def _answered(broker: str, work: Awaitable[list[str]]) -> list[str]:
    from aiokafka.errors import KafkaError

    try:
        return await work
    except KafkaError as error:
        raise CommandError(
            f"the broker {broker} does not answer: {error}", next_command="opora status", exit_code=NOT_RUNNING
        ) from error
