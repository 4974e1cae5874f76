"""Ladders of escalation, capped pauses and warnings by the time left, with hand-written expectations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from opora_contracts.vocabulary import AuthorKind, Outcome, Priority, WaitingOn
from opora_sla.agreement import Agreement, AgreementDocument, read_agreement
from opora_sla.domain import CaseFact, Clocks, fold
from opora_sla.metrics import ClockMetric

P1, P2 = Priority.P1, Priority.P2
AGENT, CUSTOMER = AuthorKind.AGENT, WaitingOn.CUSTOMER
T0 = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
"""A Monday."""
CREATED = (0, "created", P1)
LADDER: dict[str, Any] = {
    "steps": [
        {"at_percent": 50, "tell": ["assignee"]},
        {"before_due": {"hours": 1}, "tell": ["lead"]},
        {"at_percent": 100, "tell": ["on_call:network"]},
        {"after_due": {"hours": 2}, "tell": ["agent:boss"], "repeat": {"every": {"hours": 3}, "times": 2}},
    ],
    "stops_on": [],
}


def after(hours: float) -> datetime:
    return T0 + timedelta(hours=hours)


def agreed(*, hours: dict[str, Any] | None = None, **metric: Any) -> Agreement:
    resolution = {"targets": {"P1": {"hours": 4}, "P2": {"hours": 8}}, "warn_at_percent": []} | metric
    document = {"name": "test", "metrics": {"resolution": resolution}} | (hours or {})
    return read_agreement(UUID(int=1), 1, AgreementDocument.model_validate(document), T0)


def with_ladder(*stops_on: str, hours: dict[str, Any] | None = None, **step: Any) -> Agreement:
    ladder = LADDER | {"stops_on": list(stops_on)}
    if step:
        ladder["steps"] = [{"tell": ["lead"]} | step]
    return agreed(hours=hours, escalation=ladder)


def fact(sequence: int, hours: float, kind: str, says: Any = None) -> CaseFact:
    return CaseFact(
        sequence=sequence,
        event_id=f"e{sequence}",
        kind=kind,
        at=after(hours),
        priority=says if isinstance(says, Priority) else None,
        waiting_on=says if isinstance(says, WaitingOn) else None,
        author_kind=says if isinstance(says, AuthorKind) else None,
        assignee=says if isinstance(says, str) and not isinstance(says, (Priority, WaitingOn, AuthorKind)) else None,
    )


def told(agreement: Agreement, until: float, *facts: tuple[Any, ...]) -> Clocks:
    story = [fact(sequence, *said) for sequence, said in enumerate([CREATED, *facts], start=1)]
    return fold(story, agreement, after(until))


def steps(clocks: Clocks, *kinds: str) -> list[tuple[str, int, float]]:
    """(name, ordinal, hours after T0) of the steps with these names."""
    return [
        (step.key.name.value, step.key.ordinal, (step.at - T0) / timedelta(hours=1))
        for step in clocks.steps
        if step.key.name.value in kinds
    ]


def calls(clocks: Clocks) -> list[tuple[int, int, float]]:
    """(level, repetition, hours after T0) of the ladder's steps."""
    return [(*divmod(ordinal, 1_000), hours) for _, ordinal, hours in steps(clocks, "escalated")]


def test_each_step_is_given_once_at_its_instant() -> None:
    """Half of four hours, one hour left, the breach, two hours after it and twice again, three hours apart."""
    clocks = told(with_ladder(), 100)
    assert calls(clocks) == [(1, 0, 2), (2, 0, 3), (3, 0, 4), (4, 0, 6), (4, 1, 9), (4, 2, 12)]
    assert clocks.next_fire_at is None


def test_time_wakes_for_the_next_step() -> None:
    """The timers look at the earliest of what is to come, after the breach too."""
    agreement = with_ladder()
    wakes = [told(agreement, hours).next_fire_at for hours in (0, 2.5, 3.5, 5, 7, 10)]
    assert wakes == [after(2), after(3), after(4), after(6), after(9), after(12)]


def test_a_stop_at_a_step_s_instant_is_before_it() -> None:
    """Resolved at half of the budget: nobody is told."""
    assert calls(told(with_ladder(), 50, (2, "resolved"))) == []
    assert calls(told(with_ladder(), 50, (2.001, "resolved"))) == [(1, 0, 2)]


def test_a_delay_may_count_all_time_or_working_time() -> None:
    """Due on Monday at 13:00 with hours until 17:00: five hours later is Tuesday at 10:00, or Monday at 18:00."""
    hours = {"weekly_hours": {day: [["09:00", "17:00"]] for day in ("mon", "tue", "wed")}}
    late = {"after_due": {"hours": 5}}
    assert calls(told(with_ladder(hours=hours, **late), 200)) == [(1, 0, 25)]
    assert calls(told(with_ladder(hours=hours, working_hours=False, **late), 200)) == [(1, 0, 9)]


