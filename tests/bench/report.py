"""Where the rows go: the terminal, a file for programs, the page for people."""

import json
import os
import platform
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.plot import write_plot
from tests.bench.row import Row

BEGIN = "<!-- bench: written by `make bench` and `make bench-full` -->"
END = "<!-- /bench -->"
_HEADINGS = ("line", "ours", "against", "theirs", "ratio", "reach", "ok")


def print_rows(rows: Sequence[Row]) -> None:
    """As a table."""
    table = Table(*_HEADINGS)
    for row in rows:
        table.add_row(*_cells(row))
    Console(width=180).print(table)


def document(rows: Sequence[Row], at: datetime) -> dict[str, Any]:
    """For programs: the rows and where they were measured."""
    return {
        "at": at.isoformat(),
        "machine": machine(),
        "rows": [
            {
                "line": row.line,
                "figure": row.figure,
                "against": row.against,
                "baseline": row.baseline,
                "ratio": round(row.ratio, 4),
                "reach": None if row.reach is None else str(row.reach),
                "ok": row.ok,
                "remark": row.remark,
            }
            for row in rows
        ],
    }


def machine() -> dict[str, str]:
    """What it was measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": str(os.cpu_count()),
        "memory": f"{memory / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def write_document(rows: Sequence[Row], at: datetime, path: Path) -> None:
    """`bench.json`."""
    path.write_text(json.dumps(document(rows, at), indent=2) + "\n")


def write_page(rows: Sequence[Row], at: datetime, path: Path, command: str) -> None:
    """Replace the measured part of the page and the picture beside it. Raises ValueError when it has no such part."""
    told = ", ".join(f"{name} {value}" for name, value in machine().items())
    missed = sum(not row.ok for row in rows)
    picture = path.with_suffix(".svg")
    lines = [
        f"`{command}` of {at:%Y-%m-%d}: {len(rows)} comparisons, {missed} missed. {told}.",
        "",
        "| " + " | ".join(_HEADINGS) + " |",
        "|" + "---|" * len(_HEADINGS),
        *("| " + " | ".join(_cells(row)) + " |" for row in rows),
        "",
        f"![How far each line is from its reach]({picture.name})",
    ]
    remarks = [f"* {row.line}, against {row.against}: {row.remark}" for row in rows if row.remark]
    if remarks:
        lines += ["", *remarks]
    replace_part(path, BEGIN, END, "\n".join(lines))
    write_plot(rows, picture)


def replace_part(path: Path, begin: str, end: str, text: str) -> None:
    """Put the text between two lines of the page. Raises ValueError when it lacks them."""
    before, found_begin, rest = path.read_text().partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError(f"{path} lacks the lines {begin} and {end}, between which it is written")
    path.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")


def _cells(row: Row) -> tuple[str, ...]:
    ratio = f"{row.ratio:.2f} x" if row.ratio < 100 else f"{row.ratio:,.0f} x"
    told = ("", "") if row.reach is None else (str(row.reach), "yes" if row.ok else "MISSED")
    return (row.line, row.figure, row.against, row.baseline, ratio, *told)
