"""What was decided of tickets, written: cases, facts, fired steps and clocks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic_core import to_json

from opora_chassis.database import Transaction
from opora_sla.domain import Case, Clock, Decision, fact_to_json, waypoint_to_json
from opora_sla.store.cases import LIVE, stamp

_CASE_CONSTANTS = {
    "ticket_id": "uuid",
    "number": "text",
    "external_source": "text",
    "external_id": "text",
    "import_id": "text",
    "partition": "integer",
    "agreement_id": "uuid",
    "organization_id": "uuid",
    "tier": "text",
    "product": "text",
    "kind": "text",
    "channel": "text",
}
_CASE_CHANGES = {
    "agreement_version": "integer",
    "domain": "text",
    "priority": "text",
    "assignee": "text",
    "group": "text",
    "judged_at": "timestamptz",
    "next_fire_at": "timestamptz",
    "open": "boolean",
    "last_sequence": "bigint",
    "emitted_sequence": "bigint",
    "waypoint": "text",
}
_CLOCK = {
    "ticket_id": "uuid",
    "metric": "text",
    "cycle": "integer",
    "outcome": "text",
    "state": "text",
    "started_at": "timestamptz",
    "due_at": "timestamptz",
    "stopped_at": "timestamptz",
    "used_seconds": "bigint",
    "target_seconds": "bigint",
    "priority": "text",
    "judged_at": "timestamptz",
    "party": "text",
}


def _names(columns: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def _rows(types: Iterable[str]) -> str:
    """Rows given as one array per column: an array is read at a fraction of what JSON costs."""
    return f"unnest({', '.join(f'${place}::{type_name}[]' for place, type_name in enumerate(types, start=1))})"


_INSERT_CASES = (
    f"insert into cases ({_names([*_CASE_CONSTANTS, *_CASE_CHANGES])})"
    f" select * from {_rows([*_CASE_CONSTANTS.values(), *_CASE_CHANGES.values()])}"
)
# Plan: one primary key probe per row.
_UPDATE_CASES = (
    "update cases set "
    + ", ".join(f'"{name}" = changed."{name}"' for name in _CASE_CHANGES)
    + f" from {_rows(['uuid', *_CASE_CHANGES.values()])} as changed (ticket_id, {_names(_CASE_CHANGES)})"
    " where cases.ticket_id = changed.ticket_id"
)
_UPSERT_CLOCKS = (
    f"insert into clocks ({_names(_CLOCK)}) select * from {_rows(_CLOCK.values())}"
    " on conflict (ticket_id, metric, cycle) do update set outcome = excluded.outcome, state = excluded.state,"
    " started_at = excluded.started_at, due_at = excluded.due_at, stopped_at = excluded.stopped_at,"
    " used_seconds = excluded.used_seconds, target_seconds = excluded.target_seconds, priority = excluded.priority,"
    " judged_at = excluded.judged_at, party = excluded.party"
)


async def save(tx: Transaction, decisions: Sequence[Decision], *, opened: Sequence[Decision] = ()) -> None:
    """Write what was decided on locked cases and on those `opened` just now: one statement per table.

    Of the clocks only those are written that changed: one that goes on says as of when its use is (`judged_at`).
    Raises asyncpg.UniqueViolationError when a step that was fired before is fired again, or a case is opened twice,
    both of which the locks exclude.
    """
    if opened:
        cases = [_constants(decision.case) + _changes(decision.case) for decision in opened]
        await tx.execute(_INSERT_CASES, *_columns(cases))
    if decisions:
        changes = [(decision.case.ticket_id, *_changes(decision.case)) for decision in decisions]
        await tx.execute(_UPDATE_CASES, *_columns(changes))
    taken = [*opened, *decisions]
    facts = [
        (decision.case.ticket_id, fact.sequence, to_json(fact_to_json(fact)).decode())
        for decision in taken
        for fact in decision.new_facts
    ]
    if facts:
        await tx.execute(
            "insert into case_facts (ticket_id, sequence, fact)"
            " select * from unnest($1::uuid[], $2::bigint[], $3::text[]::jsonb[])",
            *_columns(facts),
        )
    fired = [
        (decision.case.ticket_id, key.metric, key.cycle, key.name, key.ordinal)
        for decision in taken
        for key in decision.new_keys
    ]
    if fired:
        await tx.execute(
            "insert into fired_steps (ticket_id, metric, cycle, step, ordinal, fired_at)"
            " select *, $6::timestamptz from unnest($1::uuid[], $2::text[], $3::integer[], $4::text[], $5::bigint[])",
            *_columns(fired),
            tx.now,
        )
    clocks = [_clock(decision, clock) for decision in taken for clock in decision.clocks.clocks if clock.changed]
    if clocks:
        await tx.execute(_UPSERT_CLOCKS, *_columns(clocks))
    await _cancel_vanished(tx, taken)


async def _cancel_vanished(tx: Transaction, decisions: Sequence[Decision]) -> None:
    """A clock that a late fact unmade stays in the table, cancelled, because it was spoken of."""
    vanished = [
        (decision.case.ticket_id, key.metric, key.cycle, decision.clocks.judged_at)
        for decision in decisions
        for key in decision.vanished
    ]
    if not vanished:
        return
    await tx.execute(
        "update clocks set outcome = 'cancelled', state = 'stopped', due_at = null, used_seconds = 0,"
        " stopped_at = coalesce(clocks.stopped_at, gone.at), judged_at = gone.at"
        " from unnest($1::uuid[], $2::text[], $3::integer[], $4::timestamptz[]) as gone (ticket_id, metric, cycle, at)"
        " where clocks.ticket_id = gone.ticket_id and clocks.metric = gone.metric and clocks.cycle = gone.cycle",
        *_columns(vanished),
    )


def _columns(rows: Sequence[Sequence[Any]]) -> Iterable[Sequence[Any]]:
    return zip(*rows, strict=True)


def _constants(case: Case) -> tuple[Any, ...]:
    return tuple(getattr(case, name) for name in _CASE_CONSTANTS)


def _changes(case: Case) -> tuple[Any, ...]:
    waypoint = None
    if case.waypoint is not None:
        current = stamp(case.judged_at, case.last_sequence, case.emitted_sequence)
        waypoint = to_json([current, waypoint_to_json(case.waypoint)]).decode()
    return (
        case.agreement_version,
        case.open_import_id or LIVE,
        case.priority,
        case.assignee,
        case.group,
        case.judged_at,
        case.next_fire_at,
        case.open,
        case.last_sequence,
        case.emitted_sequence,
        waypoint,
    )


def _clock(decision: Decision, clock: Clock) -> tuple[Any, ...]:
    return (
        decision.case.ticket_id,
        clock.key.metric,
        clock.key.cycle,
        clock.outcome,
        clock.state,
        clock.started_at,
        clock.due_at,
        clock.stopped_at,
        clock.used_seconds,
        clock.target_seconds,
        clock.priority,
        decision.clocks.judged_at,
        clock.party,
    )
