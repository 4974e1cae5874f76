"""`opora customers …`: customers from files and into files."""

import sys
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from opora_cli.console import AsJson, Directory, print_json, run
from opora_cli.endpoints import DEFAULT_DIRECTORY, read_endpoints
from opora_cli.errors import PROBLEMS_FOUND

customers_app = typer.Typer(help="Customers from files and into files.", no_args_is_help=True)


class FileFormat(StrEnum):
    """How customers are written in a file."""

    CSV = "csv"
    JSONL = "jsonl"


@customers_app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE.csv|jsonl", help="UTF-8, with or without byte order mark.")],
    *,
    file_format: Annotated[FileFormat | None, typer.Option("--format", help="Else by the file's name.")] = None,
    name: Annotated[str | None, typer.Option(help="The import's name; else the file's name and digest.")] = None,
    as_json: AsJson = False,
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Import customers; rows that cannot be taken in are printed with their lines, and what to write instead.

    An import that was cut off goes on where it was when it is called again. The same file again changes nothing; give
    another --name to have refused rows looked at anew. JSON is what intake answers, with "refusals".

    Exit codes: 0 every row was taken in; 1 rows were refused, or the file was not understood; 2 the file cannot be
    read; 3 no platform runs.
    """
    from opora_cli.customer_files import checked_file, import_customers

    checked = checked_file(file)
    chosen = file_format or (FileFormat.JSONL if file.suffix.lower() in {".jsonl", ".ndjson"} else FileFormat.CSV)
    called = name or f"{file.name[:150]} {checked.digest[:16]}"
    found = run(import_customers(read_endpoints(directory), checked, chosen.value, called))
    if as_json:
        print_json(found)
    else:
        for one in found["refusals"]:
            field = f"{one['field']}: " if one["field"] else ""
            print(f"{file}:{one['line']}: {field}{one['reason']}; {one['instead']}")
        if found["problem"]:
            print(f"{file}: {found['problem']}")
        told = ", ".join(f"{found[word]} {word}" for word in ("registered", "changed", "unchanged", "refused"))
        print(f"{found['rows']} rows: {told}")
    if found["refused"] or found["state"] == "failed":
        raise typer.Exit(PROBLEMS_FOUND)


@customers_app.command("export")
def export(
    *,
    file_format: Annotated[FileFormat, typer.Option("--format")] = FileFormat.CSV,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file; else standard output.")] = None,
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Export every customer as a file that `opora customers import` takes; importing it changes nothing.

    In CSV a cell that a spreadsheet could take for a formula has an apostrophe before it. Exit codes: 0 done; 3 no
    platform runs.
    """
    from opora_cli.customer_files import export_customers

    endpoints = read_endpoints(directory)
    with ExitStack() as stack:
        target = sys.stdout.buffer if output is None else stack.enter_context(output.open("wb"))
        run(export_customers(endpoints, file_format.value, target))
