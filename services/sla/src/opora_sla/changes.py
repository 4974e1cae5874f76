"""Agreements that change under open tickets: preview, request, and the loop that carries requests out in batches."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from prometheus_client import Counter as Total

from opora_chassis.database import Database, Transaction
from opora_chassis.http import NotFound
from opora_chassis.identifiers import new_id
from opora_chassis.platform import Platform
from opora_chassis.resting import rest
from opora_sla.agreement import AgreementDocument, read_agreement
from opora_sla.calendar_handlers import named_calendar
from opora_sla.domain import Case, CaseFact, Change, changes, fold, migrate
from opora_sla.store import agreements as agreement_store
from opora_sla.store import cases as case_store
from opora_sla.store import changes as change_store
from opora_sla.store import decisions as decision_store
from opora_sla.store.changes import AgreementChange, Stretch

log = structlog.get_logger()

MIGRATED = Total("opora_sla_migrated_cases_total", "Open tickets that went over to a newer version of their agreement")

_BATCH = 200
_REST_WHILE_DUE, _REST = 0.25, 0.02
"""Of the time that a stretch took."""
_POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class PreviewedTicket:
    """An open ticket whose clocks would differ."""

    case: Case
    changes: Sequence[Change]


@dataclass(frozen=True, slots=True)
class Preview:
    """What a draft would change for some of the open tickets under an agreement."""

    examined: int
    last_id: UUID | None
    """The last ticket that was examined, when more may follow."""
    tickets: Sequence[PreviewedTicket]


async def preview(
    database: Database,
    agreement_id: UUID,
    document: AgreementDocument,
    *,
    created_from: datetime | None,
    after_id: UUID | None,
    limit: int,
) -> Preview:
    """Fold up to `limit` open tickets under their own version and under the draft; nothing is written.

    Judged is at each ticket's last judgement. Raises NotFound for an agreement that does not exist.
    """
    newest = await agreement_store.find_agreement(database, agreement_id)
    if newest is None:
        raise NotFound("agreement", agreement_id)
    named = await named_calendar(database, document)
    draft = read_agreement(agreement_id, newest.version + 1, document, newest.created_at, named)
    cases = await change_store.find_open_cases(database, agreement_id, after_id, limit)
    facts = await case_store.facts_of(database, [case.ticket_id for case in cases])
    pins = {(case.agreement_id, case.agreement_version) for case in cases}
    pinned = await agreement_store.pinned_agreements(database, pins) if pins else {}
    tickets = []
    for case in cases:
        known = facts[case.ticket_id]
        if not _is_from(known, created_from):
            continue
        former = pinned[case.agreement_id, case.agreement_version]
        differing = changes(*(fold(known, terms, case.judged_at, with_intervals=False) for terms in (former, draft)))
        if differing:
            tickets.append(PreviewedTicket(case, differing))
    return Preview(len(cases), cases[-1].ticket_id if len(cases) == limit else None, tickets)


async def request_change(
    tx: Transaction, agreement_id: UUID, to_version: int | None, created_from: datetime | None, caller: str
) -> AgreementChange:
    """Ask that open tickets under older versions go over to this one, or to the newest. Raises NotFound."""
    agreement = await agreement_store.find_agreement(tx, agreement_id, to_version)
    if agreement is None:
        raise NotFound("agreement", agreement_id if to_version is None else f"{agreement_id} in version {to_version}")
    change = AgreementChange(
        id=new_id(),
        agreement_id=agreement_id,
        to_version=agreement.version,
        created_from=created_from,
        requested_at=tx.now,
        requested_by=caller,
        effects={},
    )
    await change_store.add_change(tx, change)
    return change


class ChangeWork:
    """A loop that carries requests out; several go on side by side, in one process or in many. It rests for a
    quarter of the time that it worked while a live clock waits to be judged, so that breaches are not held up.
    """

    def __init__(self, platform: Platform) -> None:
        self._database = platform.database

    async def run(self, stop: asyncio.Event) -> None:
        """Carry out what is requested until `stop`. What a crash interrupts is done by whoever comes next."""
        while not stop.is_set():
            began = time.monotonic()
            if not await carry_on(self._database):
                await rest(stop, _POLL_SECONDS)
                continue
            share = _REST_WHILE_DUE if (await case_store.look(self._database)).due else _REST
            await rest(stop, share * (time.monotonic() - began))


async def carry_on(database: Database, batch: int = _BATCH) -> bool:
    """Set the next stretch of the oldest request, and take one over; False when there is nothing to do.

    Each ticket goes over once: clocks and facts are written in the transaction that takes its stretch away. A ticket
    that is reopened behind the position keeps its version.
    """
    async with database.transaction() as tx:
        went_on = await _set_out(tx, batch)
    async with database.transaction() as tx:
        stretch = await change_store.take_stretch(tx)
        if stretch is not None:
            await _take_over(tx, stretch)
    return went_on or stretch is not None


async def _set_out(tx: Transaction, batch: int) -> bool:
    change = await change_store.lock_unfinished(tx)
    if change is None:
        return False
    if await change_store.set_stretch(tx, change, batch):
        return True
    finished = await change_store.finish(tx, change)
    if finished:
        tx.after_commit(lambda: log.info("agreement_changed", agreement_id=str(change.agreement_id)))
    return finished


async def _take_over(tx: Transaction, stretch: Stretch) -> None:
    cases = await change_store.lock_open_cases(tx, stretch)
    known = await case_store.with_history(tx, cases)
    ours = [case for case in known.values() if case.history and _is_from(case.history.facts, stretch.created_from)]
    pin = (stretch.agreement_id, stretch.to_version)
    to = (await agreement_store.pinned_agreements(tx, [pin]))[pin]
    judged = [migrate(case, to, now=tx.now) for case in ours]
    decisions = [decision for decision, _ in judged]
    await decision_store.save(tx, decisions)
    tx.emit(*(event for decision in decisions for event in decision.events))
    tx.after_commit(lambda: MIGRATED.inc(len(ours)))
    effects = Counter(effect.value for _, differing in judged for _, effect in differing)
    await change_store.add_progress(tx, stretch.change_id, examined=len(cases), migrated=len(ours), effects=effects)


def _is_from(facts: Sequence[CaseFact], created_from: datetime | None) -> bool:
    """Whether the ticket was created then or later."""
    return created_from is None or min(fact.at for fact in facts if fact.kind == "created") >= created_from
