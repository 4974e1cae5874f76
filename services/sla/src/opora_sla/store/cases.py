"""Tickets with their facts, fired steps and clocks, and the watermarks that judge them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from opora_chassis.database import Database, Transaction
from opora_contracts.vocabulary import Metric, Outcome, Priority
from opora_sla.domain import (
    Case,
    CaseFact,
    Clock,
    ClockKey,
    Decision,
    StepKey,
    StepName,
    fact_from_json,
    fact_to_json,
)

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
    """These tickets' cases, whole, locked in the order of their ids until the transaction ends."""
    # Plan: one primary key probe per ticket.
    rows = await tx.fetch(
        "select * from cases where ticket_id = any($1::uuid[]) order by ticket_id for update", list(ticket_ids)
    )
    return await _whole(tx, rows)


async def claim_due(tx: Transaction, limit_per_domain: int) -> dict[UUID, tuple[Case, datetime]]:
    """Cases in which time alone has brought something, with the watermark that judges each, locked.

    What another process has locked is left to it. A ticket whose key is parked is left alone: facts of it wait among
    the dead letters, so its evidence is incomplete.
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
    return await _with_judgement(tx, rows)


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
    return await _with_judgement(tx, rows)


async def look(database: Database) -> Outlook:
    """How far the evidence reaches, and whether `claim_due` would find something: one query, no transaction."""
    # Plan: as in claim_due, one probe of cases_due per watermark; the order by, which an exists would drop, keeps the
    # planner on that index.
    rows = await database.fetch(
        "select partition, domain, complete_before, coalesce(("
        "  select true from cases"
        "  where cases.partition = watermarks.partition and cases.domain = watermarks.domain"
        "  and cases.next_fire_at < watermarks.complete_before"
        "  and not exists (select from parked_keys"
        "    where consumer = 'opora.tickets' and key = cases.ticket_id::text)"
        "  order by cases.next_fire_at limit 1"
        "), false) as due from watermarks"
    )
    live = {row["partition"]: row["complete_before"] for row in rows if row["domain"] == LIVE}
    return Outlook(live, any(row["due"] for row in rows))


async def save(tx: Transaction, decisions: Sequence[Decision]) -> None:
    """Write what was decided: cases, new facts, fired steps, clocks; one statement each.

    Raises asyncpg.UniqueViolationError when a step that was fired before is fired again, which the row locks exclude.
    """
    if not decisions:
        return
    await tx.execute(_UPSERT_CASES, [_case_row(decision.case) for decision in decisions])
    facts = [(decision.case.ticket_id, fact) for decision in decisions for fact in decision.new_facts]
    if facts:
        await tx.execute(
            "insert into case_facts (ticket_id, sequence, fact)"
            " select * from unnest($1::uuid[], $2::bigint[], $3::jsonb[])",
            [ticket_id for ticket_id, _ in facts],
            [fact.sequence for _, fact in facts],
            [fact_to_json(fact) for _, fact in facts],
        )
    fired = [(decision.case.ticket_id, key) for decision in decisions for key in decision.new_keys]
    if fired:
        await tx.execute(
            "insert into fired_steps (ticket_id, metric, cycle, step, ordinal, fired_at)"
            " select *, $6::timestamptz from unnest($1::uuid[], $2::text[], $3::integer[], $4::text[], $5::bigint[])",
            [ticket_id for ticket_id, _ in fired],
            [key.metric.value for _, key in fired],
            [key.cycle for _, key in fired],
            [key.name.value for _, key in fired],
            [key.ordinal for _, key in fired],
            tx.now,
        )
    clocks = [_clock_row(decision, clock) for decision in decisions for clock in decision.clocks.clocks]
    if clocks:
        await tx.execute(_UPSERT_CLOCKS, clocks)
    await _cancel_vanished(tx, decisions)


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
    return {metric.value: 0 for metric in Metric} | {row["metric"]: row["open"] for row in rows}


async def find_case(reader: Reader, ticket_id: UUID) -> Case | None:
    """The case of a ticket, whole, or None."""
    return (await find_cases(reader, [ticket_id])).get(ticket_id)


async def find_cases(reader: Reader, ticket_ids: Collection[UUID]) -> dict[UUID, Case]:
    """These tickets' cases, whole; those unknown are left out."""
    rows = await reader.fetch("select * from cases where ticket_id = any($1::uuid[])", list(ticket_ids))
    return await _whole(reader, rows)


async def _with_judgement(tx: Transaction, rows: Sequence[Any]) -> dict[UUID, tuple[Case, datetime]]:
    cases = await _whole(tx, rows)
    return {row["ticket_id"]: (cases[row["ticket_id"]], row["judged_by"]) for row in rows}


