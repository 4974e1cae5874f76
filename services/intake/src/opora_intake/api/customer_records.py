"""What is kept about a customer over HTTP: merges, consents, notes."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import StringConstraints
from starlette.responses import Response

from opora_chassis.database import Transaction
from opora_chassis.http import Input, Limit, NotFound, Page, PlatformDependency, decode_cursor, page_of, shown
from opora_chassis.identifiers import new_id
from opora_contracts.fact import Instant, ShortText
from opora_intake.api import customer_examples as examples
from opora_intake.api.customer_views import (
    CustomerView,
    MergeView,
    NoteView,
    StatementView,
    customer_view,
    merge_view,
)
from opora_intake.api.dependencies import CustomerWrite, ReadCustomers, broken_rules_as_problems
from opora_intake.domain import Consent
from opora_intake.domain.customer import Purpose
from opora_intake.handlers import customers as handlers
from opora_intake.handlers import merging
from opora_intake.handlers.undeliverable import clear_address
from opora_intake.store import customers as store

router = APIRouter(prefix="/v1/customers/{customer_id}", tags=["customers"])

_MERGED = "The customer was merged into another one: `merged_into` names it."


class MergeOrder(Input):
    """Who the customer is in truth."""

    into: UUID


class Statement(Input):
    """What a customer said about a purpose."""

    given: bool
    """False withdraws, or refuses."""
    source: ShortText
    """Where that is known from, such as the form or the call."""
    at: Instant | None = None
    """When it was said; absent means now."""


class DeliverableAddress(Input):
    """The address that can be written to again."""

    address: Annotated[str, StringConstraints(min_length=3, max_length=254)]


class NewNote(Input):
    """What agents should keep in mind. It is in no event, and the customer never sees it."""

    body: Annotated[str, StringConstraints(min_length=1, max_length=10_000)]


@router.post("/merge", response_model=MergeView, summary="Merge a customer into another one")
@shown(examples.MERGE, examples.MERGE_ORDERS, conflict="One of them was merged already, or has too many contacts.")
async def post_merge(customer_id: UUID, body: MergeOrder, call: CustomerWrite) -> Response:
    """Two records are one person: addresses, phones, tickets, notes and consents go over to the other one.

    This customer's id goes on to work wherever it is used. Merging again what is merged so changes nothing.
    """

    async def work(tx: Transaction) -> MergeView:
        return merge_view(await merging.merge_customers(tx, customer_id, body.into, call.caller.actor))

    with broken_rules_as_problems():
        return await call.run(work)


@router.post("/unmerge", response_model=MergeView, summary="Undo the merge of a customer")
@shown(
    examples.UNMERGE,
    conflict="The customer is not merged, the other one was merged on, or somebody else has one of the addresses.",
)
async def post_unmerge(customer_id: UUID, call: CustomerWrite) -> Response:
    """Two people after all: exactly what the merge moved goes back. What came since stays with the other one."""

    async def work(tx: Transaction) -> MergeView:
        return merge_view(await merging.unmerge_customer(tx, customer_id, call.caller.actor))

    with broken_rules_as_problems():
        return await call.run(work)


@router.post("/deliverable", response_model=CustomerView, summary="Write to an address again")
@shown(
    examples.CUSTOMER | {"version": 2},
    examples.DELIVERABLE_ADDRESSES,
    conflict=_MERGED,
)
async def post_deliverable(customer_id: UUID, body: DeliverableAddress, call: CustomerWrite) -> Response:
    """Letters to this address came back (`undeliverable`), and should not any more: notify writes to it again.

    An address that is not marked is left as it is. What was withheld meanwhile is not sent by that: see
    `POST /v1/notifications/{notification_id}/resend` of notify.
    """

    async def work(tx: Transaction) -> CustomerView:
        return customer_view(await clear_address(tx, customer_id, body.address, call.caller.actor))

    with broken_rules_as_problems():
        return await call.run(work)


@router.put("/consents/{purpose}", response_model=CustomerView, summary="Record a consent")
@shown(examples.CONSENTING, examples.STATEMENTS, conflict=_MERGED)
async def put_consent(customer_id: UUID, purpose: Purpose, body: Statement, call: CustomerWrite) -> Response:
    """Record that the customer consents to a purpose, or does not any more. The newest statement holds."""

    async def work(tx: Transaction) -> CustomerView:
        at: datetime = body.at or tx.now
        consent = Consent(purpose.value, body.given, at, body.source)
        return customer_view(await handlers.record_consent(tx, customer_id, consent, call.caller.actor))

    with broken_rules_as_problems():
        return await call.run(work)


@router.get("/consents", summary="List what a customer consented to")
@shown(examples.page(examples.STATEMENT))
async def list_consents(
    customer_id: UUID,
    platform: PlatformDependency,
    _caller: ReadCustomers,
    limit: Limit = 50,
    cursor: str | None = None,
) -> Page[StatementView]:
    """Every statement, the one that was recorded last first. A merged customer's are those of who it is now."""
    position = decode_cursor(cursor, before=UUID) or {}
    survivor = await _survivor(platform, customer_id)
    rows = await store.statements_of(platform.database, survivor, limit=limit + 1, **position)
    return page_of([StatementView(**row) for row in rows], limit, lambda one: {"before": one.id})


@router.post("/notes", status_code=201, response_model=NoteView, summary="Write a note about a customer")
@shown(examples.NOTE, examples.NEW_NOTES, conflict=_MERGED)
async def post_note(customer_id: UUID, body: NewNote, call: CustomerWrite) -> Response:
    """Keep something in mind about a customer, for agents alone."""

    async def work(tx: Transaction) -> NoteView:
        await handlers.locked_customer(tx, customer_id)
        note = NoteView(id=new_id(), body=body.body, author=call.caller.actor, written_at=tx.now)
        await store.add_note(tx, note.id, customer_id, note.body, note.author)
        return note

    with broken_rules_as_problems():
        return await call.run(work, status=201)


@router.get("/notes", summary="List notes about a customer")
@shown(examples.page(examples.NOTE))
async def list_notes(
    customer_id: UUID,
    platform: PlatformDependency,
    _caller: ReadCustomers,
    limit: Limit = 50,
    cursor: str | None = None,
) -> Page[NoteView]:
    """Notes, newest first. A merged customer's are those of who it is now."""
    position = decode_cursor(cursor, before=UUID) or {}
    survivor = await _survivor(platform, customer_id)
    rows = await store.notes_of(platform.database, survivor, limit=limit + 1, **position)
    return page_of([NoteView(**row) for row in rows], limit, lambda one: {"before": one.id})


async def _survivor(platform: PlatformDependency, customer_id: UUID) -> UUID:
    survivors = await store.survivors_of(platform.database, [customer_id])
    if customer_id not in survivors:
        raise NotFound("customer", customer_id)
    return survivors[customer_id]
