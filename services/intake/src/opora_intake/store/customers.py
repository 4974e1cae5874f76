"""Customers, with their addresses and phones."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from opora_chassis.database import Transaction
from opora_intake.domain import Customer
from opora_intake.store.rows import Reader, customer_of

_CUSTOMER = (
    "customers.id, customers.name, customers.language, customers.time_zone, customers.organization_id,"
    " customers.merged_into, customers.version, customers.last_time,"
    " array(select address from customer_emails where customer_id = customers.id order by ordinal, lower(address))"
    " as emails,"
    " array(select number from customer_phones where customer_id = customers.id order by ordinal, number) as phones,"
    " (select jsonb_agg(jsonb_build_object('purpose', purpose, 'given', given, 'at', at, 'source', source)"
    " order by purpose) from (select distinct on (purpose) purpose, given, at, source from customer_consents"
    " where customer_id = customers.id order by purpose, at desc, id desc) as newest) as consents,"
    " (select jsonb_agg(jsonb_build_object('address', customer_emails.address, 'status', status,"
    " 'diagnostic', diagnostic, 'since', since) order by ordinal) from customer_emails join undeliverable_addresses"
    " on lower(undeliverable_addresses.address) = lower(customer_emails.address)"
    " where customer_emails.customer_id = customers.id) as undeliverable"
)


class AddressesTakenError(Exception):
    """Some of the addresses belong to other customers; `owners` says to whom."""

    def __init__(self, owners: Mapping[str, UUID]) -> None:
        super().__init__(f"{', '.join(owners)} belong to other customers")
        self.owners = dict(owners)


async def register_strangers(tx: Transaction, strangers: Sequence[Customer]) -> list[Customer]:
    """Insert these, each with one address at most, and return the ones that were new: a known address inserts nothing.

    A concurrent registration of the same address is waited for, so that the caller sees it afterwards.
    """
    # The addresses first: whoever gets one is new. Their customers follow, which the foreign key waits for.
    rows = await tx.fetch(
        "insert into customer_emails (customer_id, address, ordinal)"
        " select id, address, 0 from unnest($1::uuid[], $2::text[]) as stranger (id, address)"
        " order by lower(address) on conflict (lower(address)) do nothing returning customer_id",
        [one.id for one in strangers if one.emails],
        [one.email for one in strangers if one.emails],
    )
    claimed = {row["customer_id"] for row in rows}
    registered = [one for one in strangers if one.id in claimed or not one.emails]
    await _insert(tx, registered)
    return registered


async def insert_customers(tx: Transaction, customers: Sequence[Customer]) -> None:
    """Insert new customers with all that is theirs but consents. Raises AddressesTakenError."""
    emails = [(one.id, address, place) for one in customers for place, address in enumerate(one.emails)]
    # In the order of the addresses, so that two transactions never wait for each other in a circle.
    rows = await tx.fetch(
        "insert into customer_emails (customer_id, address, ordinal)"
        " select * from unnest($1::uuid[], $2::text[], $3::integer[]) as given (customer_id, address, ordinal)"
        " order by lower(address) on conflict (lower(address)) do nothing returning customer_id, address",
        *_columns(emails, 3),
    )
    if len(rows) < len(emails):
        owners = await customer_ids_by_email(tx, [address for _, address, _ in emails])
        own = {(address.lower(), customer_id) for customer_id, address, _ in emails}
        raise AddressesTakenError({one: owner for one, owner in owners.items() if (one, owner) not in own})
    await _insert(tx, customers)
    await tx.execute(
        "insert into customer_phones (customer_id, number, ordinal)"
        " select * from unnest($1::uuid[], $2::text[], $3::integer[])",
        *_columns([(one.id, number, place) for one in customers for place, number in enumerate(one.phones)], 3),
    )


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [[row[column] for row in rows] for column in range(width)]


async def _insert(tx: Transaction, customers: Sequence[Customer]) -> None:
    columns = ("id", "name", "email", "language", "time_zone", "organization_id", "version", "last_time")
    await tx.execute(
        f"insert into customers ({', '.join(columns)})"
        " select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::bigint[],"
        " $8::timestamptz[])",
        *([getattr(one, column) for one in customers] for column in columns),
    )


async def customer_ids_by_email(reader: Reader, emails: Collection[str]) -> dict[str, UUID]:
    """Who has the given addresses, each in lower case. Plan: index scan of customer_emails_address per address.

    Who is the same is for the database's lower case to say, which differs from Python's in some letters (Σ, İ): hand
    the addresses over as they were written.
    """
    if not emails:
        return {}
    rows = await reader.fetch(
        "select wanted.email as wanted, customer_id from unnest($1::text[]) as wanted (email)"
        " join customer_emails on lower(customer_emails.address) = lower(wanted.email)",
        list(emails),
    )
    return {row["wanted"].lower(): row["customer_id"] for row in rows}


async def customers_by_id(reader: Reader, ids: Collection[UUID]) -> dict[UUID, Customer]:
    """Known customers among these, merged ones as what is left of them."""
    if not ids:
        return {}
    rows = await reader.fetch(f"select {_CUSTOMER} from customers where id = any($1::uuid[])", list(ids))
    return {row["id"]: customer_of(row) for row in rows}


async def survivors_of(reader: Reader, ids: Collection[UUID]) -> dict[UUID, UUID]:
    """Who each of these is in truth: itself, or the one at the end of its merges. Unknown ids are left out."""
    if not ids:
        return {}
    rows = await reader.fetch(
        "with recursive chain as (select id as wanted, id, merged_into from customers where id = any($1::uuid[])"
        " union all select chain.wanted, customers.id, customers.merged_into"
        " from chain join customers on customers.id = chain.merged_into)"
        " select wanted, id from chain where merged_into is null",
        list(ids),
    )
    return {row["wanted"]: row["id"] for row in rows}


async def hold_customers(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, Customer]:
    """Each known customer among these as who it is in truth, under the id that was asked for.

    None of them is merged away before the transaction ends: their rows are locked as a foreign key locks them, in the
    order of their ids, so that a merge either waits or is seen here.
    """
    held: dict[UUID, Customer] = {}
    wanted = set(ids)
    while wanted:
        rows = await tx.fetch(
            f"select {_CUSTOMER} from customers where id = any($1::uuid[]) order by id for key share", list(wanted)
        )
        found = {row["id"]: customer_of(row) for row in rows}
        held |= found
        wanted = {one.merged_into for one in found.values() if one.merged_into is not None} - held.keys()
    return {one: _at_the_end(held, one) for one in ids if one in held}


def _at_the_end(held: Mapping[UUID, Customer], customer_id: UUID) -> Customer:
    customer = held[customer_id]
    while customer.merged_into is not None:
        customer = held[customer.merged_into]
    return customer


async def lock_customers(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, Customer]:
    """The known customers among these, locked in the order of their ids until the transaction ends."""
    await tx.execute("select from customers where id = any($1::uuid[]) order by id for update", list(ids))
    # Read behind the lock: what the locking statement itself would see of addresses may be older than the wait.
    return await customers_by_id(tx, ids)


async def save_customer(tx: Transaction, customer: Customer) -> None:
    """Overwrite a customer that this transaction has locked; consents are no part. Raises AddressesTakenError."""
    await _keep_emails(tx, customer)
    await _keep_phones(tx, customer)
    await tx.execute(
        "update customers set name = $2, email = $3, language = $4, time_zone = $5, organization_id = $6,"
        " merged_into = $7, version = $8, last_time = $9 where id = $1",
        customer.id,
        customer.name,
        customer.email,
        customer.language,
        customer.time_zone,
        customer.organization_id,
        customer.merged_into,
        customer.version,
        customer.last_time,
    )


async def _keep_emails(tx: Transaction, customer: Customer) -> None:
    await tx.execute(
        "delete from customer_emails where customer_id = $1"
        " and lower(address) <> all(select lower(kept) from unnest($2::text[]) as kept)",
        customer.id,
        list(customer.emails),
    )
    # In the order of the addresses, so that two transactions never wait for each other in a circle.
    await tx.execute(
        "insert into customer_emails (customer_id, address, ordinal)"
        " select $1, address, ordinal from (select distinct on (lower(address)) address, ordinal"
        " from unnest($2::text[]) with ordinality as given (address, ordinal) order by lower(address), ordinal) as once"
        " order by lower(address) on conflict (lower(address))"
        " do update set address = excluded.address, ordinal = excluded.ordinal"
        " where customer_emails.customer_id = excluded.customer_id"
        " and (customer_emails.address, customer_emails.ordinal) is distinct from (excluded.address, excluded.ordinal)",
        customer.id,
        list(customer.emails),
    )
    owners = await customer_ids_by_email(tx, customer.emails)
    taken = {address: owner for address, owner in owners.items() if owner != customer.id}
    if taken:
        raise AddressesTakenError(taken)


async def _keep_phones(tx: Transaction, customer: Customer) -> None:
    await tx.execute(
        "delete from customer_phones where customer_id = $1 and number <> all($2::text[])",
        customer.id,
        list(customer.phones),
    )
    await tx.execute(
        "insert into customer_phones (customer_id, number, ordinal)"
        " select $1, number, ordinal from unnest($2::text[]) with ordinality as given (number, ordinal)"
        " on conflict (customer_id, number) do update set ordinal = excluded.ordinal"
        " where customer_phones.ordinal <> excluded.ordinal",
        customer.id,
        list(customer.phones),
    )


async def list_customers(
    reader: Reader,
    *,
    limit: int,
    before: UUID | None = None,
    email: str | None = None,
    phone: str | None = None,
    name: str | None = None,
    organization_id: UUID | None = None,
) -> list[Customer]:
    """Customers who stand alone, newest first; `name` is the beginning of the name in any letter case.

    Plan: backward scan of the primary key, or of customers_of_organization; a lookup in customer_emails_address or
    customer_phones_number; for names a range of customers_by_name, which is sorted.
    """
    conditions, arguments = ["merged_into is null"], list[Any]()
    for condition, value in (
        ("id < ${}", before),
        ("id = (select customer_id from customer_emails where lower(address) = lower(${}))", email),
        ("id in (select customer_id from customer_phones where number = ${})", phone),
        ("lower(name) like lower(${}) || '%'", None if name is None else _escaped(name)),
        ("organization_id = ${}", organization_id),
    ):
        if value is not None:
            arguments.append(value)
            conditions.append(condition.format(len(arguments)))
    rows = await reader.fetch(
        f"select {_CUSTOMER} from customers where {' and '.join(conditions)}"
        f" order by id desc limit ${len(arguments) + 1}",
        *arguments,
        limit,
    )
    return [customer_of(row) for row in rows]


async def customers_after(reader: Reader, after: UUID | None, limit: int) -> list[Customer]:
    """The next customers who stand alone, oldest first. Plan: forward scan of the primary key."""
    rows = await reader.fetch(
        f"select {_CUSTOMER} from customers where ($1::uuid is null or id > $1) and merged_into is null"
        " order by id limit $2",
        after,
        limit,
    )
    return [customer_of(row) for row in rows]


async def customer_ids_by_phone(reader: Reader, phones: Collection[str]) -> list[tuple[str, UUID]]:
    """Who has the given phones: each with everybody who has it."""
    rows = await reader.fetch(
        "select number, customer_id from customer_phones where number = any($1::text[])", list(phones)
    )
    return [(row["number"], row["customer_id"]) for row in rows]


async def statements_of(reader: Reader, customer_id: UUID, *, limit: int, before: UUID | None = None) -> list[Any]:
    """What the customer said about purposes, the statement that was recorded last first."""
    return await reader.fetch(
        "select id, purpose, given, at, source, recorded_at, recorded_by from customer_consents"
        " where customer_id = $1 and ($2::uuid is null or id < $2) order by id desc limit $3",
        customer_id,
        before,
        limit,
    )


async def add_statements(
    tx: Transaction, statements: Sequence[tuple[UUID, UUID, str, bool, datetime, str]], actor: str | None
) -> None:
    """Record statements: id, customer, purpose, given, at, source. The customers are locked by this transaction."""
    await tx.executemany(
        "insert into customer_consents (id, customer_id, purpose, given, at, source, recorded_at, recorded_by)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8)",
        [(*statement, tx.now, actor) for statement in statements],
    )


async def add_note(tx: Transaction, note_id: UUID, customer_id: UUID, body: str, author: str | None) -> None:
    """Keep a note about a customer that exists."""
    await tx.execute(
        "insert into customer_notes (id, customer_id, body, author, written_at) values ($1, $2, $3, $4, $5)",
        note_id,
        customer_id,
        body,
        author,
        tx.now,
    )


async def notes_of(reader: Reader, customer_id: UUID, *, limit: int, before: UUID | None = None) -> list[Any]:
    """Notes about the customer, newest first."""
    return await reader.fetch(
        "select id, body, author, written_at from customer_notes"
        " where customer_id = $1 and ($2::uuid is null or id < $2) order by id desc limit $3",
        customer_id,
        before,
        limit,
    )


def _escaped(prefix: str) -> str:
    return prefix.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
