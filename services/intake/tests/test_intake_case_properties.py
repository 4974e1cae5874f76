"""Whatever is done to however many tickets: the seven steps' rules hold, and facts are numbered."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from opora_contracts.tickets import TicketFact
from opora_contracts.vocabulary import AuthorKind, Kind, Level, Profile, Relation, ResolutionCode, Step
from opora_intake.domain import (
    CaseRules,
    Command,
    Decision,
    Open,
    RecordedFact,
    RuleBroken,
    StepRecord,
    Ticket,
    TransitionRefused,
    allowed_actions,
    commands,
    decide,
    open_ticket,
)
from opora_intake.domain.links import continued, linked, merge, opening_of_follow_up
from opora_intake.domain.records import NEEDED
from opora_intake.domain.ticket import evolve
from opora_intake.domain.transitions import WITHOUT_RESOLVING

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ORDER = {
    "ticket.assessed": Step.ASSESSED,
    "ticket.diagnosed": Step.DIAGNOSED,
    "ticket.planned": Step.PLANNED,
    "ticket.resolved": Step.RESOLVED,
    "ticket.verified": Step.VERIFIED,
    "ticket.closed": Step.CLOSED,
}
TEXTS = st.sampled_from([None, "  ", "because"])
KINDS = st.sampled_from([None, Kind.PROBLEM, Kind.INCIDENT])
COMMANDS: st.SearchStrategy[Command] = st.one_of(
    st.builds(commands.Assess, urgency=st.sampled_from(Level), note=TEXTS, kind=KINDS),
    st.builds(commands.Diagnose, cause=TEXTS, evidence=TEXTS),
    st.builds(commands.Plan, steps=st.sampled_from([(), ("look",)]), owner=st.sampled_from([None, "anna"])),
    st.builds(commands.Resolve, resolution=TEXTS),
    st.builds(commands.Verify, seen=TEXTS),
    st.builds(commands.Close, note=TEXTS, resolution_code=st.sampled_from([None, *ResolutionCode])),
    st.builds(commands.Reopen),
    st.builds(commands.Hold, waiting_on=st.just("customer")),
    st.builds(commands.Resume),
    st.builds(commands.Reply, author_kind=st.sampled_from(AuthorKind)),
    st.builds(commands.Note),
    st.builds(commands.Update, kind=KINDS, product=st.just("mail")),
    st.builds(commands.TagTicket, tags=st.tuples(st.sampled_from("abc"))),
)
# Most walks through a strict case must come to its end, or the later steps would hardly be tried.
FILLED: st.SearchStrategy[Command] = st.sampled_from(
    [
        commands.Assess(note="seen"),
        commands.Diagnose(cause="c", evidence="e"),
        commands.Plan(steps=("do",), owner="anna"),
        commands.Resolve(resolution="did"),
        commands.Verify(seen="good"),
        commands.Close(note="bye"),
    ]
)
MINUTES = st.integers(-5, 60)
SETTLED = st.sampled_from(
    [
        CaseRules(),
        CaseRules(profiles={Kind.PROBLEM: Profile.STRICT}),
        CaseRules(profiles=dict.fromkeys(Kind, Profile.STRICT)),
    ]
)


class Desk(RuleBasedStateMachine):
    """Tickets that are worked on, merged and linked, under settings that change."""

    tickets = Bundle("tickets")

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.settled = CaseRules()
        self.state: dict[Any, Ticket] = {}
        self.first: dict[Any, Ticket] = {}
        self.facts: dict[Any, list[RecordedFact]] = {}
        self.records: dict[Any, dict[int, StepRecord]] = {}

    def keep(self, decision: Decision) -> None:
        """Take over what was decided."""
        ticket = decision.ticket
        self.state[ticket.id] = ticket
        self.first.setdefault(ticket.id, ticket)
        self.facts.setdefault(ticket.id, []).extend(decision.facts)
        records = self.records.setdefault(ticket.id, {})
        if decision.record is not None:
            records[decision.record.sequence] = decision.record

    @initialize(rules=SETTLED)
    def begin(self, rules: CaseRules) -> None:
        """Some settings are in force."""
        self.settled = rules

    @rule(rules=SETTLED)
    def settle(self, rules: CaseRules) -> None:
        """The settings change while tickets are open."""
        self.settled = rules

    @rule(target=tickets, kind=st.sampled_from(Kind))
    def open(self, kind: Kind) -> Any:
        """Somebody asks."""
        decision = open_ticket(
            Open(title="Help", kind=kind),
            self.now,
            ticket_id=uuid4(),
            number=len(self.state) + 1,
            message_id=uuid4(),
            rules=self.settled,
        )
        self.keep(decision)
        return decision.ticket.id

    @rule(
        ticket_id=tickets,
        asked=st.lists(st.tuples(st.one_of(COMMANDS, FILLED, FILLED), MINUTES), min_size=6, max_size=15),
    )
    def work(self, ticket_id: Any, asked: Sequence[tuple[Command, int]]) -> None:
        """Somebody works on a ticket for a while; what is refused changes nothing."""
        for command, minutes in asked:
            self.now += timedelta(minutes=minutes)
            ticket = self.state[ticket_id]
            try:
                decision = decide(ticket, command, self.now, message_id=uuid4(), rules=self.settled)
            except RuleBroken:
                continue
            assert command.action in allowed_actions(ticket)
            self.keep(decision)

    @rule(ticket_id=tickets, hours=st.integers(0, 48))
    def fall_silent(self, ticket_id: Any, hours: int) -> None:
        """What the timers find done is closed and never refused: one fact, and a record under either profile."""
        self.now += timedelta(hours=hours)
        ticket = self.state[ticket_id]
        asks_nothing = ticket.profile is Profile.LIGHT or ticket.resolution_code in WITHOUT_RESOLVING
        found = ticket.step is Step.VERIFIED or (ticket.step is Step.RESOLVED and asks_nothing)
        if not found:
            return
        command = commands.Close(note="Nothing happened.")
        decision = decide(ticket, command, self.now, message_id=uuid4(), rules=self.settled)
        assert [fact.data.event_type for fact in decision.facts] == ["ticket.closed"]
        assert decision.record is not None
        self.keep(decision)

    @rule(ticket_id=tickets, hours=st.integers(0, 48), window=st.integers(0, 24))
    def come_back(self, ticket_id: Any, hours: int, window: int) -> None:
        """A customer's reply reopens what was closed within the window; after it the reply stands on another ticket."""
        self.now += timedelta(hours=hours)
        rules = replace(self.settled, reopen_within=dict.fromkeys(Kind, timedelta(hours=window)))
        ticket, reply = self.state[ticket_id], commands.Reply(author_kind=AuthorKind.CUSTOMER)
        closed_for = None if ticket.closed_at is None else self.now - ticket.closed_at
        in_time = closed_for is None or (closed_for <= timedelta(hours=window) and ticket.merged_into is None)
        if in_time:
            self.keep(decide(ticket, reply, self.now, message_id=uuid4(), rules=rules))
            assert self.state[ticket_id].step is not Step.CLOSED
            return
        with pytest.raises(TransitionRefused):
            decide(ticket, reply, self.now, message_id=uuid4(), rules=rules)
        if ticket.merged_into is not None:
            return
        opening = opening_of_follow_up(ticket, commands.FollowUp(), rules)
        opened = open_ticket(
            opening, self.now, ticket_id=uuid4(), number=len(self.state) + 1, message_id=uuid4(), rules=rules
        )
        self.keep(opened)
        here, there, _ = continued(ticket, opened.ticket, self.now, None)
        self.keep(here)
        self.keep(there)

    @rule(source=tickets, into=tickets)
    def merge(self, source: Any, into: Any) -> None:
        """Two cases are one."""
        before = self.state[source], self.state[into]
        try:
            gone, taken = merge(*before, self.now, message_id=uuid4(), actor="agent:anna", rules=self.settled)
        except RuleBroken:
            assert source == into or Step.CLOSED in {ticket.step for ticket in before}
            return
        assert (gone.ticket.step, gone.ticket.merged_into) == (Step.CLOSED, into)
        assert "reopen" not in allowed_actions(gone.ticket)
        self.keep(gone)
        self.keep(taken)

    @rule(one=tickets, other=tickets)
    def link(self, one: Any, other: Any) -> None:
        """Two cases belong together."""
        if one != other:
            here, there = self.state[one], self.state[other]
            self.keep(linked(here, Relation.RELATED_TO, there, self.now))
            self.keep(linked(there, Relation.RELATED_TO, here, self.now))

    @invariant()
    def facts_are_numbered_and_give_the_ticket(self) -> None:
        """1 … n, times never go back, and the facts alone lead to the ticket."""
        for ticket_id, ticket in self.state.items():
            facts = self.facts[ticket_id]
            assert [fact.sequence for fact in facts] == list(range(1, ticket.version + 1))
            times = [fact.time for fact in facts]
            assert times == sorted(times)
            folded = self.first[ticket_id]
            for fact in facts[1:]:
                folded = evolve(folded, fact.data, fact.time)
            assert folded == ticket

    @invariant()
    def strict_cycles_go_step_by_step_with_records(self) -> None:
        """In a strict cycle each step follows the one before, and its record is filled, but for what was not worked."""
        for ticket_id, facts in self.facts.items():
            check_steps(facts, self.records[ticket_id])


