"""Commands over two tickets: both are locked, in the order of their ids, before anything is decided."""

from collections.abc import Sequence
from uuid import UUID

from opora_chassis.database import Transaction
from opora_chassis.identifiers import new_id
from opora_contracts.vocabulary import Relation, Step
from opora_intake.domain import CaseRules, Decision, Ticket
from opora_intake.domain.commands import FollowUp, Link, Merge, Open, Split, Unlink
from opora_intake.domain.errors import LinkRefused
from opora_intake.domain.lifecycle import open_ticket
from opora_intake.domain.links import (
    INVERSE,
    MOST_MESSAGES,
    check_command,
    check_link,
    check_split,
    continued,
    link_between,
    linked,
    merge,
    opening_of_follow_up,
    opening_of_split,
    unlinked,
)
from opora_intake.domain.ticket import NUMBER
from opora_intake.domain.transitions import refused
from opora_intake.handlers.case_settings import RulesInForce
from opora_intake.handlers.errors import Unknown, UnknownReference
from opora_intake.handlers.record import Change, record_changes
from opora_intake.handlers.tickets import join_history, locked_ticket
from opora_intake.store import customers as customer_store
from opora_intake.store import links as store
from opora_intake.store import organizations as organization_store
from opora_intake.store import tickets as ticket_store


async def link_tickets(tx: Transaction, reference: UUID | int, command: Link, actor: str) -> Ticket:
    """The ticket with the link; one that is there already changes nothing. Raises Unknown, LinkRefused and others."""
    await store.lock_links(tx)
    ticket, other, joined = await _pair(tx, reference, "ticket", command.ticket)
    check_command(ticket, command)
    link = link_between(ticket, command.relation, other, tx.now, actor)
    if ticket.id != other.id and await store.has_link(tx, link):
        return ticket
    check_link(
        ticket,
        link,
        other,
        closes_circle=await store.leads_to(tx, link.to_id, link.from_id, link.relation),
        parents=await store.parents_of(tx, link.to_id),
        counts=[await store.count_links(tx, each.id) for each in (ticket, other)],
    )
    here = linked(ticket, command.relation, other, tx.now)
    there = linked(other, INVERSE[command.relation], ticket, tx.now)
    await store.add_link(tx, link)
    await record_changes(tx, [Change(each, actor) for each in (*joined, here, there)])
    return here.ticket


async def unlink_tickets(tx: Transaction, reference: UUID | int, command: Unlink, actor: str) -> Ticket:
    """The ticket without the link. Raises Unknown, or LinkRefused when there is none."""
    await store.lock_links(tx)
    ticket, other, joined = await _pair(tx, reference, "ticket", command.ticket)
    check_command(ticket, command)
    if not await store.remove_link(tx, link_between(ticket, command.relation, other, tx.now, actor)):
        raise LinkRefused(f"{ticket.label} is not {command.relation.value} {other.label}")
    here = unlinked(ticket, command.relation, other, tx.now)
    there = unlinked(other, INVERSE[command.relation], ticket, tx.now)
    await record_changes(tx, [Change(each, actor) for each in (*joined, here, there)])
    return here.ticket


async def merge_tickets(
    tx: Transaction, reference: UUID | int, command: Merge, actor: str, rules: RulesInForce
) -> Ticket:
    """The ticket as it ended, merged into another one. Raises Unknown, LinkRefused or TransitionRefused."""
    await store.lock_links(tx)
    source, target, joined = await _pair(tx, reference, "into", command.into)
    check_command(source, command)
    gone, taken = merge(source, target, tx.now, message_id=new_id(), actor=actor, rules=await rules.current(tx))
    await store.add_link(tx, link_between(source, Relation.DUPLICATE_OF, target, tx.now, actor))
    await record_changes(tx, [Change(each, actor) for each in (*joined, gone, taken)])
    return gone.ticket


async def split_ticket(
    tx: Transaction, reference: UUID | int, command: Split, actor: str, rules: RulesInForce
) -> Ticket:
    """The new ticket, which shows the chosen messages. Raises Unknown, LinkRefused or TransitionRefused."""
    await store.lock_links(tx)
    ticket, _, joined = await _pair(tx, reference, "ticket", None)
    check_command(ticket, command)
    in_force = await rules.current(tx)
    shown = await store.shown_messages(tx, ticket.id, after=None, limit=MOST_MESSAGES)
    moved = check_split(ticket, shown, command.messages)
    opening = opening_of_split(ticket, command, moved, in_force)
    opened = await open_like(tx, ticket, opening, actor, in_force)
    here = linked(ticket, Relation.SPLIT_INTO, opened.ticket, tx.now, messages=len(moved))
    there = linked(opened.ticket, Relation.SPLIT_FROM, ticket, tx.now, messages=len(moved))
    await record_changes(tx, [Change(each, actor) for each in (*joined, here, opened, there)])
    await store.add_link(tx, link_between(opened.ticket, Relation.SPLIT_FROM, ticket, tx.now, actor))
    await store.move_messages(tx, [message.id for message in moved], opened.ticket.id)
    return there.ticket


