"""The checks from outside: each hand-made bad history is reported, and only by the invariant that it violates."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from opora_cli.checks.history import Acknowledged, Finding, History, ServiceState
from opora_cli.checks.rules import breach_lags_seconds, check, percentile
from opora_contracts import Event, Fact
from opora_contracts.feedback import SurveyRequested
from opora_contracts.sla import SlaBreached, SlaCorrected, SlaMet, SlaPaused, SlaResumed, SlaStarted
from opora_contracts.tickets import TicketAssessed, TicketClosed, TicketCreated, TicketReplied, TicketResolved
from opora_contracts.topics import FEEDBACK, SLA, TICKETS
from opora_contracts.vocabulary import (
    AuthorKind,
    Channel,
    Kind,
    Level,
    Metric,
    Outcome,
    Priority,
    ResolutionCode,
    WaitingOn,
)

TICKET = UUID(int=1)
OTHER = UUID(int=2)
CUSTOMER = UUID(int=9)
AGREEMENT = UUID(int=8)
START = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)
LOST = "every acknowledged ticket is on the topic and in each service"
TWICE = "a foreign event makes one ticket"
ORDER = "facts are numbered 1..n per ticket and source, in order"
ONCE = "each breach is declared exactly once"
EARLY = "no breach is early or false"
DUE = "every clock that was due and unanswered is breached"
SURVEY = "one survey per closed resolution"
MAILED = "every survey is mailed with one link"


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def numbered(source: str, facts: Sequence[tuple[float, Fact]]) -> list[Event[Any]]:
    """Events of one ticket as a service publishes them."""
    return [
        Event(
            id=f"{source}-{number}",
            source=source,
            type=fact.event_type,
            version=1,
            time=at(minutes),
            subject=str(TICKET),
            data=fact,
            sequence=number,
        )
        for number, (minutes, fact) in enumerate(facts, start=1)
    ]


def created(ticket: UUID = TICKET, external_id: str | None = None) -> TicketCreated:
    return TicketCreated(
        ticket_id=ticket,
        number="OP-1",
        title="Help",
        channel=Channel.WEB,
        kind=Kind.INCIDENT,
        impact=Level.MEDIUM,
        urgency=Level.MEDIUM,
        priority=Priority.P3,
        requester_id=CUSTOMER,
        external_source="/x" if external_id else None,
        external_id=external_id,
    )


def replied() -> TicketReplied:
    return TicketReplied(ticket_id=TICKET, message_id=UUID(int=5), author_kind=AuthorKind.AGENT, channel=Channel.WEB)


def resolved() -> TicketResolved:
    return TicketResolved(ticket_id=TICKET, cycle=1, resolution_code=ResolutionCode.SOLVED, requester_id=CUSTOMER)


def closed(code: ResolutionCode = ResolutionCode.SOLVED) -> TicketClosed:
    return TicketClosed(ticket_id=TICKET, cycle=1, resolution_code=code, requester_id=CUSTOMER)


def clock(metric: Metric = Metric.FIRST_RESPONSE) -> dict[str, Any]:
    return {
        "ticket_id": TICKET,
        "metric": metric,
        "cycle": 1,
        "agreement_id": AGREEMENT,
        "agreement_version": 1,
    }


def started(due: float, metric: Metric = Metric.FIRST_RESPONSE) -> SlaStarted:
    return SlaStarted(**clock(metric), started_at=START, target_seconds=1800, due_at=at(due), priority=Priority.P3)


def met(stopped: float, due: float, metric: Metric = Metric.FIRST_RESPONSE) -> SlaMet:
    return SlaMet(**clock(metric), stopped_at=at(stopped), due_at=at(due), used_seconds=60, target_seconds=1800)


def breached(due: float, detected: float, metric: Metric = Metric.FIRST_RESPONSE) -> SlaBreached:
    return SlaBreached(
        **clock(metric),
        due_at=at(due),
        detected_at=at(detected),
        used_seconds=1801,
        target_seconds=1800,
        priority=Priority.P3,
    )


def survey(number: int = 1) -> SurveyRequested:
    return SurveyRequested(
        survey_id=UUID(int=100 + number), ticket_id=TICKET, cycle=1, customer_id=CUSTOMER, expires_at=at(9_999)
    )


def history(
    tickets: Sequence[tuple[float, Fact]],
    sla: Sequence[tuple[float, Fact]] = (),
    feedback: Sequence[tuple[float, Fact]] = (),
    **changes: Any,
) -> History:
    """A platform on which this happened to one ticket; otherwise as it should be."""
    state = ServiceState(tickets=frozenset({str(TICKET)}))
    given = {
        "acknowledged": [Acknowledged(label="OP-1", ticket_id=str(TICKET))],
        "services": dict.fromkeys(("intake", "sla", "notify", "feedback"), state),
        "judged_until": at(600),
        "survey_links": {"OP-1": frozenset({"token"})} if feedback else {},
    }
    events = {
        TICKETS.name: numbered("/opora/intake", tickets),
        SLA.name: numbered("/opora/sla", sla),
        FEEDBACK.name: numbered("/opora/feedback", feedback),
    }
    return History(**{**given, "events": events, **changes})


def violated(seen: History) -> list[str]:
    return [finding.invariant for finding in check(seen) if not finding.holds]


GOOD_TICKETS = [(0.0, created()), (10.0, replied()), (60.0, resolved()), (90.0, closed())]
GOOD_SLA = [
    (0.0, started(30)),
    (0.0, started(50, Metric.RESOLUTION)),
    (10.0, met(10, 30)),
    (50.1, breached(50, 50.1, Metric.RESOLUTION)),
]
GOOD_FEEDBACK = [(90.0, survey())]


def test_a_good_history_violates_nothing() -> None:
    """A ticket answered in time, resolved late and asked about once is as it should be."""
    assert violated(history(GOOD_TICKETS, GOOD_SLA, GOOD_FEEDBACK)) == []


def test_a_lost_ticket_is_reported() -> None:
    """An acknowledged ticket that is not on the topic is lost, by number or by the publisher's own name."""
    lost = [Acknowledged(label="OP-7", ticket_id=str(OTHER)), Acknowledged(label="alert-1", external=("/x", "alert-1"))]
    seen = history(GOOD_TICKETS, GOOD_SLA, GOOD_FEEDBACK, acknowledged=lost)
    assert violated(seen) == [LOST]
    assert [line.split()[0] for line in check(seen)[0].violations] == ["OP-7", "alert-1"]


