"""What clocks ought to be: examples by hand, and against somebody who lives through random tickets second by second."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opora_cli.chaos.oracle import Reckoned, Targets, reckon
from opora_contracts import Event, Fact
from opora_contracts.sla import SlaBreached, SlaMet, SlaStarted
from opora_contracts.tickets import (
    TicketAssessed,
    TicketClosed,
    TicketCreated,
    TicketHeld,
    TicketNoted,
    TicketReopened,
    TicketReplied,
    TicketResolved,
    TicketResumed,
)
from opora_contracts.vocabulary import (
    AuthorKind,
    Channel,
    Evidence,
    Kind,
    Level,
    Metric,
    Priority,
    ResolutionCode,
    WaitingOn,
)

START = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)
MONITORING = "/chaos/monitoring"
FIRST, RESOLUTION = Metric.FIRST_RESPONSE, Metric.RESOLUTION
TARGETS: dict[str, int] = {FIRST: 4, RESOLUTION: 15}


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def ticket(number: int) -> UUID:
    return UUID(int=number)


def customer(number: int) -> UUID:
    return UUID(int=1000 + number)


def created(number: int, external: str | None = None) -> TicketCreated:
    return TicketCreated(
        ticket_id=ticket(number),
        number=f"OP-{number}",
        title="Help",
        channel=Channel.WEB,
        kind=Kind.INCIDENT,
        impact=Level.MEDIUM,
        urgency=Level.MEDIUM,
        priority=Priority.P3,
        requester_id=customer(number),
        external_source=MONITORING if external else None,
        external_id=external,
    )


def replied(number: int, author: AuthorKind = AuthorKind.AGENT) -> TicketReplied:
    return TicketReplied(ticket_id=ticket(number), message_id=UUID(int=5), author_kind=author, channel=Channel.WEB)


def resolved(number: int, cycle: int = 1) -> TicketResolved:
    return TicketResolved(ticket_id=ticket(number), cycle=cycle, resolution_code=ResolutionCode.SOLVED)


def closed(number: int, cycle: int = 1) -> TicketClosed:
    return TicketClosed(
        ticket_id=ticket(number),
        cycle=cycle,
        resolution_code=ResolutionCode.SOLVED,
        requester_id=customer(number),
    )


def noted(number: int) -> TicketNoted:
    return TicketNoted(ticket_id=ticket(number), message_id=UUID(int=6))


def held(number: int, waiting_on: WaitingOn = WaitingOn.CUSTOMER) -> TicketHeld:
    return TicketHeld(ticket_id=ticket(number), waiting_on=waiting_on)


def resumed(number: int) -> TicketResumed:
    return TicketResumed(ticket_id=ticket(number))


def reopened(number: int, cycle: int = 2) -> TicketReopened:
    return TicketReopened(ticket_id=ticket(number), cycle=cycle)


def assessed(number: int, priority: Priority) -> TicketAssessed:
    return TicketAssessed(ticket_id=ticket(number), impact=Level.LOW, urgency=Level.LOW, priority=priority)


def clock(number: int, metric: Metric, cycle: int = 1) -> dict[str, Any]:
    return {
        "ticket_id": ticket(number),
        "metric": metric,
        "cycle": cycle,
        "agreement_id": UUID(int=8),
        "agreement_version": 1,
    }


def started(number: int, metric: Metric, began: float, due: float, cycle: int = 1) -> SlaStarted:
    return SlaStarted(
        **clock(number, metric, cycle), started_at=at(began), target_seconds=4, due_at=at(due), priority=Priority.P3
    )


def met(number: int, metric: Metric, stopped: float, due: float, cycle: int = 1) -> SlaMet:
    return SlaMet(
        **clock(number, metric, cycle), stopped_at=at(stopped), due_at=at(due), used_seconds=1, target_seconds=4
    )


def breached(
    number: int, metric: Metric, due: float, detected: float, evidence: Evidence = Evidence.COMPLETE
) -> SlaBreached:
    return SlaBreached(
        **clock(number, metric),
        due_at=at(due),
        detected_at=at(detected),
        used_seconds=5,
        target_seconds=4,
        priority=Priority.P3,
        evidence=evidence,
    )


def life(*facts: tuple[float, Fact]) -> list[Event[Any]]:
    """The facts of ticket 1 as they stand on the topic."""
    return [
        Event(
            id=str(sequence),
            source="/opora/intake",
            type=fact.event_type,
            version=1,
            time=at(seconds),
            subject=str(ticket(1)),
            data=fact,
            sequence=sequence,
        )
        for sequence, (seconds, fact) in enumerate(facts, start=1)
    ]


def shown(clocks: Sequence[Reckoned]) -> dict[tuple[str, int], tuple[float | None, float | None, bool]]:
    """(due, stopped, breached) by (metric, cycle), in seconds since the start."""

    def seconds(instant: datetime | None) -> float | None:
        return None if instant is None else (instant - START).total_seconds()

    return {
        (clock.metric, clock.cycle): (seconds(clock.due_at), seconds(clock.stopped_at), clock.breached_at is not None)
        for clock in clocks
    }


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ([], {(FIRST, 1): (4, None, True), (RESOLUTION, 1): (15, None, True)}),
        ([(4, replied(1))], {(FIRST, 1): (4, 4, False), (RESOLUTION, 1): (15, None, True)}),
        ([(4.001, replied(1))], {(FIRST, 1): (4, 4.001, True), (RESOLUTION, 1): (15, None, True)}),
        ([(1, noted(1))], {(FIRST, 1): (4, None, True), (RESOLUTION, 1): (15, None, True)}),
        (
            [(1, replied(1, AuthorKind.CUSTOMER))],
            {(FIRST, 1): (4, None, True), (RESOLUTION, 1): (15, None, True)},
        ),
        ([(3, resolved(1)), (9, closed(1))], {(FIRST, 1): (4, 3, False), (RESOLUTION, 1): (15, 3, False)}),
        (
            [(3, held(1)), (10, resumed(1)), (22, resolved(1))],
            {(FIRST, 1): (4, 22, True), (RESOLUTION, 1): (22, 22, False)},
        ),
        ([(3, held(1))], {(FIRST, 1): (4, None, True), (RESOLUTION, 1): (None, None, False)}),
        ([(3, held(1)), (99, resolved(1))], {(FIRST, 1): (4, 99, True), (RESOLUTION, 1): (None, 99, False)}),
        (
            [(3, held(1, WaitingOn.THIRD_PARTY)), (16, held(1)), (20, resolved(1))],
            {(FIRST, 1): (4, 20, True), (RESOLUTION, 1): (15, 20, True)},
        ),
        (
            [(3, held(1)), (5, held(1, WaitingOn.CHANGE))],
            {(FIRST, 1): (4, None, True), (RESOLUTION, 1): (17, None, True)},
        ),
        (
            [(1, replied(1)), (5, resolved(1)), (6, reopened(1)), (22, resolved(1, cycle=2))],
            {(FIRST, 1): (4, 1, False), (RESOLUTION, 1): (15, 5, False), (RESOLUTION, 2): (21, 22, True)},
        ),
    ],
)
def test_clocks_are_what_the_facts_make_of_them(
    facts: list[tuple[float, Fact]], expected: dict[tuple[str, int], object]
) -> None:
    """Targets of 4 s to the first response and 15 s to the resolution, from a creation at 0."""
    assert shown(reckon(life((0, created(1)), *facts), TARGETS)) == expected


def test_order_and_repetition_on_the_topic_do_not_matter() -> None:
    """The log may hold a fact twice, and out of order: its number and its time say where it belongs."""
    facts = life((0, created(1)), (3, held(1)), (10, resumed(1)), (22, resolved(1)))
    assert reckon([*reversed(facts), *facts], TARGETS) == reckon(facts, TARGETS)


def test_a_priority_without_a_target_has_no_clock() -> None:
    """Targets may be given by priority; the ticket's own, which is P3, decides."""
    targets: Targets = {FIRST: {Priority.P3: 7}, RESOLUTION: {Priority.P1: 1}}
    assert shown(reckon(life((0, created(1))), targets)) == {(FIRST, 1): (7, None, True)}


