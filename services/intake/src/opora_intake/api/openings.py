"""Opening tickets over HTTP: the request that comes most often, committed in groups."""

from collections.abc import Sequence

from fastapi import APIRouter
from starlette.responses import Response

from opora_chassis.database import Transaction
from opora_chassis.http import GroupCommit, HotWrite, Problem, shown
from opora_chassis.platform import Platform
from opora_chassis.telemetry import current_traceparent
from opora_intake.api import examples
from opora_intake.api.dependencies import TicketWrite, problem_of_refusal, rules_of
from opora_intake.api.views import TicketView, ticket_view
from opora_intake.domain import Open, RuleBroken
from opora_intake.handlers.customers import Asked
from opora_intake.handlers.tickets import create_tickets


def opening_routes(platform: Platform) -> APIRouter:
    """POST /v1/tickets."""
    rules = rules_of(platform)

    async def open_all(tx: Transaction, asked: Sequence[Asked]) -> list[TicketView | Problem]:
        outcomes = await create_tickets(tx, asked, rules=rules)
        return [
            problem_of_refusal(outcome) if isinstance(outcome, RuleBroken) else ticket_view(outcome)
            for outcome in outcomes
        ]

    openings = GroupCommit(platform.database, open_all, status=201)
    router = APIRouter(prefix="/v1", tags=["tickets"], route_class=HotWrite)

    @router.post("/tickets", status_code=201, response_model=TicketView, summary="Open a ticket")
    @shown(examples.TICKET, examples.OPENINGS)
    async def post_ticket(body: Open, call: TicketWrite) -> Response:
        """Open a ticket. The requester is named by id or by e-mail address; an unknown address is registered."""
        return await openings.write(call, Asked(body, call.caller.actor, current_traceparent()))

    return router
