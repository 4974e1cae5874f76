"""Reports that need the tickets' histories: read in portions, folded anew, counted. Nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import NamedTuple
from uuid import UUID

from opora_chassis.database import Database
from opora_contracts.vocabulary import Outcome
from opora_sla.domain import ClockKey
from opora_sla.metrics import ClockMetric
from opora_sla.reading import Reading, read_tickets
from opora_sla.reporting import Causes, Pause, Times, pauses, stays, ways_until
from opora_sla.reporting.causes import By
from opora_sla.reporting.times import Place
from opora_sla.store import causes as cause_store
from opora_sla.store.compliance import Window

_TICKETS_AT_ONCE = 100
_TICKETS_A_PAGE = 1_000
"""More are not folded for one page of the ledger, so that a page has an end even when few of them have a pause."""


@dataclass(frozen=True, slots=True)
class BreachCauses:
    """What was found of the breached clocks, and how many there are of each metric."""

    breached: dict[ClockMetric, int]
    causes: Causes


class LedgerPlace(NamedTuple):
    """Where a page of the ledger ended: behind this pause, or, without one, behind this whole ticket."""

    ticket_id: UUID
    from_at: datetime | None = None
    metric: str | None = None
    cycle: int | None = None


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """A pause with its ticket."""

    ticket_id: UUID
    number: str
    pause: Pause

    @property
    def place(self) -> LedgerPlace:
        """Where the ledger goes on behind this pause."""
        key = self.pause.key
        return LedgerPlace(self.ticket_id, self.pause.from_at, key.metric.value, key.cycle)


@dataclass(frozen=True, slots=True)
class LedgerPage:
    """Some pauses, in the order of (ticket, beginning, metric, cycle). Without `next` there are no more."""

    lines: Sequence[LedgerLine]
    next: LedgerPlace | None


async def breach_causes(
    database: Database, window: Window, metric: ClockMetric | None, by: By, limit: int
) -> BreachCauses:
    """The causes of what was breached in the window, of at most `limit` clocks, which are then a sample."""
    wanted = metric.value if metric else None
    breached = await cause_store.count_breached(database, window, wanted)
    drawn = await cause_store.sample_breached(database, window, wanted, limit)
    causes = Causes()
    tickets = iter(drawn)
    while portion := list(islice(tickets, _TICKETS_AT_ONCE)):
        for reading in await read_tickets(database, portion):
            _take(causes, reading, drawn[reading.case.ticket_id], by)
    return BreachCauses(breached, causes)


async def ticket_times(database: Database, window: Window, by: Place, limit: int) -> tuple[Times, int]:
    """How long tickets were where, of which a clock started in the window: at most `limit` of so many."""
    drawn, tickets = await cause_store.sample_tickets(database, window, limit)
    times = Times(by)
    ids = iter(drawn)
    while portion := list(islice(ids, _TICKETS_AT_ONCE)):
        for reading in await read_tickets(database, portion):
            times.take(stays(reading.facts, reading.agreement.calendar, by))
    return times, tickets


async def pause_ledger(
    database: Database, window: Window, after: LedgerPlace | None, limit: int, shortly_before_seconds: int
) -> LedgerPage:
    """Pauses that began in the window, from behind `after` on."""
    lines: list[LedgerLine] = []
    # A ticket of which only some pauses fitted on the page before is read again.
    from_id = after.ticket_id if after and after.from_at is not None else None
    after_id = after.ticket_id if after and after.from_at is None else None
    for _ in range(_TICKETS_A_PAGE // _TICKETS_AT_ONCE):
        ids = await cause_store.paused_tickets(database, window, from_id, after_id, _TICKETS_AT_ONCE)
        for reading in await read_tickets(database, ids) if ids else ():
            lines += [line for line in _lines(reading, window, shortly_before_seconds) if _is_behind(line, after)]
        if len(lines) > limit:
            return LedgerPage(lines[:limit], lines[limit - 1].place)
        if len(ids) < _TICKETS_AT_ONCE:
            return LedgerPage(lines, None)
        from_id, after_id = None, ids[-1]
    return LedgerPage(lines, LedgerPlace(ids[-1]))


def _take(causes: Causes, reading: Reading, keys: Sequence[ClockKey], by: By) -> None:
    for clock in reading.clocks.clocks:
        # A fact that came in a moment ago may have withdrawn the breach.
        if clock.key in keys and clock.outcome is Outcome.BREACHED and clock.due_at is not None:
            ways = ways_until(reading.facts, reading.agreement.calendar, clock.started_at, clock.due_at, by)
            causes.take(clock.key.metric, ways)


def _lines(reading: Reading, window: Window, shortly_before_seconds: int) -> list[LedgerLine]:
    found = pauses(reading.clocks, reading.facts, reading.agreement, shortly_before_seconds)
    return [
        LedgerLine(reading.case.ticket_id, reading.case.number, pause)
        for pause in found
        if (window.from_at is None or pause.from_at >= window.from_at)
        and (window.to_at is None or pause.from_at < window.to_at)
    ]


def _is_behind(line: LedgerLine, after: LedgerPlace | None) -> bool:
    if after is None or line.ticket_id != after.ticket_id:
        return True
    return tuple(line.place) > tuple(after)
