"""Files and diagnostic data of tickets over HTTP."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request
from pydantic import AnyHttpUrl, Field, model_validator
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse

from opora_chassis.database import Transaction
from opora_chassis.http import (
    BadRequest,
    Caller,
    Conflict,
    Forbidden,
    Input,
    Limit,
    NotFound,
    Page,
    PlatformDependency,
    Problem,
    WriteCall,
    decode_cursor,
    page_of,
    requires,
    shown,
)
from opora_chassis.identifiers import new_id
from opora_chassis.platform import Platform
from opora_intake.api import attachment_examples as examples
from opora_intake.api.carrying_out import found_ticket
from opora_intake.api.dependencies import (
    ReadMessages,
    TicketReference,
    TicketWrite,
    broken_rules_as_problems,
    files_of,
)
from opora_intake.api.views import View
from opora_intake.attachments.storage import TooLarge
from opora_intake.domain.attachments import DiagnosticKind, download_headers
from opora_intake.handlers.attachments import Files, attach
from opora_intake.handlers.errors import Unknown, UnknownReference
from opora_intake.store import attachments as store
from opora_intake.store import tickets as ticket_store
from opora_intake.store.attachments import Attached, Diagnostic

router = APIRouter(prefix="/v1", tags=["attachments"])

UPLOADS = r"/v1/tickets/[^/]+/attachments"
"""The paths to which a file may be sent as it is."""

_RAW_BODY = {
    "requestBody": {
        "required": True,
        "description": "The file as it is; its Content-Type is kept as a claim.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
WriteTickets = Annotated[Caller, Depends(requires("tickets:write"))]
Name = Annotated[
    str, Query(min_length=1, max_length=1000, description="What the file is called. Shortened to 120 characters.")
]
MessageId = Annotated[UUID | None, Query(description="The message of the ticket to which the file belongs.")]
Key = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=200,
        description="Repeating a write under the same key, within 7 days, gives the first answer again.",
    ),
]


class AttachmentView(View):
    """A file on a ticket."""

    id: UUID
    ticket_id: UUID
    message_id: UUID | None
    letter_id: UUID | None
    """The letter that brought it."""
    name: str
    size_bytes: int
    sha256: str
    type: str
    """What the first bytes speak of; `application/octet-stream` where they say nothing."""
    claimed_type: str | None
    """What the sender says that it is. Not to be believed."""
    content_id: str | None
    """By which the HTML of its letter shows it (`cid:`)."""
    inline: bool
    verdict: Literal["clean", "infected", "unscanned"]
    finding: str | None
    """The virus' name, or why there is no verdict."""
    actor: str | None
    added_at: datetime


class DiagnosticBody(Input):
    """Diagnostic data: exactly one of value, url and attachment_id."""

    kind: DiagnosticKind
    name: Annotated[str, Field(min_length=1, max_length=200)]
    value: Annotated[str | None, Field(min_length=1, max_length=100_000)] = None
    url: Annotated[AnyHttpUrl | None, Field(max_length=2000)] = None
    attachment_id: UUID | None = None

    @model_validator(mode="after")
    def _is_one_thing(self) -> "DiagnosticBody":
        if sum(each is not None for each in (self.value, self.url, self.attachment_id)) != 1:
            raise ValueError("give exactly one of value, url and attachment_id")
        if self.value is not None and "\x00" in self.value + self.name:
            raise ValueError("text must not hold the NUL character")
        return self


class DiagnosticView(View):
    """Diagnostic data on a ticket."""

    id: UUID
    ticket_id: UUID
    kind: DiagnosticKind
    name: str
    value: str | None
    url: str | None
    attachment_id: UUID | None
    actor: str | None
    recorded_at: datetime


@router.post(
    "/tickets/{ticket}/attachments",
    status_code=201,
    response_model=AttachmentView,
    summary="Attach a file",
    openapi_extra=_RAW_BODY,
)
@shown(examples.ATTACHMENT, conflict="This installation keeps no files.")
async def attach_file(
    request: Request,
    ticket: TicketReference,
    platform: PlatformDependency,
    *,
    caller: WriteTickets,
    name: Name,
    message_id: MessageId = None,
    idempotency_key: Key = None,
) -> Response:
    """Attach the body as a file to a ticket or to a message of it. It is never held in memory as a whole."""
    await found_ticket(platform, ticket)
    keeper = _keeper(platform)
    try:
        kept = await keeper.keep(_pieces(request))
    except TooLarge as refusal:
        raise Problem(413, "content-too-large", "Content Too Large", f"{refusal}.") from None
    told = f"{request.method}\n{request.url.path}\n{request.url.query}\n{caller.actor}\n"
    digest = sha256(told.encode() + kept.sha256).digest()
    call = WriteCall(caller, request.method, request.url.path, idempotency_key, digest, platform.database)

    async def work(tx: Transaction) -> AttachmentView:
        attached = await attach(
            tx,
            keeper,
            ticket,
            kept,
            name=name,
            claimed=request.headers.get("content-type"),
            message_id=message_id,
            actor=caller.actor,
        )
        return _view(attached)

    with broken_rules_as_problems():
        return await call.run(work, status=201)


