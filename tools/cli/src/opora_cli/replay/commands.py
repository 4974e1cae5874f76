"""`opora replay servicenow|italian FILE`."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from opora_cli.console import AsJson, Directory, err, out, print_json, run, say
from opora_cli.endpoints import DEFAULT_DIRECTORY, read_endpoints
from opora_cli.errors import PROBLEMS_FOUND, UNUSABLE_INPUT, CommandError, NotRunningError

replay_app = typer.Typer(
    help="Replay a log of another system through the public interface, with its own times.", no_args_is_help=True
)
_OUTCOMES = ("met", "breached", "open", "cancelled")

LogFile = Annotated[Path, typer.Argument(metavar="FILE.csv[.gz]", help="The log, plain or gzip.")]
AgreementFile = Annotated[
    Path | None, typer.Option("--agreement", metavar="FILE.json", help="The agreement; each format has a default.")
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Only the first N tickets of the file.")]
OutFile = Annotated[
    Path | None, typer.Option("--out", metavar="FILE.jsonl", help="Write the outcomes, a line per ticket.")
]
JoinLive = Annotated[
    bool, typer.Option("--join-live", help="Then judge what is still open by live time, not by the log's end.")
]
IntakeUrl = Annotated[str | None, typer.Option(help="Intake of a platform that was not started by `opora up`.")]
SlaUrl = Annotated[str | None, typer.Option(help="Its sla.")]
ApiKeyFile = Annotated[Path | None, typer.Option(help="A file with an API key for both.")]


@dataclass(frozen=True, slots=True)
class Target:
    """Which platform to replay to; without addresses the one of the directory, or one started for the time."""

    directory: Path
    intake_url: str | None
    sla_url: str | None
    api_key_file: Path | None


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be replayed, and what is wanted of it."""

    log_format: str
    file: Path
    agreement: Path | None
    limit: int | None
    out_file: Path | None
    join_live: bool
    as_json: bool


@replay_app.command()
def servicenow(
    file: LogFile,
    *,
    agreement: AgreementFile = None,
    limit: Limit = None,
    out_file: OutFile = None,
    join_live: JoinLive = False,
    as_json: AsJson = False,
    directory: Directory = DEFAULT_DIRECTORY,
    intake_url: IntakeUrl = None,
    sla_url: SlaUrl = None,
    api_key_file: ApiKeyFile = None,
) -> None:
    """A ServiceNow incident event log (CSV, a row per update).

    Exit codes: 0 all replayed; 1 a line was malformed or an entry refused, the rest was replayed; 2 the file or the
    agreement is not usable; 3 the platform does not answer; 4 it could not be started.
    """
    request = Request("servicenow", file, agreement, limit, out_file, join_live, as_json)
    _replay(request, Target(directory, intake_url, sla_url, api_key_file))


@replay_app.command()
def italian(
    file: LogFile,
    *,
    agreement: AgreementFile = None,
    limit: Limit = None,
    out_file: OutFile = None,
    join_live: JoinLive = False,
    as_json: AsJson = False,
    directory: Directory = DEFAULT_DIRECTORY,
    intake_url: IntakeUrl = None,
    sla_url: SlaUrl = None,
    api_key_file: ApiKeyFile = None,
) -> None:
    """The Italian software company's help desk log (CSV, a row per activity). Exit codes as of `replay servicenow`."""
    request = Request("italian", file, agreement, limit, out_file, join_live, as_json)
    _replay(request, Target(directory, intake_url, sla_url, api_key_file))


def _replay(request: Request, target: Target) -> None:
    from opora_cli.replay.agreement import import_name, load_agreement, time_zone_of
    from opora_cli.replay.entries import UnreadableLogError

    document = load_agreement(request.log_format, request.agreement)
    if request.out_file is not None and not request.out_file.parent.is_dir():
        raise CommandError(f"there is no directory {request.out_file.parent} for --out", exit_code=UNUSABLE_INPUT)
    started_at = time.monotonic()
    try:
        log = _convert(request, time_zone_of(document))
    except UnreadableLogError as error:
        raise CommandError(str(error), exit_code=UNUSABLE_INPUT) from error
    for line in log.malformed:
        say(f"{request.file}:{line.line}: {line.problem}")
    if not log.entries:
        raise CommandError(f"{request.file} holds no ticket that could be read", exit_code=UNUSABLE_INPUT)
    name = import_name(request.log_format, log.digest, document, request.limit)
    summary = run(_drive(request, target, log, document, name))
    summary |= {"rows": log.rows, "malformed_lines": len(log.malformed), "seconds": time.monotonic() - started_at}
    if request.as_json:
        print_json(summary)
    else:
        _print_summary(request, summary)
    if log.malformed or summary["refused_entries"]:
        raise typer.Exit(PROBLEMS_FOUND)


def _convert(request: Request, time_zone: ZoneInfo) -> Any:
    from opora_cli.replay.entries import convert_file
    from opora_cli.replay.italian import italian_format
    from opora_cli.replay.servicenow import servicenow_format

    with err.status(f"reading {request.file}"):
        if request.log_format == "servicenow":
            return convert_file(request.file, servicenow_format(time_zone), limit=request.limit)
        return convert_file(request.file, italian_format(time_zone), limit=request.limit)


