"""Tickets, their messages and their timeline."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from opora_chassis.database import Transaction
from opora_intake.domain import Message, RecordedFact, Ticket
from opora_intake.store.rows import Reader, message_of, rows_json, ticket_of

_TYPES = {
    "id": "uuid",
    "number": "bigint",
    "title": "text",
    "channel": "text",
    "kind": "text",
    "language": "text",
    "impact": "text",
    "urgency": "text",
    "priority": "text",
    "priority_explicit": "boolean",
    "requester_id": "uuid",
    "organization_id": "uuid",
    "tier": "text",
    "product": "text",
    "category": "text",
    "component": "text",
    "tags": "text[]",
    "watchers": "text[]",
    "fields": "jsonb",
    '"group"': "text",
    "assignee": "text",
    "external_source": "text",
    "external_id": "text",
    "import_id": "uuid",
    "import_ordinal": "integer",
    "merged_into": "uuid",
    "profile": "text",
    "step": "text",
    "step_changed_at": "timestamptz",
    "waiting_on": "text",
    "waiting_changed_at": "timestamptz",
    "cycle": "integer",
    "cycle_started_at": "timestamptz",
    "resolution_code": "text",
    "cause": "text",
    "planned_for": "timestamptz",
    "opened_at": "timestamptz",
    "resolved_at": "timestamptz",
    "closed_at": "timestamptz",
    "last_time": "timestamptz",
    "version": "bigint",
}
_FIXED = frozenset(
    {"id", "number", "channel", "language", "requester_id", "organization_id", "tier", "external_source", "external_id"}
)
COLUMNS = ", ".join(_TYPES)
_RECORD = ", ".join(f"{column} {sql_type}" for column, sql_type in _TYPES.items())
_CHANGED = ", ".join(f"{column} = excluded.{column}" for column in _TYPES if column not in _FIXED | {"opened_at"})

_SAVE = f"""
insert into tickets ({COLUMNS})
select {COLUMNS} from json_to_recordset($1::text::json) as ticket ({_RECORD})
order by external_source, external_id -- two groups that submit the same cases must not wait for each other in a circle
on conflict (id) do update set {_CHANGED}
"""


class ExternalIdTakenError(Exception):
    """Another ticket already carries this (external_source, external_id)."""


async def next_numbers(tx: Transaction, count: int) -> list[int]:
    """Fresh ticket numbers, ascending. A transaction that fails leaves a hole."""
    if not count:
        return []
    rows = await tx.fetch("select nextval('ticket_numbers') as number from generate_series(1, $1)", count)
    return [row["number"] for row in rows]


async def save_tickets(tx: Transaction, tickets: Iterable[Ticket]) -> None:
    """Insert or overwrite these tickets in one statement; changed ones must be locked by this transaction.

    Raises ExternalIdTakenError when a new ticket's external id is in use.
    """
    try:
        await tx.execute(_SAVE, rows_json(tickets))
    except asyncpg.UniqueViolationError as error:
        raise ExternalIdTakenError(str(error.detail or error)) from error


async def lock_ticket(tx: Transaction, reference: UUID | int) -> Ticket | None:
    """The ticket by id or number, locked until the transaction ends."""
    column = "id" if isinstance(reference, UUID) else "number"
    row = await tx.fetchrow(f"select {COLUMNS} from tickets where {column} = $1 for update", reference)
    return None if row is None else ticket_of(row)


async def lock_named(
    tx: Transaction, *, numbers: Iterable[int] = (), externals: Iterable[tuple[str, str]] = ()
) -> list[Ticket]:
    """The tickets with these numbers or (external_source, external_id) pairs, locked in the order of their ids."""
    pairs = list(externals)
    # Plan: index scans of tickets_number_key and of the external pair, their ids united, then the primary key.
    rows = await tx.fetch(
        f"select {COLUMNS} from tickets where id in ("
        " select id from tickets where number = any($1::bigint[])"
        " union select ticket.id from unnest($2::text[], $3::text[]) as wanted (source, external)"
        " join tickets ticket on ticket.external_source = wanted.source and ticket.external_id = wanted.external"
        ") order by id for update",
        list(numbers),
        [source for source, _ in pairs],
        [external for _, external in pairs],
    )
    return [ticket_of(row) for row in rows]


async def lock_history(tx: Transaction, import_id: UUID, limit: int) -> list[Ticket]:
    """Some tickets that still belong to this import and are not closed, locked in the order of their ids."""
    rows = await tx.fetch(
        f"select {COLUMNS} from tickets where import_id = $1 and step <> 'closed' order by id limit $2 for update",
        import_id,
        limit,
    )
    return [ticket_of(row) for row in rows]


async def find_ticket(reader: Reader, reference: UUID | int) -> Ticket | None:
    """The ticket by id or number."""
    column = "id" if isinstance(reference, UUID) else "number"
    row = await reader.fetchrow(f"select {COLUMNS} from tickets where {column} = $1", reference)
    return None if row is None else ticket_of(row)


async def add_messages(tx: Transaction, messages: Sequence[Message]) -> None:
    """Keep what was written."""
    await tx.execute(
        "insert into messages (id, ticket_id, visibility, author_kind, author, channel, body, written_at, sequence)"
        " select * from json_to_recordset($1::text::json) as message (id uuid, ticket_id uuid, visibility text,"
        " author_kind text, author text, channel text, body text, written_at timestamptz, sequence bigint)",
        rows_json(messages),
    )


async def add_timeline(tx: Transaction, facts: Iterable[tuple[RecordedFact, str | None]]) -> None:
    """Append facts, each with its actor, to the audit trail."""
    rows = [
        {
            "ticket_id": fact.data.ticket_id,
            "sequence": fact.sequence,
            "type": fact.data.event_type,
            "time": fact.time,
            "actor": actor,
            "data": fact.data.model_dump(mode="json", exclude_none=True, exclude={"ticket_id"}),
        }
        for fact, actor in facts
    ]
    await tx.execute(
        "insert into timeline (ticket_id, sequence, type, time, actor, data, recorded_at)"
        " select *, $2 from json_to_recordset($1::text::json) as fact (ticket_id uuid, sequence bigint, type text,"
        " time timestamptz, actor text, data jsonb)",
        rows_json(rows),
        tx.now,
    )


async def timeline_of(reader: Reader, ticket_id: UUID, *, after: int, limit: int) -> list[asyncpg.Record]:
    """The ticket's facts after this sequence, in order. Plan: range scan of the primary key."""
    return await reader.fetch(
        "select sequence, type, time, recorded_at, actor, data from timeline"
        " where ticket_id = $1 and sequence > $2 order by sequence limit $3",
        ticket_id,
        after,
        limit,
    )


