"""Tickets that belong together: links, seen from both ends, merging and splitting."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from opora_contracts.tickets import TicketLinked, TicketMerged, TicketUnlinked
from opora_contracts.vocabulary import Channel, Kind, Priority, Relation, ResolutionCode, Step
from opora_intake.domain.commands import Close, FollowUp, Link, Merge, Open, Split, Unlink, Watch
from opora_intake.domain.details import MOST_WATCHERS
from opora_intake.domain.drafts import recorded
from opora_intake.domain.errors import LinkRefused, VersionConflict
from opora_intake.domain.lifecycle import decide
from opora_intake.domain.rules import CaseRules
from opora_intake.domain.ticket import Decision, Message, Ticket
from opora_intake.domain.transitions import refused, steps_of

MOST_LINKS = 200
MOST_INCIDENTS = 5_000
"""Links of a problem that gathers incidents."""
MOST_MESSAGES = 5_000
"""Messages of a ticket that can be split."""

_INVERSE: Mapping[Relation, Relation] = {
    Relation.DUPLICATE_OF: Relation.DUPLICATED_BY,
    Relation.CAUSED_BY: Relation.CAUSE_OF,
    Relation.PARENT_OF: Relation.CHILD_OF,
    Relation.SPLIT_FROM: Relation.SPLIT_INTO,
    Relation.CONTINUES: Relation.CONTINUED_BY,
    Relation.RELATED_TO: Relation.RELATED_TO,
}
INVERSE: Mapping[Relation, Relation] = {**_INVERSE, **{there: here for here, there in _INVERSE.items()}}
"""Each relation as the other end sees it."""
OURS = frozenset({Relation.SPLIT_FROM, Relation.SPLIT_INTO, Relation.CONTINUES, Relation.CONTINUED_BY})
"""What follows from splitting and going on, and cannot be said or taken back by hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketLink:
    """One link as it is kept: once, from the end that names it."""

    from_id: UUID
    to_id: UUID
    relation: Relation
    since: datetime
    actor: str | None

    def seen_from(self, ticket_id: UUID) -> tuple[Relation, UUID]:
        """The relation as this end sees it, and the other end."""
        if ticket_id == self.from_id:
            return self.relation, self.to_id
        return INVERSE[self.relation], self.from_id


def link_between(ticket: Ticket, relation: Relation, other: Ticket, since: datetime, actor: str | None) -> TicketLink:
    """The link as it is kept, whichever end named it."""
    from_id, to_id = ticket.id, other.id
    if relation not in _INVERSE or (relation is Relation.RELATED_TO and other.id < ticket.id):
        from_id, to_id, relation = to_id, from_id, INVERSE[relation]
    return TicketLink(from_id=from_id, to_id=to_id, relation=relation, since=since, actor=actor)


def check_command(ticket: Ticket, command: Link | Unlink | Merge | Split | FollowUp) -> None:
    """Raises VersionConflict or TransitionRefused where the ticket does not take the command."""
    if command.expected_version not in {None, ticket.version}:
        raise VersionConflict(command.expected_version or 0, ticket.version)
    if ticket.step not in steps_of(command.action, ticket.profile):
        raise refused(ticket, command)


def check_link(
    ticket: Ticket, link: TicketLink, other: Ticket, *, closes_circle: bool, parents: int, counts: Sequence[int]
) -> None:
    """Raises LinkRefused for a link that cannot be.

    `closes_circle` says that one can go from the link's `to` end to its `from` end by links of its relation, `parents`
    how many parents its child has, `counts` how many links the ticket and the other one have.
    """
    if ticket.id == other.id:
        raise LinkRefused(f"{ticket.label} cannot be linked with itself")
    if closes_circle and link.relation is not Relation.RELATED_TO:
        raise LinkRefused(f"{ticket.label} and {other.label} are linked the other way round: that would be a circle")
    if link.relation is Relation.PARENT_OF and parents:
        child = other if link.to_id == other.id else ticket
        raise LinkRefused(f"{child.label} has a parent already: unlink it first")
    for end, count in zip((ticket, other), counts, strict=True):
        gathers = link.relation is Relation.CAUSED_BY and link.to_id == end.id and end.kind is Kind.PROBLEM
        most = MOST_INCIDENTS if gathers else MOST_LINKS
        if count >= most:
            raise LinkRefused(f"{end.label} can have at most {most} links of this sort")


def linked(
    ticket: Ticket, relation: Relation, other: Ticket, now: datetime, *, messages: int | None = None
) -> Decision:
    """One end learns of the link. Possible at every step."""
    fact = TicketLinked(
        ticket_id=ticket.id, relation=relation, other_id=other.id, other_number=other.label, messages=messages
    )
    return recorded(ticket, [(fact, max(now, ticket.last_time))])