def check_steps(facts: Sequence[RecordedFact], records: dict[int, StepRecord]) -> None:
    """Fails for a path that the rules of the seven steps do not know; written without the rules' code."""
    reached, is_strict, is_closed = Step.RECEIVED, False, False
    steps = list(Step)
    for fact in facts:
        data: TicketFact = fact.data
        profile = getattr(data, "profile", None)
        if data.event_type in {"ticket.created", "ticket.reopened"}:
            assert data.event_type == "ticket.created" or steps.index(reached) >= steps.index(Step.RESOLVED)
            reached, is_strict, is_closed = Step.RECEIVED, profile is Profile.STRICT, False
            continue
        if profile is not None:
            assert reached is Step.RECEIVED
            is_strict = profile is Profile.STRICT
        step = ORDER.get(data.event_type)
        if step is None:
            continue
        assert not is_closed
        record = records[fact.sequence]
        assert record.step is step
        unworked = step is Step.CLOSED and data.resolution_code in {ResolutionCode.CANCELLED, ResolutionCode.DUPLICATE}  # type: ignore[attr-defined]
        is_new = steps.index(step) > steps.index(reached)
        if is_strict and not unworked:
            assert not is_new or steps.index(step) == steps.index(reached) + 1
            action = {"assessed": "assess", "diagnosed": "diagnose", "planned": "plan"}.get(step.value)
            action = action or {"resolved": "resolve", "verified": "verify"}.get(step.value, "close")
            assert all(str(record.content.get(name, "")).strip() for name in NEEDED[action])
        if is_new:
            reached = step
        is_closed = step is Step.CLOSED


def test_no_path_leaves_the_rules_of_the_seven_steps() -> None:
    """Whatever is asked, under settings that change, with merges and links: the invariants of the desk hold."""
    run_state_machine_as_test(Desk, settings=settings(max_examples=150, stateful_step_count=20, deadline=None))