@pytest.mark.parametrize("service", ["intake", "sla", "notify", "feedback"])
def test_a_ticket_missing_in_one_service_is_reported(service: str) -> None:
    """The report names the service that does not know the ticket."""
    seen = history(GOOD_TICKETS, GOOD_SLA, GOOD_FEEDBACK)
    seen = replace(seen, services={**seen.services, service: ServiceState(tickets=frozenset())})
    assert violated(seen) == [LOST]
    assert service in check(seen)[0].violations[0]


def test_feedback_need_not_know_an_open_ticket() -> None:
    """Feedback's business begins when a ticket is closed."""
    seen = history(GOOD_TICKETS[:3], GOOD_SLA)
    seen = replace(seen, services={**seen.services, "feedback": ServiceState(tickets=frozenset())})
    assert violated(seen) == []


def test_two_tickets_of_one_foreign_event_are_reported() -> None:
    """The same event twice must make one ticket."""
    events = numbered("/opora/intake", [(0.0, created(external_id="a")), (0.0, created(OTHER, external_id="a"))])
    seen = replace(history([]), events={TICKETS.name: events}, acknowledged=[])
    assert violated(seen) == [TWICE]


def test_a_gap_is_reported_and_a_repetition_is_not() -> None:
    """Sequence 1, 3 is a gap; 1, 2, 2 is a record that the relay delivered twice."""
    seen = history(GOOD_TICKETS, GOOD_SLA, GOOD_FEEDBACK)
    facts = list(seen.tickets)
    gap = {**seen.events, TICKETS.name: [facts[0], *facts[2:]]}
    again = {**seen.events, TICKETS.name: [*facts[:2], facts[1], *facts[2:]]}
    assert ORDER in violated(replace(seen, events=gap))
    assert violated(replace(seen, events=again)) == []


