"""Everything that the invariants look at, and nothing else: what was tried, what broke, and what stands now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Protocol

from opora_cli.chaos.oracle import Reckoned, Targets, reckon
from opora_cli.chaos.record import Attempt, Injected, Outcome, Sample
from opora_cli.checks.history import Acknowledged, History, Record, ServiceState
from opora_contracts import Event
from opora_contracts.topics import TICKETS

BREACH_GRACE = timedelta(seconds=5)
"""Within which a breach is declared, from its due date or from the heal."""

Applied = tuple[str, str, str]
"""(consumer, source, subject)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTicket:
    """A ticket as intake has it."""

    ticket_id: str
    version: int
    external: tuple[str, str] | None
    """(source, external id) where a foreign system opened it."""
    step: str
    cycle: int


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One fact in intake's audit trail."""

    sequence: int
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """An event that waits for a person, or behind one that does."""

    consumer: str
    key: str
    source: str | None
    event_id: str | None
    reason_code: str
    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceTables:
    """What a service's database holds for delivery, and which tickets it knows."""

    tickets: frozenset[str] = frozenset()
    applied: Mapping[Applied, int] = field(default_factory=dict)
    """The last sequence that each consumer applied."""
    inbox: frozenset[tuple[str, str, str]] = frozenset()
    """(consumer, source, event id) of foreign events that were handled."""
    outbox: Sequence[tuple[str, str]] = ()
    """(topic, key) of each fact that waits to be published."""
    told: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """By (topic, subject), the number of the last fact that the service has decided to publish."""
    dead_letters: Sequence[DeadLetter] = ()
    parked: frozenset[tuple[str, str]] = frozenset()
    """(consumer, key)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRow:
    """One of notify's messages."""

    notification_id: str
    event_source: str
    event_id: str
    event_type: str
    ticket_id: str | None
    channel: str
    recipient: str
    state: str
    attempts: int
    reason: str | None
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedTicket:
    """A ticket as notify shows it in its messages."""

    ticket_id: str
    number: str
    priority: str
    requester_id: str | None
    assignee: str | None
    group: str | None


class Letter(Protocol):
    """A mail that the mail server accepted, for one of its recipients."""

    @property
    def message_id(self) -> str:
        """With its angle brackets."""

    @property
    def recipient(self) -> str:
        """A mail address."""

    @property
    def received_at(self) -> datetime:
        """When the server had all of it."""