def unlinked(ticket: Ticket, relation: Relation, other: Ticket, now: datetime) -> Decision:
    """One end learns that the link is no more."""
    fact = TicketUnlinked(ticket_id=ticket.id, relation=relation, other_id=other.id, other_number=other.label)
    return recorded(ticket, [(fact, max(now, ticket.last_time))])


def continued(
    closed: Ticket, ticket: Ticket, now: datetime, actor: str | None
) -> tuple[Decision, Decision, TicketLink]:
    """Both learn that one continues the other, and the link to keep."""
    here = linked(closed, Relation.CONTINUED_BY, ticket, now)
    there = linked(ticket, Relation.CONTINUES, closed, now)
    return here, there, link_between(ticket, Relation.CONTINUES, closed, now, actor)


def merge(
    source: Ticket, target: Ticket, now: datetime, *, message_id: UUID, actor: str, rules: CaseRules
) -> tuple[Decision, Decision]:
    """The source ends as a duplicate of the target, which goes on for both; those who asked there watch it here.

    Raises LinkRefused, or TransitionRefused for a source that is closed.
    """
    if source.id == target.id:
        raise LinkRefused(f"{source.label} cannot be merged into itself")
    if target.step is Step.CLOSED:
        raise LinkRefused(f"{target.label} is closed and cannot take {source.label} in: reopen it, or choose another")
    merged = TicketMerged(ticket_id=source.id, into_id=target.id, into_number=target.label)
    left = recorded(source, [(merged, max(now, source.last_time))])
    closed = decide(
        left.ticket,
        Close(resolution_code=ResolutionCode.DUPLICATE),
        now,
        message_id=message_id,
        actor=actor,
        rules=rules,
    )
    gone = replace(closed, facts=(*left.facts, *closed.facts))
    joined = linked(target, Relation.DUPLICATED_BY, source, now)
    if watchers := _who_follows(source, target):
        watched = decide(joined.ticket, Watch(watchers=watchers), now, message_id=message_id, actor=actor, rules=rules)
        joined = replace(watched, facts=(*joined.facts, *watched.facts))
    return gone, joined


def _who_follows(source: Ticket, target: Ticket) -> tuple[str, ...]:
    """Whoever asked in the source or watched it, as far as the target takes them and does not tell them already."""
    asked = (f"customer:{source.requester_id}",) if source.requester_id not in {None, target.requester_id} else ()
    others = (*asked, *(each for each in source.watchers if each != f"customer:{target.requester_id}"))
    fresh = tuple(each for each in dict.fromkeys(others) if each not in target.watchers)
    return fresh[: max(0, MOST_WATCHERS - len(target.watchers))][:30]


def check_split(ticket: Ticket, shown: Sequence[Message], chosen: Sequence[UUID]) -> list[Message]:
    """The chosen messages, oldest first. Raises LinkRefused for one that is not shown here, and for all of them."""
    wanted = set(chosen)
    moved = [message for message in shown if message.id in wanted]
    if missing := wanted - {message.id for message in moved}:
        raise LinkRefused(f"{ticket.label} has no message {min(missing)}")
    if len(moved) == len(shown):
        raise LinkRefused(f"These are all messages of {ticket.label}: leave one, or go on with the ticket itself")
    return moved


def opening_of_split(ticket: Ticket, command: Split, moved: Sequence[Message], rules: CaseRules) -> Open:
    """How the new ticket begins: for the same people, judged as the old one was. Its messages are the moved ones."""
    opening = _opening_like(ticket, command.title, moved[0].channel, rules)
    return opening if command.kind is None else opening.model_copy(update={"kind": command.kind})


def opening_of_follow_up(ticket: Ticket, command: FollowUp, rules: CaseRules) -> Open:
    """How the ticket begins that continues a closed one: the group has it again, and nobody in it yet."""
    opening = _opening_like(ticket, command.title, command.channel, rules)
    return opening.model_copy(update={"group": ticket.group, "body": command.body})


def _opening_like(ticket: Ticket, title: str | None, channel: Channel, rules: CaseRules) -> Open:
    priority: Priority | None = ticket.priority if ticket.priority_explicit else None
    return Open(
        title=title or ticket.title,
        requester_id=ticket.requester_id,
        organization_id=ticket.organization_id,
        channel=channel,
        kind=ticket.kind,
        impact=ticket.impact,
        urgency=ticket.urgency,
        priority=priority,
        language=ticket.language,
        product=ticket.product,
        category=ticket.category if not rules.categories or ticket.category in rules.categories else None,
        component=ticket.component if not rules.components or ticket.component in rules.components else None,
    )
