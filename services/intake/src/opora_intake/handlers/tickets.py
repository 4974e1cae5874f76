"""Tickets as people and programs work on them over HTTP."""

from uuid import UUID

from opora_chassis.database import Transaction
from opora_chassis.identifiers import new_id
from opora_intake.domain import Command, Decision, Open, PriorityMatrix, Ticket, decide, join_live, open_ticket
from opora_intake.handlers.customers import gather_circle
from opora_intake.handlers.errors import AlreadySubmitted, HistoryOpen, Unknown
from opora_intake.handlers.record import Change, record_changes
from opora_intake.store import imports
from opora_intake.store import tickets as store


async def create_ticket(tx: Transaction, opening: Open, actor: str, matrix: PriorityMatrix) -> Ticket:
    """Open a ticket. Raises UnknownReference, ImpossibleTime or AlreadySubmitted."""
    if opening.external_source is not None and opening.external_id is not None:
        await _refuse_known(tx, opening.external_source, opening.external_id)
    circle = await gather_circle(tx, [opening], actor)
    (number,) = await store.next_numbers(tx, 1)
    decision = open_ticket(
        opening,
        tx.now,
        ticket_id=new_id(),
        number=number,
        message_id=new_id(),
        requester=circle.requester_of(opening),
        organization=circle.organization_of(opening),
        actor=actor,
        matrix=matrix,
    )
    try:
        await record_changes(tx, [Change(decision, actor)])
    except store.ExternalIdTakenError as error:
        raise AlreadySubmitted(opening.external_source or "", opening.external_id or "") from error
    return decision.ticket


async def command_ticket(
    tx: Transaction, reference: UUID | int, command: Command, actor: str, matrix: PriorityMatrix
) -> Decision:
    """Carry out a command on a ticket, by its id or number. Raises Unknown, HistoryOpen or what `decide` raises."""
    ticket = await store.lock_ticket(tx, reference)
    if ticket is None:
        raise Unknown("ticket", str(reference) if isinstance(reference, UUID) else f"OP-{reference}")
    joined = await join_history(tx, ticket)
    decision = decide(joined.ticket, command, tx.now, message_id=new_id(), actor=actor, matrix=matrix)
    if decision.facts:
        await record_changes(tx, [Change(joined, actor), Change(decision, actor)])
    return decision


async def join_history(tx: Transaction, ticket: Ticket) -> Decision:
    """What a live change of a locked ticket must begin with: on an imported one, that it lives from here on.

    Raises HistoryOpen while the import runs.
    """
    if ticket.import_id is None:
        return Decision(ticket, ())
    history = await imports.find_import(tx, ticket.import_id)
    if history is not None and history.is_open:
        raise HistoryOpen(ticket.label, history.name)
    return join_live(ticket, tx.now)


async def _refuse_known(tx: Transaction, external_source: str, external_id: str) -> None:
    for known in await store.lock_named(tx, externals=[(external_source, external_id)]):
        raise AlreadySubmitted(external_source, external_id, known.label)
