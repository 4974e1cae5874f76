"""When each commitment of a ticket is owed, from the ticket facts alone. Pure, and no service's code in it.

An `update` is owed from the creation to the next public reply of an agent, and so on until the resolution; what a group
owes (`operational`) from the assignment to it until the ticket is another's or resolved; what a third party owes
(`underpinning`) while the ticket waits for it. A reopening begins what holds then anew.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from opora_cli.checks.history import Clock
from opora_contracts import Event
from opora_contracts.tickets import (
    TicketAssigned,
    TicketClosed,
    TicketCreated,
    TicketHeld,
    TicketReopened,
    TicketReplied,
    TicketResolved,
    TicketResumed,
)
from opora_contracts.vocabulary import AuthorKind, WaitingOn

UPDATE, OPERATIONAL, UNDERPINNING = "update", "operational", "underpinning"


@dataclass(slots=True)
class Span:
    """From when to when somebody owes something; None without an end yet."""

    party: str | None
    started_at: datetime
    stopped_at: datetime | None = None


def commitments(events: Iterable[Event[Any]]) -> dict[Clock, Span]:
    """Every span that an agreement may have a target for, from facts of tickets in any order, repetitions included."""
    facts: dict[UUID, dict[int, Event[Any]]] = {}
    for event in events:
        facts.setdefault(event.data.ticket_id, {}).setdefault(event.sequence or 0, event)
    spans: dict[Clock, Span] = {}
    for ticket_id, of_ticket in facts.items():
        ticket = _Ticket(ticket_id, spans)
        for event in sorted(of_ticket.values(), key=lambda event: (event.time, event.sequence or 0)):
            ticket.take(event.data, event.time)
    return spans


class _Ticket:
    def __init__(self, ticket_id: UUID, spans: dict[Clock, Span]) -> None:
        self._ticket_id, self._spans = ticket_id, spans
        self._last: dict[str, int] = {}
        self._group: str | None = None
        self._waits = False
        self._done = True
        """Whether nobody owes anything: before the creation, and after a resolution."""

    def take(self, fact: Any, at: datetime) -> None:
        match fact:
            case TicketCreated():
                self._group = fact.group
                self._reopen(at)
            case TicketReopened() if self._done:
                self._reopen(at)
            case TicketResolved() | TicketClosed():
                self._done = True
                for metric in self._last:
                    self._stop(metric, at)
            case TicketReplied(author_kind=AuthorKind.AGENT) if not self._done:
                self._stop(UPDATE, at)
                self._start(UPDATE, None, at)
            case TicketAssigned() if fact.group != self._group:
                self._stop(OPERATIONAL, at)
                self._group = fact.group
                if self._group is not None and not self._done:
                    self._start(OPERATIONAL, self._group, at)
            case TicketHeld() | TicketResumed():
                self._wait(at, waits=isinstance(fact, TicketHeld) and fact.waiting_on is WaitingOn.THIRD_PARTY)
            case _:
                pass

    def _reopen(self, at: datetime) -> None:
        self._done = False
        self._start(UPDATE, None, at)
        if self._group is not None:
            self._start(OPERATIONAL, self._group, at)
        if self._waits:
            self._start(UNDERPINNING, WaitingOn.THIRD_PARTY.value, at)

    def _wait(self, at: datetime, *, waits: bool) -> None:
        if waits and not self._waits and not self._done:
            self._start(UNDERPINNING, WaitingOn.THIRD_PARTY.value, at)
        elif not waits:
            self._stop(UNDERPINNING, at)
        self._waits = waits

    def _start(self, metric: str, party: str | None, at: datetime) -> None:
        self._last[metric] = self._last.get(metric, 0) + 1
        self._spans[self._ticket_id, metric, self._last[metric]] = Span(party, at)

    def _stop(self, metric: str, at: datetime) -> None:
        span = self._spans.get((self._ticket_id, metric, self._last.get(metric, 0)))
        if span is not None and span.stopped_at is None:
            span.stopped_at = at
