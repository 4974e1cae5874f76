"""Tickets as people and programs work on them over HTTP."""

from collections.abc import Sequence
from uuid import UUID

from opora_chassis.database import Transaction
from opora_chassis.identifiers import new_id
from opora_intake.domain import CaseRules, Command, Decision, RuleBroken, Ticket, decide, join_live, open_ticket
from opora_intake.domain.commands import Watch
from opora_intake.handlers.case_settings import RulesInForce
from opora_intake.handlers.customers import Asked, Circle, gather_circle
from opora_intake.handlers.errors import AlreadySubmitted, HistoryOpen, Unknown, UnknownReference
from opora_intake.handlers.record import Change, record_changes
from opora_intake.store import customers as customer_store
from opora_intake.store import imports
from opora_intake.store import tickets as store


async def create_tickets(tx: Transaction, asked: Sequence[Asked], *, rules: RulesInForce) -> list[Ticket | RuleBroken]:
    """Open a ticket for each, or say why not: UnknownReference, UnlistedValue, ImpossibleTime, AlreadySubmitted.

    When one is refused the transaction must be rolled back: its requester may have been registered.
    Raises ExternalIdTakenError when somebody else submitted one of several cases at this moment.
    """
    known = await _known_externals(tx, asked)
    circle = await gather_circle(tx, asked)
    numbers = await store.next_numbers(tx, len(asked))
    in_force = await rules.current(tx)
    outcomes: list[Ticket | RuleBroken] = []
    changes: list[Change] = []
    for each, number in zip(asked, numbers, strict=True):
        try:
            decision = _open(tx, each, number=number, known=known, circle=circle, rules=in_force)
        except RuleBroken as refusal:
            outcomes.append(refusal)
        else:
            outcomes.append(decision.ticket)
            changes.append(Change(decision, each.actor, traceparent=each.traceparent))
    try:
        await record_changes(tx, changes)
    except store.ExternalIdTakenError:
        if len(asked) > 1:
            raise
        return [AlreadySubmitted(asked[0].opening.external_source or "", asked[0].opening.external_id or "")]
    return outcomes


def _open(
    tx: Transaction,
    asked: Asked,
    *,
    number: int,
    known: dict[tuple[str, str], str],
    circle: Circle,
    rules: CaseRules,
) -> Decision:
    opening = asked.opening
    if opening.external_source is not None and opening.external_id is not None:
        external = (opening.external_source, opening.external_id)
        if external in known:
            raise AlreadySubmitted(*external, known[external])
    decision = open_ticket(
        opening,
        tx.now,
        ticket_id=new_id(),
        number=number,
        message_id=new_id(),
        requester=circle.requester_of(opening),
        organization=circle.organization_of(opening),
        actor=asked.actor,
        rules=rules,
    )
    if opening.external_source is not None and opening.external_id is not None:
        known[opening.external_source, opening.external_id] = decision.ticket.label
    return decision


async def _known_externals(tx: Transaction, asked: Sequence[Asked]) -> dict[tuple[str, str], str]:
    """The cases of foreign systems among these that have a ticket, and its label."""
    externals = {
        (each.opening.external_source, each.opening.external_id)
        for each in asked
        if each.opening.external_source is not None and each.opening.external_id is not None
    }
    if not externals:
        return {}
    found = await store.lock_named(tx, externals=externals)
    return {
        (ticket.external_source, ticket.external_id): ticket.label
        for ticket in found
        if ticket.external_source is not None and ticket.external_id is not None
    }


async def command_ticket(
    tx: Transaction, reference: UUID | int, command: Command, actor: str, rules: RulesInForce
) -> Decision:
    """Carry out a command on a ticket, by its id or number. Raises Unknown, HistoryOpen UnknownReference
    or what `decide` raises.
    """
    ticket = await locked_ticket(tx, reference)
    if isinstance(command, Watch):
        await require_watchers(tx, command)
    joined = await join_history(tx, ticket)
    decision = decide(joined.ticket, command, tx.now, message_id=new_id(), actor=actor, rules=await rules.current(tx))
    if decision.facts:
        await record_changes(tx, [Change(joined, actor), Change(decision, actor)])
    return decision


async def locked_ticket(tx: Transaction, reference: UUID | int) -> Ticket:
    """The ticket by its id or number, locked until the transaction ends. Raises Unknown."""
    return _known(await store.lock_ticket(tx, reference), reference)


async def seen_ticket(tx: Transaction, reference: UUID | int) -> Ticket:
    """The ticket by its id or number as it stands, not locked. Raises Unknown."""
    return _known(await store.find_ticket(tx, reference), reference)


def _known(ticket: Ticket | None, reference: UUID | int) -> Ticket:
    if ticket is None:
        raise Unknown("ticket", str(reference) if isinstance(reference, UUID) else f"OP-{reference}")
    return ticket


async def require_watchers(tx: Transaction, command: Watch) -> None:
    """Raises UnknownReference when a customer is named whom nobody knows."""
    customers = {UUID(each.partition(":")[2]) for each in command.watchers if each.startswith("customer:")}
    known = await customer_store.customers_by_id(tx, customers) if customers else {}
    if missing := customers - known.keys():
        raise UnknownReference("watchers", f"customer:{min(missing)}")


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
