"""Tickets as they stand now, for those who ask: folded anew up to the watermark, without writing anything."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from opora_chassis.database import Database
from opora_sla.agreement import Agreement
from opora_sla.domain import Case, CaseFact, Clocks, fold
from opora_sla.store import agreements as agreement_store
from opora_sla.store import cases as case_store


@dataclass(frozen=True, slots=True)
class Reading:
    """A ticket with the agreement that it pinned and its clocks, judged as far as all its facts are known."""

    case: Case
    facts: Sequence[CaseFact]
    agreement: Agreement
    clocks: Clocks


async def read_tickets(database: Database, ticket_ids: Collection[UUID]) -> list[Reading]:
    """These tickets in the order of their ids; those unknown are left out.

    A clock may show here as breached a moment before `sla.breached` is published, never the other way round.
    """
    cases = await case_store.find_cases(database, ticket_ids)
    facts = await case_store.facts_of(database, cases)
    pins = {(case.agreement_id, case.agreement_version) for case in cases.values()}
    agreements = await agreement_store.pinned_agreements(database, pins)
    domains = {case.open_import_id or case_store.LIVE for case in cases.values()}
    seen = {domain: await case_store.watermarks(database, domain) for domain in domains}
    readings = []
    for ticket_id, case in sorted(cases.items()):
        agreement = agreements[case.agreement_id, case.agreement_version]
        seen_before = seen[case.open_import_id or case_store.LIVE].get(case.partition, case.judged_at)
        clocks = fold(facts[ticket_id], agreement, max(case.judged_at, seen_before))
        readings.append(Reading(case, facts[ticket_id], agreement, clocks))
    return readings


async def read_ticket(database: Database, ticket_id: UUID) -> Reading | None:
    """One ticket, or None when sla has not heard of it."""
    readings = await read_tickets(database, [ticket_id])
    return readings[0] if readings else None