@router.get("/tickets/{ticket}/attachments", summary="List a ticket's files")
@shown(examples.page(examples.ATTACHMENT))
async def list_attachments(
    ticket: TicketReference,
    platform: PlatformDependency,
    _caller: ReadMessages,
    limit: Limit = 50,
    cursor: str | None = None,
) -> Page[AttachmentView]:
    """The ticket's files in the order in which they came."""
    position = decode_cursor(cursor, after=UUID) or {"after": None}
    found = await found_ticket(platform, ticket)
    rows = await store.list_attachments(platform.database, found.id, limit=limit + 1, **position)
    return page_of([_view(row) for row in rows], limit, lambda each: {"after": each.id})


@router.get(
    "/tickets/{ticket}/attachments/{attachment_id}/content",
    summary="Download a file",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}},
)
@shown(conflict="The file was not looked through for viruses yet, or this installation keeps no files.")
async def download_attachment(
    ticket: TicketReference, attachment_id: UUID, platform: PlatformDependency, _caller: ReadMessages
) -> Response:
    """The file's bytes, as a download in a sandbox. One in which a virus was found is not handed out (403)."""
    found = await found_ticket(platform, ticket)
    attached = await store.find_attachment(platform.database, found.id, attachment_id)
    if attached is None:
        raise NotFound("attachment", attachment_id)
    keeper = _keeper(platform)
    if attached.verdict == "infected":
        raise Forbidden(f"A virus was found in this file ({attached.finding}): it is kept in quarantine.")
    if attached.verdict == "unscanned" and keeper.clamd is not None:
        raise Conflict("This file was not looked through for viruses yet: come again in a minute.")
    pieces = keeper.storage.read(attached.sha256)
    first = await anext(pieces, b"")

    async def body() -> AsyncIterator[bytes]:
        async with aclosing(pieces):
            yield first
            async for piece in pieces:
                yield piece

    headers = {**download_headers(attached.name, attached.type), "Content-Length": str(attached.size_bytes)}
    return StreamingResponse(body(), headers=headers)


@router.post(
    "/tickets/{ticket}/diagnostics",
    status_code=201,
    response_model=DiagnosticView,
    summary="Record diagnostic data",
)
@shown(examples.DIAGNOSTIC, examples.DIAGNOSTICS)
async def add_diagnostic(ticket: TicketReference, body: DiagnosticBody, call: TicketWrite) -> Response:
    """Record what helps to find the cause: a log, where metrics are, the environment, a trace id, or a file."""

    async def work(tx: Transaction) -> DiagnosticView:
        found = await ticket_store.lock_ticket(tx, ticket)
        if found is None:
            raise Unknown("ticket", str(ticket) if isinstance(ticket, UUID) else f"OP-{ticket}")
        if body.attachment_id and not await store.find_attachment(tx, found.id, body.attachment_id):
            raise UnknownReference("attachment_id", body.attachment_id)
        diagnostic = Diagnostic(
            id=new_id(),
            ticket_id=found.id,
            kind=body.kind,
            name=body.name,
            value=body.value,
            url=None if body.url is None else str(body.url),
            attachment_id=body.attachment_id,
            actor=call.caller.actor,
            recorded_at=tx.now,
        )
        await store.add_diagnostic(tx, diagnostic)
        return DiagnosticView.model_validate(diagnostic)

    with broken_rules_as_problems():
        return await call.run(work, status=201)


@router.get("/tickets/{ticket}/diagnostics", summary="List a ticket's diagnostic data")
@shown(examples.page(examples.DIAGNOSTIC))
async def list_diagnostics(
    ticket: TicketReference,
    platform: PlatformDependency,
    _caller: ReadMessages,
    limit: Limit = 50,
    cursor: str | None = None,
) -> Page[DiagnosticView]:
    """What was recorded to find the ticket's cause, in order."""
    position = decode_cursor(cursor, after=UUID) or {"after": None}
    found = await found_ticket(platform, ticket)
    rows = await store.list_diagnostics(platform.database, found.id, limit=limit + 1, **position)
    return page_of([DiagnosticView.model_validate(row) for row in rows], limit, lambda each: {"after": each.id})


def _keeper(platform: Platform) -> Files:
    files = files_of(platform)
    if files is None:
        raise Conflict("This installation keeps no files: set OPORA_INTAKE_FILES_DIRECTORY.")
    return files


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    try:
        async for piece in request.stream():
            if piece:
                yield piece
    except ClientDisconnect:
        raise BadRequest("The file ended before it was whole: send it again.") from None


def _view(attached: Attached) -> AttachmentView:
    fields = {name: getattr(attached, name, None) for name in AttachmentView.model_fields}
    return AttachmentView(**{**fields, "sha256": attached.sha256.hex(), "claimed_type": attached.claimed})
