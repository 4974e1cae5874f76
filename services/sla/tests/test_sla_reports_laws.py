"""Laws of the reports over made-up tickets: time is divided without a rest, and the ledger is what the fold has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from opora_contracts.vocabulary import AuthorKind, Priority, WaitingOn
from opora_sla.agreement import Agreement, AgreementDocument, read_agreement
from opora_sla.calendar import microseconds
from opora_sla.domain import CaseFact, Clock, fold
from opora_sla.reporting import pauses, standings, stays, waits_between, ways_until

MONDAY = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
HOURS = {"mon": [["09:00", "17:00"]], "tue": [["09:00", "12:00"], ["13:00", "17:00"]], "wed": [["22:00", "06:00"]]}
KINDS = ("assessed", "assigned", "held", "resumed", "replied", "resolved", "closed", "reopened")
TARGETS = {priority.value: {"minutes": 90 * (place + 1)} for place, priority in enumerate(Priority)}


@st.composite
def tickets(draw: Any) -> tuple[Agreement, list[CaseFact], datetime]:
    """An agreement with a target for every priority, a ticket's facts, and when it is judged."""
    pausing = draw(st.sets(st.sampled_from(WaitingOn)))
    metric = {"targets": TARGETS, "pauses": sorted(pausing)}
    document = {
        "name": "made up",
        "weekly_hours": draw(st.sampled_from([HOURS, None])),
        "metrics": {"first_response": metric, "next_response": metric, "resolution": metric},
    }
    agreement = read_agreement(UUID(int=1), 1, AgreementDocument.model_validate(document), MONDAY)
    minutes = st.integers(0, 4 * 24 * 12).map(lambda fives: 5 * fives)
    said = draw(st.lists(st.tuples(minutes, st.sampled_from(KINDS)), max_size=25))
    facts = [CaseFact(1, "e1", "created", MONDAY, priority=Priority.P2, group="Desk")]
    for sequence, (minute, kind) in enumerate(said, start=2):
        facts.append(
            CaseFact(
                sequence,
                f"e{sequence}",
                kind,
                MONDAY + timedelta(minutes=minute),
                priority=draw(st.sampled_from(Priority)) if kind == "assessed" else None,
                waiting_on=draw(st.sampled_from(WaitingOn)) if kind == "held" else None,
                author_kind=draw(st.sampled_from(AuthorKind)) if kind == "replied" else None,
                group=draw(st.sampled_from(["Desk", "Network", None])) if kind == "assigned" else None,
            )
        )
    return agreement, facts, MONDAY + timedelta(minutes=draw(minutes))


def at_rest(clock: Clock) -> list[tuple[datetime, datetime]]:
    """Where the fold did not count, as few stretches as possible."""
    stretches: list[tuple[datetime, datetime]] = []
    for interval in clock.intervals:
        if interval.counted:
            continue
        if stretches and stretches[-1][1] == interval.from_at:
            stretches[-1] = (stretches[-1][0], interval.to_at)
        else:
            stretches.append((interval.from_at, interval.to_at))
    return stretches


@given(tickets())
def test_the_time_until_any_instant_is_divided_without_a_rest(made: tuple[Agreement, list[CaseFact], datetime]) -> None:
    """To the microsecond, by whatever it is divided; nothing is negative."""
    agreement, facts, judged_at = made
    for clock in fold(facts, agreement, judged_at).clocks:
        until = clock.due_at or judged_at
        whole_us = max(0, microseconds(until) - microseconds(clock.started_at))
        for by in ("waiting", "step", "group"):
            spent = [way.spent_us for way in ways_until(facts, agreement.calendar, clock.started_at, until, by)]
            assert sum(spent) == whole_us
            assert all(each >= 0 for each in spent)


@given(tickets())
def test_the_ledger_is_what_the_fold_did_not_count(made: tuple[Agreement, list[CaseFact], datetime]) -> None:
    """Where every priority has a target: the same stretches of every clock, each with the hold that was in force."""
    agreement, facts, judged_at = made
    clocks = fold(facts, agreement, judged_at)
    found = pauses(clocks, facts, agreement, 1_800)
    by_event = {fact.event_id: fact for fact in facts}
    for clock in clocks.clocks:
        told: list[tuple[datetime, datetime]] = []
        for pause in (pause for pause in found if pause.key == clock.key):
            end = pause.to_at or clocks.judged_at
            if told and told[-1][1] == pause.from_at:
                told[-1] = (told[-1][0], end)
            elif end > pause.from_at:
                told.append((pause.from_at, end))
        assert told == at_rest(clock)
    for pause in found:
        hold = by_event[pause.hold_event]
        assert (hold.kind, hold.waiting_on, hold.sequence) == ("held", pause.waiting_on, pause.hold_sequence)
        assert hold.at <= pause.from_at == by_event[pause.began_by].at
        assert pause.ended_by is None or by_event[pause.ended_by].at == pause.to_at
        assert pause.waiting_on in agreement.terms[pause.key.metric].pauses
        assert waits_between(standings(facts), pause.from_at, pause.to_at or clocks.judged_at)[:1] == [pause.waiting_on]


@given(tickets())
def test_what_was_in_hand_is_part_of_what_passed(made: tuple[Agreement, list[CaseFact], datetime]) -> None:
    """And the order in which a ticket's facts are known changes nothing."""
    agreement, facts, _ = made
    for by in ("step", "group"):
        found = stays(facts, agreement.calendar, by)
        assert all(0 <= stay.handled_us <= stay.elapsed_us for stay in found)
        assert stays(list(reversed(facts)), agreement.calendar, by) == found
