"""`opora sla simulate`: a log, or the platform's own, folded under agreements that are not in force."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from opora_cli.console import AsJson, Directory, err, out, print_json, run, say
from opora_cli.endpoints import DEFAULT_DIRECTORY, read_endpoints
from opora_cli.errors import PROBLEMS_FOUND, UNUSABLE_INPUT, CommandError
from opora_cli.events.commands import Bootstrap, Prefix
from opora_cli.sla_reports.times import instant_given

if TYPE_CHECKING:
    from opora_cli.agreement_files import WrittenAgreement
    from opora_cli.simulation.log import Log
    from opora_cli.simulation.platform_log import PlatformLog
    from opora_sla.agreement import Agreement
    from opora_sla.domain import Clocks
    from opora_sla.simulation import Report

_FORMATS = ("servicenow", "italian")

AgreementFiles = Annotated[
    list[Path],
    typer.Option("--agreement", metavar="DRAFT.yaml|json", help="What is tried out; may be given several times."),
]
CurrentFiles = Annotated[
    list[Path] | None,
    typer.Option("--against", metavar="CURRENT.yaml|json", help="What it is compared with; several times as well."),
]
LogSource = Annotated[
    str | None,
    typer.Option(
        "--log",
        metavar="FORMAT:FILE",
        help=f"A log, plain or gzip: {' or '.join(_FORMATS)}. [default: the platform's own log]",
    ),
]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="TIME|DATE", help="Of the platform's log, tickets created from then on."),
]
To = Annotated[
    str | None, typer.Option("--to", metavar="TIME|DATE", help="Of the platform's log, only what happened before.")
]
LogZone = Annotated[
    str | None, typer.Option("--log-zone", help="The zone of the log's local times. [default: the draft's]")
]
MetBy = Annotated[
    int, typer.Option("--met-by", min=1, max=100, help="The share, in percent, that a found target must hold for.")
]
PlotFile = Annotated[Path | None, typer.Option("--plot", metavar="FILE.png|svg", help="Write the rates as a picture.")]
OutcomesFile = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE.jsonl", help="Write the outcomes, a line per ticket, as `opora replay` does."),
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Only the first N tickets of the file.")]


def simulate(
    agreement: AgreementFiles,
    *,
    log: LogSource = None,
    against: CurrentFiles = None,
    log_zone: LogZone = None,
    met_by: MetBy = 95,
    limit: Limit = None,
    begin: From = None,
    end: To = None,
    bootstrap: Bootstrap = None,
    prefix: Prefix = "",
    directory: Directory = DEFAULT_DIRECTORY,
    plot: PlotFile = None,
    out_file: OutcomesFile = None,
    as_json: AsJson = False,
) -> None:
    """Try an agreement on a log: breach rates before and after, and targets that would be met.

    The log is a file, for which no platform is needed, or else the platform's own: its topic of tickets as it is now,
    in the window of --from and --to (event time; a date is its midnight in UTC).

    A file holds one agreement or a list of them, as the API takes it, or `agreements` and `calendars`, whose feeds are
    not read. Before is --against, or else, of the platform's log, its agreements in force, and of a ServiceNow log what
    it recorded itself (made_sla, for the resolution). Every n counts tickets that are decided; a ticket is breached in
    a metric when one of its clocks is.

    JSON: "log", "agreements", "against", "judged_at", "time_zone", "rows", "malformed_lines", "refused_entries",
    "seconds", and of the report "before" (agreement, recorded or null), "tickets", "not_covered",
    "not_covered_before", "met_by_percent" and "metrics": by metric "all", "by_priority", "by_group" ("" is no group)
    and "by_hour" (00 to 23, at creation), each with "before" and "after": {"n", "met", "breached", "open",
    "cancelled", "breach_percent"}; "changes": {"newly_breached", "relieved"}; "used_seconds" and
    "used_seconds_by_priority": {"n", "p50", "p75", "p90", "p95", "p99", "longest"}; "targets": [{"priority", "n",
    "target_seconds", "found_seconds"}].

    Exit codes: 0 done; 1 lines of the log were malformed or entries refused, the rest was simulated; 2 a file is not
    usable, or the log has no ticket of that time; 3 no platform runs.
    """
    from opora_cli.agreement_files import load_agreements
    from opora_cli.simulation.tables import print_report
    from opora_sla.simulation import Plan, Simulation, report_as_json

    started_at = time.monotonic()
    _check_places(plot, out_file)
    drafts = load_agreements(*agreement)
    currents = load_agreements(*against) if against else []
    for feed in sorted({each.calendar.feed for each in drafts + currents if each.calendar and each.calendar.feed}):
        say(f"{feed} was not read: the simulation is without the feed")
    zone = _zone(log_zone or drafts[0].hours.time_zone)
    source: Log | PlatformLog
    in_force: list[Agreement] = []
    if log is not None:
        _no_platform(begin=begin, end=end, bootstrap=bootstrap)
        name, source = _from_file(log, zone, limit)
    else:
        window = instant_given("--from", begin), instant_given("--to", end)
        name, source, in_force = _from_platform(window, limit, bootstrap, prefix, directory, ask_sla=not against)
    for line in source.malformed:
        say(f"{name}:{line.line}: {line.problem}")
    simulation = Simulation(
        Plan(
            draft=_agreements(drafts, source.judged_at),
            current=_agreements(currents, source.judged_at) if against else in_force or None,
            judged_at=source.judged_at,
            time_zone=zone,
            met_by_percent=met_by,
        )
    )
    with _written_to(out_file) as write, err.status(f"folding {source.tickets:,} tickets"):
        for history in source.histories():
            write(history.name, simulation.take(history))
    for refused in source.refused:
        say(f"{refused.source_id}: entry {refused.ordinal} and what follows it were refused: {refused.problem}")
    report = simulation.report()
    if plot is not None:
        from opora_cli.simulation.plot import write_plot

        write_plot(report, plot)
    summary = {
        "log": name,
        "agreements": [written.document.name for written in drafts],
        "against": [each.document.name for each in currents or in_force],
        "judged_at": source.judged_at,
        "time_zone": zone.key,
        "rows": source.rows,
        "malformed_lines": len(source.malformed),
        "refused_entries": len(source.refused),
        "seconds": round(time.monotonic() - started_at, 3),
    }
    if as_json:
        print_json(summary | report_as_json(report))
    else:
        print_report(report, out)
        out.print(_closing_words(summary, report))
    if source.malformed or source.refused:
        raise typer.Exit(PROBLEMS_FOUND)


def _no_platform(**given: str | None) -> None:
    names = {"begin": "--from", "end": "--to", "bootstrap": "--bootstrap"}
    for name, value in given.items():
        if value is not None:
            raise CommandError(f"{names[name]} is for the platform's own log, without --log", exit_code=UNUSABLE_INPUT)


def _from_file(log: str, zone: ZoneInfo, limit: int | None) -> tuple[str, "Log"]:
    from opora_cli.replay.entries import UnreadableLogError
    from opora_cli.simulation.log import read_log

    format_name, file = _source(log)
    try:
        with err.status(f"reading {file}"):
            return str(file), read_log(format_name, file, zone, limit=limit)
    except UnreadableLogError as error:
        raise CommandError(str(error), exit_code=UNUSABLE_INPUT) from error


def _from_platform(
    window: tuple[datetime | None, datetime | None],
    limit: int | None,
    bootstrap: str | None,
    prefix: str,
    directory: Path,
    *,
    ask_sla: bool,
) -> tuple[str, "PlatformLog", list["Agreement"]]:
    """The log's name, the log, and the agreements in force, where a platform is known that can be asked for them."""
    from opora_cli.simulation.platform_log import PlatformLog, agreements_in_force, read_platform_log
    from opora_contracts.topics import TICKETS

    endpoints = None if bootstrap else read_endpoints(directory)
    broker = bootstrap or read_endpoints(directory).kafka_bootstrap
    name = f"{prefix}{TICKETS.name} at {broker}"
    log = PlatformLog(*window, most=limit)
    with err.status(f"reading {name}"):
        run(read_platform_log(broker, log, topic_prefix=prefix))
    if log.without_creation:
        say(f"{name}: {log.without_creation:,} facts of tickets whose creation it does not hold were left out")
    in_force = run(agreements_in_force(endpoints)) if endpoints is not None and ask_sla else []
    return name, log, in_force


