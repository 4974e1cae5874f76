"""What every clock ought to be, from the ticket facts and the agreement alone. Pure, and no service's code in it.

The agreement of a run is open day and night; a ticket keeps the targets that it began with.
`first_response` runs from the creation to the first public reply of an agent, or to the resolution if that comes first.
`resolution` runs to the resolution, and anew from each reopening; it stands still while the ticket waits for its
customer. What is owed besides, `update`, `operational` and `underpinning`, is owed as `checks.commitments` says; an
update stands still while the ticket waits for its customer, what a group owes while it waits for the customer or a
third party. A target is met when no more time was used than it allows: a stop at the very due date is in time.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from opora_cli.checks.commitments import OPERATIONAL, UPDATE, Span, commitments
from opora_contracts import Event
from opora_contracts.tickets import (
    TicketAssessed,
    TicketClosed,
    TicketCreated,
    TicketHeld,
    TicketReopened,
    TicketReplied,
    TicketResolved,
    TicketResumed,
)
from opora_contracts.vocabulary import AuthorKind, Metric, Priority, WaitingOn

Targets = Mapping[str, int | Mapping[Priority, int]]
"""Seconds per metric: one number for all priorities, or one for each that is measured. That of a group stands under
`operational:<group>`.
"""
_RESTS: Mapping[str, frozenset[WaitingOn]] = {
    UPDATE: frozenset({WaitingOn.CUSTOMER}),
    OPERATIONAL: frozenset({WaitingOn.CUSTOMER, WaitingOn.THIRD_PARTY}),
}
"""For whom the ticket waits while a commitment stands still."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reckoned:
    """A clock as it ought to be. Without a `due_at` it stood still at its end, or stands still now."""

    ticket_id: UUID
    metric: str
    cycle: int
    started_at: datetime
    due_at: datetime | None
    stopped_at: datetime | None

    @property
    def key(self) -> tuple[UUID, str, int]:
        """(ticket, metric, cycle)."""
        return self.ticket_id, self.metric, self.cycle

    @property
    def breached_at(self) -> datetime | None:
        """The due date that was missed, or will be if nothing more happens; None where the target was reached."""
        missed = self.due_at is not None and (self.stopped_at is None or self.stopped_at > self.due_at)
        return self.due_at if missed else None


def reckon(events: Iterable[Event[Any]], targets: Targets) -> list[Reckoned]:
    """Every clock of every ticket, from the facts on `opora.tickets` in any order, repetitions included.

    Raises ValueError where a priority with another target was given to a ticket.
    """
    facts: dict[UUID, dict[int, Event[Any]]] = {}
    for event in events:
        facts.setdefault(event.data.ticket_id, {}).setdefault(event.sequence or 0, event)
    found = [clock for of_ticket in facts.values() for clock in _reckon(list(of_ticket.values()), targets)]
    if all(metric in {Metric.FIRST_RESPONSE, Metric.RESOLUTION} for metric in targets):
        return found
    return [*found, *(clock for of_ticket in facts.values() for clock in _owed(list(of_ticket.values()), targets))]


def _owed(facts: list[Event[Any]], targets: Targets) -> Iterator[Reckoned]:
    created = next((event.data for event in facts if isinstance(event.data, TicketCreated)), None)
    if created is None:
        return
    waits = [
        (event.time, event.data.waiting_on if isinstance(event.data, TicketHeld) else None)
        for event in sorted(facts, key=lambda event: (event.time, event.sequence or 0))
        if isinstance(event.data, TicketHeld | TicketResumed)
    ]
    for (ticket_id, metric, cycle), span in commitments(facts).items():
        target = _seconds(targets.get(f"{metric}:{span.party}" if metric == OPERATIONAL else metric), created.priority)
        if target is not None:
            clock = _lived(span, target, waits, _RESTS.get(metric, frozenset()))
            yield Reckoned(
                ticket_id=ticket_id,
                metric=metric,
                cycle=cycle,
                started_at=clock.started_at,
                due_at=clock.due_at,
                stopped_at=clock.stopped_at,
            )


def _lived(
    span: Span, target: timedelta, waits: list[tuple[datetime, WaitingOn | None]], rests: frozenset[WaitingOn]
) -> "_Clock":
    before = [waiting_on for at, waiting_on in waits if at <= span.started_at]
    resting = bool(before) and before[-1] in rests
    clock = _Clock(span.started_at, bool(rests), left=target, since=None if resting else span.started_at)
    for at, waiting_on in waits:
        if at > span.started_at and (span.stopped_at is None or at <= span.stopped_at):
            clock.pass_time(at)
            clock.wait(at, waiting=waiting_on in rests)
    if span.stopped_at is not None:
        clock.pass_time(span.stopped_at)
        clock.stopped_at = span.stopped_at
    return clock


