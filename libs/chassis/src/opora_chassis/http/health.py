"""What a supervisor asks: does the process live, may it get work, what does it measure."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass

from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from opora_chassis.database import Database

CHECK_OK = Gauge("opora_check_ok", "1 while what a process needs for its work is well", ["service", "check"])

_PROBE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that this process needs to do its work, and how it stands."""

    name: str
    ok: bool
    detail: str = ""


CheckSource = Callable[[], Awaitable[Sequence[Check]]]
"""Gives the present state of some checks; one that raises or takes longer than 3 s counts as failed."""


def health_routes(sources: Sequence[CheckSource]) -> list[Route]:
    """`/health/live`, `/health/ready` and `/metrics`."""

    async def live(_request: Request) -> Response:
        """That this answers shows that the loop turns; a task that died has ended the process."""
        return JSONResponse({"status": "alive"})

    async def ready(_request: Request) -> Response:
        checks = await _ask_all(sources)
        is_ready = all(check.ok for check in checks)
        return JSONResponse(
            {"status": "ready" if is_ready else "unready", "checks": [asdict(check) for check in checks]},
            status_code=200 if is_ready else 503,
        )

    async def metrics(request: Request) -> Response:
        platform = request.app.state.platform
        for check in await _ask_all(sources):
            CHECK_OK.labels(platform.service, check.name).set(check.ok)
        return Response(generate_latest(platform.metrics), media_type=CONTENT_TYPE_LATEST)

    return [Route("/health/live", live), Route("/health/ready", ready), Route("/metrics", metrics)]


def database_check(database: Database) -> CheckSource:
    """Whether the database answers."""

    async def check() -> Sequence[Check]:
        try:
            await database.fetchval("select 1")
        except Exception as error:  # noqa: BLE001  whatever it is, the database is of no use now
            return [Check("database", ok=False, detail=repr(error))]
        return [Check("database", ok=True)]

    return check


async def _ask_all(sources: Sequence[CheckSource]) -> list[Check]:
    return [check for found in await asyncio.gather(*(_ask(source) for source in sources)) for check in found]


async def _ask(source: CheckSource) -> Sequence[Check]:
    try:
        return await asyncio.wait_for(source(), timeout=_PROBE_SECONDS)
    except Exception as error:  # noqa: BLE001  a check that fails is a failed check
        return [Check(getattr(source, "__qualname__", "check"), ok=False, detail=repr(error))]
