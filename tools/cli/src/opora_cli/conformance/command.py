"""`opora contracts conformance`."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer
from rich.markup import escape
from rich.table import Table

from opora_cli.conformance.judge import Verdict
from opora_cli.conformance.run import CLEANING_SCOPES, SCOPES, Report, Target, clean, run_cases
from opora_cli.console import AsJson, Directory, err, out, print_json, run, say
from opora_cli.endpoints import DEFAULT_DIRECTORY, read_endpoints
from opora_cli.errors import NOT_RUNNING, PROBLEMS_FOUND, UNUSABLE_INPUT, CommandError
from opora_contracts.conformance import CASES, Case, Run
from opora_contracts.conformance.table import answer_in_words

DEADLINE_SECONDS = 60.0


def conformance(
    *,
    bootstrap: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="The broker.")] = None,
    intake: Annotated[str | None, typer.Option(metavar="URL", help="Intake's API, without /v1.")] = None,
    key: Annotated[
        str | None,
        typer.Option(envvar="OPORA_API_KEY", help=f"An API key of intake with {', '.join(SCOPES)}.", show_envvar=True),
    ] = None,
    prefix: Annotated[str, typer.Option(help="What stands before every topic name of the platform.")] = "",
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this case; may be repeated. Default: all.")
    ] = None,
    deadline: Annotated[
        float, typer.Option(min=1, max=3600, metavar="SECONDS", help="How long each of three waits may take.")
    ] = DEADLINE_SECONDS,
    clean_up: Annotated[
        bool,
        typer.Option(
            "--clean",
            help="In the end close the run's tickets and discard its dead letters;"
            f" the key needs {' and '.join(CLEANING_SCOPES)} too.",
        ),
    ] = False,
    as_json: AsJson = False,
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Publish valid, borderline and broken events, and report case by case how the platform answers.

    What is not given is taken from the platform that runs in the directory. The run opens tickets and leaves dead
    letters under a source of its own: use a platform for tests, or --clean.

    Exit codes: 0 every answer is as the contract says, 1 one is not, 2 wrong usage or a key without the scopes,
    3 no platform runs or it does not answer.
    """
    cases = chosen_cases(only)
    target = _target(bootstrap, intake, key, prefix, directory)
    report = run(_run(target, cases, deadline))
    if as_json:
        print_json(as_document(report))
    else:
        _print(report)
    if clean_up:
        tickets, letters = run(clean(target, report))
        say(f"closed {tickets} tickets and discarded {letters} dead letters")
    elif not as_json:
        _say_what_is_left(report)
    if not report.ok:
        raise typer.Exit(PROBLEMS_FOUND)


def chosen_cases(names: Sequence[str] | None) -> list[Case]:
    """The named cases in the table's order, or all. Raises CommandError for a name that no case has."""
    known = {case.name: case for case in CASES}
    if not names:
        return list(CASES)
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=3, cutoff=0.5)
            hint = f"; near: {', '.join(near)}" if near else ""
            raise CommandError(f"no case is called {name}{hint}", exit_code=UNUSABLE_INPUT)
    return [case for case in CASES if case.name in names]


def as_document(report: Report) -> dict[str, Any]:
    """The report for a script."""
    return {
        "ok": report.ok,
        "run": report.run.name,
        "source": report.run.source,
        "cases": [
            {
                "name": verdict.case.name,
                "what": verdict.case.what,
                "standing": verdict.case.standing,
                "expected": answer_in_words(verdict.case.expected),
                "seen": verdict.answer,
                "ok": verdict.ok,
                "problems": list(verdict.problems),
                "partition": verdict.seen.partition,
                "offset": verdict.seen.offset,
            }
            for verdict in report.verdicts
        ],
        "stray_tickets": list(report.strays),
        "left": {"tickets": list(report.tickets), "dead_letters": list(report.letters)},
    }


async def _run(target: Target, cases: Sequence[Case], deadline_seconds: float) -> Report:
    from aiokafka.errors import KafkaError

    from opora_chassis.topics import check_topics

    try:
        problems = await check_topics(target.bootstrap, prefix=target.prefix)
        if problems:
            raise CommandError("; ".join(problems), next_command="opora topics check", exit_code=NOT_RUNNING)
        return await run_cases(target, cases, Run(uuid4().hex), deadline_seconds=deadline_seconds, say=say)
    except KafkaError as error:
        raise CommandError(
            f"the broker at {target.bootstrap} does not answer: {error!r}",
            next_command="opora status",
            exit_code=NOT_RUNNING,
        ) from error


def _target(bootstrap: str | None, intake: str | None, key: str | None, prefix: str, directory: Path) -> Target:
    if bootstrap is not None and intake is not None and key is not None:
        return Target(bootstrap, intake, key, prefix)
    endpoints = read_endpoints(directory)
    return Target(
        bootstrap or endpoints.kafka_bootstrap,
        intake or endpoints.services["intake"].url,
        key or endpoints.api_key,
        prefix,
    )


def _print(report: Report) -> None:
    table = Table()
    for heading in ("", "case", "expected", "seen"):
        table.add_column(heading, overflow="fold")
    for verdict in report.verdicts:
        state = "[green]ok[/]" if verdict.ok else "[red]wrong[/]"
        table.add_row(state, verdict.case.name, answer_in_words(verdict.case.expected), _seen_in_words(verdict))
    out.print(table)
    for number in report.strays:
        out.print(f"wrong: ticket {number} stands under the run's source, and no case asked for it", markup=False)
    wrong = [verdict for verdict in report.verdicts if not verdict.ok]
    out.print(f"{len(report.verdicts) - len(wrong)} of {len(report.verdicts)} cases answered as the contract says")


def _seen_in_words(verdict: Verdict) -> str:
    return escape(": ".join([verdict.answer, *(["; ".join(verdict.problems)] if verdict.problems else [])]))


def _say_what_is_left(report: Report) -> None:
    left = f"{len(report.tickets)} open tickets, {len(report.letters)} dead letters with parked keys"
    err.print(f"left under {report.run.source}: {left}; next time --clean takes them away", soft_wrap=True)
    if report.letters:
        say("next: opora dead-letters list, then opora dead-letters discard ID")