async def _drive(request: Request, target: Target, log: Any, document: dict[str, Any], name: str) -> dict[str, Any]:
    from opora_cli.client import ServiceClient
    from opora_cli.replay.run import Replay, outcome_line

    async with _platform(target) as (intake_url, sla_url, api_key):
        intake = ServiceClient("intake", intake_url, api_key)
        sla = ServiceClient("sla", sla_url, api_key)
        sending_at = time.monotonic()
        try:
            replay = Replay(intake, sla, name)
            await replay.begin(document)
            with _progress() as progress:
                await replay.send(log, _bar(progress, "entries sent", len(log.entries)))
                last = None if replay.was_closed else log.entries[-1].at
                await replay.wait_until_judged(last, _bar(progress, "facts judged", replay.facts))
                judged_seconds = time.monotonic() - sending_at
                if request.join_live and not replay.was_closed:
                    await replay.join_live()
                items = await replay.outcomes(_bar(progress, "outcomes read", len(log.source_ids)))
        finally:
            await intake.close()
            await sla.close()
    for refused in replay.refused:
        say(f"{refused.source_id}: entry {refused.ordinal} and what follows it were refused: {refused.problem}")
    lines = [outcome_line(source_id, items[source_id]) for source_id in log.source_ids if source_id in items]
    if request.out_file is not None:
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        await asyncio.to_thread(request.out_file.write_text, text, "utf-8")
    return {
        "import": name,
        "import_id": replay.import_id,
        "tickets": len(lines),
        "entries_applied": replay.applied,
        "entries_skipped": replay.skipped,
        "refused_entries": len(replay.refused),
        "facts": replay.facts,
        "facts_per_second": round(replay.facts / judged_seconds) if replay.applied else None,
        "outcomes": _counted(lines),
    }


@asynccontextmanager
async def _platform(target: Target) -> AsyncIterator[tuple[str, str, str]]:
    """Intake's and sla's address and a key: those given, those of the directory's platform, or of one for the time."""
    if target.intake_url and target.sla_url and target.api_key_file:
        yield target.intake_url, target.sla_url, target.api_key_file.read_text().strip()
        return
    if target.intake_url or target.sla_url:
        raise CommandError("give --intake-url, --sla-url and --api-key-file together", exit_code=UNUSABLE_INPUT)
    try:
        endpoints = read_endpoints(target.directory)
    except NotRunningError:
        async with _platform_for_the_time() as found:
            yield found
    else:
        yield endpoints.services["intake"].url, endpoints.services["sla"].url, endpoints.api_key


@asynccontextmanager
async def _platform_for_the_time() -> AsyncIterator[tuple[str, str, str]]:
    from opora_cli.stack import StackOptions
    from opora_cli.supervisor import Supervisor

    say("no platform runs here: starting intake and sla for the time of the replay")
    with TemporaryDirectory(prefix="opora-replay-", ignore_cleanup_errors=True) as directory:
        supervisor = Supervisor(StackOptions(directory=Path(directory), services=("intake", "sla")), report=say)
        endpoints = await supervisor.start()
        stop = asyncio.Event()
        watching = asyncio.create_task(supervisor.watch(stop))
        try:
            yield endpoints.services["intake"].url, endpoints.services["sla"].url, endpoints.api_key
        finally:
            stop.set()
            await watching
            await supervisor.stop()


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description:>14}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=err
    )


def _bar(progress: Progress, words: str, total: int) -> Callable[[int], None]:
    task = progress.add_task(words, total=total)
    return lambda done: progress.update(task, completed=done)


def _counted(lines: list[dict[str, Any]]) -> dict[str, dict[str, dict[str, int]]]:
    """How many tickets have which outcome, by metric and priority."""
    counted: dict[str, dict[str, Counter[str]]] = {}
    for line in lines:
        for metric, state in line["metrics"].items():
            counted.setdefault(metric, {}).setdefault(line["priority"], Counter())[state["outcome"]] += 1
    return {
        metric: {priority: dict(counted[metric][priority]) for priority in sorted(counted[metric])}
        for metric in sorted(counted)
    }


def _print_summary(request: Request, summary: dict[str, Any]) -> None:
    table = Table(title=f"{summary['tickets']:,} tickets of {request.file.name}", title_justify="left")
    for heading in ("metric", "priority"):
        table.add_column(heading)
    for heading in _OUTCOMES:
        table.add_column(heading, justify="right")
    for metric, priorities in summary["outcomes"].items():
        for priority, outcomes in priorities.items():
            table.add_row(metric, priority, *(f"{outcomes.get(outcome, 0):,}" for outcome in _OUTCOMES))
    out.print(table)
    out.print(
        f"{summary['rows']:,} rows, {summary['entries_applied']:,} entries applied,"
        f" {summary['entries_skipped']:,} were there already, {summary['facts']:,} facts"
        + (
            f", {summary['facts_per_second']:,} facts a second from the first request to the last judgement"
            if summary["facts_per_second"]
            else ""
        )
        + f"; {summary['seconds']:.1f} s in all"
    )
    out.print(f"import {summary['import']}", soft_wrap=True)
    if request.out_file is not None:
        out.print(f"outcomes in {request.out_file}", soft_wrap=True)
    if summary["malformed_lines"]:
        out.print(f"{summary['malformed_lines']:,} malformed lines were left out; they are listed above")
    if summary["refused_entries"]:
        out.print(f"{summary['refused_entries']:,} entries were refused; they are listed above")
