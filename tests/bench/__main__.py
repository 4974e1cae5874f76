"""Measures Opora against raw baselines in the same run.

python -m tests.bench                     every line at its smaller sizes
python -m tests.bench --full              at all sizes
python -m tests.bench --only relay        one line; may be repeated
"""

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import structlog
import uvloop

from opora_chassis.clock import host_now
from opora_cli.console import say
from opora_embedded import Kafka, Postgres
from tests.bench.ground import Ground
from tests.bench.lines import LINES
from tests.bench.report import print_rows, write_document, write_page
from tests.bench.row import Row


def main() -> int:
    """Measure what was asked for; exit code 0 unless something could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure Opora against raw baselines.")
    parser.add_argument("--full", action="store_true", help="at the largest sizes too")
    parser.add_argument("--only", action="append", choices=sorted(LINES), help="this line alone; may be repeated")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), help="where the rows are written")
    parser.add_argument("--page", type=Path, help="the page whose measured part is replaced")
    options = parser.parse_args()
    # What belongs to a run on purpose: groups that come and go, topics that were made a moment ago.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    at = host_now()

    def keep(rows: list[Row]) -> None:
        write_document(rows, at, options.json)
        if options.page is not None:
            write_page(rows, at, options.page, "make bench-full" if options.full else "make bench")

    print_rows(uvloop.run(_measure(options.only or list(LINES), keep, full=options.full)))
    return 0


async def _measure(names: list[str], keep: Callable[[list[Row]], None], *, full: bool) -> list[Row]:
    """Measure the lines one after the other; what is measured is kept after each, whatever happens to the next."""
    rows: list[Row] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="opora-bench-") as place:
        directory = Path(place)
        kafka, postgres = Kafka(directory / "kafka"), Postgres(directory / "postgres")
        try:
            await asyncio.gather(asyncio.to_thread(kafka.start), asyncio.to_thread(postgres.start))
            ground = Ground(directory, kafka, postgres, full)
            for name in names:
                say(f"{time.monotonic() - began:5.0f} s  {name}")
                of_line = await LINES[name](ground)
                print_rows(of_line)
                rows += of_line
                keep(rows)
        finally:
            await asyncio.gather(asyncio.to_thread(kafka.stop), asyncio.to_thread(postgres.stop))
    return rows


if __name__ == "__main__":
    sys.exit(main())
