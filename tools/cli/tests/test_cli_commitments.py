"""What is owed besides response and resolution: the oracle against the service, and the checks of its breaches."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opora_cli.backup.recovery.store import _outcome, _step
from opora_cli.chaos.invariants import delivery
from opora_cli.chaos.oracle import Targets, reckon
from opora_cli.checks import rules
from opora_cli.checks.commitments import commitments
from opora_cli.checks.history import History
from opora_contracts import Event, Fact
from opora_contracts.commitments import (
    CommitmentBreached,
    CommitmentEscalated,
    CommitmentMet,
    CommitmentStarted,
    CommitmentWarning,
)
from opora_contracts.tickets import TicketAssigned
from opora_contracts.topics import SLA, TICKETS
from opora_contracts.vocabulary import AuthorKind, Metric, Priority, WaitingOn
from opora_sla.agreement import AgreementDocument, read_agreement
from opora_sla.domain import case_fact, fold
from opora_sla.metrics import ClockMetric

from .test_cli_chaos_oracle import START, at, closed, created, held, life, reopened, replied, resolved, resumed, ticket

TARGETS: Targets = {"update": 40, "operational:network": 30, "underpinning": 20}
CLOCK: dict[str, Any] = {
    "ticket_id": ticket(1),
    "metric": "operational",
    "cycle": 1,
    "agreement_kind": "ola",
    "party": "network",
    "agreement_id": UUID(int=9),
    "agreement_version": 1,
}
ALARM = CLOCK | {"used_seconds": 31, "target_seconds": 30, "priority": Priority.P3}


def assigned(group: str | None) -> TicketAssigned:
    return TicketAssigned(ticket_id=ticket(1), group=group)


def seconds(of: str, facts: Sequence[Event[Any]]) -> list[tuple[int, str | None, float, float | None]]:
    """(cycle, party, start, stop) of one metric's spans."""
    return [
        (
            cycle,
            span.party,
            (span.started_at - START).total_seconds(),
            None if span.stopped_at is None else (span.stopped_at - START).total_seconds(),
        )
        for (_, metric, cycle), span in commitments(facts).items()
        if metric == of
    ]


def test_spans_are_what_the_facts_make_of_them() -> None:
    """Periods between replies, turns of groups, waits for a third party, all over with the resolution."""
    facts = life(
        (0, created(1)),
        (1, assigned("network")),
        (2, held(1, WaitingOn.THIRD_PARTY)),
        (3, replied(1)),
        (4, resumed(1)),
        (5, assigned("developers")),
        (6, replied(1, AuthorKind.CUSTOMER)),
        (7, resolved(1)),
        (8, assigned("network")),
        (9, reopened(1)),
    )
    assert seconds("update", facts) == [(1, None, 0, 3), (2, None, 3, 7), (3, None, 9, None)]
    assert seconds("operational", facts) == [
        (1, "network", 1, 5),
        (2, "developers", 5, 7),
        (3, "network", 9, None),
    ]
    assert seconds("underpinning", facts) == [(1, "third_party", 2, 4)]
    assert commitments([*reversed(facts), *facts]) == commitments(facts)


MOVES = st.sampled_from(
    [
        *(replied(1, author) for author in AuthorKind),
        *(held(1, waiting_on) for waiting_on in WaitingOn),
        *(assigned(group) for group in ("network", "developers", None)),
        *(resumed(1), resolved(1), closed(1), reopened(1)),
    ]
)


