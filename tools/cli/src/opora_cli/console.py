"""How commands talk: progress and errors on standard error, results on standard output."""

import asyncio
import json
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console

from opora_cli.endpoints import DEFAULT_DIRECTORY
from opora_cli.errors import NOT_RUNNING, CommandError

_UNBROKEN_WIDTH = 180
"""Where nobody looks at a terminal, tables keep a line a row."""

out = Console(highlight=False, width=None if sys.stdout.isatty() else _UNBROKEN_WIDTH)
err = Console(stderr=True, highlight=False)

Directory = Annotated[
    Path, typer.Option("--directory", "-d", help="The platform's directory.", show_default=str(DEFAULT_DIRECTORY))
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]
ResultT = TypeVar("ResultT")


def run(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run a command's asynchronous part. A server that does not answer becomes a CommandError."""
    try:
        return asyncio.run(work)
    except (ConnectionError, TimeoutError) as error:
        words = str(error) or "no answer in time"
        raise CommandError(
            f"a part of the platform does not answer: {words}", next_command="opora status", exit_code=NOT_RUNNING
        ) from error


def print_json(value: Any) -> None:
    """A result for a script, one JSON document."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def say(line: str) -> None:
    """A line of progress, as plain text."""
    err.print(line, markup=False)
