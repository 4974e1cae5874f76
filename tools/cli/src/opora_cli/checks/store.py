"""The SQL of the checks: which tickets a service knows."""

from typing import Any

_TICKETS_OF = {
    "intake": "select id from tickets",
    "sla": "select ticket_id from cases",
    "notify": "select ticket_id from tickets",
    "feedback": "select distinct ticket_id from closings",
}


async def known_tickets(connection: Any, service: str) -> frozenset[str]:
    """The ids of the tickets in this service's database."""
    return frozenset(str(row[0]) for row in await connection.fetch(_TICKETS_OF[service]))


async def messages_in_hand(connection: Any) -> int:
    """How many of notify's messages are neither delivered nor given up."""
    count: int = await connection.fetchval("select count(*) from notifications where state in ('pending', 'sending')")
    return count
