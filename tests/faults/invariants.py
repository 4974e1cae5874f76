"""What must hold of a whole platform whatever broke, looked at from outside."""

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import asyncpg

from opora_chassis.testing import wait_until
from tests.e2e.facts import Facts, in_order
from tests.e2e.stack import Stack
from tests.faults.traffic import Traffic

_CATCH_UP_SECONDS = 60.0
_LOOK_SECONDS = 0.2
_KNOWS_TICKETS = {
    "sla": "select count(*) from cases where ticket_id = any($1::uuid[])",
    "notify": "select count(*) from tickets where ticket_id = any($1::uuid[])",
}
_KNOWS_CLOSINGS = "select count(*) from closings where ticket_id = any($1::uuid[])"
_CONFIRMED = (
    "select count(distinct ticket_id) from notifications"
    " where template = 'ticket_created' and state = 'delivered' and ticket_id = any($1::uuid[])"
)
_CONFIRMED_TWICE = (
    "select ticket_id from notifications where template = 'ticket_created' group by 1 having count(*) > 1"
)


async def expect_nothing_lost(stack: Stack, facts: Facts, traffic: Traffic) -> None:
    """Every service catches up by itself with all that was acknowledged, and has done each thing once.

    Every ticket is known to sla and notify, every closing to feedback; facts are numbered without a gap; each ticket
    that nobody answered is breached once, and none that was answered in time; one survey a closing and one
    confirmation a ticket; nothing waits in an outbox, nothing lies among the dead letters.
    """
    tickets = set(traffic.versions)
    async with stack.databases() as connections:
        for service, query in _KNOWS_TICKETS.items():
            await _eventually(_holds_all(connections[service], query, tickets), f"{service} knows every ticket")
        closings = _holds_all(connections["feedback"], _KNOWS_CLOSINGS, traffic.closed)
        await _eventually(closings, "feedback knows every closing")
        await _eventually(_holds_all(connections["notify"], _CONFIRMED, tickets), "every ticket is confirmed by mail")
        assert await connections["notify"].fetch(_CONFIRMED_TWICE) == []
        for service, connection in connections.items():
            await _eventually(_is_empty(connection, "outbox"), f"the outbox of {service} is empty")
            for table in ("dead_letters", "parked_keys"):
                assert await connection.fetchval(f"select count(*) from {table}") == 0, f"{service} has {table}"
    await _expect_facts(facts, traffic)


async def _expect_facts(facts: Facts, traffic: Traffic) -> None:
    def all_told() -> bool:
        sequences = facts.sequences("opora.tickets")
        told = {ticket: max(sequences.get(ticket, [0])) for ticket in traffic.versions}
        return all(told[ticket] >= version for ticket, version in traffic.versions.items())

    await _eventually(all_told, "every acknowledged version on the topic")
    await _eventually(lambda: _said(facts, "sla.breached").keys() >= set(traffic.forgotten), "every breach")
    await _eventually(lambda: _said(facts, "survey.requested").keys() >= set(traffic.closed), "every survey")
    for topic in ("opora.tickets", "opora.sla", "opora.feedback", "opora.customers", "opora.notifications"):
        broken = {subject: told for subject, told in facts.sequences(topic).items() if not in_order(told)}
        assert broken == {}, f"{topic}: not 1, 2, 3 …"
    for event_type in ("sla.breached", "survey.requested"):
        assert {ticket: times for ticket, times in _said(facts, event_type).items() if times > 1} == {}
    assert facts.of("sla.corrected") == []
    replied_at = {event.subject: event.time for event in facts.of("ticket.replied")}
    for breach in facts.of("sla.breached"):
        in_time = breach.subject in replied_at and replied_at[breach.subject] <= breach.data.due_at
        assert not in_time, f"{breach.subject} is breached though it was answered in time"


def _said(facts: Facts, event_type: str) -> Counter[str]:
    """How many different events of this type each ticket has; one that was delivered again counts once."""
    by_ticket: dict[str, set[str]] = defaultdict(set)
    for event in facts.of(event_type):
        by_ticket[str(event.data.ticket_id)].add(event.id)
    return Counter({ticket: len(ids) for ticket, ids in by_ticket.items()})


async def _eventually(condition: Callable[[], Any], what: str) -> None:
    await wait_until(condition, _CATCH_UP_SECONDS, what=what, poll_seconds=_LOOK_SECONDS)


def _holds_all(connection: asyncpg.Connection, count: str, wanted: Collection[str]) -> Callable[[], Awaitable[bool]]:
    async def holds_all() -> bool:
        found: int = await connection.fetchval(count, list(wanted))
        return found == len(wanted)

    return holds_all


def _is_empty(connection: asyncpg.Connection, table: str) -> Callable[[], Awaitable[bool]]:
    async def is_empty() -> bool:
        count: int = await connection.fetchval(f"select count(*) from {table}")
        return count == 0

    return is_empty
