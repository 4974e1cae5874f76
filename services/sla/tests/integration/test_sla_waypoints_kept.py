"""Waypoints in the database: gone on from, and outdated by whoever changes a case without them."""

from __future__ import annotations

from uuid import UUID

from opora_chassis.identifiers import new_id
from opora_contracts.tickets import TicketReplied
from opora_contracts.vocabulary import AuthorKind, Channel
from opora_sla.domain import Waypoint
from opora_sla.store.cases import find_cases

from .conftest import Desk, DeskRunner


async def waypoint_of(desk: Desk, ticket_id: UUID) -> Waypoint | None:
    """As the next fact will find it."""
    return (await find_cases(desk.database, [ticket_id]))[ticket_id].waypoint


async def test_code_that_knows_no_waypoints_outdates_them(sla: DeskRunner) -> None:
    """The release before judges beside this one during an upgrade: what it did must not be gone on from."""
    async with sla() as desk:
        ticket_id = await desk.create()
        await desk.taken_in(ticket_id)
        assert await waypoint_of(desk, ticket_id) is not None
        await desk.database.fetch("update cases set judged_at = judged_at + interval '1 microsecond'")
        assert await waypoint_of(desk, ticket_id) is None
        reply = TicketReplied(
            ticket_id=ticket_id, message_id=new_id(), author_kind=AuthorKind.AGENT, channel=Channel.EMAIL
        )
        await desk.say(0.1, reply)
        await desk.taken_in(ticket_id)
        assert await waypoint_of(desk, ticket_id) is not None, "folded anew, it is gone on from again"
        assert [event.type for event in await desk.told(ticket_id, 3)] == ["sla.started", "sla.started", "sla.met"]
        await desk.database.fetch("update cases set emitted_sequence = emitted_sequence + 1")
        assert await waypoint_of(desk, ticket_id) is None
