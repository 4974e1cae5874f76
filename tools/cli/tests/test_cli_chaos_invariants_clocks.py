"""Breaches that were declared twice, early, late, falsely or not at all; and read models that say something else."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from opora_cli.chaos.invariants.clocks import breached_rightly
from opora_cli.chaos.observation import Observation
from opora_cli.chaos.oracle import Reckoned
from opora_contracts import Event
from opora_contracts.sla import SlaBreached, SlaCorrected, SlaEscalated
from opora_contracts.topics import SLA
from opora_contracts.vocabulary import Evidence, Metric, Outcome, Priority
from tools.cli.tests.test_cli_chaos_invariants import ONE, TWO, rewritten, violated
from tools.cli.tests.test_cli_chaos_invariants_world import HEALED, calm, fault
from tools.cli.tests.test_cli_chaos_oracle import FIRST, RESOLUTION, at, breached, clock, held, resumed, ticket

THREE, FIVE, NOBODY = str(ticket(3)), str(ticket(5)), str(ticket(9))


def is_breach(event: Event[Any], number: int, metric: Metric) -> bool:
    fact = event.data
    return isinstance(fact, SlaBreached) and (fact.ticket_id, fact.metric) == (ticket(number), metric)


def declared(number: int, due: float, detected: float) -> Observation:
    """The first response to a ticket, due then, is declared breached at another instant than in the calm."""
    fact = breached(number, FIRST, due, detected)

    def change(events: list[Event[Any]]) -> list[Event[Any]]:
        return [replace(event, data=fact) if is_breach(event, number, FIRST) else event for event in events]

    return rewritten(calm().observe(), SLA.name, change)


def undeclared(number: int, metric: Metric) -> Observation:
    """The last that sla said about the ticket, its breach, is not said; and sla knows of nothing more."""
    world = calm()
    world.unsay(next(event for event in world.events[SLA.name] if is_breach(event, number, metric)))
    return world.observe()


def declared_twice() -> Observation:
    world = calm()
    world.say(14.5, breached(2, FIRST, 14, 14.5))
    return world.observe()


def corrected(before: Outcome, after: Outcome) -> SlaCorrected:
    return SlaCorrected(
        **clock(3, FIRST),
        before=before,
        after=after,
        due_at=at(24),
        used_seconds=4,
        target_seconds=4,
        reason="late",
    )


def falsely_breached(evidence: Evidence = Evidence.COMPLETE, corrected_at: float | None = None) -> Observation:
    """Ticket 3, whose first response came at the very due date, is declared breached a minute later."""
    world = calm()
    world.say(84, breached(3, FIRST, 24, 84, evidence))
    if corrected_at is not None:
        world.say(corrected_at, corrected(Outcome.BREACHED, Outcome.MET))
    return world.observe()


def withdrawn_and_declared_again() -> Observation:
    world = calm()
    world.say(84, breached(3, FIRST, 24, 84, Evidence.INCOMPLETE))
    world.say(85, corrected(Outcome.BREACHED, Outcome.MET))
    world.say(86, corrected(Outcome.MET, Outcome.BREACHED))
    return world.observe()


def breached_while_it_stood_still() -> Observation:
    """Ticket 2 is put on hold before its resolution is due, and its clock is breached all the same."""
    world = calm()
    world.act("hold", 20, held(2))
    return replace(world.observe(), clocks=calm().clocks)


@pytest.mark.parametrize(
    ("broken", "ids", "named"),
    [
        # The same fact is said twice, and the breach is the fact.
        (declared_twice, {"I6", "I7"}, f"{TWO} first_response cycle 1 was breached 2 times"),
        (partial(declared, 2, 14, 13.9), {"I7"}, f"{TWO} first_response cycle 1 was declared breached"),
        (partial(declared, 2, 14, 19.1), {"I7"}, f"{TWO} first_response cycle 1 was due at"),
        (partial(declared, 5, 103, HEALED + 5.1), {"I7"}, f"{FIVE} first_response cycle 1 was due at"),
        (partial(undeclared, 2, RESOLUTION), {"I7"}, f"{TWO} resolution cycle 1 was due at"),
        (partial(undeclared, 5, RESOLUTION), {"I7"}, f"{FIVE} resolution cycle 1 was due at"),
        (falsely_breached, {"I7"}, f"{THREE} first_response cycle 1 was declared breached"),
        (partial(falsely_breached, Evidence.COMPLETE, 85), {"I7"}, f"{THREE} first_response"),
        (partial(falsely_breached, Evidence.INCOMPLETE), {"I7"}, f"{THREE} first_response"),
        (partial(falsely_breached, Evidence.INCOMPLETE, HEALED + 5.1), {"I7"}, f"{THREE} first_response"),
        (withdrawn_and_declared_again, {"I7"}, f"{THREE} first_response cycle 1 ought to not be breached"),
        # Sla shows the clock as breached, too.
        (breached_while_it_stood_still, {"I7", "I10"}, f"{TWO} resolution cycle 1"),
    ],
)
def test_a_breach_that_ought_not_to_be_is_reported(
    broken: Callable[[], Observation], ids: set[str], named: str
) -> None:
    """Twice, early, late, never, falsely: each is I7, and names the clock."""
    found = violated(broken())
    assert found.keys() == ids
    assert named in found["I7"]


@pytest.mark.parametrize(
    "kept",
    [
        partial(declared, 2, 14, 18.9),
        partial(declared, 5, 103, HEALED + 4.9),
        partial(falsely_breached, Evidence.INCOMPLETE, HEALED + 4.9),
    ],
)
def test_a_breach_within_the_bounds_is_accepted(kept: Callable[[], Observation]) -> None:
    """Up to five seconds after the due date, or after the heal; and wrong without evidence, if soon corrected."""
    assert violated(kept()) == {}


def test_a_fault_that_was_over_excuses_nothing() -> None:
    """Each fault gives until five seconds after its own heal, not until the end of the whole storm."""
    observation = calm().observe()
    short = replace(observation, faults=[fault("kill", "sla-consume-1", 100, 105)])
    assert violated(observation) == {}
    assert violated(short).keys() == {"I7"}


def test_the_grace_is_a_parameter() -> None:
    """What is soon enough for five seconds is late for one."""
    observation = declared(2, 14, 16)
    assert breached_rightly(observation).holds
    assert not breached_rightly(observation, breach_grace_seconds=1).holds


def test_a_clock_that_fell_due_just_now_may_still_be_judged() -> None:
    """Sla has five seconds, also for what falls due right before one looks; unless it says that it is done."""
    observation = undeclared(5, RESOLUTION)
    assert violated(replace(observation, observed_at=at(118), settled_after_seconds=None)).keys() == {"I12"}
    assert "I7" in violated(replace(observation, observed_at=at(118)))


def test_a_wait_for_the_customer_moves_the_due_date() -> None:
    """A breach at the due date of before the wait is early; at the moved one it is right."""
    world = calm()
    world.act("hold", 20, held(2))
    world.act("resume", 22, resumed(2))
    assert f"{TWO} resolution cycle 1 was declared breached" in violated(world.observe())["I7"]


def escalated(called: Reckoned, seconds: float) -> SlaEscalated:
    """The clock's ladder is climbed for the first time."""
    return SlaEscalated(
        ticket_id=called.ticket_id,
        metric=called.metric,
        cycle=called.cycle,
        agreement_id=UUID(int=1),
        agreement_version=1,
        level=1,
        repetition=0,
        tell=("lead",),
        due_at=called.due_at,
        detected_at=at(seconds),
        used_seconds=5,
        target_seconds=4,
        priority=Priority.P3,
        breached=True,
    )