class Hook(Protocol):
    """A webhook that arrived."""

    @property
    def webhook_id(self) -> str:
        """The same in every copy."""

    @property
    def event_id(self) -> str:
        """Of the event that it carries."""

    @property
    def answered(self) -> int | None:
        """The status that it was answered with; None when its sender went away before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """A closing that feedback has judged."""

    ticket_id: str
    cycle: int
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """A question that feedback has put to a customer."""

    survey_id: str
    ticket_id: str
    cycle: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockRow:
    """A clock as sla shows it."""

    ticket_id: str
    metric: str
    cycle: int
    outcome: str
    state: str
    started_at: datetime
    due_at: datetime | None
    stopped_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Observation:
    """A platform after the storm, seen from outside, and the records of the storm itself."""

    attempts: Sequence[Attempt]
    faults: Sequence[Injected]
    samples: Sequence[Sample]
    healed_at: datetime
    """When the nemesis had healed everything."""
    observed_at: datetime
    settled_after_seconds: float | None
    """Until everything was consumed, published, sent and judged; None when it was not within its limit."""
    targets: Targets
    """What the run's agreement allows."""
    calls: Mapping[tuple[int, int], int] = field(default_factory=dict)
    """The ladder of every clock: seconds after its due date by (level, repetition)."""

    records: Mapping[str, Sequence[Record]]
    """By topic, those of a partition in the order of their offsets. Without progress marks."""
    tickets: dict[str, StoredTicket]
    """By id, oldest first."""
    timeline: Mapping[str, Sequence[TimelineEntry]]
    """By ticket, in order of sequence."""
    services: Mapping[str, ServiceTables]

    notifications: Sequence[LedgerRow] = ()
    named_tickets: Mapping[str, NamedTicket] = field(default_factory=dict)
    endpoints: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The patterns of event types that each webhook endpoint asked for, by its id."""
    letters: Sequence[Letter] = ()
    hooks: Sequence[Hook] = ()

    closings: Sequence[Closing] = ()
    surveys: Sequence[Survey] = ()

    clocks: Sequence[ClockRow] = ()
    case_facts: Sequence[tuple[str, int, str]] = ()
    """(ticket, sequence, event id) of the facts that sla folds."""
    fired_steps: frozenset[tuple[str, str, int, str, int]] = frozenset()
    """(ticket, metric, cycle, step, ordinal) of what sla has said about its clocks, or decided not to say any more."""

    rebuilt: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By service, where its read model differs from one that was built from offset 0."""

    @cached_property
    def events(self) -> Mapping[str, Sequence[Event[Any]]]:
        """By topic, each partition's events in order of offset, repetitions included."""
        return {topic: [r.event for r in records if r.event is not None] for topic, records in self.records.items()}

    @cached_property
    def by_external(self) -> Mapping[tuple[str, str], str]:
        """The ticket, the first of them, that a foreign system opened under its own name for it."""
        latest_first = reversed(self.tickets.items())
        return {ticket.external: ticket_id for ticket_id, ticket in latest_first if ticket.external is not None}

    @cached_property
    def broken_keys(self) -> frozenset[tuple[str, str]]:
        """(source, external id) under which a broken event was published: what follows has to wait behind it."""
        return frozenset(
            attempt.external
            for attempt in self.attempts
            if attempt.action == "submit_broken" and attempt.external is not None
        )

    @cached_property
    def queued_requests(self) -> frozenset[str]:
        """The ids of foreign events that wait in intake behind a broken one of their key."""
        keys = {key for _, key in self.broken_keys}
        return frozenset(
            letter.event_id
            for letter in self.services["intake"].dead_letters
            if letter.event_id is not None and letter.reason_code == "queued" and letter.key in keys
        )

    @cached_property
    def reckoned(self) -> Sequence[Reckoned]:
        """Every clock as the ticket facts and the agreement make it."""
        return reckon(self.events.get(TICKETS.name, ()), self.targets)

    @property
    def judged_until(self) -> datetime:
        """Every clock that was due before this instant has been judged, if the platform keeps its word."""
        patient = self.observed_at - BREACH_GRACE
        return patient if self.settled_after_seconds is None else max(patient, self.healed_at)

    @cached_property
    def history(self) -> History:
        """The same as the checks of every platform look at it, faults or not."""
        return History(
            acknowledged=self._acknowledged(),
            events=self.events,
            services={
                name: ServiceState(
                    tickets=tables.tickets,
                    outbox_rows=len(tables.outbox),
                    dead_letters=len(tables.dead_letters),
                    parked_keys=len(tables.parked),
                )
                for name, tables in self.services.items()
            },
            judged_until=self.judged_until,
        )

    def _acknowledged(self) -> list[Acknowledged]:
        """Every ticket that must be: those acknowledged, and those stored, whatever their author was told."""
        opened = [
            Acknowledged(
                f"{attempt.action} {attempt.key} of ticket {attempt.ticket_id or attempt.external}",
                attempt.ticket_id,
                attempt.external,
            )
            for attempt in self.attempts
            if attempt.outcome is Outcome.ACKNOWLEDGED
            and attempt.action in {"create", "submit"}
            and attempt.key not in self.queued_requests
        ]
        told = {each.ticket_id or self.by_external.get(each.external or ("", "")) for each in opened}
        untold = [ticket_id for ticket_id in self.tickets if ticket_id not in told]
        return [*opened, *(Acknowledged(f"the stored ticket {ticket_id}", ticket_id) for ticket_id in untold)]
