"""`opora events tail|publish`: what goes over the topics, for people."""

import os
import sys
from typing import Annotated, Any

import typer

from opora_cli.console import AsJson, Directory, err, out, print_json, run
from opora_cli.endpoints import DEFAULT_DIRECTORY, read_endpoints
from opora_cli.errors import PROBLEMS_FOUND

events_app = typer.Typer(help="Look at the events on the topics, and publish some.", no_args_is_help=True)
Bootstrap = Annotated[
    str | None, typer.Option("--bootstrap", metavar="HOST:PORT", help="A broker that was not started by `opora up`.")
]
Prefix = Annotated[
    str,
    typer.Option(
        "--prefix", envvar="OPORA_TOPIC_PREFIX", help="What stands before the topics' names, where something does."
    ),
]


class _ReaderLeft(Exception):  # noqa: N818  nothing is in error
    """Whoever read our lines has enough."""


@events_app.command()
def tail(
    *,
    topic: Annotated[
        list[str] | None,
        typer.Option(help="Such as opora.tickets or tickets; may be repeated. All but the progress marks by default."),
    ] = None,
    event_type: Annotated[
        list[str] | None, typer.Option("--type", help="Such as sla.breached or 'ticket.*'; may be repeated.")
    ] = None,
    ticket: Annotated[str | None, typer.Option(help="Events of this ticket: its id, or its number.")] = None,
    begin: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="earliest|latest|TIME|OFFSET",
            help="TIME in RFC 3339 is when the record was written; OFFSET counts in every partition.",
        ),
    ] = "latest",
    count: Annotated[int | None, typer.Option(min=1, help="End after so many lines.")] = None,
    until_end: Annotated[bool, typer.Option("--until-end", help="End behind what is there now.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Whole events as JSON lines, with what tells who a person is.")
    ] = False,
    bootstrap: Bootstrap = None,
    prefix: Prefix = "",
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Print a line per event as it arrives, until Ctrl-C. It reads on its own and disturbs no consumer.

    Order holds within a partition. Exit codes: 0 ended, 2 wrong usage, 3 no broker, or it has no such topic.
    """
    from opora_cli.events import lines
    from opora_cli.events.tail import Ticket, Wanted, follow, start_named, ticket_named, topics_named

    start, topics = start_named(begin), topics_named(topic)
    endpoints = None if bootstrap else read_endpoints(directory)
    broker = bootstrap or read_endpoints(directory).kafka_bootstrap

    def show(given: Any, place: Any) -> None:
        line = lines.for_scripts(given, place) if as_json else lines.for_people(given, place)
        try:
            if isinstance(line, str) or not out.is_terminal:
                print(line, flush=True)
            else:
                out.print(line, soft_wrap=True)
        except BrokenPipeError:
            raise _ReaderLeft from None

    async def work() -> int:
        about: Ticket | None = None if ticket is None else await ticket_named(ticket, endpoints)
        wanted = Wanted(tuple(event_type or ()), about)
        what = ", ".join(prefix + name for name in topics)
        err.print(f"following {what} at {broker} from {begin}; Ctrl-C ends", markup=False, soft_wrap=True)
        return await follow(
            broker, topics, wanted, show, start=start, until_end=until_end, most=count, topic_prefix=prefix
        )

    try:
        run(work())
    except KeyboardInterrupt:
        return
    except _ReaderLeft:
        # Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@events_app.command()
def publish(
    file: Annotated[
        str, typer.Argument(help="Structured CloudEvents: one, an array, or JSON lines; - reads standard input.")
    ],
    *,
    bootstrap: Bootstrap = None,
    prefix: Prefix = "",
    as_json: AsJson = False,
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Publish every event of a file, in its order, and say where each stands; nothing at all unless all are valid.

    An event keeps its id: running the command again has no second effect. Exit codes: 0 all are acknowledged, 1 one is
    not valid and nothing was published, 2 the file cannot be read or holds no event, 3 the broker does not answer, or
    refuses one.
    """
    from opora_cli.events import verdicts
    from opora_cli.events.publish import publish_all, refused_where_not_open

    judged = refused_where_not_open(verdicts.read_verdicts(file))
    if not all(one.valid for one in judged):
        verdicts.say([one for one in judged if not one.valid])
        err.print("nothing was published", markup=False)
        raise typer.Exit(PROBLEMS_FOUND)
    verdicts.warn([one for one in judged if one.ignored_fields])
    stands: list[dict[str, Any]] = []

    def show(event: Any, published: Any) -> None:
        place = {"topic": published.topic, "partition": published.partition, "offset": published.offset}
        stands.append({"id": event.id, "source": event.source, "type": event.type, "subject": event.subject, **place})
        if not as_json:
            where = f"{published.topic}/{published.partition}@{published.offset}"
            out.print(f"{event.type} {event.subject} → {where} (id {event.id})", markup=False, soft_wrap=True)

    broker = bootstrap or read_endpoints(directory).kafka_bootstrap
    events = [one.event for one in judged if one.event is not None]
    try:
        run(publish_all(broker, events, show, topic_prefix=prefix))
    finally:
        if as_json:
            print_json(stands)
