"""`python -m opora_contracts`: the compatibility gate and the reference pages, with nothing installed but pydantic."""

import argparse
import sys
from pathlib import Path

from opora_contracts.gate import PACKAGE_DIRECTORY, GateRefusal, check_all, freeze
from opora_contracts.reference import pages


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0, or 1 with one line per violation."""
    parser = argparse.ArgumentParser(prog="python -m opora_contracts", description="Opora's event contracts")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, words in (
        ("check", "compare the models with every committed revision and read the golden examples"),
        ("freeze", "write a new revision of each model that changed, when no rule is broken"),
    ):
        command = commands.add_parser(name, help=words)
        command.add_argument("--directory", type=Path, default=PACKAGE_DIRECTORY, help="holds schemas/ and examples/")
    docs = commands.add_parser("docs", help="write the reference pages")
    docs.add_argument("directory", type=Path)
    chosen = parser.parse_args(arguments)
    if chosen.command == "docs":
        return _write_pages(chosen.directory)
    return _check(chosen.directory) if chosen.command == "check" else _freeze(chosen.directory)


def _check(directory: Path) -> int:
    violations = check_all(directory=directory)
    for violation in violations:
        _say(str(violation))
    return 1 if violations else 0


def _freeze(directory: Path) -> int:
    try:
        written = freeze(directory=directory)
    except GateRefusal as refusal:
        for violation in refusal.violations:
            _say(str(violation))
        return 1
    for path in written:
        _say(str(path))
    return 0


def _write_pages(directory: Path) -> int:
    directory.mkdir(parents=True, exist_ok=True)
    for name, page in pages().items():
        (directory / name).write_text(page, encoding="utf-8")
        _say(str(directory / name))
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