def _source(log: str) -> tuple[str, Path]:
    format_name, separator, file = log.partition(":")
    if format_name not in _FORMATS or not separator or not file:
        raise CommandError(
            f"--log {log} names no log; write {' or '.join(f'{name}:FILE' for name in _FORMATS)}",
            exit_code=UNUSABLE_INPUT,
        )
    return format_name, Path(file)


def _check_places(plot: Path | None, out_file: Path | None) -> None:
    """What is written at the end is refused at the beginning."""
    from opora_cli.simulation.plot import FORMATS

    for option, path in (("--plot", plot), ("--out", out_file)):
        if path is not None and not path.parent.is_dir():
            raise CommandError(f"there is no directory {path.parent} for {option}", exit_code=UNUSABLE_INPUT)
    if plot is not None and plot.suffix not in FORMATS:
        raise CommandError(f"--plot {plot}: write a name that ends in {' or '.join(FORMATS)}", exit_code=UNUSABLE_INPUT)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise CommandError(
            f"--log-zone {name} is no IANA time zone; write one such as Europe/Berlin", exit_code=UNUSABLE_INPUT
        ) from None


def _agreements(written: Sequence["WrittenAgreement"], created_at: datetime) -> list["Agreement"]:
    """In the order in which they were given: of two that apply alike, the platform takes the later one."""
    from opora_sla.agreement import read_agreement
    from opora_sla.calendar.document import NamedCalendar

    return [
        read_agreement(
            UUID(int=number),
            1,
            each.document,
            created_at,
            NamedCalendar(UUID(int=number), 1, each.calendar.name, each.calendar.without_feed(created_at.year))
            if each.calendar
            else None,
        )
        for number, each in enumerate(written, start=1)
    ]


