"""What becomes of an open ticket's clocks when its agreement changes, with hand-written expectations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from opora_contracts.event import Event
from opora_contracts.sla import SlaBreached, SlaCorrected
from opora_contracts.tickets import TicketCreated, TicketFact, TicketHeld, TicketReplied
from opora_contracts.vocabulary import AuthorKind, Channel, Kind, Level, Outcome, Priority, WaitingOn
from opora_sla.agreement import Agreement, AgreementDocument, read_agreement
from opora_sla.domain import Case, Change, Decision, Effect, advance, changes, fold, migrate, open_case
from opora_sla.metrics import ClockMetric

TICKET = UUID(int=77)
T0 = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
RESOLUTION, FIRST = ClockMetric.RESOLUTION, ClockMetric.FIRST_RESPONSE
REPLIED = TicketReplied(ticket_id=TICKET, message_id=UUID(int=3), author_kind=AuthorKind.AGENT, channel=Channel.EMAIL)
HELD = TicketHeld(ticket_id=TICKET, waiting_on=WaitingOn.CUSTOMER)
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


def after(hours: float) -> datetime:
    return T0 + timedelta(hours=hours)


def agreed(version: int, targets: dict[str, float]) -> Agreement:
    """Targets in hours by metric."""
    metrics = {metric: {"targets": {"P1": {"hours": hours}}} for metric, hours in targets.items()}
    document = AgreementDocument.model_validate({"name": "test", "metrics": metrics})
    return read_agreement(UUID(int=1), version, document, T0)


def event(sequence: int, hours: float, data: TicketFact) -> Event[Any]:
    return Event(
        id=f"e{sequence}",
        source="/opora/intake",
        type=data.event_type,
        version=1,
        time=after(hours),
        subject=str(TICKET),
        data=data,
        sequence=sequence,
        partition=5,
    )


def lived(agreement: Agreement, until: float, *facts: tuple[float, TicketFact]) -> Case:
    """A ticket under this agreement, judged at this hour."""
    created = event(1, 0, CREATED)
    case = advance(open_case(created, agreement), [created], agreement, judged_at=T0, now=T0).case
    for sequence, (hours, data) in enumerate(facts, start=2):
        now = after(hours)
        case = advance(case, [event(sequence, hours, data)], agreement, judged_at=now, now=now).case
    return advance(case, [], agreement, judged_at=after(until), now=after(until)).case


def changed(
    before: dict[str, float], then: dict[str, float], until: float, *facts: tuple[float, TicketFact]
) -> tuple[Decision, list[tuple[ClockMetric, Effect]]]:
    """The ticket goes over at this hour: what is decided, and which clocks differ how."""
    case = lived(agreed(1, before), until, *facts)
    decision, differing = migrate(case, agreed(2, then), now=after(until))
    return decision, [(key.metric, effect) for key, effect in differing]


def said(decision: Decision) -> list[str]:
    return [each.data.event_type for each in decision.events]


def test_a_longer_target_moves_the_due_date_and_says_so_once() -> None:
    """The open clock's new due date is one correction; nothing else is said."""
    decision, effects = changed({"resolution": 4}, {"resolution": 8}, 1)
    assert effects == [(RESOLUTION, Effect.DUE_LATER)]
    assert said(decision) == ["sla.corrected"]
    fact = decision.events[0].data
    assert isinstance(fact, SlaCorrected)
    assert (fact.before, fact.after, fact.due_at, fact.target_seconds) == (Outcome.OPEN, Outcome.OPEN, after(8), 28_800)
    assert (fact.agreement_version, fact.reason) == (2, "version 2 of the agreement applies now")
    assert (decision.case.agreement_version, decision.case.next_fire_at) == (2, after(6))


def test_a_shorter_target_breaches_as_if_it_had_always_applied() -> None:
    """The due date is two hours after the creation; the breach is declared now."""
    decision, effects = changed({"resolution": 4}, {"resolution": 2}, 2.5)
    assert effects == [(RESOLUTION, Effect.NEWLY_BREACHED)]
    assert said(decision) == ["sla.warning", "sla.breached"]
    fact = decision.events[1].data
    assert isinstance(fact, SlaBreached)
    assert (fact.due_at, fact.detected_at) == (after(2), after(2.5))


