"""Imports of customers: pieces of a file, each taken in within a transaction of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from opora_chassis.database import Transaction
from opora_chassis.identifiers import new_id
from opora_intake.domain import RuleBroken
from opora_intake.domain.customer import email_domain
from opora_intake.domain.customer_files import FileLimits, Place, ReadRow, RefusedRow, Unusable, read_piece
from opora_intake.domain.customer_import import Register
from opora_intake.handlers.errors import AddressTaken, Unknown
from opora_intake.handlers.record import customer_event
from opora_intake.store import customer_imports as store
from opora_intake.store import customers as customer_store
from opora_intake.store import organizations as organization_store
from opora_intake.store.customer_imports import CustomerImport


@dataclass
class WrongOffset(RuleBroken):
    """The pieces of a file follow each other."""

    expected: int
    given: int

    def __str__(self) -> str:
        return f"{self.expected} bytes were taken in so far, and the piece begins at {self.given}: go on at the former"


@dataclass
class CustomerImportClosed(RuleBroken):
    """The import has come to its end."""

    name: str
    state: str

    def __str__(self) -> str:
        return f"The import {self.name} is {self.state}: open one under another name"


async def take_piece(
    tx: Transaction, import_id: UUID, *, offset: int, text: str, last: bool, actor: str | None, limits: FileLimits
) -> CustomerImport:
    """Take in the piece of the file that begins at this byte; one that was taken in before is left alone.

    Rows are carried out, or refused and reported. A file that cannot be understood ends the import as `failed`; rows of
    earlier pieces stay. Raises Unknown, WrongOffset, CustomerImportClosed, or AddressTaken when somebody registered the
    same person at this moment: the piece can be repeated.
    """
    kept = await store.lock_import(tx, import_id)
    if kept is None:
        raise Unknown("customer import", import_id)
    end = offset + len(text.encode())
    if end <= kept.received_bytes and (kept.state != "open" or not last):
        return kept
    if kept.state != "open":
        raise CustomerImportClosed(kept.name, kept.state)
    if offset != kept.received_bytes:
        raise WrongOffset(kept.received_bytes, offset)
    try:
        rows, place = _read(kept, text, end, last=last, limits=limits)
    except Unusable as unusable:
        failed = replace(kept, state="failed", problem=unusable.message, finished_at=tx.now)
        await store.save_import(tx, failed)
        return failed
    register, refused = await _carry_out(tx, kept, rows, actor)
    await store.add_refusals(tx, import_id, refused[: max(0, limits.most_refusals - kept.refused)])
    taken = replace(
        kept,
        state="done" if last else "open",
        received_bytes=end,
        place=place,
        rows=kept.rows + len(rows),
        registered=kept.registered + len(register.registered),
        changed=kept.changed + register.changed,
        unchanged=kept.unchanged + register.unchanged,
        refused=kept.refused + len(refused),
        finished_at=tx.now if last else None,
    )
    await store.save_import(tx, taken)
    return taken


def _read(
    kept: CustomerImport, text: str, end: int, *, last: bool, limits: FileLimits
) -> tuple[list[ReadRow | RefusedRow], Place]:
    if end > limits.most_bytes:
        raise Unusable(f"The file has more than {limits.most_bytes} bytes: split it")
    rows, place = read_piece(kept.format, kept.place, text, last=last, limits=limits)
    if kept.rows + len(rows) > limits.most_rows:
        raise Unusable(f"The file has more than {limits.most_rows} rows: split it")
    return rows, place


async def _carry_out(
    tx: Transaction, kept: CustomerImport, read: Sequence[ReadRow | RefusedRow], actor: str | None
) -> tuple[Register, list[RefusedRow]]:
    register = await _register_over(tx, kept, [one for one in read if not isinstance(one, RefusedRow)])
    before = set(register.customers)
    refused: list[RefusedRow] = []
    for one in read:
        refusal = one if isinstance(one, RefusedRow) else register.apply(*one, new_id())
        if refusal is not None:
            refused.append(refusal)
    after = {state.id: state for state in register.states}
    try:
        await customer_store.insert_customers(tx, [register.customers[one] for one in register.registered])
        for customer_id in sorted(after.keys() & before):
            await customer_store.save_customer(tx, after[customer_id])
    except customer_store.AddressesTakenError as taken:
        raise AddressTaken(taken.owners) from taken
    await customer_store.add_statements(
        tx, [(new_id(), owner, one.purpose, one.given, one.at, one.source) for owner, one in register.statements], actor
    )
    tx.emit(*(customer_event(state, actor) for state in register.states))
    return register, refused


async def _register_over(tx: Transaction, kept: CustomerImport, rows: Sequence[ReadRow]) -> Register:
    """Everybody whom these rows name, locked, in a few statements."""
    given = [row for _, row in rows]
    emails = {email for row in given for email in row.emails}
    owners = await customer_store.customer_ids_by_email(tx, emails)
    by_phone = await customer_store.customer_ids_by_phone(
        tx, {phone for row in given if not row.emails for phone in row.phones}
    )
    named = {row.id for row in given if row.id is not None}
    customers = await customer_store.lock_customers(tx, {*named, *owners.values(), *(owner for _, owner in by_phone)})
    organizations = await organization_store.organizations_by_id(
        tx, {row.organization_id for row in given if row.organization_id is not None}
    )
    return Register(
        now=tx.now,
        source=f"import {kept.name}",
        customers=customers,
        owners={email.lower(): one.id for one in customers.values() for email in one.emails},
        organizations=frozenset(organizations),
        domains=await organization_store.domain_owners(tx, {email_domain(email) for email in emails}),
    )
