"""What is said, when, and once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, TypeVar
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opora_contracts.event import Event
from opora_contracts.fact import Fact
from opora_contracts.sla import (
    SlaBreached,
    SlaCorrected,
    SlaEscalated,
    SlaMet,
    SlaResumed,
    SlaStarted,
    SlaWarning,
)
from opora_contracts.tickets import (
    TicketAssigned,
    TicketCreated,
    TicketFact,
    TicketHeld,
    TicketReplied,
    TicketResolved,
    TicketResumed,
    TicketUpdated,
)
from opora_contracts.vocabulary import (
    AuthorKind,
    Channel,
    Evidence,
    Kind,
    Level,
    Outcome,
    Priority,
    ResolutionCode,
    WaitingOn,
)
from opora_sla.agreement import Agreement, AgreementDocument, read_agreement
from opora_sla.domain import Case, Decision, advance, case_fact, explain, fold, open_case
from opora_sla.domain.explanation import duration_in_words
from opora_sla.metrics import ClockMetric

F = TypeVar("F", bound=TicketFact)
TICKET = UUID(int=77)
T0 = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
HOUR = 3_600


def after(hours: float) -> datetime:
    return T0 + timedelta(hours=hours)


def agreed(metrics: dict[str, Any] | None = None) -> Agreement:
    document = {"name": "test", "metrics": metrics or {"resolution": {"targets": {"P1": {"hours": 4}}}}}
    return read_agreement(UUID(int=1), 3, AgreementDocument.model_validate(document), T0)


def event(sequence: int, hours: float, data: F, import_id: str | None = None) -> Event[F]:
    return Event(
        id=f"e{sequence}",
        source="/opora/intake",
        type=data.event_type,
        version=1,
        time=after(hours),
        subject=str(TICKET),
        data=data,
        sequence=sequence,
        import_id=import_id,
        partition=5,
    )


CREATED = TicketCreated(
    ticket_id=TICKET,
    number="OP-1",
    title="It does not print",
    channel=Channel.EMAIL,
    kind=Kind.INCIDENT,
    impact=Level.HIGH,
    urgency=Level.HIGH,
    priority=Priority.P1,
)
ASSIGNED = TicketAssigned(ticket_id=TICKET, assignee="anna", group="printers")
HELD = TicketHeld(ticket_id=TICKET, waiting_on=WaitingOn.CUSTOMER)
RESUMED = TicketResumed(ticket_id=TICKET)
RESOLVED = TicketResolved(ticket_id=TICKET, cycle=1, resolution_code=ResolutionCode.SOLVED)
JOINED = TicketUpdated(ticket_id=TICKET, joined_live=True)
REPLIED = TicketReplied(ticket_id=TICKET, message_id=UUID(int=3), author_kind=AuthorKind.AGENT, channel=Channel.EMAIL)


def opened(agreement: Agreement, import_id: str | None = None) -> Decision:
    created = event(1, 0, CREATED, import_id)
    case = open_case(created, agreement)
    return advance(case, [created], agreement, judged_at=T0, now=T0)


def said(decision: Decision) -> list[Fact]:
    return [each.data for each in decision.events]


def types(decision: Decision) -> list[str]:
    return [each.data.event_type for each in decision.events]


def test_a_new_ticket_starts_its_clock_and_pins_its_agreement() -> None:
    """The first fact says target, due date and which version of which agreement."""
    decision = opened(agreed())
    started = decision.events[0]
    assert started.data == SlaStarted(
        ticket_id=TICKET,
        metric=ClockMetric.RESOLUTION,
        cycle=1,
        agreement_id=UUID(int=1),
        agreement_version=3,
        started_at=T0,
        target_seconds=4 * HOUR,
        due_at=after(4),
        priority=Priority.P1,
    )
    assert (started.sequence, started.subject, started.cause and started.cause.id) == (1, str(TICKET), "e1")
    assert (decision.case.next_fire_at, decision.case.partition, decision.case.open) == (after(3), 5, True)


def test_time_alone_warns_and_breaches_with_the_time_of_detection() -> None:
    """A live breach is said at `now` and tells the working time until then; its due date is the real one."""
    agreement = agreed()
    assigned = advance(opened(agreement).case, [event(2, 1, ASSIGNED)], agreement, judged_at=after(1), now=after(1))
    warned = advance(assigned.case, [], agreement, judged_at=after(3.1), now=after(3.2))
    assert types(warned) == ["sla.warning"]
    warning = said(warned)[0]
    assert isinstance(warning, SlaWarning)
    assert (warning.percent, warning.due_at, warning.assignee) == (75, after(4), "anna")
    late = advance(warned.case, [], agreement, judged_at=after(4.5), now=after(5))
    breach = said(late)[0]
    assert isinstance(breach, SlaBreached)
    assert (breach.due_at, breach.detected_at, late.events[0].time) == (after(4), after(5), after(5))
    assert (breach.used_seconds, breach.target_seconds, breach.group) == (5 * HOUR, 4 * HOUR, "printers")
    assert (breach.evidence, late.case.next_fire_at) == (Evidence.COMPLETE, None)
    assert [each.sequence for each in (*assigned.events, *warned.events, *late.events)] == [2, 3]


def test_nothing_is_detected_before_it_was_judged() -> None:
    """`now` is when the transaction began; it may have waited before it read the evidence."""
    late = advance(opened(agreed()).case, [], agreed(), judged_at=after(4.5), now=after(3.9))
    breach = said(late)[-1]
    assert isinstance(breach, SlaBreached)
    assert (breach.detected_at, breach.used_seconds) == (after(4.5), 4.5 * HOUR)
    assert {each.time for each in late.events} == {after(4.5)}


def test_a_step_of_the_ladder_says_whom_to_tell() -> None:
    """The level, the repetition and the audience of the agreement, before the breach and after it."""
    ladder = [
        {"before_due": {"hours": 1}, "tell": ["lead"]},
        {"after_due": {"hours": 1}, "tell": ["on_call:network"], "repeat": {"every": {"hours": 1}, "times": 1}},
    ]
    agreement = agreed({"resolution": {"targets": {"P1": {"hours": 4}}, "escalation": {"steps": ladder}}})
    early = advance(opened(agreement).case, [], agreement, judged_at=after(3.1), now=after(3.2))
    assert types(early) == ["sla.warning", "sla.escalated"]
    call = said(early)[1]
    assert isinstance(call, SlaEscalated)
    assert (call.level, call.repetition, call.tell, call.breached) == (1, 0, ("lead",), False)
    assert (call.due_at, call.detected_at, call.used_seconds) == (after(4), after(3.2), 3.2 * HOUR)
    late = advance(early.case, [], agreement, judged_at=after(6.1), now=after(6.1))
    assert types(late) == ["sla.breached", "sla.escalated", "sla.escalated"]
    again = said(late)[2]
    assert isinstance(again, SlaEscalated)
    assert (again.level, again.repetition, again.tell, again.breached) == (2, 1, ("on_call:network",), True)


def test_a_warning_by_the_time_left_says_so() -> None:
    """One hour of four is left: three quarters are used."""
    metric = {"targets": {"P1": {"hours": 4}}, "warn_at_percent": [], "warn_before": [{"hours": 1}]}
    agreement = agreed({"resolution": metric})
    warning = said(advance(opened(agreement).case, [], agreement, judged_at=after(3.1), now=after(3.1)))[0]
    assert isinstance(warning, SlaWarning)
    assert (warning.percent, warning.left_seconds) == (75, HOUR)


def test_the_end_of_a_pause_s_cap_says_for_whom_the_ticket_still_waits() -> None:
    """Nobody resumed it: the clock goes on by itself."""
    metric = {"targets": {"P1": {"hours": 4}}, "pause_caps": {"customer": {"hours": 1}}}
    agreement = agreed({"resolution": metric})
    held = advance(opened(agreement).case, [event(2, 1, HELD)], agreement, judged_at=after(1), now=after(1))
    resumed = advance(held.case, [], agreement, judged_at=after(2.5), now=after(2.5))
    assert types(resumed) == ["sla.resumed"]
    fact = said(resumed)[0]
    assert isinstance(fact, SlaResumed)
    assert (fact.resumed_at, fact.waiting_on, fact.due_at) == (after(2), WaitingOn.CUSTOMER, after(5))
    words = [
        each.words
        for each in explain(
            fold([case_fact(event(1, 0, CREATED)), case_fact(event(2, 1, HELD))], agreement, after(2.5)),
            [case_fact(event(1, 0, CREATED)), case_fact(event(2, 1, HELD))],
        )[0].intervals
    ]
    assert words[1:] == [
        "From the hold for customer until the pause had taken all it may: paused, 1 h of working time not counted.",
        "From there, still waiting, until now: 30 min of working time counted.",
    ]


def test_nothing_is_said_twice() -> None:
    """Judging again at the same or a later time finds nothing new."""
    agreement = agreed()
    breached = advance(opened(agreement).case, [], agreement, judged_at=after(5), now=after(5))
    again = advance(breached.case, [], agreement, judged_at=after(50), now=after(50))
    assert again.events == ()
    resolved = advance(again.case, [event(2, 60, RESOLVED)], agreement, judged_at=after(60), now=after(60))
    assert resolved.events == ()
    assert resolved.case.open is False


def test_a_breach_is_never_judged_backwards() -> None:
    """A judgement earlier than the last one counts as the last one."""
    agreement = agreed()
    breached = advance(opened(agreement).case, [], agreement, judged_at=after(5), now=after(5))
    back = advance(breached.case, [], agreement, judged_at=after(1), now=after(6))
    assert (back.events, back.case.judged_at) == ((), after(5))


def test_a_blind_breach_says_so() -> None:
    """Declared before every fact was seen, the evidence is incomplete."""
    decision = advance(
        opened(agreed()).case, [], agreed(), judged_at=after(5), now=after(6), evidence=Evidence.INCOMPLETE
    )
    breach = said(decision)[-1]
    assert isinstance(breach, SlaBreached)
    assert breach.evidence is Evidence.INCOMPLETE


def test_a_late_resolution_withdraws_the_breach_with_one_correction() -> None:
    """A ticket resolved in time is not breached, even when the fact arrives after the breach was declared."""
    agreement = agreed()
    breached = advance(opened(agreement).case, [], agreement, judged_at=after(5), now=after(5))
    decision = advance(breached.case, [event(2, 2, RESOLVED)], agreement, judged_at=after(5), now=after(6))
    (correction,) = said(decision)
    assert isinstance(correction, SlaCorrected)
    assert (correction.before, correction.after) == (Outcome.BREACHED, Outcome.MET)
    assert (correction.used_seconds, correction.due_at) == (2 * HOUR, after(4))
    assert decision.events[0].cause is not None


def test_a_withdrawn_breach_that_comes_true_again_is_corrected_again_not_declared_twice() -> None:
    """One `sla.breached` per clock for ever; what changes afterwards are corrections."""
    agreement = agreed()
    breached = advance(opened(agreement).case, [], agreement, judged_at=after(5), now=after(5))
    held = advance(breached.case, [event(2, 3.5, HELD)], agreement, judged_at=after(5), now=after(6))
    assert [(each.before, each.after) for each in said(held) if isinstance(each, SlaCorrected)] == [
        (Outcome.BREACHED, Outcome.OPEN)
    ]
    resumed = advance(held.case, [event(3, 7, RESUMED)], agreement, judged_at=after(7), now=after(7))
    assert resumed.case.next_fire_at == after(7.5)
    again = advance(resumed.case, [], agreement, judged_at=after(9), now=after(9))
    assert [type(each) for each in said(again)] == [SlaCorrected]
    assert isinstance(said(again)[0], SlaCorrected)
    assert again.case.history is not None
    told = again.case.history.told
    assert {key: each.outcome for key, each in told.items()} == {("resolution", 1): Outcome.BREACHED}


def test_a_late_hold_that_ends_in_a_breach_corrects_a_met_clock() -> None:
    """A late reopening or a late end of a hold may also make things worse."""
    agreement = agreed()
    held = advance(opened(agreement).case, [event(2, 1, HELD)], agreement, judged_at=after(1), now=after(1))
    resolved = advance(held.case, [event(3, 6, RESOLVED)], agreement, judged_at=after(6), now=after(6))
    assert types(resolved) == ["sla.met"]
    late = advance(resolved.case, [event(4, 1.5, RESUMED)], agreement, judged_at=after(6), now=after(7))
    assert [(each.before, each.after) for each in said(late) if isinstance(each, SlaCorrected)] == [
        (Outcome.MET, Outcome.BREACHED)
    ]
    assert "sla.breached" not in types(late)


def test_a_clock_that_a_late_fact_unmakes_is_cancelled_by_a_correction() -> None:
    """Had the answer been known, the question would have started no clock of its own."""
    metrics = {"next_response": {"targets": {"P1": {"hours": 1}}}}
    agreement = agreed(metrics)
    asked = TicketReplied(
        ticket_id=TICKET, message_id=UUID(int=4), author_kind=AuthorKind.CUSTOMER, channel=Channel.EMAIL
    )
    questions = [event(2, 1, REPLIED), event(3, 2, asked), event(4, 2.5, REPLIED), event(5, 3, asked)]
    talked = advance(opened(agreement).case, questions, agreement, judged_at=after(5), now=after(5))
    assert types(talked) == ["sla.started", "sla.met", "sla.started", "sla.warning", "sla.breached"]
    late = advance(talked.case, [event(6, 1.5, RESOLVED)], agreement, judged_at=after(5), now=after(6))
    corrections = [each for each in said(late) if isinstance(each, SlaCorrected)]
    assert [(each.cycle, each.before, each.after) for each in corrections] == [
        (1, Outcome.MET, Outcome.CANCELLED),
        (2, Outcome.BREACHED, Outcome.CANCELLED),
    ]


def test_history_speaks_in_its_own_time_and_keeps_its_import() -> None:
    """Breached in history: said at the due date, and marked so that nobody is mailed."""
    agreement = agreed()
    facts = [event(2, 6, RESOLVED, "import-1")]
    decision = advance(opened(agreement, "import-1").case, facts, agreement, judged_at=after(6), now=after(90_000))
    assert types(decision) == ["sla.warning", "sla.breached"]
    breach = decision.events[1]
    assert isinstance(breach.data, SlaBreached)
    assert (breach.time, breach.data.detected_at, breach.data.used_seconds) == (after(4), after(4), 4 * HOUR)
    assert {each.import_id for each in decision.events} == {"import-1"}


def test_history_resolved_in_time_is_never_breached_on_the_way() -> None:
    """Between an imported creation and its imported resolution lie years, and no breach."""
    agreement = agreed()
    case = opened(agreement, "import-1").case
    decision = advance(case, [event(2, 2, RESOLVED, "import-1")], agreement, judged_at=after(2), now=after(90_000))
    assert [type(each) for each in said(decision)] == [SlaMet]


def test_a_ticket_that_joins_live_time_is_judged_and_spoken_of_live() -> None:
    """What its history had reached is history; what is open from then on is live."""
    agreement = agreed()
    case = opened(agreement, "import-1").case
    events = [event(2, 3.5, ASSIGNED, "import-1"), event(3, 100, JOINED)]
    decision = advance(case, events, agreement, judged_at=after(100), now=after(101))
    assert [(each.data.event_type, each.import_id, each.time) for each in decision.events] == [
        ("sla.warning", "import-1", after(3)),
        ("sla.breached", None, after(101)),
    ]
    assert (decision.case.live, decision.case.open_import_id) == (True, None)


STORIES = st.lists(
    st.tuples(st.integers(0, 180), st.sampled_from([HELD, RESUMED, RESOLVED, REPLIED, ASSIGNED])), max_size=8
)
METRICS = {
    "resolution": {"targets": {"P1": {"hours": 4}}, "warn_at_percent": [50, 75]},
    "first_response": {"targets": {"P1": {"hours": 1}}},
}


def spoken(case: Case, batches: Sequence[Sequence[Event[TicketFact]]], end: datetime) -> list[tuple[str, datetime]]:
    """What history says when it comes in these batches."""
    agreement, words = agreed(METRICS), []
    for batch in [*batches, []]:
        decision = advance(case, batch, agreement, judged_at=T0 if batch else end, now=end)
        case = decision.case
        words += [(f"{each.sequence} {each.data!r}", each.time) for each in decision.events]
    return words


@settings(max_examples=60, deadline=None)
@given(story=STORIES, cuts=st.sets(st.integers(1, 8)))
def test_history_says_the_same_in_however_many_batches(story: list[tuple[int, TicketFact]], cuts: set[int]) -> None:
    """Batches are an accident of delivery: facts, numbers and times do not depend on them."""
    hours, events = 0.0, []
    for sequence, (minutes, data) in enumerate(story, start=2):
        hours += minutes / 60
        events.append(event(sequence, hours, data, "import-1"))
    borders = [0, *sorted(cut for cut in cuts if cut < len(events)), len(events)]
    batches = [events[a:b] for a, b in pairwise(borders) if a < b]
    case = opened(agreed(METRICS), "import-1").case
    assert spoken(case, batches, after(60)) == spoken(case, [events] if events else [], after(60))


def test_a_ticket_fact_without_a_sequence_is_refused() -> None:
    """Without numbers neither duplicates nor gaps could be seen."""
    with pytest.raises(ValueError, match="ce_sequence"):
        advance(opened(agreed()).case, [replace(event(2, 1, HELD), sequence=None)], agreed(), judged_at=T0, now=T0)


def test_an_explanation_is_plain() -> None:
    """A person can read why the clock stands as it does."""
    agreement = agreed()
    facts = [event(2, 1, HELD), event(3, 3, RESUMED), event(4, 7.5, RESOLVED)]
    kept = [case_fact(each) for each in (event(1, 0, CREATED), *facts)]
    (clock,) = explain(fold(kept, agreement, after(8)), kept)
    assert clock.words == (
        "Breached: it was due at 2026-03-02 15:00:00 UTC; 5 h 30 min of 4 h working time used in the end."
    )
    assert [each.words for each in clock.intervals] == [
        "From the creation until the hold for customer: 1 h of working time counted.",
        "From the hold for customer until the end of the wait: paused, 2 h of working time not counted.",
        "From the end of the wait until the resolution: 4 h 30 min of working time counted.",
    ]


def test_durations_leave_out_what_is_zero() -> None:
    """90 minutes are 1 h 30 min, nothing is 0 s."""
    assert [duration_in_words(seconds) for seconds in (5_400, 61, 0)] == ["1 h 30 min", "1 min 1 s", "0 s"]
