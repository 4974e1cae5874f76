"""Customers as files over HTTP: imports piece by piece with a report, and the export as a stream."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field, StringConstraints
from starlette.responses import Response, StreamingResponse

from opora_chassis.database import Database, Transaction
from opora_chassis.http import (
    Input,
    Limit,
    NotFound,
    Page,
    PlatformDependency,
    Unprocessable,
    decode_cursor,
    page_of,
    shown,
)
from opora_chassis.identifiers import new_id
from opora_contracts.fact import ShortText
from opora_intake.api import customer_examples as examples
from opora_intake.api.dependencies import CustomerWrite, ReadCustomers, broken_rules_as_problems
from opora_intake.api.views import View
from opora_intake.domain.customer_files import FileFormat, FileLimits, customers_text, header_text
from opora_intake.handlers import customer_imports as handlers
from opora_intake.store import customer_imports as store
from opora_intake.store import customers as customer_store
from opora_intake.store.customer_imports import CustomerImport

router = APIRouter(prefix="/v1", tags=["customers"])

LIMITS = FileLimits()
LONGEST_PIECE = 262_144
_CUSTOMERS_AT_A_TIME = 500
_MEDIA_TYPES = {FileFormat.CSV: "text/csv; charset=utf-8; header=present", FileFormat.JSONL: "application/jsonl"}


class NewCustomerImport(Input):
    """An import to be opened, or to be gone on with. A file keeps its name: under it a repetition is known."""

    name: ShortText
    format: FileFormat = FileFormat.CSV


class Piece(Input):
    """A piece of the file; it may end anywhere."""

    offset: Annotated[int, Field(ge=0)]
    """How many bytes of the file, as UTF-8 and without a byte order mark, come before it: `received_bytes`."""
    text: Annotated[str, StringConstraints(max_length=LONGEST_PIECE)]
    last: bool = False
    """The file ends here."""


class CustomerImportView(View):
    """How far an import has come."""

    id: UUID
    name: str
    format: FileFormat
    state: Literal["open", "done", "failed"]
    problem: str | None
    """Why it failed, and what to do."""
    received_bytes: int
    """Where the next piece begins."""
    rows: int
    registered: int
    changed: int
    unchanged: int
    refused: int
    opened_at: datetime
    finished_at: datetime | None


class RefusedRowView(View):
    """A row that was not taken in."""

    line: int
    """The line of the file with which the row begins; the first is 1."""
    field: str | None
    reason: str
    instead: str
    """What to write instead."""


class ExportQuery(Input):
    """How the file is to be written."""

    format: FileFormat = FileFormat.CSV


@router.post("/customer-imports", response_model=CustomerImportView, summary="Open an import of customers")
@shown(examples.CUSTOMER_IMPORT, examples.NEW_CUSTOMER_IMPORTS)
async def post_customer_import(body: NewCustomerImport, call: CustomerWrite) -> Response:
    """Open an import, or find the one of this name: go on at its `received_bytes`."""

    async def work(tx: Transaction) -> CustomerImportView:
        return _view(await store.open_import(tx, new_id(), body.name, body.format, call.caller.actor))

    return await call.run(work)


@router.post(
    "/customer-imports/{customer_import_id}/pieces", response_model=CustomerImportView, summary="Import a piece"
)
@shown(
    examples.CUSTOMER_IMPORT_DONE,
    examples.PIECES,
    conflict="The piece does not begin where the last one ended, the import has ended, or an address was taken at this"
    " moment; nothing was carried out.",
)
async def post_piece(customer_import_id: UUID, body: Piece, call: CustomerWrite) -> Response:
    """Take in up to 262,144 characters of the file in one transaction. A piece that was taken in is left alone.

    Rows that cannot be taken in are reported, the others are carried out. The same file again changes nothing.
    """
    if "\x00" in body.text:
        raise Unprocessable("The text holds the character NUL: save the file as UTF-8, not as UTF-16.")

    async def work(tx: Transaction) -> CustomerImportView:
        taken = await handlers.take_piece(
            tx,
            customer_import_id,
            offset=body.offset,
            text=body.text,
            last=body.last,
            actor=call.caller.actor,
            limits=LIMITS,
        )
        return _view(taken)

    with broken_rules_as_problems():
        return await call.run(work)


@router.get("/customer-imports/{customer_import_id}", summary="Read how far an import of customers has come")
@shown(examples.CUSTOMER_IMPORT_DONE)
async def get_customer_import(
    customer_import_id: UUID, platform: PlatformDependency, _caller: ReadCustomers
) -> CustomerImportView:
    """How far an import has come, and what became of its rows."""
    return _view(await _found(platform.database, customer_import_id))


@router.get("/customer-imports/{customer_import_id}/refusals", summary="List refused rows")
@shown(examples.page(examples.REFUSED_ROW))
async def list_refusals(
    customer_import_id: UUID,
    platform: PlatformDependency,
    _caller: ReadCustomers,
    limit: Limit = 200,
    cursor: str | None = None,
) -> Page[RefusedRowView]:
    """Rows that were not taken in, by line, with the reason and what to write instead; the first 10,000 are kept."""
    position = decode_cursor(cursor, after=int) or {}
    await _found(platform.database, customer_import_id)
    refusals = await store.refusals_of(platform.database, customer_import_id, limit=limit + 1, **position)
    return page_of([RefusedRowView.model_validate(one) for one in refusals], limit, lambda one: {"after": one.line})


@router.get(
    "/customers/export",
    summary="Export customers",
    response_class=Response,
    responses={
        200: {
            "content": {
                kind: {"schema": {"type": "string", "format": "binary"}} for kind in ("text/csv", "application/jsonl")
            }
        }
    },
)
@shown()
async def export_customers(
    query: Annotated[ExportQuery, Query()], platform: PlatformDependency, _caller: ReadCustomers
) -> Response:
    """Every customer who stands alone, oldest first, as a file that can be imported. Notes are no part of it.

    In CSV a cell that a spreadsheet could take for a formula has an apostrophe before it, which an import takes off.
    """
    name = f"customers.{query.format.value}"
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return StreamingResponse(
        _exported(platform.database, query.format), media_type=_MEDIA_TYPES[query.format], headers=headers
    )


async def _exported(database: Database, file_format: FileFormat) -> AsyncIterator[str]:
    yield header_text(file_format)
    after: UUID | None = None
    while customers := await customer_store.customers_after(database, after, _CUSTOMERS_AT_A_TIME):
        yield customers_text(file_format, customers)
        after = customers[-1].id


async def _found(database: Database, import_id: UUID) -> CustomerImport:
    found = await store.find_import(database, import_id)
    if found is None:
        raise NotFound("customer import", import_id)
    return found


def _view(one: CustomerImport) -> CustomerImportView:
    return CustomerImportView.model_validate(one)
