"""Notify's HTTP interface for addresses that are not written to."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, StringConstraints

from opora_chassis.database import Transaction
from opora_chassis.http import Limit, NotFound, Page, PlatformDependency, decode_cursor, page_of, shown
from opora_notify import api_examples
from opora_notify.api import MayRead, MayWrite
from opora_notify.store import undeliverable as store

router = APIRouter(prefix="/v1")
Digest = Annotated[str, StringConstraints(min_length=1, max_length=64), Path()]


class UndeliverableView(BaseModel):
    """An address that is not written to. The address itself stays inside; its owner is named."""

    model_config = ConfigDict(from_attributes=True)

    address_digest: str
    """SHA-256 of the address in lower case."""
    recipient: str
    status: str
    """Why, by RFC 3463."""
    source: Literal["report", "refusal"]
    """`report`: letters came back, and intake told of it. `refusal`: our own mail server refused the recipient."""
    since: datetime


@router.get("/undeliverable", summary="List addresses that are not written to")
@shown(api_examples.page(api_examples.UNDELIVERABLE))
async def list_undeliverable(
    _caller: MayRead, platform: PlatformDependency, limit: Limit = 50, cursor: str | None = None
) -> Page[UndeliverableView]:
    """Addresses to which letters come back for good. A message to one is `suppressed` and says so."""
    place = decode_cursor(cursor, after=str)
    after = None if place is None else place["after"]
    found = await store.list_marks(platform.database, after=after, limit=limit + 1)
    views = [UndeliverableView.model_validate(one) for one in found]
    return page_of(views, limit, lambda last: {"after": last.address_digest})


@router.delete("/undeliverable/{address_digest}", status_code=204, summary="Write to an address again")
async def remove_undeliverable(address_digest: Digest, call: MayWrite) -> Response:
    """Write to the address again.

    What a report said of a customer's address is better cleared at the customer in intake
    (`POST /v1/customers/{customer_id}/deliverable`), which is told here.
    """

    async def remove(tx: Transaction) -> None:
        if not await store.unmark_addresses(tx, [address_digest]):
            raise NotFound("undeliverable address", address_digest)

    return await call.run(remove, status=204)