def _seconds(allowed: int | Mapping[Priority, int] | None, priority: Priority) -> timedelta | None:
    seconds = allowed.get(priority) if isinstance(allowed, Mapping) else allowed
    return None if seconds is None else timedelta(seconds=seconds)


def _reckon(facts: list[Event[Any]], targets: Targets) -> list[Reckoned]:
    created = next((event.data for event in facts if isinstance(event.data, TicketCreated)), None)
    if created is None:
        return []
    walk = _Walk(created, targets)
    for event in sorted(facts, key=lambda event: (event.time, event.sequence or 0)):
        walk.take(event)
    return [
        Reckoned(
            ticket_id=created.ticket_id,
            metric=metric,
            cycle=cycle,
            started_at=clock.started_at,
            due_at=clock.due_at,
            stopped_at=clock.stopped_at,
        )
        for (metric, cycle), clock in walk.clocks.items()
    ]


@dataclass(slots=True)
class _Clock:
    started_at: datetime
    pauses: bool
    """Whether it stands still while the ticket waits for its customer."""
    left: timedelta
    """What of the target is not used up at `since`."""
    since: datetime | None
    """When it began to run; None while it stands still."""
    missed_at: datetime | None = None
    stopped_at: datetime | None = None

    @property
    def due_at(self) -> datetime | None:
        if self.missed_at is not None:
            return self.missed_at
        return None if self.since is None else self.since + self.left

    def pass_time(self, until: datetime) -> None:
        if self.stopped_at is None and self.due_at is not None and self.due_at < until:
            self.missed_at = self.due_at

    def wait(self, at: datetime, *, waiting: bool) -> None:
        if not self.pauses or self.stopped_at is not None or waiting == (self.since is None):
            return
        if self.since is not None:
            self.left -= at - self.since
        self.since = None if waiting else at


class _Walk:
    """A ticket on its way through its facts, in their order."""

    def __init__(self, created: TicketCreated, targets: Targets) -> None:
        self.clocks: dict[tuple[str, int], _Clock] = {}
        self._targets = targets
        self._priority = created.priority
        self._waiting = False

    def take(self, event: Event[Any]) -> None:
        """Let time pass until the fact, and then the fact act."""
        at, fact = event.time, event.data
        for clock in self.clocks.values():
            clock.pass_time(at)
        match fact:
            case TicketCreated():
                self._start(Metric.FIRST_RESPONSE, 1, at)
                self._start(Metric.RESOLUTION, 1, at)
            case TicketReplied(author_kind=AuthorKind.AGENT):
                self._stop(at, Metric.FIRST_RESPONSE)
            case TicketResolved() | TicketClosed():
                self._stop(at, Metric.FIRST_RESPONSE, Metric.RESOLUTION)
            case TicketReopened():
                self._start(Metric.RESOLUTION, fact.cycle, at)
            case TicketHeld() | TicketResumed():
                self._wait(at, waiting=isinstance(fact, TicketHeld) and fact.waiting_on is WaitingOn.CUSTOMER)
            case TicketAssessed() if any(self._target(m) != self._target(m, fact.priority) for m in self._targets):
                raise ValueError(f"ticket {fact.ticket_id} got another target: the run's agreement must not change it")
            case _:
                pass

    def _start(self, metric: Metric, cycle: int, at: datetime) -> None:
        target = self._target(metric)
        if target is not None:
            pauses = metric is Metric.RESOLUTION
            since = None if pauses and self._waiting else at
            self.clocks[metric, cycle] = _Clock(at, pauses, left=target, since=since)

    def _stop(self, at: datetime, *metrics: Metric) -> None:
        for (metric, _), clock in self.clocks.items():
            if metric in metrics and clock.stopped_at is None:
                clock.stopped_at = at

    def _wait(self, at: datetime, *, waiting: bool) -> None:
        self._waiting = waiting
        for clock in self.clocks.values():
            clock.wait(at, waiting=waiting)

    def _target(self, metric: str, priority: Priority | None = None) -> timedelta | None:
        return _seconds(self._targets.get(metric), priority or self._priority)