async def _whole(reader: Reader, rows: Sequence[Any]) -> dict[UUID, Case]:
    """Add to the rows of cases their facts, fired steps and told outcomes."""
    if not rows:
        return {}
    ids = [row["ticket_id"] for row in rows]
    facts: dict[UUID, list[CaseFact]] = {}
    fired: dict[UUID, list[StepKey]] = {}
    told: dict[UUID, dict[ClockKey, Outcome]] = {}
    # Plan of all three: a range of the primary key per ticket.
    for row in await reader.fetch(
        "select ticket_id, fact from case_facts where ticket_id = any($1::uuid[]) order by ticket_id, sequence", ids
    ):
        facts.setdefault(row["ticket_id"], []).append(fact_from_json(row["fact"]))
    for row in await reader.fetch(
        "select ticket_id, metric, cycle, step, ordinal from fired_steps where ticket_id = any($1::uuid[])", ids
    ):
        key = StepKey(Metric(row["metric"]), row["cycle"], StepName(row["step"]), row["ordinal"])
        fired.setdefault(row["ticket_id"], []).append(key)
    for row in await reader.fetch(
        "select ticket_id, metric, cycle, outcome from clocks where ticket_id = any($1::uuid[])", ids
    ):
        clock_key = ClockKey(Metric(row["metric"]), row["cycle"])
        told.setdefault(row["ticket_id"], {})[clock_key] = Outcome(row["outcome"])
    return {
        row["ticket_id"]: _case(row, facts.get(row["ticket_id"], []), fired.get(row["ticket_id"], []), told)
        for row in rows
    }


def _case(
    row: Any, facts: Sequence[CaseFact], fired: Sequence[StepKey], told: Mapping[UUID, Mapping[ClockKey, Outcome]]
) -> Case:
    return Case(
        **{name: row[name] for name in _CASE_COLUMNS if name not in {"domain", "priority"}},
        priority=Priority(row["priority"]),
        live=row["domain"] == LIVE,
        facts=tuple(facts),
        fired=frozenset(fired),
        told=told.get(row["ticket_id"], {}),
    )


_CASE_COLUMNS = (
    "ticket_id",
    "number",
    "external_source",
    "external_id",
    "import_id",
    "domain",
    "partition",
    "agreement_id",
    "agreement_version",
    "organization_id",
    "tier",
    "product",
    "kind",
    "channel",
    "priority",
    "assignee",
    "group",
    "judged_at",
    "next_fire_at",
    "open",
    "last_sequence",
    "emitted_sequence",
)
_CASE_CHANGES = (
    "domain",
    "priority",
    "assignee",
    "group",
    "judged_at",
    "next_fire_at",
    "open",
    "last_sequence",
    "emitted_sequence",
)
_QUOTED = ", ".join(f'"{name}"' for name in _CASE_COLUMNS)
_UPSERT_CASES = (
    f"insert into cases ({_QUOTED}) select {_QUOTED} from jsonb_populate_recordset(null::cases, $1::jsonb)"
    " on conflict (ticket_id) do update set " + ", ".join(f'"{name}" = excluded."{name}"' for name in _CASE_CHANGES)
)
_UPSERT_CLOCKS = (
    "insert into clocks select * from jsonb_populate_recordset(null::clocks, $1::jsonb)"
    " on conflict (ticket_id, metric, cycle) do update set outcome = excluded.outcome, state = excluded.state,"
    " started_at = excluded.started_at, due_at = excluded.due_at, stopped_at = excluded.stopped_at,"
    " used_seconds = excluded.used_seconds, target_seconds = excluded.target_seconds, priority = excluded.priority,"
    " judged_at = excluded.judged_at"
)


def _case_row(case: Case) -> dict[str, Any]:
    row = {name: getattr(case, name) for name in _CASE_COLUMNS if name != "domain"}
    row["domain"] = case.open_import_id or LIVE
    return {name: _json(value) for name, value in row.items()}


def _clock_row(decision: Decision, clock: Clock) -> dict[str, Any]:
    return {
        "ticket_id": str(decision.case.ticket_id),
        "metric": clock.key.metric.value,
        "cycle": clock.key.cycle,
        "outcome": clock.outcome.value,
        "state": clock.state,
        "started_at": clock.started_at.isoformat(),
        "due_at": _json(clock.due_at),
        "stopped_at": _json(clock.stopped_at),
        "used_seconds": clock.used_seconds,
        "target_seconds": clock.target_seconds,
        "priority": clock.priority.value,
        "judged_at": decision.clocks.judged_at.isoformat(),
    }


async def _cancel_vanished(tx: Transaction, decisions: Sequence[Decision]) -> None:
    """A clock that a late fact unmade stays in the table, cancelled, because it was spoken of."""
    vanished = [
        (decision.case.ticket_id, key, decision.clocks.judged_at)
        for decision in decisions
        for key in decision.case.told.keys() - {clock.key for clock in decision.clocks.clocks}
    ]
    if not vanished:
        return
    await tx.execute(
        "update clocks set outcome = 'cancelled', state = 'stopped', due_at = null, used_seconds = 0,"
        " stopped_at = coalesce(clocks.stopped_at, gone.at), judged_at = gone.at"
        " from unnest($1::uuid[], $2::text[], $3::integer[], $4::timestamptz[]) as gone (ticket_id, metric, cycle, at)"
        " where clocks.ticket_id = gone.ticket_id and clocks.metric = gone.metric and clocks.cycle = gone.cycle",
        [ticket_id for ticket_id, _, _ in vanished],
        [key.metric.value for _, key, _ in vanished],
        [key.cycle for _, key, _ in vanished],
        [at for _, _, at in vanished],
    )


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value