def test_a_priority_with_another_target_is_refused() -> None:
    """The oracle does not reckon with what no run does, and says so; the same target is no change."""
    targets: Targets = {FIRST: {Priority.P3: 7, Priority.P4: 7, Priority.P1: 1}}
    assert reckon(life((0, created(1)), (1, assessed(1, Priority.P4))), targets)
    with pytest.raises(ValueError, match="another target"):
        reckon(life((0, created(1)), (1, assessed(1, Priority.P1))), targets)


@dataclass
class Lived:
    """A clock under the eyes of somebody who looks at it every second."""

    metric: str
    used: int = 0
    due: int | None = None
    stopped: int | None = None

    def stop(self, second: int, metrics: tuple[str, ...]) -> None:
        """A fact ends the clocks of these metrics."""
        if self.stopped is None and self.metric in metrics:
            self.stopped = second

    def run(self, second: int, target: int) -> None:
        """A second passes in which it runs."""
        if self.used == target:
            self.due = second
        self.used += 1


def live_through(facts: list[tuple[int, Fact]], targets: dict[str, int], end: int) -> dict[tuple[str, int], Lived]:
    """Second by second: apply the facts of this second, see what is used up, let a second pass."""
    clocks: dict[tuple[str, int], Lived] = {(FIRST, 1): Lived(FIRST), (RESOLUTION, 1): Lived(RESOLUTION)}
    waiting = False
    for second in range(end):
        for fact in (fact for at_second, fact in facts if at_second == second):
            match fact:
                case TicketReopened():
                    clocks[RESOLUTION, fact.cycle] = Lived(RESOLUTION)
                case TicketHeld() | TicketResumed():
                    waiting = isinstance(fact, TicketHeld) and fact.waiting_on is WaitingOn.CUSTOMER
            for clock in clocks.values():
                clock.stop(second, STOPS.get(type(fact), ()) if fact != replied(1, AuthorKind.CUSTOMER) else ())
        for clock in clocks.values():
            if clock.stopped is None and not (clock.metric is RESOLUTION and waiting):
                clock.run(second, targets[clock.metric])
    return clocks


