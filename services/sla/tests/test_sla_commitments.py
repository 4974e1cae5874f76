"""The clocks beside response and resolution: periodic updates, what groups owe each other, what a third party owes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from opora_contracts.vocabulary import AuthorKind, Priority, WaitingOn
from opora_sla.agreement import Agreement, AgreementDocument, read_agreement
from opora_sla.domain import CaseFact, Clocks, explain, fold
from opora_sla.metrics import ClockMetric

P1, P4 = Priority.P1, Priority.P4
AGENT, REQUESTER = AuthorKind.AGENT, AuthorKind.CUSTOMER
CUSTOMER, SUPPLIER, CHANGE = WaitingOn.CUSTOMER, WaitingOn.THIRD_PARTY, WaitingOn.CHANGE
UPDATE, OPERATIONAL, UNDERPINNING = ClockMetric.UPDATE, ClockMetric.OPERATIONAL, ClockMetric.UNDERPINNING
T0 = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
"""A Monday."""
METRICS: dict[str, Any] = {
    "update": {"targets": {"P1": {"hours": 2}, "P2": {"hours": 4}}, "warn_at_percent": []},
    "operational": {
        "network": {"targets": {"P1": {"hours": 4}, "P2": {"hours": 8}}, "warn_at_percent": []},
        "developers": {"targets": {"P1": {"hours": 6}}, "warn_at_percent": []},
    },
    "underpinning": {"targets": {"P1": {"hours": 3}}, "warn_at_percent": []},
}
OFFICE = {"weekly_hours": {day: [["09:00", "17:00"]] for day in ("mon", "tue", "wed", "thu", "fri")}}


def after(hours: float) -> datetime:
    return T0 + timedelta(hours=hours)


def agreed(*, hours: dict[str, Any] | None = None, **metrics: Any) -> Agreement:
    document = {"name": "test", "metrics": metrics or METRICS} | (hours or {})
    return read_agreement(UUID(int=1), 1, AgreementDocument.model_validate(document), T0)


def fact(sequence: int, hours: float, kind: str, says: Any = None) -> CaseFact:
    """A group's name stands for an assignment to it; "group/person" for one to a person there."""
    group, _, person = says.partition("/") if type(says) is str else (None, "", None)
    return CaseFact(
        sequence=sequence,
        event_id=f"e{sequence}",
        kind=kind,
        at=after(hours),
        priority=says if isinstance(says, Priority) else P1 if kind == "created" else None,
        waiting_on=says if isinstance(says, WaitingOn) else None,
        author_kind=says if isinstance(says, AuthorKind) else None,
        group=group or None,
        assignee=person or None,
    )


def told(until: float, *facts: tuple[Any, ...], under: Agreement | None = None) -> Clocks:
    story = [fact(sequence, *said) for sequence, said in enumerate(facts, start=1)]
    return fold(story, under or agreed(), after(until))


def lives(clocks: Clocks, metric: ClockMetric) -> list[tuple[int, str | None, float, float | None, str, float]]:
    """(cycle, party, start, stop, outcome, used hours) of the metric's clocks."""
    return [
        (
            clock.key.cycle,
            clock.party,
            (clock.started_at - T0) / timedelta(hours=1),
            None if clock.stopped_at is None else (clock.stopped_at - T0) / timedelta(hours=1),
            clock.outcome.value,
            clock.used_seconds / 3_600,
        )
        for clock in clocks.clocks
        if clock.key.metric is metric
    ]


