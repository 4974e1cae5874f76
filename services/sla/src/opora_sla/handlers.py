"""What happens when facts of tickets arrive, when marks arrive, and when an agreement is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from opora_chassis.database import Transaction
from opora_chassis.errors import PermanentError
from opora_chassis.http import NotFound
from opora_chassis.identifiers import new_id
from opora_chassis.marks import Mark
from opora_contracts.event import Event
from opora_contracts.tickets import TicketCreated, TicketFact
from opora_sla.agreement import Agreement, AgreementDocument, choose, dimensions_of
from opora_sla.calendar_handlers import named_calendar
from opora_sla.domain import advance, needs_history, open_case
from opora_sla.store import agreements as agreement_store
from opora_sla.store import cases as case_store
from opora_sla.store import decisions as decision_store


async def follow_tickets(events: Sequence[Event[TicketFact]], tx: Transaction) -> None:
    """Keep each ticket's clocks equal to the fold of its facts. Duplicates and gaps never reach this function.

    Each ticket of the batch is judged once, at its last fact: that far all its facts are known.
    """
    by_ticket = {
        ticket_id: list(group)
        for ticket_id, group in groupby(
            sorted(events, key=lambda event: event.data.ticket_id), key=lambda event: event.data.ticket_id
        )
    }
    cases = await case_store.lock_cases(tx, by_ticket.keys())
    to_fold_anew = [case for ticket_id, case in cases.items() if needs_history(case, by_ticket[ticket_id])]
    cases |= await case_store.with_history(tx, to_fold_anew)
    agreements = await _agreements_of(tx, cases.values())
    newest: list[Agreement] | None = None
    opened, decisions = [], []
    for ticket_id, facts in by_ticket.items():
        case = cases.get(ticket_id)
        if case is not None:
            agreement = agreements[case.agreement_id, case.agreement_version]
            decisions.append(advance(case, facts, agreement, judged_at=facts[-1].time, now=tx.now))
            continue
        newest = newest if newest is not None else await agreement_store.newest_agreements(tx)
        created = _created(facts[0])
        agreement = choose(newest, dimensions_of(created.data), created.time)
        opened.append(advance(open_case(created, agreement), facts, agreement, judged_at=facts[-1].time, now=tx.now))
    await decision_store.save(tx, decisions, opened=opened)
    tx.emit(*(event for decision in (*opened, *decisions) for event in decision.events))


async def follow_marks(marks: Sequence[Mark], tx: Transaction) -> None:
    """Remember how far each partition is complete, live and per import. An older mark changes nothing."""
    furthest: dict[tuple[int, str], datetime] = {}
    for mark in marks:
        key = (mark.partition, mark.import_id or case_store.LIVE)
        furthest[key] = max(mark.complete_before, furthest.get(key, mark.complete_before))
    await case_store.advance_watermarks(tx, furthest)


async def create_agreement(tx: Transaction, document: AgreementDocument) -> Agreement:
    """A new agreement in version 1; or the one that says just this already, so that a repetition changes nothing.

    Raises Unprocessable for one that names an unknown calendar.
    """
    same = await agreement_store.find_same_document(tx, document)
    return same or await agreement_store.add_version(tx, new_id(), 1, document, await named_calendar(tx, document))


async def revise_agreement(tx: Transaction, agreement_id: UUID, document: AgreementDocument) -> Agreement:
    """The next version of an agreement; or its newest, when that says just this already.

    Raises NotFound, and Unprocessable for one that names an unknown calendar.
    """
    newest = await agreement_store.lock_newest_version(tx, agreement_id)
    if newest is None:
        raise NotFound("agreement", agreement_id)
    if newest.document.as_json() == document.as_json():
        return newest
    named = await named_calendar(tx, document)
    return await agreement_store.add_version(tx, agreement_id, newest.version + 1, document, named)


async def _agreements_of(tx: Transaction, cases: Any) -> Mapping[tuple[UUID, int], Agreement]:
    pins = {(case.agreement_id, case.agreement_version) for case in cases}
    return await agreement_store.pinned_agreements(tx, pins) if pins else {}


def _created(event: Event[TicketFact]) -> Event[TicketCreated]:
    if not isinstance(event.data, TicketCreated):
        raise PermanentError(
            f"{event.type} of ticket {event.subject} arrived without its ticket.created before it: read the topic"
            " from its beginning, or redrive the missing facts first"
        )
    return event  # type: ignore[return-value]  # just seen to hold a TicketCreated