@settings(max_examples=400, deadline=None)
@given(moves=st.lists(st.tuples(st.integers(0, 25), MOVES), max_size=14), more=st.integers(0, 60))
def test_the_oracle_says_what_the_service_does(moves: list[tuple[int, Fact]], more: int) -> None:
    """Every commitment of any history: whose, when it began and ended, and which due date was missed."""
    facts: list[tuple[float, Fact]] = [(0.0, created(1))]
    second = 0
    for after, fact in moves:
        second += after
        facts.append((float(second), fact))
    events = life(*facts)
    end = at(second + more)
    metrics = {
        "update": {"targets": {"P3": {"seconds": 40}}},
        "operational": {"network": {"targets": {"P3": {"seconds": 30}}}},
        "underpinning": {"targets": {"P3": {"seconds": 20}}},
    }
    document = AgreementDocument.model_validate({"name": "test", "metrics": metrics})
    clocks = fold([case_fact(event) for event in events], read_agreement(UUID(int=9), 1, document, START), end).clocks
    spans = commitments(events)
    assert {
        (clock.metric, clock.cycle): (
            spans[clock.key].party,
            clock.started_at,
            clock.stopped_at,
            clock.breached_at if clock.breached_at is not None and clock.breached_at < end else None,
        )
        for clock in reckon(events, TARGETS)
        if clock.metric in set(ClockMetric) - set(Metric)
    } == {
        (clock.key.metric.value, clock.key.cycle): (
            clock.party,
            clock.started_at,
            clock.stopped_at,
            clock.due_at if clock.outcome.value == "breached" else None,
        )
        for clock in clocks
    }


def history(tickets: Sequence[tuple[float, Fact]], sla: Sequence[tuple[float, Fact]]) -> History:
    return History(
        acknowledged=(),
        events={TICKETS.name: life(*tickets), SLA.name: life(*sla)},
        services={},
        judged_until=at(600),
    )


def started(due: float) -> CommitmentStarted:
    return CommitmentStarted(**CLOCK, started_at=at(1), target_seconds=30, due_at=at(due), priority=Priority.P3)


def breached(due: float, detected: float) -> CommitmentBreached:
    return CommitmentBreached(**ALARM, due_at=at(due), detected_at=at(detected))


IN_TIME = [(0.0, created(1)), (1.0, assigned("network")), (20.0, assigned("developers"))]
LATE = [*IN_TIME[:2], (60.0, assigned("developers"))]


@pytest.mark.parametrize(
    ("tickets", "sla", "violation"),
    [
        (LATE, [(1.0, started(31)), (31.2, breached(31, 31.2))], None),
        (LATE, [(1.0, started(31)), (31.2, breached(31, 31.2)), (31.4, breached(31, 31.4))], "breached 2 times"),
        (LATE, [(1.0, started(31)), (30.0, breached(31, 30))], "before it was due"),
        (IN_TIME, [(1.0, started(31)), (31.2, breached(31, 31.2))], "the target was reached at"),
        (LATE, [(1.0, started(31))], "nothing was declared"),
        (
            LATE,
            [
                (1.0, started(31)),
                (60, CommitmentMet(**CLOCK, stopped_at=at(60), due_at=at(31), used_seconds=59, target_seconds=30)),
            ],
            "was called met",
        ),
    ],
)
def test_breaches_of_commitments_are_judged_as_the_others_are(
    tickets: list[tuple[float, Fact]], sla: list[tuple[float, Fact]], violation: str | None
) -> None:
    """Once, not early, not where the group was in time, and none is missing."""
    seen = history(tickets, sla)
    found = [
        violation
        for rule in (rules.breached_once, rules.breached_not_early, rules.due_means_breached)
        for violation in rule(seen).violations
    ]
    assert [violation in each for each in found] == [True] if violation else found == []


def test_a_recovery_knows_what_was_told_of_commitments() -> None:
    """The keys under which sla notes its alarms, and the outcomes that the world knows, are those of either family."""
    due = {"due_at": at(31), "detected_at": at(31)}
    said = life(
        (1, CommitmentWarning(**ALARM, **due, percent=75)),
        (2, CommitmentWarning(**ALARM, **due, percent=90, left_seconds=3)),
        (3, CommitmentEscalated(**ALARM, **due, level=2, repetition=1, tell=("lead",), breached=True)),
        (4, breached(31, 31)),
    )
    assert [_step(event) for event in said] == [("warning", 75), ("warning", -3), ("escalated", 2_001), ("breached", 0)]
    assert [_outcome(event) for event in said] == [None, None, None, "breached"]


def test_commitments_are_heard_as_words_of_their_own() -> None:
    """Two calls of a ladder are two sayings; the same one told twice, under another id, is a repetition."""
    call = CommitmentEscalated(**ALARM, detected_at=at(3), level=1, repetition=0, tell=("lead",), breached=True)
    again = call.model_copy(update={"repetition": 1})
    first, second, third = (delivery._saying(event) for event in life((1, call), (2, again), (3, call)))
    assert first == third != second