CREATED = (0, "created")
UPDATES: dict[str, tuple[float, list[tuple[Any, ...]], list[tuple[Any, ...]]]] = {
    "runs from the creation": (1, [], [(1, None, 0, None, "open", 1)]),
    "is missed without a word to the customer": (3, [], [(1, None, 0, None, "breached", 3)]),
    "is met by a reply, which begins the next period": (
        2,
        [(1, "replied", AGENT)],
        [(1, None, 0, 1, "met", 1), (2, None, 1, None, "open", 1)],
    ),
    "is met by a reply at the due date itself": (
        2,
        [(2, "replied", AGENT)],
        [(1, None, 0, 2, "met", 2), (2, None, 2, None, "open", 0)],
    ),
    "is missed again in a later period": (
        5,
        [(1, "replied", AGENT), (4, "replied", AGENT)],
        [(1, None, 0, 1, "met", 1), (2, None, 1, 4, "breached", 3), (3, None, 4, None, "open", 1)],
    ),
    "is not what the customer writes": (3, [(1, "replied", REQUESTER)], [(1, None, 0, None, "breached", 3)]),
    "rests while the customer is asked": (
        6,
        [(1, "held", CUSTOMER), (5, "resumed")],
        [(1, None, 0, None, "open", 2)],
    ),
    "goes on while a third party is waited for": (
        3,
        [(1, "held", SUPPLIER)],
        [(1, None, 0, None, "breached", 3)],
    ),
    "ends with the resolution, which tells the customer": (9, [(1, "resolved")], [(1, None, 0, 1, "met", 1)]),
    "ends with a closing": (9, [(3, "closed")], [(1, None, 0, 3, "breached", 3)]),
    "is owed no more when all is said": (
        9,
        [(1, "resolved"), (2, "replied", AGENT), (3, "closed")],
        [(1, None, 0, 1, "met", 1)],
    ),
    "begins anew with a reopening": (
        6,
        [(1, "resolved"), (5, "reopened")],
        [(1, None, 0, 1, "met", 1), (2, None, 5, None, "open", 1)],
    ),
    "is cancelled where the new priority has none": (
        9,
        [(1, "assessed", P4)],
        [(1, None, 0, 1, "cancelled", 1)],
    ),
    "counts a period without a target too": (
        6,
        [(1, "assessed", P4), (2, "replied", AGENT), (3, "assessed", P1)],
        [(1, None, 0, 1, "cancelled", 1), (2, None, 2, None, "breached", 4)],
    ),
}
GROUPS: dict[str, tuple[float, list[tuple[Any, ...]], list[tuple[Any, ...]]]] = {
    "runs from the assignment": (3, [(1, "assigned", "network")], [(1, "network", 1, None, "open", 2)]),
    "is missed by the group that has the ticket": (
        6,
        [(1, "assigned", "network")],
        [(1, "network", 1, None, "breached", 5)],
    ),
    "ends where another group takes over, with a clock of its own": (
        5,
        [(1, "assigned", "network"), (3, "assigned", "developers")],
        [(1, "network", 1, 3, "met", 2), (2, "developers", 3, None, "open", 2)],
    ),
    "ends in time when it leaves at the due date itself": (
        6,
        [(1, "assigned", "network"), (5, "assigned", "developers")],
        [(1, "network", 1, 5, "met", 4), (2, "developers", 5, None, "open", 1)],
    ),
    "ends where nobody takes over": (
        9,
        [(1, "assigned", "network"), (2, "assigned", "")],
        [(1, "network", 1, 2, "met", 1)],
    ),
    "is not owed by a group without a target, whose turn is counted": (
        9,
        [(1, "assigned", "desk"), (2, "assigned", "network"), (3, "assigned", "desk"), (4, "assigned", "developers")],
        [(2, "network", 2, 3, "met", 1), (4, "developers", 4, None, "open", 5)],
    ),
    "begins afresh each time the group gets it": (
        9,
        [(1, "assigned", "network"), (4, "assigned", "desk"), (6, "assigned", "network")],
        [(1, "network", 1, 4, "met", 3), (3, "network", 6, None, "open", 3)],
    ),
    "is not changed by another person of the group": (
        6,
        [(1, "assigned", "network"), (3, "assigned", "network/anna"), (4, "assigned", "network/boris")],
        [(1, "network", 1, None, "breached", 5)],
    ),
    "ends with the resolution": (9, [(1, "assigned", "network"), (3, "resolved")], [(1, "network", 1, 3, "met", 2)]),
    "is not owed of a ticket that is done": (
        9,
        [(1, "assigned", "network"), (3, "resolved"), (4, "assigned", "developers")],
        [(1, "network", 1, 3, "met", 2)],
    ),
    "begins anew with a reopening": (
        9,
        [(1, "assigned", "network"), (3, "resolved"), (6, "reopened")],
        [(1, "network", 1, 3, "met", 2), (2, "network", 6, None, "open", 3)],
    ),
    "belongs after a reopening to whom it was given meanwhile": (
        9,
        [(1, "assigned", "network"), (3, "resolved"), (4, "assigned", "developers"), (6, "reopened")],
        [(1, "network", 1, 3, "met", 2), (2, "developers", 6, None, "open", 3)],
    ),
    "rests while somebody outside is waited for": (
        9,
        [(1, "assigned", "network"), (2, "held", CUSTOMER), (5, "held", SUPPLIER), (8, "resumed")],
        [(1, "network", 1, None, "open", 2)],
    ),
    "goes on while a change is waited for": (
        6,
        [(1, "assigned", "network"), (2, "held", CHANGE)],
        [(1, "network", 1, None, "breached", 5)],
    ),
    "begins at rest in the middle of a hold": (
        9,
        [(1, "held", CUSTOMER), (2, "assigned", "network"), (8, "resumed")],
        [(1, "network", 2, None, "open", 1)],
    ),
    "is cancelled where the new priority has none": (
        9,
        [(1, "assigned", "developers"), (2, "assessed", Priority.P2)],
        [(1, "developers", 1, 2, "cancelled", 1)],
    ),
}
WAITS: dict[str, tuple[float, list[tuple[Any, ...]], list[tuple[Any, ...]]]] = {
    "runs while the third party is waited for": (3, [(1, "held", SUPPLIER)], [(1, "third_party", 1, None, "open", 2)]),
    "is missed": (6, [(1, "held", SUPPLIER)], [(1, "third_party", 1, None, "breached", 5)]),
    "ends with the wait": (9, [(1, "held", SUPPLIER), (3, "resumed")], [(1, "third_party", 1, 3, "met", 2)]),
    "ends where somebody else is waited for": (
        9,
        [(1, "held", SUPPLIER), (3, "held", CUSTOMER)],
        [(1, "third_party", 1, 3, "met", 2)],
    ),
    "goes on through another hold for the same": (
        5,
        [(1, "held", SUPPLIER), (3, "held", SUPPLIER)],
        [(1, "third_party", 1, None, "breached", 4)],
    ),
    "ends with the resolution": (9, [(1, "held", SUPPLIER), (2, "resolved")], [(1, "third_party", 1, 2, "met", 1)]),
    "has a clock for each wait": (
        9,
        [(1, "held", SUPPLIER), (2, "resumed"), (4, "held", SUPPLIER), (8, "resumed")],
        [(1, "third_party", 1, 2, "met", 1), (2, "third_party", 4, 8, "breached", 4)],
    ),
    "does not run for others": (9, [(1, "held", CUSTOMER), (2, "held", CHANGE)], []),
    "does not begin when all is done": (9, [(1, "resolved"), (2, "held", SUPPLIER)], []),
    "begins with a reopening in the middle of the wait": (
        9,
        [(1, "resolved"), (2, "held", SUPPLIER), (7, "reopened")],
        [(1, "third_party", 7, None, "open", 2)],
    ),
}
STORIES = [
    pytest.param(metric, until, facts, expected, id=f"{metric.value} {name}")
    for metric, stories in ((UPDATE, UPDATES), (OPERATIONAL, GROUPS), (UNDERPINNING, WAITS))
    for name, (until, facts, expected) in stories.items()
]


