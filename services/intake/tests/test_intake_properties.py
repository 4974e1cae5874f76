"""What holds for every sequence of commands."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from opora_contracts.vocabulary import AuthorKind, Kind, Level, ResolutionCode, Step, WaitingOn
from opora_intake.domain import CaseRules, Command, Open, RuleBroken, allowed_actions, commands, decide, open_ticket
from opora_intake.domain.ticket import evolve
from opora_intake.domain.transitions import reopens

RULES = CaseRules(reopen_within={Kind.INCIDENT: timedelta(minutes=90)})
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

COMMANDS: st.SearchStrategy[Command] = st.one_of(
    st.builds(commands.Assess, impact=st.sampled_from(Level), urgency=st.sampled_from(Level)),
    st.builds(commands.Assign, group=st.sampled_from(["network", "desk"])),
    st.builds(commands.Diagnose),
    st.builds(commands.Plan),
    st.builds(commands.Resolve),
    st.builds(commands.Verify),
    st.builds(commands.Close, resolution_code=st.sampled_from([None, *ResolutionCode])),
    st.builds(commands.Reopen),
    st.builds(commands.Hold, waiting_on=st.sampled_from(WaitingOn)),
    st.builds(commands.Resume),
    st.builds(commands.Reply, author_kind=st.sampled_from(AuthorKind)),
    st.builds(commands.Note),
    st.builds(commands.Update, product=st.sampled_from(["printer", "mail"])),
    st.builds(commands.TagTicket, tags=st.tuples(st.sampled_from("abc"))),
    st.builds(commands.Untag, tags=st.tuples(st.sampled_from("abc"))),
    st.builds(commands.Watch, watchers=st.tuples(st.sampled_from(["agent:anna", "agent:boris"]))),
    st.builds(commands.Unwatch, watchers=st.tuples(st.sampled_from(["agent:anna", "agent:boris"]))),
)
STEPS = st.lists(st.tuples(COMMANDS, st.integers(min_value=-5, max_value=60)), max_size=40)


@given(STEPS)
def test_every_life_is_numbered_without_gaps_and_never_goes_back(life: Sequence[tuple[Command, int]]) -> None:
    """Whatever is asked: facts are numbered 1 … n, live times never decrease, and the facts alone give the ticket."""
    decision = open_ticket(Open(title="Help"), START, ticket_id=uuid4(), number=1, message_id=uuid4())
    first = ticket = decision.ticket
    facts = list(decision.facts)
    now = START
    for command, minutes in life:
        now += timedelta(minutes=minutes)
        possible = command.action in allowed_actions(ticket) or reopens(ticket, command, now, RULES)
        try:
            decision = decide(ticket, command, now, message_id=uuid4(), rules=RULES)
        except RuleBroken:
            assert not possible or command.action == "close"
            continue
        assert possible
        ticket = decision.ticket
        facts.extend(decision.facts)
        assert ticket.waiting_on is None or ticket.step not in {Step.RESOLVED, Step.VERIFIED, Step.CLOSED}
    assert [fact.sequence for fact in facts] == list(range(1, ticket.version + 1))
    times = [fact.time for fact in facts]
    assert times == sorted(times)
    assert ticket.last_time == times[-1]
    folded = first
    for fact in facts[1:]:
        folded = evolve(folded, fact.data, fact.time)
    assert folded == ticket
