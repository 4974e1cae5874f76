"""Tickets with their history, read and locked, and the watermarks that judge them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from pydantic_core import from_json

from opora_chassis.database import Database, Transaction
from opora_contracts.vocabulary import Outcome, Priority
from opora_sla.calendar import microseconds
from opora_sla.domain import (
    Case,
    CaseFact,
    ClockKey,
    History,
    StepKey,
    StepName,
    Told,
    Waypoint,
    fact_from_json,
    waypoint_from_json,
)
from opora_sla.metrics import ClockMetric

LIVE = ""
"""The domain of tickets that are judged by live time; the others' is their import's id."""

Reader = Database | Transaction


class Outlook(NamedTuple):
    """What the timers see."""

    watermarks: dict[int, datetime]
    """The live one of each partition."""
    due: bool
    """Whether some case is due by its watermark, live or imported."""


async def lock_cases(tx: Transaction, ticket_ids: Collection[UUID]) -> dict[UUID, Case]:
    """These tickets' cases without their history, locked in the order of their ids until the transaction ends."""
    # Plan: one primary key probe per ticket.
    rows = await tx.fetch(
        "select * from cases where ticket_id = any($1::uuid[]) order by ticket_id for update", list(ticket_ids)
    )
    return {row["ticket_id"]: case_of_row(row) for row in rows}


async def claim_due(tx: Transaction, limit_per_domain: int) -> dict[UUID, tuple[Case, datetime]]:
    """Cases in which time alone has brought something, without their history, each with the watermark that judges it.

    They are locked; what another process has locked is left to it. A ticket whose key is parked is left alone: facts of
    it wait among the dead letters, so its evidence is incomplete.
    """
    # Plan: watermarks (a few dozen rows) drive a nested loop; each probes cases_due (partition, domain, next_fire_at)
    # and reads what is due in its order, so an idle look costs one empty index probe per watermark.
    rows = await tx.fetch(
        "select due.*, watermarks.complete_before as judged_by from watermarks cross join lateral ("
        "  select cases.* from cases"
        "  where cases.partition = watermarks.partition and cases.domain = watermarks.domain"
        "  and cases.next_fire_at < watermarks.complete_before"
        "  and not exists (select from parked_keys"
        "    where consumer = 'opora.tickets' and key = cases.ticket_id::text)"
        "  order by cases.next_fire_at limit $1 for update of cases skip locked"
        ") as due",
        limit_per_domain,
    )
    return {row["ticket_id"]: (case_of_row(row), row["judged_by"]) for row in rows}


async def claim_blind(
    tx: Transaction, partitions: Sequence[int], judged_by: datetime, limit_per_partition: int
) -> dict[UUID, tuple[Case, datetime]]:
    """The same for live tickets of partitions of whose completeness there is no news, judged by a given instant."""
    # Plan: one probe of cases_due per partition.
    rows = await tx.fetch(
        "select due.*, $2::timestamptz as judged_by from unnest($1::integer[]) as blind (partition)"
        " cross join lateral ("
        "  select cases.* from cases"
        "  where cases.partition = blind.partition and cases.domain = '' and cases.next_fire_at < $2"
        "  and not exists (select from parked_keys"
        "    where consumer = 'opora.tickets' and key = cases.ticket_id::text)"
        "  order by cases.next_fire_at limit $3 for update of cases skip locked"
        ") as due",
        list(partitions),
        judged_by,
        limit_per_partition,
    )
    return {row["ticket_id"]: (case_of_row(row), row["judged_by"]) for row in rows}


async def look(database: Database) -> Outlook:
    """How far the evidence reaches, and whether `claim_due` would find something: one query, no transaction."""
    # Plan: as in claim_due, one probe of cases_due per watermark; the order by, which an exists would drop, keeps the
    # planner on that index.
    row = await database.fetchrow(
        "select array_agg(partition) filter (where domain = '') as partitions,"
        " array_agg(complete_before) filter (where domain = '') as complete_before,"
        " coalesce(bool_or((select true from cases"
        "  where cases.partition = watermarks.partition and cases.domain = watermarks.domain"
        "  and cases.next_fire_at < watermarks.complete_before"
        "  and not exists (select from parked_keys"
        "    where consumer = 'opora.tickets' and key = cases.ticket_id::text)"
        "  order by cases.next_fire_at limit 1"
        ")), false) as due from watermarks"
    )
    if row is None or row["partitions"] is None:
        return Outlook({}, due=row is not None and row["due"])
    return Outlook(dict(zip(row["partitions"], row["complete_before"], strict=True)), due=row["due"])