MESSAGE = "id, ticket_id, visibility, author_kind, author, channel, body, written_at, sequence"


async def find_message(reader: Reader, message_id: UUID) -> Message | None:
    """One message."""
    row = await reader.fetchrow(f"select {MESSAGE} from messages where id = $1", message_id)
    return None if row is None else message_of(row)


_CONDITIONS = {
    "step": "step = any(${}::text[])",
    "priority": "priority = any(${}::text[])",
    "assignee": "assignee = ${}",
    "unassigned": "(assignee is null) = ${}",
    "group": '"group" = ${}',
    "requester_id": "requester_id = ${}",
    "requester_ids": "requester_id = any(${}::uuid[])",
    "number": "number = ${}",
    "organization_id": "organization_id = ${}",
    "product": "product = ${}",
    # Plan: tickets_by_tag, which holds tickets that have tags.
    "tag": "(tags <> '{{}}' and tags @> array[${}])",
    "channel": "channel = ${}",
    "waiting_on": "waiting_on = ${}",
    "title_prefix": "lower(title) like ${}",
    "created_from": "opened_at >= ${}",
    "created_before": "opened_at < ${}",
    "external_source": "external_source = ${}",
    "external_id": "external_id = ${}",
    "before_number": "number < ${}",
}


async def list_tickets(
    reader: Reader,
    *,
    limit: int,
    open_only: bool | None = None,
    **filters: list[str] | str | bool | UUID | datetime | int,
) -> list[Ticket]:
    """Tickets that match every filter, newest number first.

    Plan: the page's numbers by an index-only scan of `tickets_open_listed`, which holds what open tickets are filtered
    by, or by an owner's index, or the number's, whichever filter narrows most; then the tickets by their numbers.
    """
    where, arguments = matching({**filters, "open_only": open_only})
    rows = await reader.fetch(
        f"with page as materialized (select number from tickets {where} order by number desc"
        f" limit ${len(arguments) + 1}) select {COLUMNS} from tickets join page using (number) order by number desc",
        *arguments,
        limit,
    )
    return [ticket_of(row) for row in rows]


def matching(filters: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """The condition on `tickets` that all filters make, with its arguments from $1 on; empty without a filter.

    `open_only` is True, False or None; every other filter has a value.
    """
    conditions: list[str] = []
    arguments: list[Any] = []
    for name, value in filters.items():
        if name == "open_only":
            if value is not None:
                conditions.append("step <> 'closed'" if value else "step = 'closed'")
            continue
        arguments.append(f"{_like_escaped(str(value).lower())}%" if name == "title_prefix" else value)
        conditions.append(_CONDITIONS[name].format(len(arguments)))
    return (f"where {' and '.join(conditions)}" if conditions else ""), arguments


def _like_escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
