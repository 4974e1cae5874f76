"""The fold against an independent referee that lives through random tickets minute by minute."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from opora_contracts.vocabulary import Priority, WaitingOn
from opora_sla.agreement import AgreementDocument, read_agreement
from opora_sla.domain import CaseFact, fold

AGREEMENTS: list[dict[str, Any]] = [
    {"resolution": {"until": until, "pauses": pauses, "targets": targets}}
    for until in ("resolved", "closed")
    for pauses, targets in (
        (["customer"], {"P1": {"minutes": 30}, "P2": {"minutes": 90}, "P3": {"hours": 5}}),
        (["customer", "third_party"], {"P1": {"hours": 1}, "P3": {"hours": 12}}),
    )
]
HOURS: list[dict[str, Any]] = [
    {},
    {"time_zone": "Europe/Berlin", "weekly_hours": {day: [["09:00", "12:30"]] for day in ("mon", "tue", "sun")}},
    {
        "time_zone": "America/Sao_Paulo",
        "weekly_hours": {day: [["14:00", "24:00"], ["00:00", "02:00"]][::-1] for day in ("sat", "sun", "mon", "wed")},
        "holidays": ["2017-10-16"],
    },
]
KINDS = st.one_of(
    st.tuples(st.just("assessed"), st.sampled_from(list(Priority)), st.none()),
    st.tuples(st.just("held"), st.none(), st.sampled_from(list(WaitingOn))),
    st.tuples(st.sampled_from(["resumed", "resolved", "closed", "reopened"]), st.none(), st.none()),
)


@dataclass(frozen=True)
class RandomTicket:
    """A made-up history: each happening so many minutes after the one before."""

    metrics: dict[str, Any]
    hours: dict[str, Any]
    start: datetime
    priority: Priority
    history: list[tuple[int, tuple[str, Priority | None, WaitingOn | None]]]
    more_minutes: int

    def facts(self) -> list[CaseFact]:
        """The history as the service sees it."""
        facts, at = [CaseFact(1, "e1", "created", self.start, self.priority)], self.start
        for sequence, (minutes, (kind, priority, waiting_on)) in enumerate(self.history, start=2):
            at += timedelta(minutes=minutes)
            facts.append(CaseFact(sequence, f"e{sequence}", kind, at, priority, waiting_on))
        return facts


TICKETS = st.builds(
    RandomTicket,
    metrics=st.sampled_from(AGREEMENTS),
    hours=st.sampled_from(HOURS),
    start=st.sampled_from([datetime(2017, 10, 14, 20, 0, tzinfo=UTC), datetime(2026, 3, 29, 0, 10, tzinfo=UTC)]),
    priority=st.sampled_from(list(Priority)),
    history=st.lists(st.tuples(st.integers(0, 600), KINDS), max_size=9),
    more_minutes=st.integers(0, 2_000),
)


@settings(max_examples=150, deadline=None)
@given(ticket=TICKETS)
def test_the_fold_equals_living_through_it_minute_by_minute(oracle: ModuleType, ticket: RandomTicket) -> None:
    """The last resolution clock of any history is what the independent referee says."""
    document = {"name": "random", "metrics": ticket.metrics} | ticket.hours
    facts = ticket.facts()
    rows = [
        oracle.Row(
            each.at,
            each.kind,
            each.priority.value if each.priority else None,
            each.waiting_on.value if each.waiting_on else None,
        )
        for each in facts
    ]
    end_of_log = facts[-1].at + timedelta(minutes=ticket.more_minutes)

    expected = oracle.judge(rows, document, end_of_log)
    agreement = read_agreement(UUID(int=1), 1, AgreementDocument.model_validate(document), ticket.start)
    clocks = fold(facts, agreement, end_of_log).clocks

    if expected is None:
        assert clocks == ()
        return
    last = clocks[-1]
    assert {
        "due_at": last.due_at,
        "outcome": last.outcome.value,
        "used_seconds": last.used_seconds,
        "target_seconds": last.target_seconds,
    } == expected