@pytest.mark.parametrize(("metric", "until", "facts", "expected"), STORIES)
def test_a_commitment_runs_as_long_as_it_is_owed(
    metric: ClockMetric, until: float, facts: list[tuple[Any, ...]], expected: list[tuple[Any, ...]]
) -> None:
    """Which clocks a story makes: number, whose, start, stop, outcome and use."""
    assert lives(told(until, CREATED, *facts), metric) == expected


def test_a_ticket_that_is_created_in_a_group_is_that_group_s_from_the_start() -> None:
    """Its creation is the assignment, and the sentence about the interval says what began and what ended it."""
    facts = [fact(1, 0, "created", "network"), fact(2, 3, "assigned", "developers")]
    clocks = fold(facts, agreed(), after(4))
    assert lives(clocks, OPERATIONAL) == [(1, "network", 0, 3, "met", 3), (2, "developers", 3, None, "open", 1)]
    first, second = (each for each in explain(clocks, facts) if each.clock.key.metric is OPERATIONAL)
    assert [interval.words for interval in first.intervals] == [
        "From the creation until the assignment to developers: 3 h of working time counted."
    ]
    assert [interval.words for interval in second.intervals] == [
        "From the assignment to developers until now: 1 h of working time counted."
    ]


def test_a_commitment_is_due_in_working_time() -> None:
    """Six hours of work from Monday 15:00 are over on Tuesday at 13:00; the night does not count."""
    clocks = told(20, CREATED, (6, "assigned", "developers"), under=agreed(hours=OFFICE, **METRICS))
    (clock,) = (each for each in clocks.clocks if each.key.metric is OPERATIONAL)
    assert (clock.due_at, clock.used_seconds) == (after(28), 2 * 3_600)
    assert clocks.next_fire_at == after(28)


