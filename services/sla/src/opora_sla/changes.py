"""Agreements that change under open tickets: preview, request, and the loop that carries requests out in batches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

import structlog
from prometheus_client import Counter

from opora_chassis.database import Database, Transaction
from opora_chassis.http import NotFound
from opora_chassis.identifiers import new_id
from opora_chassis.platform import Platform
from opora_chassis.resting import rest
from opora_sla.agreement import Agreement, AgreementDocument, read_agreement
from opora_sla.calendar_handlers import named_calendar
from opora_sla.domain import Case, CaseFact, Change, changes, fold, migrate
from opora_sla.store import agreements as agreement_store
from opora_sla.store import cases as case_store
from opora_sla.store import changes as change_store
from opora_sla.store import decisions as decision_store
from opora_sla.store.changes import AgreementChange

log = structlog.get_logger()

MIGRATED = Counter(
    "opora_sla_migrated_cases_total", "Open tickets that went over to a newer version of their agreement"
)

_BATCH = 200
_SHORT_REST = 0.1
"""Of the time that a batch took."""
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
    """The loop that carries requests out. It rests as long as it worked while a live clock waits to be judged, and a
    tenth of that while none does, so that breaches are not held up.
    """

    def __init__(self, platform: Platform) -> None:
        self._database = platform.database

    async def run(self, stop: asyncio.Event) -> None:
        """Carry out what is requested until `stop`. After a crash the next process goes on behind the last batch."""
        while not stop.is_set():
            began = time.monotonic()
            async with self._database.transaction() as tx:
                worked = await carry_on(tx)
            if not worked:
                await rest(stop, _POLL_SECONDS)
                continue
            share = 1.0 if (await case_store.look(self._database)).due else _SHORT_REST
            await rest(stop, share * (time.monotonic() - began))


async def carry_on(tx: Transaction, batch: int = _BATCH) -> bool:
    """Take the next batch of the oldest request over; False when there is nothing to do.

    Each ticket goes over once: position, clocks and facts are written in one transaction. A ticket that is reopened
    behind the position keeps its version.
    """
    change = await change_store.claim_unfinished(tx)
    if change is None:
        return False
    cases = await change_store.lock_open_cases(tx, change.agreement_id, change.to_version, change.position, batch)
    if len(cases) < batch:
        change = replace(change, finished_at=tx.now)
    if cases:
        change = await _take_over(tx, change, cases)
    await change_store.save_progress(tx, change)
    if change.finished_at is not None:
        log.info("agreement_changed", agreement_id=str(change.agreement_id), migrated=change.migrated)
    return True


async def _take_over(tx: Transaction, change: AgreementChange, cases: Collection[Case]) -> AgreementChange:
    known = await case_store.with_history(tx, cases)
    ours = [case for case in known.values() if case.history and _is_from(case.history.facts, change.created_from)]
    pins = {(change.agreement_id, case.agreement_version) for case in ours}
    agreements = await agreement_store.pinned_agreements(tx, {*pins, (change.agreement_id, change.to_version)})
    to: Agreement = agreements[change.agreement_id, change.to_version]
    judged = [migrate(case, agreements[case.agreement_id, case.agreement_version], to, now=tx.now) for case in ours]
    decisions = [decision for decision, _ in judged]
    await change_store.pin_version(tx, [case.ticket_id for case in ours], to.version)
    await decision_store.save(tx, decisions)
    tx.emit(*(event for decision in decisions for event in decision.events))
    tx.after_commit(lambda: MIGRATED.inc(len(ours)))
    effects = [one.effect.value for _, differing in judged for one in differing]
    return replace(
        change,
        position=max(case.ticket_id for case in cases),
        examined=change.examined + len(cases),
        migrated=change.migrated + len(ours),
        effects=change_store.effects_added(change.effects, effects),
    )


def _is_from(facts: Sequence[CaseFact], created_from: datetime | None) -> bool:
    """Whether the ticket was created then or later."""
    return created_from is None or min(fact.at for fact in facts if fact.kind == "created") >= created_from
