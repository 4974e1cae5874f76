"""`opora sla report …` and `opora sla explain`: what a running platform knows of its service levels."""

import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from opora_cli.console import AsJson, Directory, out, print_json, run
from opora_cli.endpoints import DEFAULT_DIRECTORY, read_endpoints
from opora_cli.errors import UNUSABLE_INPUT, CommandError
from opora_cli.sla_reports.times import instant_given

report_app = typer.Typer(help="What became of service levels on a running platform.", no_args_is_help=True)


class Dimension(StrEnum):
    """By what compliance is reported."""

    AGREEMENT = "agreement"
    ORGANIZATION = "organization"
    GROUP = "group"
    PARTY = "party"
    ASSIGNEE = "assignee"
    PRIORITY = "priority"
    METRIC = "metric"
    MONTH = "month"


class Metric(StrEnum):
    """What a clock measures, as sla has it (written again, so that a help text needs no service)."""

    FIRST_RESPONSE = "first_response"
    NEXT_RESPONSE = "next_response"
    RESOLUTION = "resolution"
    UPDATE = "update"
    OPERATIONAL = "operational"
    UNDERPINNING = "underpinning"


class Cause(StrEnum):
    """By what the time until a breach is divided."""

    WAITING = "waiting"
    STEP = "step"
    GROUP = "group"


class Place(StrEnum):
    """Where tickets spend their time."""

    STEP = "step"
    GROUP = "group"


From = Annotated[
    str | None, typer.Option("--from", metavar="TIME|DATE", help="The first instant that counts; a date is in UTC.")
]
To = Annotated[str | None, typer.Option("--to", metavar="TIME|DATE", help="The first instant that counts no more.")]
OfMetric = Annotated[Metric | None, typer.Option("--metric", help="Only this metric.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print CSV for a spreadsheet.")]


