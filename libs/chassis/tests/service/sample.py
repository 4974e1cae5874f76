"""A toy service as a program of its own: `python sample.py ROLE ...`.

OPORA_SAMPLE_FAULT makes one of its parts misbehave.
"""

import asyncio
import os
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from opora_chassis import process
from opora_chassis.http import WriteCall, writes
from opora_chassis.platform import Platform
from opora_chassis.service import Loop, Parts, Service, main
from opora_chassis.settings import ServiceSettings

FAULT = os.environ.get("OPORA_SAMPLE_FAULT", "")
GATE = 4711
"""Advisory lock on which the slow write waits."""


def compose(platform: Platform) -> Parts:
    """One slow write and one loop."""
    router = APIRouter(prefix="/v1")

    @router.post("/slow")
    async def slow(call: Annotated[WriteCall, Depends(writes("sample:write"))]) -> Response:
        async def wait(tx: object) -> dict[str, str]:
            await tx.execute("select pg_advisory_xact_lock($1)", GATE)  # type: ignore[attr-defined]
            return {"service": platform.service}

        return await call.run(wait)

    async def turn(stop: asyncio.Event) -> None:
        if FAULT == "deaf loop":
            await asyncio.Event().wait()
        await stop.wait()

    return Parts(routers=[router], loops=[Loop("turning", turn)])


class BrokenRelay:
    """A relay that cannot go on."""

    def __init__(self, *_: object) -> None: ...

    def stalled_seconds(self) -> float:
        """It never moved."""
        return 0.0

    async def run(self, _stop: asyncio.Event) -> None:
        """Fail at once."""
        raise RuntimeError("the relay cannot go on")


SERVICE = Service("sample", ServiceSettings, Path(__file__).parent / "no_migrations", compose)

if __name__ == "__main__":
    if FAULT == "relay":
        vars(process)["Relay"] = BrokenRelay
    main(SERVICE)