async def with_history(tx: Transaction, cases: Collection[Case]) -> dict[UUID, Case]:
    """The same cases with their facts and with what was said of them."""
    if not cases:
        return {}
    ids = [case.ticket_id for case in cases]
    facts = await facts_of(tx, ids)
    fired: dict[UUID, list[StepKey]] = {}
    told: dict[UUID, dict[ClockKey, Told]] = {}
    # Plan of both: a range of the primary key per ticket.
    for row in await tx.fetch(
        "select ticket_id, metric, cycle, step, ordinal from fired_steps where ticket_id = any($1::uuid[])", ids
    ):
        key = StepKey(ClockMetric(row["metric"]), row["cycle"], StepName(row["step"]), row["ordinal"])
        fired.setdefault(row["ticket_id"], []).append(key)
    for row in await tx.fetch(
        "select ticket_id, metric, cycle, outcome, due_at, target_seconds, party from clocks"
        " where ticket_id = any($1::uuid[])",
        ids,
    ):
        clock_key = ClockKey(ClockMetric(row["metric"]), row["cycle"])
        told.setdefault(row["ticket_id"], {})[clock_key] = Told(
            Outcome(row["outcome"]), row["due_at"], row["target_seconds"], row["party"]
        )
    histories = {each: History(facts[each], frozenset(fired.get(each, ())), told.get(each, {})) for each in ids}
    return {case.ticket_id: case._replace(history=histories[case.ticket_id]) for case in cases}


async def facts_of(reader: Reader, ticket_ids: Collection[UUID]) -> dict[UUID, tuple[CaseFact, ...]]:
    """The facts of each of these tickets in the order of their sequence."""
    facts: dict[UUID, list[CaseFact]] = {ticket_id: [] for ticket_id in ticket_ids}
    # Plan: a range of the primary key per ticket.
    for row in await reader.fetch(
        "select ticket_id, fact from case_facts where ticket_id = any($1::uuid[]) order by ticket_id, sequence",
        list(ticket_ids),
    ):
        facts[row["ticket_id"]].append(fact_from_json(row["fact"]))
    return {ticket_id: tuple(each) for ticket_id, each in facts.items()}


async def advance_watermarks(tx: Transaction, marks: Mapping[tuple[int, str], datetime]) -> None:
    """Move the watermarks of these (partition, domain) on; an older mark than the known one changes nothing."""
    ordered = sorted(marks)
    await tx.execute(
        "insert into watermarks (partition, domain, complete_before)"
        " select * from unnest($1::integer[], $2::text[], $3::timestamptz[])"
        " on conflict (partition, domain) do update set complete_before = excluded.complete_before"
        " where watermarks.complete_before < excluded.complete_before",
        [partition for partition, _ in ordered],
        [domain for _, domain in ordered],
        [marks[key] for key in ordered],
    )


async def watermarks(reader: Reader, domain: str) -> dict[int, datetime]:
    """The watermark of each partition in one domain."""
    rows = await reader.fetch("select partition, complete_before from watermarks where domain = $1", domain)
    return {row["partition"]: row["complete_before"] for row in rows}


async def open_clocks(reader: Reader) -> dict[str, int]:
    """How many clocks of each metric are open, zeroes included."""
    # Plan: an index-only scan of the open part of clocks_by_outcome (outcome, ticket_id, metric, cycle).
    rows = await reader.fetch(
        "select metric, count(*) as open from clocks where outcome = $1 group by metric", Outcome.OPEN.value
    )
    return {metric.value: 0 for metric in ClockMetric} | {row["metric"]: row["open"] for row in rows}


async def find_cases(reader: Reader, ticket_ids: Collection[UUID]) -> dict[UUID, Case]:
    """These tickets' cases without their history; those unknown are left out."""
    rows = await reader.fetch("select * from cases where ticket_id = any($1::uuid[])", list(ticket_ids))
    return {row["ticket_id"]: case_of_row(row) for row in rows}


def case_of_row(row: Any, *, with_waypoint: bool = True) -> Case:
    """The case in a row of the table, without its history; for a fold anew also without its waypoint."""
    return Case(
        ticket_id=row["ticket_id"],
        number=row["number"],
        external_source=row["external_source"],
        external_id=row["external_id"],
        import_id=row["import_id"],
        live=row["domain"] == LIVE,
        partition=row["partition"],
        agreement_id=row["agreement_id"],
        agreement_version=row["agreement_version"],
        organization_id=row["organization_id"],
        tier=row["tier"],
        product=row["product"],
        kind=row["kind"],
        channel=row["channel"],
        priority=Priority(row["priority"]),
        assignee=row["assignee"],
        group=row["group"],
        judged_at=row["judged_at"],
        next_fire_at=row["next_fire_at"],
        open=row["open"],
        last_sequence=row["last_sequence"],
        emitted_sequence=row["emitted_sequence"],
        waypoint=_waypoint(row) if with_waypoint and row["waypoint"] is not None else None,
        history=None,
    )


def stamp(judged_at: datetime, last_sequence: int, emitted_sequence: int) -> list[Any]:
    """What a waypoint holds for: whoever changes the case without it, such as code of before, outdates it."""
    return [microseconds(judged_at), last_sequence, emitted_sequence]


def _waypoint(row: Any) -> Waypoint | None:
    stamped, waypoint = from_json(row["waypoint"])
    current = stamp(row["judged_at"], row["last_sequence"], row["emitted_sequence"])
    return waypoint_from_json(waypoint) if stamped == current else None
