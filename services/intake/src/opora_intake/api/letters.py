"""Letters over HTTP: what became of each, its bytes, what was reported about deliveries, and how mailboxes stand."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.responses import Response

from opora_chassis.http import Input, Limit, NotFound, Page, PlatformDependency, decode_cursor, page_of, shown
from opora_intake.api import examples
from opora_intake.api.dependencies import ReadMessages
from opora_intake.api.views import View
from opora_intake.domain.letters import LetterOutcome
from opora_intake.store import letters as store
from opora_intake.store import mailboxes as mailbox_store

router = APIRouter(prefix="/v1", tags=["letters"])

State = Literal["received", "handled", "quarantined"]
_RAW_HEADERS = {
    # Nothing in a letter may run or be taken for something else, even when somebody opens it in a browser.
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class LetterView(View):
    """A letter that was taken in, and what became of it."""

    id: UUID
    received_at: datetime
    channel: str
    """How it came: smtp, lmtp or imap."""
    envelope_from: str | None
    """MAIL FROM; empty for the null sender of reports, absent for a letter out of a mailbox."""
    envelope_to: tuple[str, ...]
    message_id: str | None
    size_bytes: int
    state: State
    outcome: LetterOutcome | None
    """Absent as long as it waits."""
    reason: str | None
    """Why it became what it became, or why the last attempt failed."""
    ticket_id: UUID | None
    attempts: int
    due_at: datetime | None
    handled_at: datetime | None


class DeliveryView(View):
    """What a mail server reported about a letter to one recipient (RFC 3464)."""

    id: UUID
    recipient: str
    outcome: Literal["failed", "delayed", "delivered"]
    status: str
    """By RFC 3463."""
    permanent: bool
    """Whether writing to the address again is of no use."""
    diagnostic: str
    original_message_id: str | None
    letter_id: UUID
    """The letter that held the report."""
    reported_at: datetime


class MailboxView(View):
    """A mailbox that is polled by IMAP, and how far it was read."""

    name: str
    polled_at: datetime | None
    """When it was last read to its end; absent before the first time."""
    failing_since: datetime | None
    """Since when it cannot be read; absent when all is well."""
    last_error: str | None
    """Why, in the server's words where it gave some."""
    wanted: int
    """Messages that were seen in it and are not kept here yet."""
    uid_validity: int | None
    next_uid: int
    """Every message with a smaller UID was seen (RFC 9051 §2.3.1.1)."""


class LetterQuery(Input):
    """Which letters to list: those that match every given filter."""

    state: State | None = None
    outcome: LetterOutcome | None = None
    ticket_id: UUID | None = None
    limit: Limit = 50
    cursor: str | None = None


@router.get("/letters", summary="List letters")
@shown(examples.page(examples.LETTER))
async def list_letters(
    query: Annotated[LetterQuery, Query()], platform: PlatformDependency, _caller: ReadMessages
) -> Page[LetterView]:
    """Letters, newest first: what waits, what was handled and how, and what is in quarantine."""
    position = decode_cursor(query.cursor, before=UUID) or {}
    filters = query.model_dump(exclude={"limit", "cursor"}, exclude_none=True)
    letters = await store.list_letters(platform.database, limit=query.limit + 1, **filters, **position)
    return page_of(
        [LetterView.model_validate(letter) for letter in letters], query.limit, lambda letter: {"before": letter.id}
    )


@router.get("/letters/{letter_id}", summary="Read what became of a letter")
@shown(examples.LETTER)
async def get_letter(letter_id: UUID, platform: PlatformDependency, _caller: ReadMessages) -> LetterView:
    """One letter without its bytes."""
    letter = await store.find_letter(platform.database, letter_id)
    if letter is None:
        raise NotFound("letter", letter_id)
    return LetterView.model_validate(letter)


@router.get(
    "/letters/{letter_id}/raw",
    summary="Download a letter",
    response_class=Response,
    responses={200: {"content": {"message/rfc822": {"schema": {"type": "string", "format": "binary"}}}}},
)
@shown()
async def get_raw_letter(letter_id: UUID, platform: PlatformDependency, _caller: ReadMessages) -> Response:
    """The letter's bytes as they came, as a file. Anybody may have written it: open it with care."""
    raw = await store.raw_letter(platform.database, letter_id)
    if raw is None:
        raise NotFound("letter", letter_id)
    disposition = {"Content-Disposition": f'attachment; filename="letter-{letter_id}.eml"'}
    return Response(raw, media_type="message/rfc822", headers=_RAW_HEADERS | disposition)


@router.get("/deliveries", summary="List reports about deliveries")
@shown(examples.page(examples.DELIVERY))
async def list_deliveries(
    platform: PlatformDependency,
    _caller: ReadMessages,
    recipient: Annotated[str | None, Query(max_length=320, description="Only those about this address.")] = None,
    limit: Limit = 50,
    cursor: str | None = None,
) -> Page[DeliveryView]:
    """What mail servers reported about letters to an address, newest first."""
    position = decode_cursor(cursor, before=UUID) or {}
    deliveries = await store.list_deliveries(platform.database, limit=limit + 1, recipient=recipient, **position)
    return page_of(
        [DeliveryView.model_validate(delivery) for delivery in deliveries],
        limit,
        lambda delivery: {"before": delivery.id},
    )


@router.get("/mailboxes", summary="List polled mailboxes")
@shown(examples.MAILBOXES)
async def list_mailboxes(platform: PlatformDependency, _caller: ReadMessages) -> list[MailboxView]:
    """How each mailbox that was ever polled stands, by name."""
    standings = await mailbox_store.list_mailboxes(platform.database)
    return [
        MailboxView.model_validate({**asdict(standing.position), "wanted": standing.wanted}) for standing in standings
    ]
