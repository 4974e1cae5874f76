"""`opora sla …`: what sla says, and would say without a platform; `calendar eval` answers questions of working time."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from pydantic import ValidationError

from opora_cli.agreements_commands import agreements_app
from opora_cli.calendar_preview import preview
from opora_cli.console import err
from opora_cli.errors import PROBLEMS_FOUND, UNUSABLE_INPUT, CommandError
from opora_cli.simulation.commands import simulate
from opora_cli.sla_reports.commands import explain, report_app

sla_app = typer.Typer(help="Agreements, working time, and what became of both.", no_args_is_help=True)
calendar_app = typer.Typer(help="Working time.", no_args_is_help=True)
sla_app.add_typer(calendar_app, name="calendar")
sla_app.add_typer(agreements_app, name="agreements")
sla_app.add_typer(report_app, name="report")
sla_app.command()(explain)
sla_app.command()(simulate)
calendar_app.command()(preview)

_MOST_BYTES = 1_000_000
"""Of a line."""


@calendar_app.command("eval")
def evaluate(
    cases: Annotated[Path, typer.Argument(metavar="CASES.jsonl", help="A question a line; - reads standard input.")],
) -> None:
    """Answer a file of questions about working time, without a platform: each line comes back with its answer.

    A line: {"timezone": "Europe/Berlin", "weekly_hours": {"mon": [["09:00", "17:00"]]}, "holidays": ["2026-12-25"],
    "date_overrides": {"2026-12-24": [["09:00", "12:00"]]}, "breaks": {"mon": [["12:00", "13:00"]]}, "pauses": [],
    "op": "add", "start": "2026-12-24T11:00:00", "amount_seconds": 7200}. Operations: add, sub (amount_seconds), between
    (end), is_open, next_open, next_close. An answer that is more than ten years away is null.

    A line that cannot be answered comes back with "error" instead. Exit codes: 0 all answered, 1 some were not,
    2 the file cannot be read.
    """
    from opora_sla.calendar.questions import answered

    failed = 0
    with _opened(cases) as lines:
        for number, line in _lines(lines):
            try:
                answer = answered(_object(line))
            except ValueError as error:
                failed += 1
                answer = {**_asked(line), "error": _reason(error)}
                err.print(f"line {number}: {answer['error']}", markup=False, soft_wrap=True)
            sys.stdout.write(json.dumps(answer, ensure_ascii=False) + "\n")
    if failed:
        raise CommandError(f"{failed} lines were not answered", exit_code=PROBLEMS_FOUND)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    if str(path) == "-":
        yield sys.stdin.buffer
        return
    try:
        opened = path.open("rb")
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}", exit_code=UNUSABLE_INPUT) from error
    with opened:
        yield opened


def _lines(opened: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Each line that is not blank, with its number. Of a longer one than 1 MB only so much."""
    number = 0
    while line := opened.readline(_MOST_BYTES + 1):
        number += 1
        whole = line
        while not whole.endswith(b"\n") and (whole := opened.readline(_MOST_BYTES)):
            pass
        if line.strip():
            yield number, line


def _object(line: bytes) -> dict[str, Any]:
    if len(line) > _MOST_BYTES:
        raise ValueError(f"longer than {_MOST_BYTES:,} bytes")
    try:
        question = json.loads(line)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"no JSON in UTF-8: {error}") from None
    if not isinstance(question, dict):
        raise ValueError("no JSON object")  # noqa: TRY004  a reason for the reader, like the others
    return question


def _asked(line: bytes) -> dict[str, Any]:
    try:
        return _object(line)
    except ValueError:
        return {}


def _reason(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(_told(problem) for problem in error.errors())


def _told(problem: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in problem["loc"]) or "question"
    return f"{place}: {problem['msg'].removeprefix('Value error, ')}"
