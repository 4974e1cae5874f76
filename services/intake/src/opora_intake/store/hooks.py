"""Sources of webhooks, deliveries as they came, and the senders' cases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from opora_chassis.database import Transaction
from opora_intake.domain.hook_sources import HookRules, HookSource
from opora_intake.domain.hooks import Case
from opora_intake.store.rows import Reader

_CLAIMS = 0x6F70_6F72_6168_6F6F  # "oporahoo": the advisory lock under which claims are made one after the other
_KEPT = (
    "id, hook, received_at, delivery_key, headers, octet_length(raw) as size_bytes, state, outcome, reason, ticket_id,"
    " attempts, due_at, handled_at"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptSource:
    """A source as it is stored."""

    source: HookSource
    secrets: tuple[str, ...]
    created_at: datetime
    created_by: str
    changed_at: datetime
    changed_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptDelivery:
    """What is known of a delivery without its bytes."""

    id: UUID
    hook: str
    received_at: datetime
    delivery_key: str | None
    headers: Mapping[str, str]
    size_bytes: int
    state: str
    outcome: str | None
    reason: str | None
    ticket_id: UUID | None
    attempts: int
    due_at: datetime | None
    handled_at: datetime | None


async def add_source(
    tx: Transaction, name: str, rules: HookRules, secrets: Sequence[str], actor: str
) -> KeptSource | None:
    """Keep a new source; None when the name is taken."""
    row = await tx.fetchrow(
        "insert into hook_sources (name, rules, secrets, created_at, created_by, changed_at, changed_by)"
        " values ($1, $2, $3, $4, $5, $4, $5) on conflict do nothing returning *",
        name,
        rules.model_dump(mode="json", exclude_unset=True),
        list(secrets),
        tx.now,
        actor,
    )
    return None if row is None else _source(row)


async def save_source(
    tx: Transaction, name: str, rules: HookRules, secrets: Sequence[str] | None, actor: str
) -> KeptSource | None:
    """Replace a source's rules, and its secrets where there are new ones; None when there is no such source."""
    row = await tx.fetchrow(
        "update hook_sources set rules = $2, secrets = coalesce($3, secrets), changed_at = $4, changed_by = $5"
        " where name = $1 returning *",
        name,
        rules.model_dump(mode="json", exclude_unset=True),
        None if secrets is None else list(secrets),
        tx.now,
        actor,
    )
    return None if row is None else _source(row)


async def remove_source(tx: Transaction, name: str) -> bool:
    """Forget a source with its secrets; its deliveries stay. False when there is no such source."""
    return await tx.execute("delete from hook_sources where name = $1", name) == "DELETE 1"


async def find_source(reader: Reader, name: str) -> KeptSource | None:
    """One source with its secrets."""
    row = await reader.fetchrow("select * from hook_sources where name = $1", name)
    return None if row is None else _source(row)


async def list_sources(reader: Reader) -> list[KeptSource]:
    """Every source, by name."""
    return [_source(row) for row in await reader.fetch("select * from hook_sources order by name")]


async def keep_delivery(
    tx: Transaction,
    delivery_id: UUID,
    hook: str,
    raw: bytes,
    *,
    headers: Mapping[str, str],
    delivery_key: str | None,
) -> UUID | None:
    """Keep a delivery that is due at once; None when it is kept already.

    The same delivery that another transaction is keeping is waited for. Plan: the unique index hook_deliveries_once.
    """
    kept: UUID | None = await tx.fetchval(
        "insert into hook_deliveries (id, hook, received_at, delivery_key, headers, raw, due_at)"
        " values ($1, $2, $3, $4, $5, $6, $3)"
        " on conflict (hook, delivery_key) where delivery_key is not null do nothing returning id",
        delivery_id,
        hook,
        tx.now,
        delivery_key,
        dict(headers),
        raw,
    )
    return kept


async def delivery_by_key(reader: Reader, hook: str, delivery_key: str) -> UUID | None:
    """The delivery of which this is a repetition."""
    row = await reader.fetchrow(
        "select id from hook_deliveries where hook = $1 and delivery_key = $2", hook, delivery_key
    )
    return None if row is None else row["id"]


async def claim_delivery(tx: Transaction, lease_ends_at: datetime) -> KeptDelivery | None:
    """Take the first delivery that is due; no other claim gets it before `lease_ends_at`.

    Of one source the next one waits while the one before is under way, so that an end never overtakes its beginning;
    one that failed and waits for its next attempt holds up nobody.
    Plan: the partial indexes hook_deliveries_waiting and hook_deliveries_in_order.
    """
    # Two claims at the same time would each take one of the same source.
    await tx.execute("select pg_advisory_xact_lock($1)", _CLAIMS)
    row = await tx.fetchrow(
        "update hook_deliveries set attempts = attempts + 1, due_at = $2, is_leased = true where id = ("
        " select id from hook_deliveries waiting where state = 'received' and due_at <= $1 and not exists ("
        "  select from hook_deliveries earlier where earlier.hook = waiting.hook and earlier.id < waiting.id"
        "  and earlier.state = 'received' and earlier.is_leased and earlier.due_at > $1)"
        f" order by due_at, id limit 1 for update skip locked) returning {_KEPT}",
        tx.now,
        lease_ends_at,
    )
    return None if row is None else KeptDelivery(**row)


