"""What can be seen of a platform from outside, gathered for the checks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from opora_contracts import Event
from opora_contracts.topics import FEEDBACK, SLA, TICKETS

Clock = tuple[UUID, str, int]
"""(ticket, metric, cycle)."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A request that the platform took over: what it answered, or what a publisher's broker acknowledged."""

    label: str
    """How to name it in a report."""
    ticket_id: str | None = None
    external: tuple[str, str] | None = None
    """(source, id) of a request that came in as an event."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it stands on its topic."""

    topic: str
    partition: int
    offset: int
    timestamp: datetime
    """When it was written, by its writer's clock."""
    key: str
    event: Event[Any] | None
    """None for what is of an unknown type or does not decode."""
    source: str | None = None
    event_id: str | None = None
    """With `source`, the event as its publisher knows it, as far as that can be read."""
    problem: str | None = None
    """The code of the reason why it does not decode."""


@dataclass(frozen=True, slots=True)
class ServiceState:
    """What one service's database holds."""

    tickets: frozenset[str]
    outbox_rows: int = 0
    dead_letters: int = 0
    parked_keys: int = 0
    messages_in_hand: int = 0
    """Of notify: neither delivered nor given up."""


@dataclass(frozen=True, slots=True)
class History:
    """Everything that the checks look at."""

    acknowledged: Sequence[Acknowledged]
    events: Mapping[str, Sequence[Event[Any]]]
    """By topic, each partition's events in order of offset."""
    services: Mapping[str, ServiceState]
    judged_until: datetime
    """Clocks due before this instant of the platform's clock must have been judged."""
    clock_scale: float = 1.0
    asks_after_every_closing: bool = True
    """Whether feedback was set to ask however often a person was asked before."""
    open_clocks: Mapping[Clock, datetime | None] = field(default_factory=dict)
    """When each clock that sla itself calls open and running is due, as its interface says."""
    survey_links: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The survey tokens that were mailed, by ticket number."""

    @property
    def tickets(self) -> Sequence[Event[Any]]:
        """The ticket facts."""
        return self.events.get(TICKETS.name, ())

    @property
    def sla(self) -> Sequence[Event[Any]]:
        """The facts about clocks."""
        return self.events.get(SLA.name, ())

    @property
    def feedback(self) -> Sequence[Event[Any]]:
        """The facts about surveys."""
        return self.events.get(FEEDBACK.name, ())


@dataclass(frozen=True, slots=True)
class Finding:
    """One invariant, and every case in which it does not hold."""

    invariant: str
    checked: int
    """How many cases were looked at."""
    violations: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether no case contradicts it."""
        return not self.violations