def climbed(*, but: int = 0, more: int = 0, again: int = 0) -> Observation:
    """Every clock that was missed by a second and went on has climbed its ladder; so many not, or one that was not."""
    world = calm()
    first = at(0)
    late = timedelta(seconds=1)
    reckoned = world.observe().reckoned
    missed = [
        (one, (one.breached_at - first).total_seconds() + 1.2)
        for one in reckoned
        if one.breached_at and (one.stopped_at is None or one.stopped_at > one.breached_at + late)
    ]
    kept = [(one, 50.0) for one in reckoned if one.breached_at is None]
    assert len(missed) > 1
    for called, seconds in sorted([*missed[but:], *kept[:more], *missed[:again]], key=lambda one: one[1]):
        world.say(seconds, escalated(called, seconds))
    return replace(world.observe(), calls={(1, 0): 1})


def test_a_ladder_is_climbed_where_a_clock_was_missed_and_nowhere_else() -> None:
    """Each step once for each clock that lived to see it; the one that is missing or too much is named."""
    assert violated(climbed()) == {}
    assert "and not given" in violated(climbed(but=1))["I7"]
    assert "and ought not to be" in violated(climbed(more=1))["I7"]
    assert "sla.escalated" in violated(climbed(again=1))["I6"]


def shown(**columns: Any) -> Observation:
    """Sla shows ticket 1's first response otherwise."""
    observation = calm().observe()
    return replace(observation, clocks=[replace(observation.clocks[0], **columns), *observation.clocks[1:]])


def without_a_clock() -> Observation:
    observation = calm().observe()
    return replace(observation, clocks=observation.clocks[1:])


def with_a_clock_too_many() -> Observation:
    observation = calm().observe()
    return replace(observation, clocks=[*observation.clocks, replace(observation.clocks[0], cycle=2)])


def named_otherwise() -> Observation:
    observation = calm().observe()
    named = {**observation.named_tickets, ONE: replace(observation.named_tickets[ONE], assignee="anna")}
    return replace(observation, named_tickets=named)


def named_and_not_on_the_topic() -> Observation:
    observation = calm().observe()
    named = {**observation.named_tickets, NOBODY: replace(observation.named_tickets[ONE], ticket_id=NOBODY)}
    return replace(observation, named_tickets=named)


def closed_in_another_cycle() -> Observation:
    observation = calm().observe()
    closings = [*observation.closings, replace(observation.closings[0], cycle=2)]
    return replace(observation, closings=closings)


def without_a_closing() -> Observation:
    return replace(calm().observe(), closings=[])


def rebuilt_otherwise() -> Observation:
    return replace(calm().observe(), rebuilt={"notify": [f"tickets {ONE}: number is 'OP-1', rebuilt 'OP-2'"]})


@pytest.mark.parametrize(
    "broken",
    [
        partial(shown, outcome="breached"),
        partial(shown, due_at=at(4.5)),
        partial(shown, stopped_at=at(3)),
        partial(shown, started_at=at(1)),
        without_a_clock,
        with_a_clock_too_many,
        named_otherwise,
        named_and_not_on_the_topic,
        closed_in_another_cycle,
        without_a_closing,
        rebuilt_otherwise,
    ],
)
def test_a_read_model_that_differs_is_reported(broken: Callable[[], Observation]) -> None:
    """From the oracle, from the facts, or from what a rebuild has: each is I10, and names the ticket."""
    found = violated(broken())
    assert found.keys() == {"I10"}
    assert ONE in found["I10"] or NOBODY in found["I10"]
