"""The fenced blocks of the operator's pages, and how their commands are run as they stand."""

import asyncio
import os
import re
import shlex
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

OPERATIONS = Path(__file__).parents[2] / "docs/operations"
PART = re.compile(r"^## (?P<heading>[^\n]+)$|^```(?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block of a page."""

    page: str
    heading: str
    """The section that it stands in; empty before the first."""
    info: str
    lines: tuple[str, ...]

    @property
    def place(self) -> str:
        """For the report of the tests."""
        return f"{self.page}, {self.heading or 'top'}: `{self.lines[0]}`"


def blocks(page: str) -> Iterator[Block]:
    """Every fenced block of a page, in order."""
    heading = ""
    for part in PART.finditer((OPERATIONS / page).read_text("utf-8")):
        if part["heading"] is not None:
            heading = part["heading"]
        else:
            lines = tuple(line for line in part["body"].splitlines() if line.strip())
            yield Block(page, heading, part["info"].strip(), lines)


def commands_of(page: str, heading: str) -> tuple[str, ...]:
    """The lines of the one block in this section that this project's own tests run."""
    (block,) = [block for block in blocks(page) if block.heading == heading and block.info == "console"]
    return block.lines


async def run(
    line: str, directory: Path, *, codes: Collection[int] = (0,), variables: Mapping[str, str] | None = None
) -> str:
    """Run one line in the directory; it must end with one of these codes. Returns what it said."""
    program, *arguments = shlex.split(line)
    command = [sys.executable, "-m", "opora_cli"] if program == "opora" else [program]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPORA_")}
    running = await asyncio.create_subprocess_exec(
        *command,
        *arguments,
        cwd=directory,
        env={**environment, **(variables or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await running.communicate()
    assert running.returncode in codes, f"`{line}` ended with {running.returncode}:\n{said.decode()}"
    return said.decode()
