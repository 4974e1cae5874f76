"""The fold, rule by rule, with hand-written expectations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from opora_contracts.vocabulary import AuthorKind, Outcome, Priority, WaitingOn
from opora_sla.agreement import Agreement, AgreementDocument, read_agreement
from opora_sla.domain import CaseFact, Clock, Clocks, fact_from_json, fact_to_json, fold
from opora_sla.metrics import ClockMetric

P1, P3, P5 = Priority.P1, Priority.P3, Priority.P5
CUSTOMER, THIRD_PARTY = WaitingOn.CUSTOMER, WaitingOn.THIRD_PARTY
T0 = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
"""A Monday."""
FOUR_HOURS = {"P1": {"hours": 4}, "P3": {"hours": 8}}
HOUR = 3_600


def after(hours: float) -> datetime:
    return T0 + timedelta(hours=hours)


def agreed(**document: Any) -> Agreement:
    metrics = {"resolution": {"targets": FOUR_HOURS}}
    parsed = AgreementDocument.model_validate({"name": "test", "metrics": metrics} | document)
    return read_agreement(UUID(int=1), 1, parsed, T0)


def story(*facts: tuple[float, str] | tuple[float, str, Any]) -> list[CaseFact]:
    """A ticket in a few words: (hours after T0, kind, what it says)."""
    return [fact(sequence, *said) for sequence, said in enumerate(facts, start=1)]


def fact(sequence: int, hours: float, kind: str, says: Any = None) -> CaseFact:
    return CaseFact(
        sequence=sequence,
        event_id=f"e{sequence}",
        kind=kind,
        at=after(hours),
        priority=says if isinstance(says, Priority) else None,
        waiting_on=says if isinstance(says, WaitingOn) else None,
        author_kind=says if isinstance(says, AuthorKind) else None,
    )


def only(clocks: Clocks, metric: ClockMetric = ClockMetric.RESOLUTION, cycle: int = 1) -> Clock:
    return next(clock for clock in clocks.clocks if clock.key == (metric, cycle))


def names(clocks: Clocks, metric: ClockMetric = ClockMetric.RESOLUTION) -> list[tuple[int, str, float]]:
    """The metric's steps: (cycle, name, hours after T0)."""
    return [
        (step.key.cycle, step.key.name.value, (step.at - T0) / timedelta(hours=1))
        for step in clocks.steps
        if step.key.metric is metric
    ]


CREATED = (0, "created", P1)


def test_a_running_clock_tells_its_due_date_and_its_next_warning() -> None:
    """Nothing happened yet: one of four hours is used, the warning comes after three."""
    clocks = fold(story(CREATED), agreed(), after(1))
    clock = only(clocks)
    assert (clock.outcome, clock.running, clock.due_at) == (Outcome.OPEN, True, after(4))
    assert (clock.used_seconds, clock.target_seconds) == (HOUR, 4 * HOUR)
    assert clocks.next_fire_at == after(3)
    assert names(clocks) == [(1, "started", 0)]


def test_a_warning_is_given_once_its_share_is_used() -> None:
    """After three and a half of four hours the warning at 75 % was given; next is the breach."""
    clocks = fold(story(CREATED), agreed(), after(3.5))
    assert names(clocks) == [(1, "started", 0), (1, "warning", 3)]
    assert clocks.next_fire_at == after(4)


def test_a_stop_at_the_due_date_is_met() -> None:
    """Four hours of four are in time."""
    clock = only(fold(story(CREATED, (4, "resolved")), agreed(), after(10)))
    assert (clock.outcome, clock.used_seconds, clock.due_at, clock.stopped_at) == (
        Outcome.MET,
        4 * HOUR,
        after(4),
        after(4),
    )


def test_at_the_due_date_itself_nothing_is_breached_yet() -> None:
    """A breach is judged strictly after the due date."""
    assert only(fold(story(CREATED), agreed(), after(4))).outcome is Outcome.OPEN
    judged = fold(story(CREATED), agreed(), after(4) + timedelta(microseconds=1))
    assert only(judged).outcome is Outcome.BREACHED
    assert judged.next_fire_at is None


def test_a_breached_clock_counts_on_until_its_stop() -> None:
    """The due date stays the one that was missed; the use is the whole of it."""
    clock = only(fold(story(CREATED, (7, "resolved")), agreed(), after(10)))
    assert (clock.outcome, clock.due_at, clock.used_seconds) == (Outcome.BREACHED, after(4), 7 * HOUR)