STOPS = {TicketReplied: (FIRST,), TicketResolved: (FIRST, RESOLUTION), TicketClosed: (FIRST, RESOLUTION)}
MOVES = st.sampled_from(["reply", "customer", "hold", "wait", "resume", "resolve", "close", "reopen", "note"])


def lawful(moves: list[tuple[int, str]]) -> list[tuple[int, Fact]]:
    """The moves that intake allows, as facts, each so many seconds after the one before."""
    facts: list[tuple[int, Fact]] = [(0, created(1))]
    second, cycle, step = 0, 1, "open"
    for after, move in moves:
        second += after
        if step == "open" and move in {"hold", "wait", "resume"}:
            reason = WaitingOn.CUSTOMER if move == "hold" else WaitingOn.THIRD_PARTY
            facts.append((second, resumed(1) if move == "resume" else held(1, reason)))
        elif move == "resolve" and step == "open":
            step = "resolved"
            facts.append((second, resolved(1, cycle)))
        elif move == "close" and step == "resolved":
            step = "closed"
            facts.append((second, closed(1, cycle)))
        elif move == "reopen" and step != "open":
            step, cycle = "open", cycle + 1
            facts.append((second, reopened(1, cycle)))
        elif move in {"reply", "customer"} and step == "open":
            facts.append((second, replied(1, AuthorKind.AGENT if move == "reply" else AuthorKind.CUSTOMER)))
        elif move == "note":
            facts.append((second, noted(1)))
    return facts


@settings(max_examples=300, deadline=None)
@given(
    moves=st.lists(st.tuples(st.integers(0, 6), MOVES), max_size=14),
    first=st.integers(1, 12),
    resolution=st.integers(1, 25),
)
def test_clocks_equal_a_life_second_by_second(moves: list[tuple[int, str]], first: int, resolution: int) -> None:
    """Whoever looks at the ticket every second sees the same stops, and misses the same due dates at the same time."""
    facts = lawful(moves)
    targets: dict[str, int] = {FIRST: first, RESOLUTION: resolution}
    end = facts[-1][0] + first + resolution + 2
    lived = live_through(facts, targets, end)
    found = reckon(life(*facts), targets)
    assert {
        (clock.metric, clock.cycle): (
            None if clock.breached_at is None else (clock.breached_at - START).total_seconds(),
            None if clock.stopped_at is None else (clock.stopped_at - START).total_seconds(),
        )
        for clock in found
    } == {key: (clock.due, clock.stopped) for key, clock in lived.items()}