async def raw_delivery(reader: Reader, delivery_id: UUID) -> bytes | None:
    """The delivery's bytes as they came."""
    row = await reader.fetchrow("select raw from hook_deliveries where id = $1", delivery_id)
    return None if row is None else row["raw"]


async def find_delivery(reader: Reader, delivery_id: UUID) -> KeptDelivery | None:
    """One delivery without its bytes."""
    row = await reader.fetchrow(f"select {_KEPT} from hook_deliveries where id = $1", delivery_id)
    return None if row is None else KeptDelivery(**row)


async def lock_delivery(tx: Transaction, delivery_id: UUID) -> KeptDelivery | None:
    """The delivery without its bytes, locked until the transaction ends."""
    row = await tx.fetchrow(f"select {_KEPT} from hook_deliveries where id = $1 for update", delivery_id)
    return None if row is None else KeptDelivery(**row)


async def save_outcome(
    tx: Transaction, delivery_id: UUID, *, state: str, outcome: str, reason: str | None, ticket_id: UUID | None
) -> None:
    """What became of a delivery that this transaction has locked; nobody looks at it again."""
    await tx.execute(
        "update hook_deliveries set state = $2, outcome = $3, reason = $4, ticket_id = $5, handled_at = $6,"
        " due_at = null, is_leased = false where id = $1",
        delivery_id,
        state,
        outcome,
        reason,
        ticket_id,
        tx.now,
    )


async def put_off(
    tx: Transaction, delivery_id: UUID, *, attempts: int, claimed_attempts: int, due_at: datetime, reason: str
) -> None:
    """Look at the delivery again later; nothing when another worker has taken it over meanwhile."""
    await tx.execute(
        "update hook_deliveries set attempts = $2, due_at = $3, reason = $4, is_leased = false"
        " where id = $1 and state = 'received' and attempts = $5",
        delivery_id,
        attempts,
        due_at,
        reason,
        claimed_attempts,
    )


async def begin_anew(tx: Transaction, delivery_id: UUID) -> None:
    """Have a quarantined delivery that this transaction has locked handled again, as if it had just come."""
    await tx.execute(
        "update hook_deliveries set state = 'received', outcome = null, attempts = 0, due_at = $2, handled_at = null"
        " where id = $1",
        delivery_id,
        tx.now,
    )


_CONDITIONS = {
    "before": "id < ${}",
    "hook": "hook = ${}",
    "state": "state = ${}",
    "outcome": "outcome = ${}",
    "ticket_id": "ticket_id = ${}",
}


async def list_deliveries(
    reader: Reader, *, limit: int, before: UUID | None = None, **filters: str | UUID
) -> list[KeptDelivery]:
    """Deliveries that match every filter (hook, state, outcome, ticket_id), newest first.

    Plan: a backward scan of hook_deliveries_of, hook_deliveries_by_state, hook_deliveries_of_ticket or the primary key.
    """
    given = {name: value for name, value in {"before": before, **filters}.items() if value is not None}
    conditions = ["true", *(_CONDITIONS[name].format(place) for place, name in enumerate(given, start=1))]
    rows = await reader.fetch(
        f"select {_KEPT} from hook_deliveries where {' and '.join(conditions)}"
        f" order by id desc limit ${len(given) + 1}",
        *given.values(),
        limit,
    )
    return [KeptDelivery(**row) for row in rows]


async def waiting_deliveries(reader: Reader) -> tuple[int, datetime | None]:
    """How many deliveries wait to be handled, and since when the oldest does. Plan: hook_deliveries_waiting."""
    row = await reader.fetchrow(
        "select count(*) as waiting, min(received_at) as oldest from hook_deliveries where state = 'received'"
    )
    return (0, None) if row is None else (row["waiting"], row["oldest"])


async def quarantined_deliveries(reader: Reader) -> int:
    """How many deliveries are in quarantine. Plan: an index-only scan of hook_deliveries_by_state."""
    row = await reader.fetchrow("select count(*) as quarantined from hook_deliveries where state = 'quarantined'")
    return 0 if row is None else row["quarantined"]


async def lock_case(tx: Transaction, hook: str, key: str) -> Case:
    """The case, new or as it stands, locked until the transaction ends."""
    await tx.execute(
        "insert into hook_cases (hook, key, tickets, ongoing, parts) values ($1, $2, 0, false, '{}')"
        " on conflict do nothing",
        hook,
        key,
    )
    row = await tx.fetchrow("select * from hook_cases where hook = $1 and key = $2 for update", hook, key)
    assert row is not None  # noqa: S101  cases are never deleted
    return Case(**row)


async def save_case(tx: Transaction, case: Case) -> None:
    """Overwrite a case that this transaction has locked."""
    await tx.execute(
        "update hook_cases set ticket_id = $3, tickets = $4, ongoing = $5, parts = $6 where hook = $1 and key = $2",
        case.hook,
        case.key,
        case.ticket_id,
        case.tickets,
        case.ongoing,
        dict(case.parts),
    )


def _source(row: asyncpg.Record) -> KeptSource:
    return KeptSource(
        source=HookSource.model_validate({**row["rules"], "name": row["name"]}),
        secrets=tuple(row["secrets"]),
        **{name: row[name] for name in ("created_at", "created_by", "changed_at", "changed_by")},
    )
