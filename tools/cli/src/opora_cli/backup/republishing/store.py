"""The SQL of publishing again: intake's facts as it keeps them, and how far notify has followed the others."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

_PREFETCH = 2_000
_NO_PLACE = 1 << 40
"""Letters whose records are gone are counted down from here, below every number that a record can have."""


@dataclass(frozen=True, slots=True)
class KeptFact:
    """One fact as intake keeps it: everything but the event's id and its cause."""

    subject: str
    sequence: int
    type: str
    time: datetime
    actor: str | None
    data: Mapping[str, Any]
    import_id: str | None = None


async def ticket_facts(connection: Any) -> AsyncIterator[KeptFact]:
    """Every fact of every ticket, in order per ticket, with the import that it belonged to.

    A ticket of an import lives by live time from the fact that says so; what was before it is history.
    """
    # Plan: one pass over the timeline's primary key, tickets and imports hashed beside it.
    sql = (
        "with joined as (select ticket_id, min(sequence) as sequence from timeline"
        " where type = 'ticket.updated' and data ->> 'joined_live' = 'true' group by ticket_id)"
        " select timeline.ticket_id::text as subject, timeline.sequence, type, time, actor, data::text as data,"
        " coalesce(tickets.import_id, case when timeline.sequence < joined.sequence then imports.id end)::text"
        " as import_id from timeline join tickets on tickets.id = timeline.ticket_id"
        " left join joined on joined.ticket_id = timeline.ticket_id"
        " left join imports on imports.name = tickets.external_source"
        " order by timeline.ticket_id, timeline.sequence"
    )
    async with connection.transaction(readonly=True):
        async for row in connection.cursor(sql, prefetch=_PREFETCH):
            data = {**json.loads(row["data"]), "ticket_id": row["subject"]}
            yield KeptFact(**{**dict(row), "data": data})


async def customer_facts(connection: Any) -> list[KeptFact]:
    """Who each customer and organisation is now, once for each number that was told: facts hold whole states."""
    customers = await connection.fetch(
        "select id::text, name, language, time_zone, organization_id::text, merged_into::text, version, last_time,"
        " array(select address from customer_emails where customer_id = customers.id order by ordinal, lower(address))"
        " as emails,"
        " array(select number from customer_phones where customer_id = customers.id order by ordinal, number)"
        " as phones,"
        " (select jsonb_agg(jsonb_build_object('purpose', purpose, 'given', given, 'at', at) order by purpose)::text"
        " from (select distinct on (purpose) purpose, given, at from customer_consents"
        " where customer_id = customers.id order by purpose, at desc, id desc) as newest) as consents from customers"
    )
    organizations = await connection.fetch(
        "select id::text, name, tier, time_zone, contract_number, contract_valid_from, contract_valid_until, version,"
        " last_time from organizations"
    )
    kept = [("customer", row, _customer_data(row)) for row in customers]
    kept += [("organization", row, _own_data(row)) for row in organizations]
    return [
        KeptFact(
            subject=row["id"],
            sequence=number,
            type=f"{kind}.registered" if number == 1 else f"{kind}.updated",
            time=row["last_time"],
            actor=None,
            data={f"{kind}_id": row["id"], **data},
        )
        for kind, row, data in kept
        for number in range(1, row["version"] + (row.get("merged_into") is None))
    ] + [
        KeptFact(
            subject=row["id"],
            sequence=row["version"],
            type="customer.merged",
            time=row["last_time"],
            actor=None,
            data={"customer_id": row["id"], "merged_into": row["merged_into"]},
        )
        for row in customers
        if row["merged_into"] is not None
    ]


def _own_data(row: Any) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in {"id", "version", "last_time"}}


def _customer_data(row: Any) -> dict[str, Any]:
    data = _own_data(row)
    emails, consents, _ = data.pop("emails"), data.pop("consents"), data.pop("merged_into")
    first, others = (emails[0], emails[1:]) if emails else (None, [])
    return {**data, "email": first, "other_emails": others, "consents": json.loads(consents or "[]")}


async def published_numbers(connection: Any, service: str) -> dict[str, int]:
    """How many facts sla or feedback has published about each ticket: those in its outbox are still to come."""
    rows = await connection.fetch(_NUMBERS[service])
    published = {row["subject"]: row["sequence"] for row in rows}
    for row in await connection.fetch("select key, headers from outbox"):
        headers = dict(json.loads(row["headers"]))
        subject = row["key"].decode()
        if subject in published:
            published[subject] = min(published[subject], int(headers["ce_sequence"]) - 1)
    return published


_NUMBERS = {
    "sla": "select ticket_id::text as subject, emitted_sequence as sequence from cases",
    "feedback": "select ticket_id::text as subject, sequence from journals",
}


async def pass_over(connection: Any, consumer: str, source: str, published: Mapping[str, int]) -> int:
    """Let the guard of a consumer go on after what nobody can tell it any more; returns how many facts that is.

    Parked keys stay as they are: what they wait for lies among the dead letters.
    """
    rows = await connection.fetch(
        "insert into applied as guard (consumer, source, subject, sequence)"
        " select $1, $2, subject, sequence from unnest($3::text[], $4::bigint[]) as told (subject, sequence)"
        " where sequence > 0"
        " and not exists (select from parked_keys where parked_keys.consumer = $1 and key = subject)"
        " and sequence > coalesce((select sequence from applied"
        "   where consumer = $1 and source = $2 and subject = told.subject), 0)"
        " on conflict (consumer, source, subject) do update set sequence = excluded.sequence"
        " returning sequence - coalesce((select before.sequence from applied as before"
        "   where before.consumer = $1 and before.source = $2 and before.subject = guard.subject), 0) as missed",
        consumer,
        source,
        list(published),
        list(published.values()),
    )
    return sum(row["missed"] for row in rows)


async def count_down_letters(connection: Any, kept_below: Mapping[tuple[str, int], int]) -> None:
    """Give letters whose records are not on the new log a place that no record of it can have.

    `kept_below` says, by topic and partition, below which offset the old records stand where they stood.
    """
    rows: Sequence[Any] = await connection.fetch(
        'select id, topic, partition, "offset" from dead_letters where "offset" >= 0'
    )
    gone = [row for row in rows if row["offset"] >= kept_below.get((row["topic"], row["partition"]), 0)]
    await connection.executemany(
        'update dead_letters set "offset" = $2 where id = $1',
        [(row["id"], -_NO_PLACE - row["offset"]) for row in gone],
    )