def test_a_hold_for_the_customer_pauses() -> None:
    """Two hours of waiting move the due date by two hours; while it waits there is none."""
    held = story(CREATED, (1, "held", CUSTOMER))
    waiting = fold(held, agreed(), after(2))
    assert (only(waiting).due_at, only(waiting).running, only(waiting).used_seconds) == (None, False, HOUR)
    assert waiting.next_fire_at is None
    clocks = fold([*held, fact(3, 3, "resumed")], agreed(), after(3))
    assert only(clocks).due_at == after(6)
    assert names(clocks) == [(1, "started", 0), (1, "paused", 1), (1, "resumed", 3)]


def test_a_hold_for_another_reason_does_not_pause_and_ends_a_pause() -> None:
    """Waiting for a third party is the support side's time."""
    clocks = fold(
        story(CREATED, (1, "held", CUSTOMER), (2, "held", THIRD_PARTY), (3, "resumed")),
        agreed(),
        after(3),
    )
    assert names(clocks) == [(1, "started", 0), (1, "paused", 1), (1, "resumed", 2)]
    assert only(clocks).due_at == after(5)


def test_a_second_hold_for_the_customer_changes_nothing() -> None:
    """A pause is one pause."""
    held = story(CREATED, (1, "held", CUSTOMER), (2, "held", CUSTOMER), (3, "resumed"))
    assert names(fold(held, agreed(), after(3))) == [(1, "started", 0), (1, "paused", 1), (1, "resumed", 3)]


def test_a_reply_of_the_customer_does_not_end_a_hold() -> None:
    """Only intake's `resumed` ends the wait."""
    clocks = fold(story(CREATED, (1, "held", CUSTOMER), (2, "replied", AuthorKind.CUSTOMER)), agreed(), after(3))
    assert only(clocks).running is False


def test_the_pauses_of_a_metric_decide() -> None:
    """A metric with no pauses runs through a hold."""
    agreement = agreed(metrics={"resolution": {"targets": FOUR_HOURS, "pauses": []}})
    assert only(fold(story(CREATED, (1, "held", CUSTOMER)), agreement, after(2))).due_at == after(4)


def test_a_new_priority_changes_the_target() -> None:
    """Used time counts against the new target."""
    clock = only(fold(story(CREATED, (2, "assessed", P3)), agreed(), after(3)))
    assert (clock.due_at, clock.target_seconds, clock.priority) == (after(8), 8 * HOUR, P3)


def test_a_priority_whose_budget_is_already_used_is_breached_at_the_change() -> None:
    """Five hours into eight the ticket becomes one of four hours: due now, since nobody could know before."""
    raised = story((0, "created", P3), (5, "assessed", P1))
    at_once = fold(raised, agreed(), after(5))
    assert (only(at_once).outcome, only(at_once).due_at, at_once.next_fire_at) == (Outcome.OPEN, after(5), after(5))
    clock = only(fold(raised, agreed(), after(6)))
    assert (clock.outcome, clock.due_at, clock.used_seconds) == (Outcome.BREACHED, after(5), 6 * HOUR)


def test_raised_and_resolved_in_the_same_instant_with_too_much_used_is_breached() -> None:
    """At the stop the use is compared with the target of that instant."""
    clock = only(fold(story((0, "created", P3), (5, "assessed", P1), (5, "resolved")), agreed(), after(6)))
    assert (clock.outcome, clock.due_at, clock.stopped_at) == (Outcome.BREACHED, after(5), after(5))


def test_raised_and_lowered_in_the_same_instant_is_not_breached() -> None:
    """No time passed at the higher priority."""
    facts = story((0, "created", P3), (5, "assessed", P1), (5, "assessed", P3))
    assert only(fold(facts, agreed(), after(6))).due_at == after(8)


def test_a_raise_while_paused_with_too_much_used_is_breached_although_it_waits() -> None:
    """The target can no longer be met, waiting or not."""
    facts = story((0, "created", P3), (5, "held", CUSTOMER), (6, "assessed", P1))
    clock = only(fold(facts, agreed(), after(7)))
    assert (clock.outcome, clock.due_at, clock.used_seconds) == (Outcome.BREACHED, after(6), 5 * HOUR)


def test_a_breach_stays_when_the_priority_falls() -> None:
    """What was missed was missed."""
    clock = only(fold(story(CREATED, (5, "assessed", P3), (6, "resolved")), agreed(), after(7)))
    assert (clock.outcome, clock.due_at, clock.target_seconds) == (Outcome.BREACHED, after(4), 4 * HOUR)