def test_a_doubled_breach_is_reported_and_a_redelivered_one_is_not() -> None:
    """Two breach facts of one clock are one too many; the same record twice is the same fact."""
    twice = [*GOOD_SLA, (51.0, breached(50, 51, Metric.RESOLUTION))]
    assert violated(history(GOOD_TICKETS, twice, GOOD_FEEDBACK)) == [ONCE]
    seen = history(GOOD_TICKETS, GOOD_SLA, GOOD_FEEDBACK)
    again = {**seen.events, SLA.name: [*seen.sla, seen.sla[-1]]}
    assert violated(replace(seen, events=again)) == []


def test_an_early_breach_is_reported() -> None:
    """Detected before the due date is too early."""
    early = [*GOOD_SLA[:3], (49.0, breached(50, 49, Metric.RESOLUTION))]
    assert violated(history(GOOD_TICKETS, early, GOOD_FEEDBACK)) == [EARLY]


def test_a_false_breach_is_reported_unless_it_was_withdrawn() -> None:
    """A ticket resolved in time was not breached, unless sla itself corrected what it had said."""
    in_time = [(0.0, created()), (10.0, replied()), (40.0, resolved()), (90.0, closed())]
    assert violated(history(in_time, GOOD_SLA, GOOD_FEEDBACK)) == [EARLY]
    correction = SlaCorrected(
        **clock(Metric.RESOLUTION),
        before=Outcome.BREACHED,
        after=Outcome.MET,
        used_seconds=1,
        target_seconds=1800,
        reason="a late fact",
    )
    assert violated(history(in_time, [*GOOD_SLA, (60.0, correction)], GOOD_FEEDBACK)) == []


def test_a_resolution_at_the_due_date_itself_is_in_time() -> None:
    """Judging is strict: a stop at the due date is met, so a breach of it is false."""
    exact = [(0.0, created()), (10.0, replied()), (50.0, resolved()), (90.0, closed())]
    assert violated(history(exact, GOOD_SLA, GOOD_FEEDBACK)) == [EARLY]


def test_an_undeclared_breach_is_reported() -> None:
    """A clock that passed its due date before the end of judging must have been declared."""
    silent = GOOD_SLA[:3]
    assert violated(history(GOOD_TICKETS, silent, GOOD_FEEDBACK)) == [DUE]
    assert violated(history(GOOD_TICKETS, silent, GOOD_FEEDBACK, judged_until=at(49))) == []


def test_a_paused_clock_is_not_due_and_a_resumed_one_is() -> None:
    """While a clock is paused nothing is due; resuming gives it its new due date."""
    paused = SlaPaused(**clock(Metric.RESOLUTION), paused_at=at(20), waiting_on=WaitingOn.CUSTOMER, used_seconds=1200)
    resumed = SlaResumed(**clock(Metric.RESOLUTION), resumed_at=at(100), used_seconds=1200, due_at=at(130))
    waiting = [*GOOD_SLA[:3], (20.0, paused)]
    tickets = GOOD_TICKETS[:2]
    assert violated(history(tickets, waiting)) == []
    assert violated(history(tickets, [*waiting, (100.0, resumed)])) == [DUE]


def test_a_late_stop_that_is_called_met_is_reported() -> None:
    """Met means stopped by the due date."""
    late = [*GOOD_SLA[:2], (31.0, met(31, 30)), GOOD_SLA[3]]
    assert violated(history(GOOD_TICKETS, late, GOOD_FEEDBACK)) == [DUE]