def test_an_assignment_after_the_first_step_acknowledges() -> None:
    """Whoever had the ticket before was called for nothing yet; a group alone is nobody."""
    agreement = with_ladder("acknowledged")
    assert calls(told(agreement, 100, (1, "assigned", "anna"))) == calls(told(agreement, 100))
    assert calls(told(agreement, 100, (2.5, "assigned", "boris"))) == [(1, 0, 2)]
    assert calls(told(agreement, 100, (2.5, "assigned", None))) == calls(told(agreement, 100))
    assert calls(told(with_ladder(), 100, (2.5, "assigned", "boris"))) == calls(told(agreement, 100))


def test_an_answer_to_the_customer_stops_the_ladder() -> None:
    """The resolution's clock goes on and is breached; only its ladder has ended."""
    clocks = told(with_ladder("replied"), 100, (2.5, "replied", AGENT))
    assert calls(clocks) == [(1, 0, 2)]
    assert clocks.clocks[0].outcome is Outcome.BREACHED


def test_a_ladder_rests_while_the_ticket_waits() -> None:
    """Held from 2.5 to 3.5 without a pause: the step of 3 is given when the wait is over, the others in time."""
    agreement = agreed(escalation=LADDER | {"stops_on": ["held"]}, pauses=[])
    clocks = told(agreement, 100, (2.5, "held", CUSTOMER), (3.5, "resumed"))
    assert calls(clocks)[:3] == [(1, 0, 2), (2, 0, 3.5), (3, 0, 4)]
    assert told(agreement, 3.2, (2.5, "held", CUSTOMER)).next_fire_at == after(4)


def test_a_pause_moves_the_steps_with_the_due_date() -> None:
    """Two hours of waiting shift all that is to come by two hours."""
    clocks = told(with_ladder("held"), 100, (1, "held", CUSTOMER), (3, "resumed"))
    assert calls(clocks)[:4] == [(1, 0, 4), (2, 0, 5), (3, 0, 6), (4, 0, 8)]


def test_a_repetition_that_a_pause_hid_follows_when_it_ends() -> None:
    """Called at 6 h and due again at 9 h while it waits: given at 10 h, and the next three hours after that."""
    clocks = told(with_ladder("held"), 100, (7, "held", CUSTOMER), (10, "resumed"))
    assert calls(clocks)[3:] == [(4, 0, 6), (4, 1, 10), (4, 2, 13)]


def test_a_repetition_keeps_its_distance_over_a_short_pause() -> None:
    """Called at 6 h and held from 6.5 to 7: the next time is three hours after the last, not after the pause."""
    clocks = told(with_ladder("held"), 100, (6.5, "held", CUSTOMER), (7, "resumed"))
    assert calls(clocks)[3:] == [(4, 0, 6), (4, 1, 9), (4, 2, 12)]


def test_a_wait_that_ends_with_its_cap_is_ended_by_the_fact() -> None:
    """Judging is strict: what happens at the very instant is before what time alone brings."""
    agreement = agreed(pause_caps={"customer": {"hours": 2}})
    clocks = told(agreement, 4, (1, "held", CUSTOMER), (3, "resumed"))
    assert steps(clocks, "paused", "resumed") == [("paused", 2, 1), ("resumed", 3, 3)]


def test_a_longer_target_gives_no_step_again() -> None:
    """Called at half of four hours; as P2 the same step would be at four hours, and is not given again."""
    clocks = told(with_ladder(), 100, (2.5, "assessed", P2))
    assert calls(clocks)[:3] == [(1, 0, 2), (2, 0, 7), (3, 0, 8)]


def test_a_cancelled_clock_calls_nobody() -> None:
    """Without a target nothing is due; with one again, the steps that passed meanwhile are given at once."""
    agreement = with_ladder()
    assert calls(told(agreement, 100, (1, "assessed", Priority.P5))) == []
    clocks = told(agreement, 3.4, (1, "assessed", Priority.P5), (3.2, "assessed", P1))
    assert calls(clocks) == [(1, 0, 3.2), (2, 0, 3.2)]


def test_a_step_before_the_due_date_needs_a_longer_target() -> None:
    """Six hours before the end of four hours is nowhere."""
    assert calls(told(with_ladder(before_due={"hours": 6}), 100)) == []