def test_a_priority_without_a_target_cancels_the_clock() -> None:
    """P5 is promised nothing."""
    clocks = fold(story(CREATED, (1, "assessed", P5), (9, "resolved")), agreed(), after(10))
    assert (only(clocks).outcome, only(clocks).used_seconds, only(clocks).due_at) == (Outcome.CANCELLED, HOUR, None)
    assert names(clocks) == [(1, "started", 0), (1, "cancelled", 1)]


def test_a_clock_that_gets_a_target_later_counts_from_the_creation() -> None:
    """A ticket without a promise that is raised has used its time since the creation."""
    clocks = fold(story((0, "created", P5), (1, "assessed", P1)), agreed(), after(2))
    assert (only(clocks).due_at, only(clocks).used_seconds, only(clocks).started_at) == (after(4), 2 * HOUR, T0)
    assert names(clocks) == [(1, "started", 1)]


def test_a_ticket_without_a_target_has_no_clock() -> None:
    """Nothing is promised, nothing is said."""
    clocks = fold(story((0, "created", P5), (9, "resolved")), agreed(), after(10))
    assert clocks.clocks == ()
    assert clocks.steps == ()


def test_until_resolved_each_reopening_begins_a_cycle_with_a_fresh_budget() -> None:
    """The second cycle is due four hours after the reopening."""
    clocks = fold(story(CREATED, (1, "resolved"), (5, "reopened")), agreed(), after(6))
    assert only(clocks).outcome is Outcome.MET
    assert (only(clocks, cycle=2).due_at, only(clocks, cycle=2).used_seconds) == (after(9), HOUR)


UNTIL_CLOSED = {"resolution": {"until": "closed", "targets": FOUR_HOURS}}


def test_until_closed_a_resolution_does_not_stop_the_clock() -> None:
    """Resolved after one hour and reopened, the same clock goes on; closed after five hours it is breached."""
    agreement = agreed(metrics=UNTIL_CLOSED)
    reopened = story(CREATED, (1, "resolved"), (2, "reopened"))
    assert only(fold(reopened, agreement, after(3))).due_at == after(4)
    clocks = fold([*reopened, fact(4, 5, "closed")], agreement, after(6))
    assert [(clock.key.cycle, clock.outcome) for clock in clocks.clocks] == [(1, Outcome.BREACHED)]


def test_until_closed_a_reopening_after_the_closing_begins_a_cycle() -> None:
    """Closed and reopened, the budget is fresh."""
    clocks = fold(story(CREATED, (1, "closed"), (5, "reopened")), agreed(metrics=UNTIL_CLOSED), after(6))
    assert only(clocks).outcome is Outcome.MET
    assert only(clocks, cycle=2).due_at == after(9)


def test_a_new_cycle_of_a_waiting_ticket_starts_paused() -> None:
    """The hold belongs to the ticket, not to the clock."""
    facts = story(CREATED, (1, "held", CUSTOMER), (2, "resolved"), (3, "reopened"))
    clocks = fold(facts, agreed(), after(4))
    assert only(clocks, cycle=2).running is False
    assert names(clocks)[-2:] == [(2, "started", 3), (2, "paused", 3)]


RESPONSES = {
    "first_response": {"targets": {"P1": {"hours": 1}}},
    "next_response": {"targets": {"P1": {"hours": 2}}},
}
AGENT, CLIENT, SYSTEM = AuthorKind.AGENT, AuthorKind.CUSTOMER, AuthorKind.SYSTEM


