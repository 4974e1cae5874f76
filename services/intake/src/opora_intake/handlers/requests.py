"""What other systems ask for on `opora.requests`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from opora_chassis.database import Transaction
from opora_chassis.errors import PermanentError
from opora_chassis.identifiers import new_id
from opora_contracts import Event
from opora_contracts.requests import TicketReplySubmitted, TicketSubmitted
from opora_contracts.vocabulary import AuthorKind, Step
from opora_intake.domain import CaseRules, Decision, Open, RuleBroken, Ticket, decide, open_ticket
from opora_intake.domain.commands import FollowUp, Reply
from opora_intake.domain.errors import TransitionRefused
from opora_intake.domain.history import problem_text
from opora_intake.domain.links import TicketLink, continued, opening_of_follow_up
from opora_intake.domain.ticket import NUMBER
from opora_intake.handlers.case_settings import RulesInForce
from opora_intake.handlers.customers import Asked, Circle, gather_circle
from opora_intake.handlers.errors import AlreadySubmitted
from opora_intake.handlers.links import follow_on, open_like
from opora_intake.handlers.record import Change, record_changes
from opora_intake.handlers.tickets import join_history
from opora_intake.store import links as link_store
from opora_intake.store import tickets as store

_SELF = "system:intake"

Submitted = Event[TicketSubmitted]
ReplySubmitted = Event[TicketReplySubmitted]


async def follow_requests(events: Sequence[Event[Any]], tx: Transaction, *, rules: RulesInForce) -> None:
    """Open a ticket for each `ticket.submitted`, and add each `ticket.reply.submitted` to its ticket, in order.

    A ticket is received when intake learns of it: its time is the transaction's, not the foreign clock's.
    """
    openings = {(event.source, event.id): _opening(event) for event in events if _is_opening(event)}
    circle = await gather_circle(tx, [Asked(opening, _SELF) for opening in openings.values()])
    numbers = iter(await store.next_numbers(tx, len(openings)))
    desk = await _Desk.over(tx, events)
    in_force = await rules.current(tx)
    changes: list[Change] = []
    for event in events:
        try:
            if _is_opening(event):
                opening = openings[event.source, event.id]
                changes.append(
                    _open(desk, tx, event, opening=opening, circle=circle, number=next(numbers), rules=in_force)
                )
            else:
                changes.extend(await _reply(desk, tx, event, in_force))
        except RuleBroken as refusal:
            raise PermanentError(f"{event.type} {event.id} of {event.source}: {refusal}") from refusal
    await record_changes(tx, changes)
    for link in desk.links:
        await link_store.add_link(tx, link)


@dataclass(slots=True)
class _Desk:
    """The tickets that a batch touches, locked or new, by both their names."""

    by_external: dict[tuple[str, str], Ticket]
    by_number: dict[int, Ticket]
    links: list[TicketLink]
    """Between tickets of the batch, to be kept once the tickets are."""

    @classmethod
    async def over(cls, tx: Transaction, events: Sequence[Event[Any]]) -> "_Desk":
        numbers = {_number(event.data.ticket_number) for event in events if not _is_opening(event)} - {None}
        desk = cls({}, {}, [])
        locked = await store.lock_named(
            tx,
            numbers=[number for number in numbers if number is not None],
            externals={(event.source, event.subject) for event in events},
        )
        for ticket in locked:
            desk.put(ticket)
        return desk

    def continuation_of(self, ticket: Ticket) -> Ticket:
        """The ticket that this batch opened to continue a closed one, at the end of however many; itself for none."""
        onward = {link.to_id: link.from_id for link in self.links}
        by_id = {each.id: each for each in self.by_number.values()}
        while ticket.id in onward:
            ticket = by_id[onward[ticket.id]]
        return ticket

    def put(self, ticket: Ticket) -> None:
        self.by_number[ticket.number] = ticket
        if ticket.external_source is not None and ticket.external_id is not None:
            self.by_external[ticket.external_source, ticket.external_id] = ticket


def _open(
    desk: _Desk,
    tx: Transaction,
    event: Submitted,
    *,
    opening: Open,
    circle: Circle,
    number: int,
    rules: CaseRules,
) -> Change:
    known = desk.by_external.get((event.source, event.subject))
    if known is not None:
        raise AlreadySubmitted(event.source, event.subject, known.label)
    decision = open_ticket(
        opening,
        tx.now,
        ticket_id=new_id(),
        number=number,
        message_id=new_id(),
        requester=circle.requester_of(opening),
        organization=circle.organization_of(opening),
        actor=_actor(event),
        rules=rules,
    )
    desk.put(decision.ticket)
    return Change(decision, _actor(event), cause=event)


async def _reply(desk: _Desk, tx: Transaction, event: ReplySubmitted, rules: CaseRules) -> list[Change]:
    ticket = _addressed(desk, event)
    if ticket.step is Step.CLOSED:
        last = await follow_on(tx, ticket.id, ticket.requester_id)
        # What this batch has decided on it already is not saved yet.
        ticket = desk.continuation_of(desk.by_number.get(last.number, last))
    joined = await join_history(tx, ticket)
    reply = Reply(
        body=event.data.body,
        author_kind=event.data.author_kind,
        author=event.data.author or _author(ticket, event),
        channel=event.data.channel,
    )
    try:
        decision = decide(joined.ticket, reply, tx.now, message_id=new_id(), actor=_actor(event), rules=rules)
    except TransitionRefused:
        if not _is_too_late(joined.ticket, reply, rules):
            raise
        decisions = [joined, *await _follow_up(desk, tx, joined.ticket, reply, actor=_actor(event), rules=rules)]
    else:
        decisions = [joined, decision]
    for each in decisions:
        desk.put(each.ticket)
    return [Change(each, _actor(event), cause=event) for each in decisions]


def _is_too_late(ticket: Ticket, reply: Reply, rules: CaseRules) -> bool:
    """Whether a customer writes to a closed ticket after the time in which that would have reopened it."""
    return (
        reply.author_kind is AuthorKind.CUSTOMER
        and ticket.step is Step.CLOSED
        and ticket.merged_into is None
        and ticket.kind in rules.reopen_within
    )


async def _follow_up(
    desk: _Desk, tx: Transaction, closed: Ticket, reply: Reply, *, actor: str, rules: CaseRules
) -> list[Decision]:
    opening = opening_of_follow_up(closed, FollowUp(channel=reply.channel), rules)
    opened = await open_like(tx, closed, opening, actor, rules)
    here, there, link = continued(closed, opened.ticket, tx.now, actor)
    desk.links.append(link)
    # Said by whoever said it, which need not be the one for whom the ticket is.
    replied = decide(there.ticket, reply, tx.now, message_id=new_id(), actor=actor, rules=rules)
    return [here, opened, there, replied]


def _addressed(desk: _Desk, event: ReplySubmitted) -> Ticket:
    named = event.data.ticket_number
    if named is not None:
        number = _number(named)
        if number is None or number not in desk.by_number:
            raise PermanentError(f"There is no ticket {named}: check ticket_number, which looks like OP-1042")
        return desk.by_number[number]
    ticket = desk.by_external.get((event.source, event.subject))
    if ticket is None:
        raise PermanentError(
            f"{event.source} has submitted no ticket under the subject {event.subject}:"
            " give ticket_number, or the ce_source and ce_subject of the ticket.submitted event"
        )
    return ticket


def _opening(event: Submitted) -> Open:
    try:
        return Open(
            **{name: getattr(event.data, name) for name in type(event.data).model_fields},
            external_source=event.source,
            external_id=event.subject,
        )
    except ValidationError as error:
        raise PermanentError(f"{event.type} {event.id} of {event.source}: {problem_text(error)}") from error


def _author(ticket: Ticket, event: ReplySubmitted) -> str | None:
    if event.data.author_kind is AuthorKind.CUSTOMER and ticket.requester_id is not None:
        return f"customer:{ticket.requester_id}"
    return None


def _actor(event: Event[Any]) -> str:
    return event.actor or _SELF


def _is_opening(event: Event[Any]) -> bool:
    return isinstance(event.data, TicketSubmitted)


def _number(label: str | None) -> int | None:
    """1042 of OP-1042; None for what is no ticket number."""
    match = NUMBER.fullmatch(label or "")
    return None if match is None else int(match[1])
