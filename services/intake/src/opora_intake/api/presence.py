"""Who has a ticket open or writes on it, over HTTP: a collision is noticed before the work is done twice."""

from collections.abc import Sequence
from datetime import datetime

from fastapi import APIRouter
from starlette.responses import Response

from opora_chassis.database import Transaction
from opora_chassis.http import Input, Page, PlatformDependency, shown
from opora_intake.api import presence_examples as examples
from opora_intake.api.carrying_out import found_ticket
from opora_intake.api.dependencies import ReadTickets, TicketReference, TicketWrite, broken_rules_as_problems
from opora_intake.api.views import View
from opora_intake.domain.presence import LEASE, Doing, Present
from opora_intake.handlers import presence as handlers
from opora_intake.store import presence as store

router = APIRouter(prefix="/v1/tickets/{ticket}/presence", tags=["tickets"])


class DoingInput(Input):
    """What the caller does with the ticket."""

    doing: Doing


class PresentView(View):
    """Somebody who is on the ticket."""

    actor: str
    doing: Doing
    since: datetime
    """When they began to do that."""
    until: datetime
    """Until then without being said again."""


@router.get("", summary="Read who is on a ticket")
@shown(examples.PRESENT)
async def who_is_present(
    ticket: TicketReference, platform: PlatformDependency, _caller: ReadTickets
) -> Page[PresentView]:
    """Who has it open or writes on it at this moment, the first comer first; at most 50."""
    found = await found_ticket(platform, ticket)
    return _page(await store.present_on(platform.database, found.id, await platform.database.now()))


@router.put("", response_model=Page[PresentView], summary="Say what one does with a ticket")
@shown(examples.ANNA_TOO, examples.DOINGS, conflict="50 people are on the ticket.")
async def say_present(
    ticket: TicketReference, body: DoingInput, call: TicketWrite, platform: PlatformDependency
) -> Response:
    """Say that the caller has the ticket open or writes on it, for 30 seconds; say it again every ten or so.

    The answer tells of everybody who is there. Nothing is blocked: who writes may write.
    """
    lease = platform.database.clock.virtual(LEASE)

    async def work(tx: Transaction) -> Page[PresentView]:
        return _page(await handlers.say_present(tx, ticket, call.caller.actor, body.doing, lease))

    with broken_rules_as_problems():
        return await call.run(work)


@router.delete("", status_code=204, response_class=Response, summary="Say that one left a ticket")
@shown()
async def leave(ticket: TicketReference, call: TicketWrite) -> Response:
    """The caller has the ticket open no more; who says nothing is gone after 30 seconds."""
    with broken_rules_as_problems():
        return await call.run(lambda tx: handlers.say_gone(tx, ticket, call.caller.actor), status=204)


def _page(present: Sequence[Present]) -> Page[PresentView]:
    return Page(
        items=[PresentView(actor=one.actor, doing=one.doing, since=one.since, until=one.until) for one in present]
    )