@contextmanager
def _written_to(path: Path | None) -> Iterator[Callable[[str, "Clocks | None"], None]]:
    if path is None:
        yield lambda _name, _clocks: None
        return
    with path.open("w", encoding="utf-8") as file:
        yield lambda name, clocks: _write_line(file.write, name, clocks)


def _write_line(write: Callable[[str], Any], name: str, clocks: "Clocks | None") -> None:
    if clocks is None:
        return
    line = {
        "source_id": name,
        "priority": clocks.priority.value,
        "metrics": {
            metric.value: {
                "due_at": None if clock.due_at is None else clock.due_at.isoformat().replace("+00:00", "Z"),
                "outcome": clock.outcome.value,
                "used_seconds": clock.used_seconds,
                "target_seconds": clock.target_seconds,
            }
            for metric, clock in clocks.latest().items()
        },
    }
    write(json.dumps(line, ensure_ascii=False) + "\n")


def _closing_words(summary: dict[str, Any], report: "Report") -> str:
    words = f"{report.tickets:,} tickets, {summary['rows']:,} rows, judged at {summary['judged_at']:%Y-%m-%d %H:%M} UTC"
    if report.not_covered:
        words += f"; {report.not_covered:,} tickets that no agreement of the draft applies to"
    if report.before == "recorded":
        words += "; before is what the log recorded (made_sla)"
    if report.before is None:
        words += "; give --against to compare"
    return f"{words}; {summary['seconds']:.1f} s"
