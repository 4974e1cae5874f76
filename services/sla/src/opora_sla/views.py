"""The shapes in which the API answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from opora_contracts.vocabulary import Outcome, Priority, WaitingOn
from opora_sla.agreement import Agreement
from opora_sla.domain import Clock, ExplainedClock, explain
from opora_sla.metrics import ClockMetric
from opora_sla.reading import Reading
from opora_sla.reporting import Standing, standings, waits_between


class View(BaseModel):
    """An answer's part."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)


class PinnedCalendar(View):
    """Which version of a calendar an agreement version counts by."""

    id: UUID
    version: int
    name: str


class AgreementView(View):
    """One version of an agreement."""

    id: UUID
    version: int
    created_at: datetime
    document: dict[str, Any]
    calendar: PinnedCalendar | None = None
    """The version of the calendar that the document names."""


class PinnedAgreement(View):
    """Which agreement a ticket pinned when it was created."""

    id: UUID
    version: int
    name: str


class ClockView(View):
    """A clock. Seconds are working time under the agreement's calendar."""

    metric: ClockMetric
    cycle: int
    outcome: Outcome
    state: Literal["running", "paused", "stopped"]
    started_at: datetime
    due_at: datetime | None
    """Null while paused, and when the calendar does not open long enough."""
    stopped_at: datetime | None
    used_seconds: int
    target_seconds: int
    priority: Priority
    party: str | None = None
    """Who owes it: a group for `operational`, `third_party` for `underpinning`; null for the whole support side."""


class TicketView(View):
    """A ticket's clocks, judged at `judged_at`: the instant before which all its facts are known."""

    ticket_id: UUID
    number: str
    external_source: str | None
    external_id: str | None
    import_id: str | None
    priority: Priority
    agreement: PinnedAgreement
    judged_at: datetime
    next_fire_at: datetime | None
    clocks: list[ClockView]


class IntervalView(View):
    """A stretch of a clock's life in which it counted all working time or none."""

    from_at: datetime
    to_at: datetime
    counted: bool
    working_seconds: int
    began_by: str
    """The id of the event that began it."""
    ended_by: str | None
    """The id of the event that ended it; null when it lasts."""
    waited_for: list[WaitingOn]
    """Whom the ticket was on hold for in it, in order, whether or not that pauses the clock; empty: nobody."""
    words: str


class ExplainedClockView(ClockView):
    """A clock with the reasons for how it stands."""

    words: str
    intervals: list[IntervalView]


class ExplainedTicketView(View):
    """A ticket's clocks with the intervals they counted and the events that made them."""

    ticket_id: UUID
    number: str
    agreement: PinnedAgreement
    judged_at: datetime
    clocks: list[ExplainedClockView]


class ListedClockView(ClockView):
    """A clock in a list, as it was last judged."""

    ticket_id: UUID
    number: str
    judged_at: datetime


class MetricOutcome(View):
    """How the latest cycle of a metric stands."""

    due_at: datetime | None
    outcome: Outcome
    used_seconds: int
    target_seconds: int


class OutcomeView(View):
    """What became of a ticket. `source_id` is its id in the system or import that it came from."""

    source_id: str | None
    ticket_id: UUID
    priority: Priority
    metrics: dict[ClockMetric, MetricOutcome]


class ImportView(View):
    """How far an import of history was taken in and judged."""

    import_id: str
    cases: int
    facts_applied: int
    """Facts of its tickets that were taken in, of whatever type."""
    waiting_for_judgement: int
    """Tickets in which time alone has brought something that is not said yet; 0 when all is judged."""
    not_joined: int
    """Tickets that are still judged by the import's time."""
    watermarks: dict[int, datetime]
    """By partition: every fact of the import before this instant was taken in."""


class StatusView(View):
    """How much there is, and how it stands."""

    cases: int
    open_cases: int
    facts_applied: int
    waiting_for_judgement: int
    clocks: dict[ClockMetric, dict[Outcome, int]]
    watermarks: dict[int, datetime]
    """By partition: every live fact before this instant was taken in."""


def agreement_view(agreement: Agreement) -> AgreementView:
    """An agreement version for the wire."""
    return AgreementView(
        id=agreement.id,
        version=agreement.version,
        created_at=agreement.created_at,
        document=agreement.document.as_json(),
        calendar=PinnedCalendar.model_validate(agreement.named) if agreement.named else None,
    )


def ticket_view(reading: Reading) -> TicketView:
    """A ticket's clocks for the wire."""
    case = reading.case
    return TicketView(
        ticket_id=case.ticket_id,
        number=case.number,
        external_source=case.external_source,
        external_id=case.external_id,
        import_id=case.import_id,
        priority=case.priority,
        agreement=_pinned(reading.agreement),
        judged_at=reading.clocks.judged_at,
        next_fire_at=reading.clocks.next_fire_at,
        clocks=[_clock_view(clock) for clock in reading.clocks.clocks],
    )


def explained_view(reading: Reading) -> ExplainedTicketView:
    """A ticket's clocks with their reasons for the wire."""
    stood = standings(reading.facts)
    return ExplainedTicketView(
        ticket_id=reading.case.ticket_id,
        number=reading.case.number,
        agreement=_pinned(reading.agreement),
        judged_at=reading.clocks.judged_at,
        clocks=[_explained_clock(explained, stood) for explained in explain(reading.clocks, reading.facts)],
    )


def outcome_view(reading: Reading) -> OutcomeView:
    """What became of a ticket: per metric its latest cycle."""
    return OutcomeView(
        source_id=reading.case.external_id,
        ticket_id=reading.case.ticket_id,
        priority=reading.case.priority,
        metrics={metric: MetricOutcome.model_validate(clock) for metric, clock in reading.clocks.latest().items()},
    )


def _pinned(agreement: Agreement) -> PinnedAgreement:
    return PinnedAgreement(id=agreement.id, version=agreement.version, name=agreement.document.name)


def _clock_view(clock: Clock) -> ClockView:
    return ClockView(
        metric=clock.key.metric,
        cycle=clock.key.cycle,
        outcome=clock.outcome,
        state=clock.state,
        started_at=clock.started_at,
        due_at=clock.due_at,
        stopped_at=clock.stopped_at,
        used_seconds=clock.used_seconds,
        target_seconds=clock.target_seconds,
        priority=clock.priority,
        party=clock.party,
    )


def _explained_clock(explained: ExplainedClock, stood: Sequence[Standing]) -> ExplainedClockView:
    intervals = [
        IntervalView(
            from_at=each.interval.from_at,
            to_at=each.interval.to_at,
            counted=each.interval.counted,
            working_seconds=each.interval.working_seconds,
            began_by=each.interval.began_by,
            ended_by=each.interval.ended_by,
            waited_for=waits_between(stood, each.interval.from_at, each.interval.to_at),
            words=each.words,
        )
        for each in explained.intervals
    ]
    return ExplainedClockView(**dict(_clock_view(explained.clock)), words=explained.words, intervals=intervals)
