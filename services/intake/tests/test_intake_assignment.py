"""Whom a group's rule chooses, and why not the others."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opora_contracts.vocabulary import Step
from opora_intake.domain import Ticket
from opora_intake.domain.assignment import Member, Needs, Rule, Standing, after_choice, choose

AUTOMATIC = (Rule.ROUND_ROBIN, Rule.LEAST_LOADED)
SKILLS = ("network", "senior", "sso")


def member(agent: str, *skills: str, capacity: int = 5, load: int = 0, turn: int = 0, present: bool = True) -> Member:
    """A member who is there and has nothing to do, unless told otherwise."""
    return Member(agent=agent, skills=frozenset(skills), capacity=capacity, present=present, load=load, turn=turn)


@pytest.mark.parametrize(
    ("rule", "members", "needed", "chosen"),
    [
        (Rule.MANUAL, [member("anna")], (), None),
        (Rule.ROUND_ROBIN, [], (), None),
        (Rule.ROUND_ROBIN, [member("boris"), member("anna")], (), "anna"),
        (Rule.ROUND_ROBIN, [member("anna", turn=7), member("boris", turn=3, load=4)], (), "boris"),
        (Rule.ROUND_ROBIN, [member("anna", present=False), member("boris", turn=9)], (), "boris"),
        (Rule.ROUND_ROBIN, [member("anna", load=5), member("boris", turn=9)], (), "boris"),
        (Rule.ROUND_ROBIN, [member("anna", load=6)], (), None),
        (Rule.ROUND_ROBIN, [member("anna", "sso"), member("boris", "sso", "senior")], ("sso", "senior"), "boris"),
        (Rule.LEAST_LOADED, [member("anna", load=2), member("boris", load=1, turn=9)], (), "boris"),
        (Rule.LEAST_LOADED, [member("anna", load=1, turn=2), member("boris", load=1, turn=1)], (), "boris"),
        # A tenth of twenty is less than half of two.
        (Rule.LEAST_LOADED, [member("anna", capacity=2, load=1), member("boris", capacity=20, load=2)], (), "boris"),
        (Rule.LEAST_LOADED, [member("anna"), member("boris", "sso", load=4)], ("sso",), "boris"),
    ],
)
def test_the_rule_chooses(rule: Rule, members: list[Member], needed: tuple[str, ...], chosen: str | None) -> None:
    """The table of choices."""
    assert choose(rule, members, frozenset(needed)).agent == chosen


def test_a_choice_says_how_each_member_stood() -> None:
    """Everybody is named once with the first thing that kept the ticket from them."""
    members = [
        member("dora", "sso", load=5),
        member("anna", "sso", turn=1),
        member("boris", "sso"),
        member("clara", "senior"),
        member("emil", present=False),
    ]
    choice = choose(Rule.ROUND_ROBIN, members, frozenset({"sso"}))
    assert [(one.agent, one.standing, one.missing) for one in choice.considered] == [
        ("anna", Standing.LATER, ()),
        ("boris", Standing.CHOSEN, ()),
        ("clara", Standing.LACKS_SKILLS, ("sso",)),
        ("dora", Standing.AT_CAPACITY, ()),
        ("emil", Standing.ABSENT, ("sso",)),
    ]
    assert choice.needed == ("sso",)


def test_needs_come_from_tags_category_and_component(ticket_at: Callable[[Step], Ticket]) -> None:
    """A ticket needs every skill that anything on it asks for; what nothing is said of asks for none."""
    needs = Needs(
        tags={"vip": ("senior",), "other": ("unused",)},
        categories={"network": ("network",)},
        components={"login": ("sso", "network")},
    )
    plain = ticket_at(Step.RECEIVED)
    assert needs.of(plain) == frozenset()
    full = replace(plain, tags=("vip", "x"), category="network", component="login")
    assert needs.of(full) == {"senior", "network", "sso"}


members_of_a_group = st.lists(
    st.builds(
        Member,
        agent=st.sampled_from("abcdefgh"),
        skills=st.frozensets(st.sampled_from(SKILLS)),
        capacity=st.integers(1, 6),
        present=st.booleans(),
        load=st.integers(0, 7),
        turn=st.integers(0, 9),
    ),
    max_size=8,
    unique_by=lambda one: one.agent,
)


@given(st.sampled_from(AUTOMATIC), members_of_a_group, st.lists(st.frozensets(st.sampled_from(SKILLS)), max_size=40))
def test_only_the_present_and_skilled_with_room_are_chosen(
    rule: Rule, members: list[Member], tickets: list[frozenset[str]]
) -> None:
    """Whatever comes, no choice goes beyond a capacity, to somebody absent or unskilled; nobody only if nobody can."""
    for turn, needed in enumerate(tickets, start=10):
        choice = choose(rule, members, needed)
        fit = [one for one in members if one.present and one.load < one.capacity and needed <= one.skills]
        assert (choice.agent is None) == (not fit)
        assert choice.agent in {one.agent for one in fit} | {None}
        assert choice == choose(rule, members[::-1], needed)
        chosen = [one.agent for one in choice.considered if one.standing is Standing.CHOSEN]
        assert chosen == ([] if choice.agent is None else [choice.agent])
        if choice.agent is not None:
            members = after_choice(members, choice.agent, turn)


@given(st.sampled_from(AUTOMATIC), st.integers(1, 8), st.integers(0, 100))
def test_turns_are_fair(rule: Rule, agents: int, tickets: int) -> None:
    """Among equals nobody ever is more than one ticket ahead of another."""
    members = [member(f"agent {number}", capacity=1000) for number in range(agents)]
    given_to: Counter[str] = Counter({one.agent: 0 for one in members})
    for turn in range(1, tickets + 1):
        agent = choose(rule, members, frozenset()).agent
        assert agent is not None
        members = after_choice(members, agent, turn)
        given_to[agent] += 1
        assert max(given_to.values()) - min(given_to.values()) <= 1


@given(members_of_a_group, st.integers(1, 30))
def test_nobody_waits_longer_than_a_round(members: list[Member], tickets: int) -> None:
    """In turns, no agent is chosen twice while another one who can work has not been chosen once."""
    members = [replace(one, present=True, capacity=1000) for one in members]
    since: dict[str, set[str]] = {one.agent: set() for one in members}
    for turn in range(10, 10 + tickets if members else 10):
        agent = choose(Rule.ROUND_ROBIN, members, frozenset()).agent or ""
        members = after_choice(members, agent, turn)
        for other, seen in since.items():
            if other == agent:
                seen.clear()
            else:
                assert agent not in seen
                seen.add(agent)