def test_a_breach_that_would_not_have_been_is_withdrawn() -> None:
    """What was declared under a target that was too short is corrected."""
    decision, effects = changed({"resolution": 4}, {"resolution": 8}, 5)
    assert effects == [(RESOLUTION, Effect.RELIEVED)]
    assert said(decision) == ["sla.corrected"]
    fact = decision.events[0].data
    assert isinstance(fact, SlaCorrected)
    assert (fact.before, fact.after, fact.due_at) == (Outcome.BREACHED, Outcome.OPEN, after(8))


def test_a_clock_that_ended_is_judged_anew() -> None:
    """Answered after two hours of three; under one hour that was late."""
    targets = {"first_response": 3.0, "resolution": 20.0}
    decision, effects = changed(targets, targets | {"first_response": 1.0}, 5, (2, REPLIED))
    assert effects == [(FIRST, Effect.NEWLY_BREACHED)]
    assert said(decision) == ["sla.corrected"]


def test_a_clock_that_ended_in_time_under_both_is_no_change() -> None:
    """Its due date would have been another one; it has none any more."""
    targets = {"first_response": 3.0, "resolution": 20.0}
    decision, effects = changed(targets, targets | {"first_response": 4.0}, 5, (2, REPLIED))
    assert (effects, said(decision)) == ([], [])


def test_the_same_terms_change_and_say_nothing() -> None:
    """Another name, another version: the ticket goes over in silence."""
    decision, effects = changed({"resolution": 4}, {"resolution": 4}, 3.5, (1, REPLIED))
    assert (effects, said(decision), decision.case.agreement_version) == ([], [], 2)


def test_metrics_come_and_go() -> None:
    """One that only the new version measures begins; one that it does not is cancelled by a correction."""
    decision, effects = changed({"resolution": 4}, {"first_response": 2}, 1)
    assert effects == [(FIRST, Effect.BEGUN), (RESOLUTION, Effect.DROPPED)]
    assert said(decision) == ["sla.started", "sla.corrected"]


def test_what_was_fired_before_is_never_fired_again() -> None:
    """Warned at three hours of four; under eight the warning at six has the same name, and is not given again."""
    decision, _ = changed({"resolution": 4}, {"resolution": 8}, 3.5)
    later = advance(decision.case, [], agreed(2, {"resolution": 8}), judged_at=after(7), now=after(7))
    assert said(later) == []
    latest = advance(later.case, [], agreed(2, {"resolution": 8}), judged_at=after(9), now=after(9))
    assert said(latest) == ["sla.breached"]


def test_a_paused_clock_compares_by_its_target() -> None:
    """It has no due date; a shorter target will make it due earlier all the same."""
    _, effects = changed({"resolution": 4}, {"resolution": 3}, 2, (1, HELD))
    assert effects == [(RESOLUTION, Effect.DUE_EARLIER)]


def test_going_over_needs_the_history() -> None:
    """Without the facts there is nothing to fold."""
    former = agreed(1, {"resolution": 4})
    with pytest.raises(ValueError, match="history"):
        migrate(lived(former, 1)._replace(history=None), agreed(2, {"resolution": 8}), now=after(1))


def test_the_preview_says_what_going_over_does() -> None:
    """It compares the folds under the two versions; going over, what was told with the fold under the new one."""
    former, draft = agreed(1, {"resolution": 4}), agreed(2, {"resolution": 2})
    case = lived(former, 2.5)
    assert case.history is not None
    foreseen: list[Change] = changes(
        *(fold(case.history.facts, terms, case.judged_at, with_intervals=False) for terms in (former, draft))
    )
    assert [(each.key, each.effect) for each in foreseen] == migrate(case, draft, now=after(2.5))[1]
    assert len(foreseen) == 1