@pytest.mark.parametrize("end", [(0.5, "replied", AGENT), (0.5, "resolved"), (0.5, "closed")])
def test_the_first_response_is_a_reply_of_an_agent_or_the_end(end: Any) -> None:
    """Each of them stops the clock."""
    clock = only(fold(story(CREATED, end), agreed(metrics=RESPONSES), after(2)), ClockMetric.FIRST_RESPONSE)
    assert (clock.outcome, clock.used_seconds) == (Outcome.MET, HOUR // 2)


def test_only_an_agent_answers_and_the_customer_s_replies_start_nothing_before() -> None:
    """A customer's or the system's reply is no answer."""
    facts = story(CREATED, (0.2, "replied", CLIENT), (0.3, "replied", SYSTEM))
    clocks = fold(facts, agreed(metrics=RESPONSES), after(0.5))
    assert [clock.key for clock in clocks.clocks] == [(ClockMetric.FIRST_RESPONSE, 1)]
    assert only(clocks, ClockMetric.FIRST_RESPONSE).outcome is Outcome.OPEN


def test_a_hold_is_no_answer() -> None:
    """By default a hold does not pause the response metrics."""
    facts = story(CREATED, (0.5, "held", CUSTOMER))
    assert (
        only(fold(facts, agreed(metrics=RESPONSES), after(2)), ClockMetric.FIRST_RESPONSE).outcome is Outcome.BREACHED
    )


def test_each_question_after_an_answer_has_a_next_response() -> None:
    """The second reply of the customer finds the clock running; the question after the answer starts cycle 2."""
    facts = story(
        CREATED,
        (0.5, "replied", AGENT),
        (1, "replied", CLIENT),
        (2, "replied", CLIENT),
        (2.5, "replied", AGENT),
        (3, "replied", CLIENT),
    )
    clocks = fold(facts, agreed(metrics=RESPONSES), after(4))
    first, second = only(clocks, ClockMetric.NEXT_RESPONSE), only(clocks, ClockMetric.NEXT_RESPONSE, 2)
    assert (first.outcome, first.started_at, first.used_seconds) == (Outcome.MET, after(1), 3 * HOUR // 2)
    assert (second.outcome, second.due_at) == (Outcome.OPEN, after(5))


def test_a_resolution_cancels_the_next_response() -> None:
    """Nobody owes an answer to a resolved ticket."""
    facts = story(CREATED, (0.5, "replied", AGENT), (1, "replied", CLIENT), (2, "resolved"))
    clocks = fold(facts, agreed(metrics=RESPONSES), after(9))
    assert only(clocks, ClockMetric.NEXT_RESPONSE).outcome is Outcome.CANCELLED
    assert names(clocks, ClockMetric.NEXT_RESPONSE) == [(1, "started", 1), (1, "cancelled", 2)]


def test_a_reply_to_a_resolved_ticket_counts_from_its_reopening() -> None:
    """A thank-you asks for no answer; a reply that reopens does."""
    thanked = story(CREATED, (1, "resolved"), (2, "replied", CLIENT))
    assert [clock.key.metric for clock in fold(thanked, agreed(metrics=RESPONSES), after(3)).clocks] == [
        ClockMetric.FIRST_RESPONSE
    ]
    clocks = fold([*thanked, fact(4, 3, "reopened")], agreed(metrics=RESPONSES), after(4))
    assert only(clocks, ClockMetric.NEXT_RESPONSE).due_at == after(5)


def test_working_hours_shape_the_due_date() -> None:
    """Four hours from 09:00 in an office that is open from 9 to 12 o'clock end on Tuesday at 10:00."""
    week = {day: [["09:00", "12:00"]] for day in ("mon", "tue")}
    clock = only(fold(story(CREATED), agreed(weekly_hours=week), after(1)))
    assert clock.due_at == datetime(2026, 3, 3, 10, 0, tzinfo=UTC)


def test_the_intervals_name_the_events_that_made_them() -> None:
    """Each stretch tells whether it counted, how long, and which events began and ended it."""
    facts = story(CREATED, (1, "held", CUSTOMER), (3, "resumed"), (4, "resolved"))
    intervals = only(fold(facts, agreed(), after(9))).intervals
    assert [(each.counted, each.working_seconds // HOUR, each.began_by, each.ended_by) for each in intervals] == [
        (True, 1, "e1", "e2"),
        (False, 2, "e2", "e3"),
        (True, 1, "e3", "e4"),
    ]


def test_the_order_of_arrival_does_not_matter() -> None:
    """A late fact is folded where it belongs."""
    facts = story(CREATED, (1, "held", CUSTOMER), (3, "resumed"), (5, "resolved"))
    assert fold(facts[::-1], agreed(), after(9)) == fold(facts, agreed(), after(9))


def test_a_fact_before_the_creation_counts_from_the_creation() -> None:
    """Nothing happens to a ticket before it exists."""
    facts = [fact(1, 0, "created", P1), fact(2, -5, "held", CUSTOMER)]
    clock = only(fold(facts, agreed(), after(1)))
    assert (clock.used_seconds, clock.running) == (0, False)


def test_a_fact_survives_being_kept() -> None:
    """What is stored is what was seen."""
    for kept in story(CREATED, (1, "held", CUSTOMER), (2, "replied", AGENT)):
        assert fact_from_json(fact_to_json(kept)) == kept
