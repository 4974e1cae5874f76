"""`python -m opora_contracts.conformance DIR`: the cases as files, with nothing installed but pydantic."""

import argparse
import sys
from pathlib import Path
from uuid import uuid4

from opora_contracts.conformance.case import Run
from opora_contracts.conformance.files import INDEX, write_cases


def main(arguments: list[str] | None = None) -> int:
    """Write the files. Returns the exit code: 0, or 2 for a run that cannot have this name."""
    parser = argparse.ArgumentParser(
        prog="python -m opora_contracts.conformance",
        description="Write the cases of the conformance kit as files: an index, and each record's headers and value.",
    )
    parser.add_argument("directory", type=Path, metavar="DIR")
    parser.add_argument(
        "--run",
        default=uuid4().hex,
        help="makes sources, ids and keys unique, and so new to the platform: 1 to 32 letters a-z and digits",
    )
    chosen = parser.parse_args(arguments)
    try:
        run = Run(chosen.run)
    except ValueError as error:
        parser.error(str(error))
    written = write_cases(chosen.directory, run)
    sys.stdout.write(f"{len(written)} files of run {run.name}; begin with {chosen.directory / INDEX}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