@report_app.command()
def compliance(
    *,
    by: Annotated[Dimension, typer.Option(help="A row for each of these, and for each metric.")] = Dimension.METRIC,
    metric: OfMetric = None,
    begin: From = None,
    end: To = None,
    limit: Annotated[int, typer.Option(min=1, max=5_000, help="At most so many rows.")] = 1_000,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """What became of the clocks that started in [--from, --to): the share that was met, with n and its 95 % interval.

    Percentiles are of the working time used by clocks that have ended. JSON and CSV are what GET
    /v1/reports/compliance of sla answers. Exit codes: 0 done, 2 wrong usage, 3 no platform runs.
    """
    from opora_cli.sla_reports.asking import report
    from opora_cli.sla_reports.tables import print_compliance
    from opora_sla.reporting import COMPLIANCE_COLUMNS

    _one_form(as_json=as_json, as_csv=as_csv)
    asked = {"by": by.value, "metric": metric, "limit": limit, **_window(begin, end)}
    found = run(report(read_endpoints(directory), "compliance", **asked))
    if as_json:
        print_json(found)
    elif as_csv:
        _print_csv(COMPLIANCE_COLUMNS, found["rows"])
    else:
        print_compliance(found, out)


@report_app.command()
def breaches(
    *,
    by: Annotated[Cause, typer.Option(help="Whom it waited for, in which step, or with which group.")] = Cause.WAITING,
    metric: OfMetric = None,
    begin: From = None,
    end: To = None,
    limit: Annotated[int, typer.Option(min=1, max=5_000, help="Look at so many clocks; of more, at a sample.")] = 1_000,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Where the time went, from start to breach, of the clocks that were breached in [--from, --to).

    JSON and CSV are what GET /v1/reports/breaches of sla answers. Exit codes: 0 done, 2 wrong usage, 3 no platform
    runs.
    """
    from opora_cli.sla_reports.asking import report
    from opora_cli.sla_reports.tables import print_breaches
    from opora_sla.reporting import BREACH_COLUMNS

    _one_form(as_json=as_json, as_csv=as_csv)
    asked = {"by": by.value, "metric": metric, "limit": limit, **_window(begin, end)}
    found = run(report(read_endpoints(directory), "breaches", **asked))
    if as_json:
        print_json(found)
    elif as_csv:
        _print_csv(BREACH_COLUMNS, found["rows"])
    else:
        print_breaches(found, out)


@report_app.command()
def times(
    *,
    by: Annotated[Place, typer.Option(help="In which step, or in hand with which group.")] = Place.STEP,
    begin: From = None,
    end: To = None,
    limit: Annotated[
        int, typer.Option(min=1, max=5_000, help="Look at so many tickets; of more, at a sample.")
    ] = 1_000,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """How long tickets were in each step, or each group had them in hand, of which a clock started in [--from, --to).

    JSON and CSV are what GET /v1/reports/times of sla answers. Exit codes: 0 done, 2 wrong usage, 3 no platform runs.
    """
    from opora_cli.sla_reports.asking import report
    from opora_cli.sla_reports.tables import print_times
    from opora_sla.reporting import TIME_COLUMNS

    _one_form(as_json=as_json, as_csv=as_csv)
    found = run(report(read_endpoints(directory), "times", by=by.value, limit=limit, **_window(begin, end)))
    if as_json:
        print_json(found)
    elif as_csv:
        _print_csv(TIME_COLUMNS, found["rows"])
    else:
        print_times(found, out)


@report_app.command()
def pauses(
    *,
    begin: From = None,
    end: To = None,
    shortly_before: Annotated[
        int,
        typer.Option("--shortly-before", metavar="SECONDS", min=0, help="Mark pauses that began with no more left."),
    ] = 1_800,
    who: Annotated[bool, typer.Option(help="Ask intake who put each ticket on hold.")] = True,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many pauses.")] = 1_000,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """The pause ledger: who paused which clock, why, from when to when, by which event, and how much time was left.

    Of the pauses that began in [--from, --to). JSON: {"more", "pauses"}; a pause is as GET /v1/reports/pauses of sla
    answers, with "actor". Exit codes: 0 done, 2 wrong usage, 3 no platform runs.
    """
    from opora_cli.sla_reports.asking import pause_ledger
    from opora_cli.sla_reports.tables import print_pauses
    from opora_sla.reporting import PAUSE_COLUMNS

    _one_form(as_json=as_json, as_csv=as_csv)
    asked = {"shortly_before_seconds": shortly_before, **_window(begin, end)}
    found, more = run(pause_ledger(read_endpoints(directory), limit, with_who=who, **asked))
    if as_json:
        print_json({"more": more, "pauses": found})
    elif as_csv:
        _print_csv((*PAUSE_COLUMNS, "actor"), found)
    else:
        print_pauses(found, shortly_before, out, more=more)


def explain(
    ticket: Annotated[str, typer.Argument(metavar="TICKET", help="The ticket's number, such as OP-1042, or its id.")],
    *,
    everything: Annotated[bool, typer.Option("--all", help="Every interval, on however many lines.")] = False,
    as_json: AsJson = False,
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Why a ticket is late, or is not, on one screen: verdict, due date, time used, and where the time went.

    The latest and the breached clocks come first; each interval says whether its working time was counted, whom the
    ticket waited for, and by which event it began. Times are UTC. JSON is what GET /v1/tickets/{ticket_id}/explain of
    sla answers. Exit codes: 0 done, 1 there is no such ticket, 3 no platform runs.
    """
    from opora_cli.sla_reports.asking import explained
    from opora_cli.sla_reports.screen import screenful

    found = run(explained(read_endpoints(directory), ticket))
    if as_json:
        print_json(found)
        return
    for line in screenful(found, lines=None if everything else 24):
        print(line)


def _window(begin: str | None, end: str | None) -> dict[str, str]:
    given = {"from": instant_given("--from", begin), "to": instant_given("--to", end)}
    return {name: instant.isoformat() for name, instant in given.items() if instant is not None}


def _one_form(*, as_json: bool, as_csv: bool) -> None:
    if as_json and as_csv:
        raise CommandError("--json or --csv, not both", exit_code=UNUSABLE_INPUT)


def _print_csv(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    from opora_sla.reporting import csv_text

    # Past the text layer, which would make other line ends of CR LF on some systems.
    sys.stdout.flush()
    sys.stdout.buffer.write(csv_text(columns, rows).encode())
    sys.stdout.buffer.flush()