def test_a_new_priority_is_judged_by_what_sla_says_itself() -> None:
    """A changed priority moves the due date without a fact of its own, so sla's list of open clocks decides."""
    assessed = TicketAssessed(ticket_id=TICKET, impact=Level.LOW, urgency=Level.LOW, priority=Priority.P5)
    tickets = [(0.0, created()), (5.0, assessed), (10.0, replied())]
    silent = GOOD_SLA[:3]
    resolution = (TICKET, Metric.RESOLUTION, 1)
    assert violated(history(tickets, silent, open_clocks={resolution: at(700)})) == []
    assert violated(history(tickets, silent, open_clocks={resolution: at(500)})) == [DUE]


def test_a_second_survey_is_reported() -> None:
    """At most one survey per ticket and cycle, even when each was mailed."""
    two = [(90.0, survey(1)), (91.0, survey(2))]
    seen = history(GOOD_TICKETS, GOOD_SLA, two, survey_links={"OP-1": frozenset({"a", "b"})})
    assert violated(seen) == [SURVEY]


def test_a_closing_without_a_survey_is_reported() -> None:
    """Every closed resolution of a known requester is asked about, and nothing else is."""
    assert violated(history(GOOD_TICKETS, GOOD_SLA)) == [SURVEY]
    cancelled = [(0.0, created()), (10.0, replied()), (60.0, closed(ResolutionCode.CANCELLED))]
    assert violated(history(cancelled, GOOD_SLA)) == []
    assert violated(history(cancelled, GOOD_SLA, GOOD_FEEDBACK)) == [SURVEY]


def test_a_closing_without_a_survey_is_in_order_where_people_are_asked_seldom() -> None:
    """Where a person is asked once in some days, only a survey too many is wrong."""
    assert violated(history(GOOD_TICKETS, GOOD_SLA, [], asks_after_every_closing=False)) == []
    two = [(90.0, survey(1)), (91.0, survey(2))]
    links = {"OP-1": frozenset({"a", "b"})}
    seen = history(GOOD_TICKETS, GOOD_SLA, two, survey_links=links, asks_after_every_closing=False)
    assert violated(seen) == [SURVEY]


def test_a_survey_that_was_not_mailed_is_reported() -> None:
    """A survey without a link in the mail never reached anybody."""
    assert violated(history(GOOD_TICKETS, GOOD_SLA, GOOD_FEEDBACK, survey_links={})) == [MAILED]


def test_leftovers_are_reported_by_service() -> None:
    """Facts in an outbox, dead letters and parked keys each name the service that has them."""
    seen = history(GOOD_TICKETS, GOOD_SLA, GOOD_FEEDBACK)
    tickets = frozenset({str(TICKET)})
    left = {
        **seen.services,
        "sla": ServiceState(tickets=tickets, outbox_rows=3),
        "notify": ServiceState(tickets=tickets, dead_letters=1, parked_keys=1),
    }
    found: dict[str, Finding] = {each.invariant: each for each in check(replace(seen, services=left)) if not each.holds}
    assert found["every outbox is empty"].violations == ("sla has 3 facts in its outbox",)
    assert found["no dead letter, no parked key"].violations == ("notify has 1 dead letters and 1 parked keys",)


def test_breach_lag_is_given_in_real_seconds() -> None:
    """Six minutes of a clock that runs 600 times as fast are 0.6 seconds."""
    sla = [(0.0, started(30)), (36.0, breached(30, 36))]
    assert breach_lags_seconds(history(GOOD_TICKETS, sla, clock_scale=600.0)) == [0.6]


def test_percentiles_are_values_that_occurred() -> None:
    """The 99th percentile of a hundred values is the largest but one rank; of none it is zero."""
    values = [float(n) for n in range(1, 101)]
    assert (percentile(values, 50), percentile(values, 99), percentile([], 99)) == (51.0, 100.0, 0.0)
