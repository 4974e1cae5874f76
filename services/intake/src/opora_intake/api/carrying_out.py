"""A command on a ticket, asked for over HTTP."""

from uuid import UUID

from starlette.responses import Response

from opora_chassis.database import Transaction
from opora_chassis.http import NotFound, PlatformDependency, WriteCall
from opora_intake.api.dependencies import broken_rules_as_problems
from opora_intake.api.views import TicketView, ticket_view, ticket_with_message_view
from opora_intake.domain import Command, Ticket
from opora_intake.handlers.case_settings import RulesInForce
from opora_intake.handlers.tickets import command_ticket
from opora_intake.store import tickets as store

NOT_NOW = (
    "The ticket's step does not allow this; `allowed` lists what it does allow. Or `expected_version` is no longer the"
    " ticket's version."
)


async def carry_out(
    reference: UUID | int, command: Command, call: WriteCall, rules: RulesInForce, *, status: int = 200
) -> Response:
    """The ticket after the command, with the id of a message that was written."""

    async def work(tx: Transaction) -> TicketView:
        decision = await command_ticket(tx, reference, command, call.caller.actor, rules)
        if decision.message is not None:
            return ticket_with_message_view(decision.ticket, decision.message)
        return ticket_view(decision.ticket)

    with broken_rules_as_problems():
        return await call.run(work, status=status)


async def found_ticket(platform: PlatformDependency, reference: UUID | int) -> Ticket:
    """The ticket by id or number. Raises NotFound."""
    ticket = await store.find_ticket(platform.database, reference)
    if ticket is None:
        raise NotFound("ticket", str(reference) if isinstance(reference, UUID) else f"OP-{reference}")
    return ticket