async def follow_up(
    tx: Transaction, reference: UUID | int, command: FollowUp, actor: str, rules: RulesInForce
) -> Ticket:
    """The ticket that continues a closed one. Raises Unknown, TransitionRefused or HistoryOpen."""
    ticket = await locked_ticket(tx, reference)
    check_command(ticket, command)
    if ticket.merged_into is not None:
        raise refused(ticket, command)
    joined = await join_history(tx, ticket)
    in_force = await rules.current(tx)
    opening = opening_of_follow_up(joined.ticket, command, in_force)
    opened = await open_like(tx, ticket, opening, actor, in_force)
    here, there, link = continued(joined.ticket, opened.ticket, tx.now, actor)
    await record_changes(tx, [Change(each, actor) for each in (joined, here, opened, there)])
    await store.add_link(tx, link)
    return there.ticket


async def continue_ticket(tx: Transaction, closed: Ticket, ticket: Ticket, actor: str) -> Ticket:
    """Say of two locked tickets that the second continues the first, which is closed. Raises HistoryOpen."""
    joined = await join_history(tx, closed)
    here, there, link = continued(joined.ticket, ticket, tx.now, actor)
    await record_changes(tx, [Change(each, actor) for each in (joined, here, there)])
    await store.add_link(tx, link)
    return there.ticket


async def open_like(tx: Transaction, ticket: Ticket, opening: Open, actor: str, rules: CaseRules) -> Decision:
    """A ticket for the same people."""
    people = await customer_store.customers_by_id(tx, [ticket.requester_id] if ticket.requester_id else [])
    companies = await organization_store.organizations_by_id(
        tx, [ticket.organization_id] if ticket.organization_id else []
    )
    (number,) = await ticket_store.next_numbers(tx, 1)
    return open_ticket(
        opening,
        tx.now,
        ticket_id=new_id(),
        number=number,
        message_id=new_id(),
        requester=people.get(ticket.requester_id) if ticket.requester_id else None,
        organization=companies.get(ticket.organization_id) if ticket.organization_id else None,
        actor=actor,
        rules=rules,
    )


async def follow_on(tx: Transaction, ticket_id: UUID, speaker: UUID | None) -> Ticket:
    """The ticket that takes what a customer writes to this one, locked: where it was merged into, and from there, as
    long as that is closed, the newest ticket of theirs that continues it. Raises Unknown.

    A closed one at the end is the last that the thread came to: it may still be reopened, or continued.
    """
    ticket = await follow_merges(tx, ticket_id)
    passed = {ticket.id}
    while ticket.step is Step.CLOSED and speaker is not None:
        onward = await store.newest_continuation(tx, ticket.id, speaker)
        if onward is None:
            break
        goes_on = await follow_merges(tx, onward)
        if goes_on.id in passed:
            break
        passed.add(goes_on.id)
        ticket = goes_on
    return ticket


async def follow_merges(tx: Transaction, ticket_id: UUID) -> Ticket:
    """The ticket that goes on for this one, locked; itself when it was merged into none. Raises Unknown."""
    while True:
        last = await store.end_of_merges(tx, ticket_id)
        locked = await store.lock_tickets(tx, [last])
        if not locked:
            raise Unknown("ticket", ticket_id)
        # It may have been merged on between the look and the lock.
        if locked[last].merged_into is None:
            return locked[last]


async def _pair(
    tx: Transaction, reference: UUID | int, field: str, other: str | None
) -> tuple[Ticket, Ticket, Sequence[Decision]]:
    """The ticket and the one that a field names, locked, and what either must begin with if it was imported.

    Raises Unknown, UnknownReference or HistoryOpen.
    """
    wanted = [reference] if other is None else [reference, _reference(field, other)]
    ids = await store.ids_of(tx, wanted)
    if ids[0] is None:
        raise Unknown("ticket", str(reference) if isinstance(reference, UUID) else f"OP-{reference}")
    if ids[-1] is None:
        raise UnknownReference(field, other or "")
    locked = await store.lock_tickets(tx, {each for each in ids if each is not None})
    joined = {ticket.id: await join_history(tx, ticket) for ticket in locked.values()}
    return joined[ids[0]].ticket, joined[ids[-1]].ticket, [each for each in joined.values() if each.facts]


def _reference(field: str, name: str) -> UUID | int:
    number = NUMBER.fullmatch(name)
    if number is not None:
        return int(number[1])
    try:
        return UUID(name)
    except ValueError:
        raise UnknownReference(field, name) from None
