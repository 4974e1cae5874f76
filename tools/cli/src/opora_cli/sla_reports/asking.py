"""Reports asked of a running platform."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote
from uuid import UUID

from opora_cli.client import RefusedError, ServiceClient
from opora_cli.endpoints import Endpoints

_PAGE = 200


@asynccontextmanager
async def service(endpoints: Endpoints, name: str) -> AsyncIterator[ServiceClient]:
    """A client of one service, closed at the end."""
    client = ServiceClient(name, endpoints.services[name].url, endpoints.api_key)
    try:
        yield client
    finally:
        await client.close()


async def report(endpoints: Endpoints, name: str, **parameters: Any) -> dict[str, Any]:
    """A report of sla. Raises CommandError."""
    async with service(endpoints, "sla") as sla:
        answer: dict[str, Any] = await sla.get(f"/v1/reports/{name}", **parameters)
        return answer


async def pause_ledger(
    endpoints: Endpoints, most: int, *, with_who: bool, **parameters: Any
) -> tuple[list[dict[str, Any]], bool]:
    """Pauses, at most so many, and whether there are more; each with its `actor`, who put the ticket on hold.

    The actor is intake's to say: null where it is not asked, does not know the ticket, or named nobody.
    """
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    async with service(endpoints, "sla") as sla:
        while len(found) <= most:
            page = await sla.get("/v1/reports/pauses", limit=_PAGE, cursor=cursor, **parameters)
            found += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
    shown, more = found[:most], len(found) > most or cursor is not None
    actors: dict[tuple[str, int], str | None] = {}
    if with_who:
        async with service(endpoints, "intake") as intake:
            tickets = {pause["ticket_id"] for pause in shown}
            for known in await asyncio.gather(*(_actors(intake, ticket_id) for ticket_id in tickets)):
                actors |= known
    return [pause | {"actor": actors.get((pause["ticket_id"], pause["hold_sequence"]))} for pause in shown], more


async def explained(endpoints: Endpoints, ticket: str) -> dict[str, Any]:
    """Sla's explanation of a ticket, by its number, which intake knows, or its id. Raises CommandError."""
    try:
        ticket_id = str(UUID(ticket))
    except ValueError:
        async with service(endpoints, "intake") as intake:
            ticket_id = (await intake.get(f"/v1/tickets/{quote(ticket, safe='')}"))["id"]
    async with service(endpoints, "sla") as sla:
        answer: dict[str, Any] = await sla.get(f"/v1/tickets/{ticket_id}/explain")
        return answer


async def _actors(intake: ServiceClient, ticket_id: str) -> dict[tuple[str, int], str | None]:
    actors: dict[tuple[str, int], str | None] = {}
    cursor: str | None = None
    while True:
        try:
            page = await intake.get(f"/v1/tickets/{ticket_id}/timeline", limit=_PAGE, cursor=cursor)
        except RefusedError as refused:
            if refused.status == 404:  # noqa: PLR2004  not found
                return {}
            raise
        actors |= {(ticket_id, fact["sequence"]): fact["actor"] for fact in _holds(page["items"])}
        cursor = page["next_cursor"]
        if cursor is None:
            return actors


def _holds(facts: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    return (fact for fact in facts if fact["type"] == "ticket.held")