def test_a_warning_may_be_given_by_the_time_left() -> None:
    """Half an hour before the end of four hours, beside one at 75 %; a target of the same length has none."""
    agreement = agreed(warn_before=[{"minutes": 30}, {"hours": 4}], warn_at_percent=[75])
    assert steps(told(agreement, 10), "warning") == [("warning", 75, 3), ("warning", -1_800, 3.5)]


def test_a_pause_takes_no_more_than_its_cap() -> None:
    """Two hours for the customer at most: after them the clock goes on although the ticket waits."""
    agreement = agreed(pause_caps={"customer": {"hours": 2}})
    clocks = told(agreement, 4, (1, "held", CUSTOMER))
    assert steps(clocks, "paused", "resumed") == [("paused", 2, 1), ("resumed", -2, 3)]
    clock = clocks.clocks[0]
    assert (clock.running, clock.used_seconds, clock.due_at) == (True, 2 * 3_600, after(6))


def test_the_end_of_the_cap_wakes_the_timers() -> None:
    """Nobody writes anything when a pause has lasted long enough: time alone ends it."""
    agreement = agreed(pause_caps={"customer": {"hours": 2}})
    assert told(agreement, 1, (1, "held", CUSTOMER)).next_fire_at == after(3)


def test_the_cap_holds_for_all_pauses_of_a_reason_together() -> None:
    """An hour and a half is used up; the next pause ends after half an hour, and the one after it never begins."""
    agreement = agreed(pause_caps={"customer": {"hours": 2}})
    holds = [(1, "held", CUSTOMER), (2.5, "resumed"), (3, "held", CUSTOMER), (5, "resumed"), (5.2, "held", CUSTOMER)]
    clocks = told(agreement, 5.5, *holds)
    assert steps(clocks, "paused", "resumed") == [
        ("paused", 2, 1),
        ("resumed", 3, 2.5),
        ("paused", 4, 3),
        ("resumed", -4, 3.5),
    ]


def test_a_cap_is_of_one_reason() -> None:
    """The wait for a third party has no cap here and goes on as long as it takes."""
    agreement = agreed(pauses=["customer", "third_party"], pause_caps={"customer": {"hours": 1}})
    clocks = told(agreement, 90, (1, "held", CUSTOMER), (1.5, "held", WaitingOn.THIRD_PARTY), (80, "held", CUSTOMER))
    assert steps(clocks, "paused", "resumed") == [("paused", 2, 1), ("resumed", -4, 80.5)]


def test_a_cap_counts_working_time() -> None:
    """Held on Monday at 16:00 with a cap of two hours and hours from 9 to 17: it ends on Tuesday at 10:00."""
    hours = {"weekly_hours": {day: [["09:00", "17:00"]] for day in ("mon", "tue", "wed")}}
    agreement = agreed(hours=hours, pause_caps={"customer": {"hours": 2}}, targets={"P1": {"hours": 16}})
    assert steps(told(agreement, 40, (7, "held", CUSTOMER)), "resumed") == [("resumed", -2, 25)]


def test_after_the_cap_the_ladder_calls_again() -> None:
    """A ticket that waits too long is nobody's excuse: the ladder rests no longer than the clock."""
    agreement = agreed(pause_caps={"customer": {"hours": 2}}, escalation=LADDER | {"stops_on": ["held"]})
    assert calls(told(agreement, 5, (1, "held", CUSTOMER))) == [(1, 0, 4)]


def climbing(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"escalation": {"steps": [{"tell": ["lead"]} | step for step in steps]}}


@pytest.mark.parametrize(
    ("metric", "what"),
    [
        ({"pause_caps": {"third_party": {"hours": 1}}}, "add it to pauses"),
        (climbing({}), "one of at_percent, before_due and after_due"),
        (climbing({"at_percent": 50, "after_due": {"hours": 1}}), "this one has at_percent and after_due"),
        (climbing({"at_percent": 50, "tell": ["the boss"]}), "tell"),
        (climbing({"at_percent": 101}), "at_percent"),
        (climbing(), "steps"),
        (climbing(*[{"at_percent": 50}] * 21), "steps"),
        (climbing({"at_percent": 5, "repeat": {"every": {"hours": 1}, "times": 101}}), "times"),
    ],
)
def test_what_cannot_be_meant_is_refused(metric: dict[str, Any], what: str) -> None:
    """A cap of a reason that does not pause, a step without or with two instants, an audience that is nobody."""
    with pytest.raises(ValidationError, match=what):
        agreed(**metric)


def test_an_agreement_of_before_is_written_as_before() -> None:
    """What the new parts leave out is not written, so that the same document stays the same."""
    written = agreed().document.as_json()["metrics"]["resolution"]
    assert written.keys() == {"targets", "pauses", "warn_at_percent", "until"}
    assert ClockMetric.RESOLUTION in agreed().terms
