"""What sla tells of its clocks."""

from typing import Any

from opora_chassis.identifiers import new_id
from opora_contracts.tickets import TicketReplied, TicketResolved
from opora_contracts.vocabulary import AuthorKind, Channel, ResolutionCode
from opora_sla.metrics import ClockMetric
from opora_sla.store.cases import open_clocks

NONE = dict.fromkeys([metric.value for metric in ClockMetric], 0)


async def test_open_clocks_are_told_by_what_they_measure(sla: Any) -> None:
    """A clock counts while it is neither met nor breached; a metric without open clocks is told as zero."""
    async with sla() as desk:
        assert await open_clocks(desk.database) == NONE
        answered, resolved = await desk.create(), await desk.create()
        await desk.taken_in(answered)
        await desk.taken_in(resolved)
        assert await open_clocks(desk.database) == NONE | {"first_response": 2, "resolution": 2}
        reply = TicketReplied(
            ticket_id=answered, message_id=new_id(), author_kind=AuthorKind.AGENT, channel=Channel.EMAIL
        )
        await desk.say(0.1, reply)
        await desk.say(0.1, TicketResolved(ticket_id=resolved, cycle=1, resolution_code=ResolutionCode.SOLVED))

        async def both_are_seen() -> bool:
            return bool(await open_clocks(desk.database) == NONE | {"resolution": 1})

        await desk.service.wait_until(both_are_seen)

        async def told() -> bool:
            metrics = (await desk.service.client.get("/metrics")).text
            return 'opora_sla_open_clocks{metric="resolution"} 1.0' in metrics

        await desk.service.wait_until(told)
