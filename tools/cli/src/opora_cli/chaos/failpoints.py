"""Runs a service that kills itself at a named point of its work: where a crash is hardest to get over.

    python -m opora_cli.chaos.failpoints after_commit:3 opora_intake serve

SIGKILLs the process when it passes the point for the third time, at once and without any clean-up. The services know
nothing of it: the points are put around their functions here, before they start.
"""

import functools
import itertools
import os
import runpy
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

MODULE = "opora_cli.chaos.failpoints"


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _before_commit(passed: Callable[[], None]) -> None:
    """Everything is written, nothing is committed."""
    from opora_chassis.database import Transaction

    flush = Transaction.flush

    @functools.wraps(flush)
    async def then_die(self: Transaction) -> bool:
        wrote = await flush(self)
        if wrote:
            passed()
        return wrote

    Transaction.flush = then_die  # type: ignore[method-assign]


def _after_commit(passed: Callable[[], None]) -> None:
    """It is committed, and nobody has heard of it: no answer was given, no offset acknowledged."""
    from opora_chassis.database import Transaction

    committed = Transaction.committed

    @functools.wraps(committed)
    def die_first(self: Transaction) -> None:
        if self._written:
            passed()
        committed(self)

    Transaction.committed = die_first  # type: ignore[method-assign]


def _after_publish(passed: Callable[[], None]) -> None:
    """The broker has the facts, and the outbox has them still."""
    from opora_chassis.relay import Relay

    flush = Relay._flush  # noqa: SLF001

    @functools.wraps(flush)
    async def then_die(self: Relay, batch: Any, topic: str, partition: int) -> None:
        await flush(self, batch, topic, partition)
        passed()

    Relay._flush = then_die  # type: ignore[method-assign]  # noqa: SLF001


def _before_ledger(passed: Callable[[], None]) -> None:
    """The mail server has the letter, and the ledger does not know."""
    from opora_notify import worker

    record = worker.record

    @functools.wraps(record)
    async def die_first(of: worker.Delivery, attempts: Sequence[worker.Ended]) -> None:
        for _ in attempts:
            passed()
        await record(of, attempts)

    worker.record = die_first


POINTS: dict[str, Callable[[Callable[[], None]], None]] = {
    "before_commit": _before_commit,
    "after_commit": _after_commit,
    "after_publish": _after_publish,
    "before_ledger": _before_ledger,
}


def main() -> None:
    """Install the point of the first argument; run the module or file of the second, with the rest as its arguments."""
    (name, _, number), program, *rest = sys.argv[1].partition(":"), *sys.argv[2:]
    passes = itertools.count(1)

    def passed() -> None:
        if next(passes) == int(number):
            _die()

    POINTS[name](passed)
    sys.argv = [program, *rest]
    if program.endswith(".py"):
        runpy.run_path(program, run_name="__main__")
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