def test_warnings_and_the_ladder_hold_for_commitments_too() -> None:
    """A share of the budget, the time left and the steps after the breach, each with whose clock it is."""
    ladder = {"steps": [{"at_percent": 100, "tell": ["lead"]}, {"after_due": {"hours": 1}, "tell": ["on_call"]}]}
    network = {"targets": {"P1": {"hours": 4}}, "warn_at_percent": [50], "escalation": ladder}
    clocks = told(9, CREATED, (1, "assigned", "network"), under=agreed(operational={"network": network}))
    assert [
        (step.key.name.value, step.key.ordinal, (step.at - T0) / timedelta(hours=1), step.party)
        for step in clocks.steps
    ] == [
        ("started", 2, 1, "network"),
        ("warning", 50, 3, "network"),
        ("breached", 0, 5, "network"),
        ("escalated", 1_000, 5, "network"),
        ("escalated", 2_000, 6, "network"),
    ]


def test_a_third_party_s_ladder_does_not_rest_on_the_hold_itself() -> None:
    """The wait is what is measured, and a word to the customer does not stop it; taking the ticket does."""
    ladder = {"steps": [{"after_due": {"hours": 1}, "tell": ["lead"], "repeat": {"every": {"hours": 1}, "times": 9}}]}
    supplier = {"targets": {"P1": {"hours": 1}}, "warn_at_percent": [], "escalation": ladder}
    facts = [CREATED, (1, "held", SUPPLIER), (2, "replied", AGENT), (4.5, "assigned", "desk/anna")]
    clocks = told(9, *facts, under=agreed(underpinning=supplier))
    calls = [(step.at - T0) / timedelta(hours=1) for step in clocks.steps if step.key.name.value == "escalated"]
    assert calls == [3, 4]


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ({"underpinning": {"targets": {"P1": {"hours": 1}}, "pauses": ["customer"]}}, "leave pauses out"),
        ({"operational": {}}, "at least 1 item"),
        ({"operational": {"": {"targets": {"P1": {"hours": 1}}}}}, "at least 1 character"),
        ({"operational": {"network": {"targets": {"P1": {"hours": 0}}}}}, "a target needs working time"),
        ({"operational": {"network": {"targets": {}}}}, "at least 1 item"),
        ({"operational": {"network": {"targets": {"P1": {"hours": 1}}, "until": "closed"}}}, "Extra inputs"),
        ({"update": {"targets": {"P1": {"days": 4_000}}}}, "at most ten years"),
        ({}, "at least one of first_response, next_response, resolution, update, operational, underpinning"),
    ],
)
def test_what_cannot_be_promised_is_refused(metrics: dict[str, Any], words: str) -> None:
    """Said in words that tell what to write."""
    with pytest.raises(ValidationError, match=words):
        AgreementDocument.model_validate({"name": "test", "metrics": metrics})


def test_a_document_without_commitments_is_kept_as_before() -> None:
    """Agreements written before are found again by comparing: nothing is added to them."""
    metrics = {"resolution": {"targets": {"P1": {"hours": 4}}}}
    written = AgreementDocument.model_validate({"name": "test", "metrics": metrics}).as_json()
    assert list(written["metrics"]) == ["resolution"]
    kept = AgreementDocument.model_validate({"name": "test", "metrics": METRICS}).as_json()
    assert AgreementDocument.model_validate(kept).as_json() == kept
    assert kept["metrics"]["operational"]["network"]["pauses"] == ["customer", "third_party"]
