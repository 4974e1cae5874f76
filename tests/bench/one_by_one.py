"""Runs a service that commits each write by itself, to compare with: one transaction a request, as many at once as its
pool has connections.

    python tests/bench/one_by_one.py opora_intake serve
"""

import runpy
import sys
from typing import Any

from starlette.responses import Response

from opora_chassis.database import Transaction
from opora_chassis.http import GroupCommit, WriteCall


async def _write(self: Any, call: WriteCall, ask: Any) -> Response:
    async def work(tx: Transaction) -> Any:
        (outcome,) = await self._work(tx, [ask])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return await call.run(work, status=self._status)


if __name__ == "__main__":
    GroupCommit.write = _write  # type: ignore[method-assign]
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
