"""Telephone calls: logged by agents, on a ticket that is there or on a new one."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from opora_chassis.database import Transaction
from opora_chassis.identifiers import new_id
from opora_contracts.vocabulary import Channel
from opora_intake.domain import Open, RuleBroken, Ticket
from opora_intake.domain.calls import (
    Call,
    Direction,
    RecordAs,
    check_times,
    heading_of,
    number_in_e164,
    on_existing,
)
from opora_intake.domain.commands import Note, Reply
from opora_intake.handlers.case_settings import RulesInForce
from opora_intake.handlers.customers import Asked
from opora_intake.handlers.tickets import command_ticket, create_tickets
from opora_intake.store import calls as store


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """What an agent says of a call. Of `reference` and `opening` one is given."""

    direction: Direction
    number: str | None
    region: str | None
    started_at: datetime
    ended_at: datetime
    summary: str
    was_answered: bool
    record_as: RecordAs
    reference: UUID | int | None
    opening: Open | None
    customer_id: UUID | None


async def log_call(tx: Transaction, logged: Logged, actor: str, rules: RulesInForce) -> tuple[Call, Ticket]:
    """Keep the call, and write it on its ticket, which is opened as of the call's beginning where none is named.

    Raises ImpossibleCall, Unknown, UnknownReference or what the ticket's rules refuse.
    """
    check_times(logged.started_at, logged.ended_at, tx.now)
    number = None if logged.number is None else number_in_e164(logged.number, logged.region)
    heading = heading_of(
        logged.direction,
        number or logged.number,
        logged.started_at,
        logged.ended_at,
        was_answered=logged.was_answered,
    )
    ticket, message_id = await _write(tx, logged, heading, actor, rules)
    call = Call(
        id=new_id(),
        ticket_id=ticket.id,
        message_id=message_id,
        customer_id=logged.customer_id or ticket.requester_id,
        direction=logged.direction,
        number=number,
        number_given=logged.number,
        was_answered=logged.was_answered,
        started_at=logged.started_at,
        ended_at=logged.ended_at,
        opened_ticket=logged.opening is not None,
        logged_at=tx.now,
        logged_by=actor,
    )
    await store.add_call(tx, call)
    return call, ticket


async def _write(
    tx: Transaction, logged: Logged, heading: str, actor: str, rules: RulesInForce
) -> tuple[Ticket, UUID | None]:
    if logged.opening is None:
        assert logged.reference is not None  # noqa: S101  the caller gives one of the two
        command = on_existing(
            logged.summary, heading, logged.record_as, logged.ended_at, was_answered=logged.was_answered
        )
        decided = await command_ticket(tx, logged.reference, command, actor, rules)
        return decided.ticket, None if decided.message is None else decided.message.id
    (ticket,) = await create_tickets(tx, [Asked(logged.opening, actor)], rules=rules)
    if isinstance(ticket, RuleBroken):
        raise ticket
    # Who spoke with somebody has answered: without this the clock of the first response would run on.
    left: Reply | Note = Note(body=heading)
    if logged.was_answered:
        left = Reply(body=heading, channel=Channel.PHONE, occurred_at=logged.ended_at)
    decided = await command_ticket(tx, ticket.id, left, actor, rules)
    return decided.ticket, None if decided.message is None else decided.message.id
