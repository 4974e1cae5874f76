"""Links as both ends see them, and what merging and splitting decide."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from uuid import uuid4

import pytest

from opora_contracts.tickets import TicketClosed, TicketLinked, TicketMerged, TicketResumed, TicketUpdated
from opora_contracts.vocabulary import Kind, Relation, ResolutionCode, Step, WaitingOn
from opora_intake.domain import CaseRules, LinkRefused, Message, Ticket, TransitionRefused, commands, decide
from opora_intake.domain.details import MOST_WATCHERS
from opora_intake.domain.links import (
    INVERSE,
    MOST_INCIDENTS,
    MOST_LINKS,
    check_link,
    check_split,
    link_between,
    merge,
    opening_of_split,
)

At = Callable[[float], datetime]
TicketAt = Callable[[Step], Ticket]


def merged(source: Ticket, target: Ticket, now: datetime) -> tuple[Ticket, list[type], Ticket, list[type]]:
    gone, taken = merge(source, target, now, message_id=uuid4(), actor="agent:anna", rules=CaseRules())
    return (
        gone.ticket,
        [type(fact.data) for fact in gone.facts],
        taken.ticket,
        [type(fact.data) for fact in taken.facts],
    )


def test_each_relation_has_its_other_end() -> None:
    """Whatever one end says, the other end says the inverse, and the inverse of that is the first."""
    assert set(INVERSE) == set(Relation)
    assert all(INVERSE[INVERSE[relation]] is relation for relation in Relation)
    assert INVERSE[Relation.PARENT_OF] is Relation.CHILD_OF


@pytest.mark.parametrize("relation", list(Relation))
def test_a_link_is_kept_once_whichever_end_names_it(ticket_at: TicketAt, after_noon: At, relation: Relation) -> None:
    """Said from here or, inversely, from there: the same link, which each end sees in its own way."""
    here, there = ticket_at(Step.RECEIVED), ticket_at(Step.RECEIVED)
    link = link_between(here, relation, there, after_noon(1), None)
    assert link == link_between(there, INVERSE[relation], here, after_noon(1), None)
    assert link.seen_from(here.id) == (relation, there.id)
    assert link.seen_from(there.id) == (INVERSE[relation], here.id)


def test_what_cannot_be_linked_is_refused(ticket_at: TicketAt, after_noon: At) -> None:
    """A ticket with itself, a circle, a second parent and the 201st link; two related tickets make no circle."""
    here, there = ticket_at(Step.RECEIVED), ticket_at(Step.RECEIVED)
    parent = link_between(here, Relation.PARENT_OF, there, after_noon(1), None)
    with pytest.raises(LinkRefused, match="itself"):
        check_link(here, parent, here, closes_circle=False, parents=0, counts=[0, 0])
    with pytest.raises(LinkRefused, match="circle"):
        check_link(here, parent, there, closes_circle=True, parents=0, counts=[0, 0])
    with pytest.raises(LinkRefused, match="has a parent"):
        check_link(here, parent, there, closes_circle=False, parents=1, counts=[0, 0])
    with pytest.raises(LinkRefused, match="at most 200"):
        check_link(here, parent, there, closes_circle=False, parents=0, counts=[0, MOST_LINKS])
    related = link_between(here, Relation.RELATED_TO, there, after_noon(1), None)
    check_link(here, related, there, closes_circle=True, parents=1, counts=[MOST_LINKS - 1, 0])


def test_a_problem_gathers_more_incidents_than_a_ticket_has_links(ticket_at: TicketAt, after_noon: At) -> None:
    """5,000 name a problem as their cause; the incident itself, and a cause of another kind, have 200 links."""
    incident, cause = ticket_at(Step.RECEIVED), ticket_at(Step.RECEIVED)
    problem = replace(ticket_at(Step.RECEIVED), kind=Kind.PROBLEM)
    link = link_between(incident, Relation.CAUSED_BY, problem, after_noon(1), None)
    for ticket, other, counts in (
        (incident, problem, [MOST_LINKS - 1, MOST_INCIDENTS - 1]),
        (problem, incident, [MOST_INCIDENTS - 1, MOST_LINKS - 1]),
    ):
        check_link(ticket, link, other, closes_circle=False, parents=0, counts=counts)
    refused = [
        (incident, link, problem, [0, MOST_INCIDENTS]),
        (incident, link, problem, [MOST_LINKS, 0]),
        (incident, link_between(incident, Relation.CAUSED_BY, cause, after_noon(1), None), cause, [0, MOST_LINKS]),
        (problem, link_between(problem, Relation.RELATED_TO, cause, after_noon(1), None), cause, [MOST_LINKS, 0]),
    ]
    for ticket, between, other, counts in refused:
        with pytest.raises(LinkRefused, match="at most"):
            check_link(ticket, between, other, closes_circle=False, parents=0, counts=counts)


def test_a_merged_ticket_ends_as_a_duplicate_and_says_where_it_goes_on(ticket_at: TicketAt, after_noon: At) -> None:
    """Its wait ends, it is merged and closed; it can be noted on, not reopened. The other one tells of it."""
    source = decide(
        ticket_at(Step.ASSESSED), commands.Hold(waiting_on=WaitingOn.CUSTOMER), after_noon(1), message_id=uuid4()
    ).ticket
    target = ticket_at(Step.RECEIVED)
    gone, left, taken, told = merged(source, target, after_noon(2))
    assert left == [TicketMerged, TicketResumed, TicketClosed]
    assert (gone.merged_into, gone.resolution_code) == (target.id, ResolutionCode.DUPLICATE)
    assert told == [TicketLinked]
    assert taken.step is Step.RECEIVED
    with pytest.raises(TransitionRefused, match=str(target.id)):
        decide(gone, commands.Reopen(), after_noon(3), message_id=uuid4())
    with pytest.raises(TransitionRefused, match=str(target.id)):
        decide(gone, commands.Reply(body="Hello?"), after_noon(3), message_id=uuid4())
    assert decide(gone, commands.Note(body="seen"), after_noon(3), message_id=uuid4()).facts


def test_who_asked_in_a_merged_ticket_watches_the_other_one(ticket_at: TicketAt, after_noon: At) -> None:
    """Its requester and its watchers, as far as they are not told already and there is room."""
    anna, boris = uuid4(), uuid4()
    source = replace(ticket_at(Step.RECEIVED), requester_id=anna, watchers=("agent:carla", f"customer:{boris}"))
    target = replace(ticket_at(Step.RECEIVED), requester_id=boris)
    _, _, taken, told = merged(source, target, after_noon(1))
    assert taken.watchers == (f"customer:{anna}", "agent:carla")
    assert told == [TicketLinked, TicketUpdated]
    same = replace(target, requester_id=anna, watchers=("agent:carla", f"customer:{boris}"))
    assert merged(source, same, after_noon(1))[3] == [TicketLinked]
    full = replace(target, watchers=tuple(f"agent:{number}" for number in range(MOST_WATCHERS)))
    assert merged(source, full, after_noon(1))[2].watchers == full.watchers


def test_what_is_closed_neither_merges_nor_takes_in(ticket_at: TicketAt, after_noon: At) -> None:
    """Both must be open, and two."""
    closed, alive = ticket_at(Step.CLOSED), ticket_at(Step.RECEIVED)
    with pytest.raises(LinkRefused, match="is closed"):
        merged(alive, closed, after_noon(1))
    with pytest.raises(TransitionRefused):
        merged(closed, alive, after_noon(1))
    with pytest.raises(LinkRefused, match="itself"):
        merged(alive, alive, after_noon(1))


def written(ticket: Ticket, count: int, now: datetime) -> list[Message]:
    messages = []
    for number in range(count):
        decision = decide(ticket, commands.Reply(body=str(number)), now, message_id=uuid4())
        assert decision.message is not None
        ticket = decision.ticket
        messages.append(decision.message)
    return messages


def test_some_messages_are_split_off_and_some_stay(ticket_at: TicketAt, after_noon: At) -> None:
    """The chosen ones in their order; a foreign message, or all of them, is refused."""
    ticket = ticket_at(Step.RECEIVED)
    shown = written(ticket, 3, after_noon(1))
    assert check_split(ticket, shown, [shown[2].id, shown[0].id]) == [shown[0], shown[2]]
    with pytest.raises(LinkRefused, match="has no message"):
        check_split(ticket, shown, [shown[0].id, uuid4()])
    with pytest.raises(LinkRefused, match="leave one"):
        check_split(ticket, shown, [message.id for message in shown])


def test_a_split_ticket_is_for_the_same_people_and_judged_alike(ticket_at: TicketAt, after_noon: At) -> None:
    """Requester, levels and an overruled priority go with it; a category that is listed no more does not."""
    ticket = replace(ticket_at(Step.RECEIVED), requester_id=uuid4(), category="old", component="login")
    command = commands.Split(messages=(uuid4(),), title="Another question")
    opening = opening_of_split(ticket, command, written(ticket, 1, after_noon(1)), CaseRules(categories=("new",)))
    assert (opening.title, opening.requester_id, opening.impact) == (
        "Another question",
        ticket.requester_id,
        ticket.impact,
    )
    assert (opening.category, opening.component, opening.priority, opening.body) == (None, "login", None, "")
