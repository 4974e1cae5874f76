"""`python -m opora_embedded prepare`: download and verify Kafka's jars, so that a later start needs no network."""

import sys
import time

from opora_embedded.errors import EmbeddedServerError
from opora_embedded.jars import cache_directory, prepare_jars

_USAGE = "usage: python -m opora_embedded prepare\n"


def main(arguments: list[str]) -> int:
    """Returns the exit code: 0 all jars there, 1 a jar failed (told on standard error), 2 wrong usage."""
    if arguments != ["prepare"]:
        sys.stderr.write(_USAGE)
        return 2
    started = time.monotonic()
    try:
        jars = prepare_jars(report=lambda line: print(line, flush=True))  # noqa: T201 - the command's output
    except EmbeddedServerError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{len(jars)} jars verified in {cache_directory()} ({time.monotonic() - started:.1f} s)\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
