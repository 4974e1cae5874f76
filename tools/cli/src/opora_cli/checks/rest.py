"""Waiting until a platform has come to rest: every fact has had its effects, and every clock is judged."""

import asyncio
import time
from datetime import datetime
from typing import Any

from opora_cli.checks.gather import consumer_lags, read_services
from opora_cli.client import ServiceClient
from opora_cli.endpoints import Endpoints
from opora_cli.errors import CommandError

_SETTLE_SECONDS = 900.0
_STILL_SECONDS = 60.0
_LOOK_SECONDS = 0.25


async def settle(endpoints: Endpoints, until: datetime) -> None:
    """Return when every fact has had its effects and every clock is judged up to `until`.

    Raises CommandError when nothing moves any more and it is not so.
    """
    clock = time.monotonic
    deadline = moved_at = clock()
    deadline += _SETTLE_SECONDS
    seen: object = None
    sla = ServiceClient("sla", endpoints.services["sla"].url, endpoints.api_key)
    dsns = {name: service.database_dsn for name, service in endpoints.services.items()}
    try:
        while clock() < min(deadline, moved_at + _STILL_SECONDS):
            waiting = await _waiting(endpoints, dsns, sla, until)
            if not waiting:
                return
            if waiting != seen:
                seen, moved_at = waiting, clock()
            await asyncio.sleep(_LOOK_SECONDS)
    finally:
        await sla.close()
    raise CommandError(f"the platform does not come to rest: {seen}", next_command="opora doctor")


async def _waiting(endpoints: Endpoints, dsns: dict[str, str], sla: ServiceClient, until: datetime) -> dict[str, Any]:
    """What is not done yet; empty when all is."""
    lags = {service: lag for service, lag in (await consumer_lags(endpoints.kafka_bootstrap)).items() if lag}
    if lags:
        return {"not consumed": lags}
    services = await read_services(dsns)
    outboxes = {name: state.outbox_rows for name, state in services.items() if state.outbox_rows}
    letters = services["notify"].messages_in_hand
    if outboxes or letters:
        return {"not published": outboxes, "not sent": letters}
    return await not_judged(sla, until)


async def not_judged(sla: ServiceClient, until: datetime) -> dict[str, Any]:
    """What sla still has to judge of the time before `until`; empty when it has judged everything."""
    status = await sla.get("/v1/status")
    watermarks = [datetime.fromisoformat(watermark) for watermark in status["watermarks"].values()]
    if not watermarks or min(watermarks) < until or status["waiting_for_judgement"]:
        return {"judged until": min(watermarks, default=None), "waiting": status["waiting_for_judgement"]}
    return {}
