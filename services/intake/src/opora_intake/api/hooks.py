"""Webhooks over HTTP: where senders post, who may, and what became of each delivery."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, cast
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request
from prometheus_client import Counter
from pydantic import Field
from starlette.responses import JSONResponse, Response

from opora_chassis.clock import host_now
from opora_chassis.database import Transaction
from opora_chassis.http import (
    Caller,
    Conflict,
    Input,
    Limit,
    NotFound,
    Page,
    PlatformDependency,
    Problem,
    Unprocessable,
    WriteCall,
    decode_cursor,
    page_of,
    requires,
    shown,
    writes,
)
from opora_intake.api import hook_examples as examples
from opora_intake.api.dependencies import ReadMessages, broken_rules_as_problems
from opora_intake.api.examples import page
from opora_intake.api.views import View
from opora_intake.domain.hook_sources import (
    MOST_SECRETS,
    Defaults,
    HmacHeader,
    HookKind,
    HookName,
    HookRules,
    Levels,
    Mapped,
    OnResolve,
    Proof,
    Secret,
)
from opora_intake.domain.hooks import HookOutcome
from opora_intake.handlers.hooks import retry_delivery, take_in
from opora_intake.hooks.signatures import UnprovenError, prove, standard_key
from opora_intake.settings import IntakeSettings
from opora_intake.store import hooks as store
from opora_intake.store.hooks import KeptSource

HOOK_PATH = "/v1/hooks/"

TAKEN_IN = Counter("opora_hook_requests_total", "Webhook requests, by how they were answered", ["answer"])
for _answer in ("kept", "repeated", "unknown", "unproven", "too_large"):
    TAKEN_IN.labels(_answer)

router = APIRouter(prefix="/v1", tags=["webhooks"])

ReadSources = Annotated[Caller, Depends(requires("hooks:read"))]
SourceWrite = Annotated[WriteCall, Depends(writes("hooks:write"))]
DeliveryWrite = Annotated[WriteCall, Depends(writes("tickets:write"))]
Name = Annotated[HookName, Path(description="The source's name, as it stands in the address that it posts to.")]
State = Literal["received", "handled", "quarantined"]


class SourceChange(HookRules, Input):
    """How a source's deliveries are proven, read and made tickets: the whole of it."""

    secrets: Annotated[tuple[Secret, ...] | None, Field(min_length=1, max_length=MOST_SECRETS)] = None
    """What proves a delivery; any of them does, so that a new one can be added before the old one is taken away. For
    `basic` each is `user:password`. Absent: those that the source has."""


class NewSource(SourceChange):
    """A source of webhooks."""

    name: HookName
    """It posts to `/v1/hooks/{name}`, and its tickets have it as `external_source`."""
    secrets: Annotated[tuple[Secret, ...], Field(min_length=1, max_length=MOST_SECRETS)]
    """What proves a delivery; any of them does. For `basic` each is `user:password`. No answer shows them."""


class SourceView(View):
    """A source without its secrets."""

    name: str
    kind: HookKind
    proof: Proof
    hmac: HmacHeader
    defaults: Defaults
    severity_label: str
    severities: dict[str, Levels]
    on_resolve: OnResolve
    one_ticket_per: Literal["group", "alert"]
    mapping: Mapped | None
    secret_count: int
    created_at: datetime
    created_by: str
    changed_at: datetime
    changed_by: str


class SourceList(View):
    """Every source, by name."""

    items: list[SourceView]


class HookDeliveryView(View):
    """A delivery that was acknowledged, and what became of it."""

    id: UUID
    hook: str
    received_at: datetime
    delivery_key: str | None
    """What makes two deliveries one; absent where the sender says nothing of the kind."""
    headers: dict[str, str]
    size_bytes: int
    state: State
    outcome: HookOutcome | None
    """Absent as long as it waits."""
    reason: str | None
    ticket_id: UUID | None
    attempts: int
    due_at: datetime | None
    handled_at: datetime | None


class DeliveryQuery(Input):
    """Which deliveries to list: those that match every given filter."""

    hook: HookName | None = None
    state: State | None = None
    outcome: HookOutcome | None = None
    ticket_id: UUID | None = None
    limit: Limit = 50
    cursor: str | None = None


def inbox_routes(taken_in: Callable[[], None]) -> APIRouter:
    """Where senders post: POST /v1/hooks/{name}. `taken_in` is called after each delivery that was kept."""
    inbox = APIRouter(include_in_schema=False)

    @inbox.post(HOOK_PATH + "{name}")
    async def take_delivery(name: str, request: Request, platform: PlatformDependency) -> Response:
        """Keep a delivery and acknowledge it: 202 once it is committed, whatever it says; 401 without proof."""
        kept = await store.find_source(platform.database, name) if len(name) <= _LONGEST_NAME else None
        if kept is None:
            TAKEN_IN.labels("unknown").inc()
            raise NotFound("source of webhooks named", name[:_LONGEST_NAME])
        raw = await _body(request, cast("IntakeSettings", platform.settings).intake_hook_max_bytes)
        headers = {key.lower(): value for key, value in request.headers.items()}
        try:
            prove(raw, headers, kept.source, kept.secrets, host_now())
        except UnprovenError as error:
            TAKEN_IN.labels("unproven").inc()
            raise Problem(
                401, "unproven", "The delivery does not prove its source", str(error), headers=_challenge(kept)
            ) from error
        async with platform.database.transaction() as tx:
            delivery_id, is_new = await take_in(tx, kept.source, raw, headers)
        taken_in()
        TAKEN_IN.labels("kept" if is_new else "repeated").inc()
        return JSONResponse({"delivery_id": str(delivery_id), "repeated": not is_new}, status_code=202)

    return inbox


@router.get("/hook-sources", summary="List sources of webhooks")
@shown({"items": [examples.SOURCE]})
async def list_hook_sources(platform: PlatformDependency, _caller: ReadSources) -> SourceList:
    """Every system that may post webhooks, without secrets."""
    return SourceList(items=[_view(kept) for kept in await store.list_sources(platform.database)])


@router.get("/hook-sources/{hook}", summary="Read a source of webhooks")
@shown(examples.SOURCE)
async def get_hook_source(hook: Name, platform: PlatformDependency, _caller: ReadSources) -> SourceView:
    """One source, without secrets."""
    kept = await store.find_source(platform.database, hook)
    if kept is None:
        raise NotFound("source of webhooks named", hook)
    return _view(kept)


@router.post("/hook-sources", status_code=201, response_model=SourceView, summary="Add a source of webhooks")
@shown(examples.SOURCE, examples.NEW_SOURCES, conflict="There is a source of this name.")
async def add_hook_source(body: NewSource, call: SourceWrite) -> Response:
    """Let a system post webhooks to `/v1/hooks/{name}`."""
    _check_secrets(body)

    async def work(tx: Transaction) -> SourceView:
        kept = await store.add_source(tx, body.name, _rules(body), body.secrets, call.caller.actor)
        if kept is None:
            raise Conflict(f"There is a source named {body.name} already: change it with PUT, or take another name.")
        return _view(kept)

    return await call.run(work, status=201)


@router.put("/hook-sources/{hook}", response_model=SourceView, summary="Change a source of webhooks")
@shown(examples.SOURCE, examples.CHANGES)
async def change_hook_source(hook: Name, body: SourceChange, call: SourceWrite) -> Response:
    """Replace how a source's deliveries are proven, read and made tickets. What waits is handled by it, too."""
    _check_secrets(body)

    async def work(tx: Transaction) -> SourceView:
        kept = await store.save_source(tx, hook, _rules(body), body.secrets, call.caller.actor)
        if kept is None:
            raise NotFound("source of webhooks named", hook)
        return _view(kept)

    return await call.run(work)


@router.delete("/hook-sources/{hook}", status_code=204, summary="Remove a source of webhooks")
@shown()
async def remove_hook_source(hook: Name, call: SourceWrite) -> Response:
    """Take no more of its deliveries. Those that wait go to the quarantine; what was kept stays listed."""

    async def work(tx: Transaction) -> None:
        if not await store.remove_source(tx, hook):
            raise NotFound("source of webhooks named", hook)

    return await call.run(work, status=204)


@router.get("/hook-deliveries", summary="List deliveries of webhooks")
@shown(page(examples.DELIVERY))
async def list_hook_deliveries(
    query: Annotated[DeliveryQuery, Query()], platform: PlatformDependency, _caller: ReadMessages
) -> Page[HookDeliveryView]:
    """Deliveries, newest first: what waits, what was handled and how, and what is in quarantine."""
    position = decode_cursor(query.cursor, before=UUID) or {}
    filters = query.model_dump(exclude={"limit", "cursor"}, exclude_none=True)
    found = await store.list_deliveries(platform.database, limit=query.limit + 1, **filters, **position)
    views = [HookDeliveryView.model_validate(each) for each in found]
    return page_of(views, query.limit, lambda delivery: {"before": delivery.id})


@router.get("/hook-deliveries/{delivery_id}", summary="Read what became of a delivery")
@shown(examples.DELIVERY)
async def get_hook_delivery(delivery_id: UUID, platform: PlatformDependency, _caller: ReadMessages) -> HookDeliveryView:
    """One delivery without its bytes."""
    found = await store.find_delivery(platform.database, delivery_id)
    if found is None:
        raise NotFound("hook delivery", delivery_id)
    return HookDeliveryView.model_validate(found)


@router.get(
    "/hook-deliveries/{delivery_id}/raw",
    summary="Download a delivery",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}},
)
@shown()
async def get_raw_hook_delivery(delivery_id: UUID, platform: PlatformDependency, _caller: ReadMessages) -> Response:
    """The delivery's bytes as they came, as a file."""
    raw = await store.raw_delivery(platform.database, delivery_id)
    if raw is None:
        raise NotFound("hook delivery", delivery_id)
    headers = {"Content-Disposition": f'attachment; filename="delivery-{delivery_id}.json"', **_RAW_HEADERS}
    return Response(raw, media_type="application/octet-stream", headers=headers)


@router.post("/hook-deliveries/{delivery_id}/retry", response_model=HookDeliveryView, summary="Handle a delivery again")
@shown(examples.WAITING, conflict="The delivery is in no quarantine.")
async def retry_hook_delivery(delivery_id: UUID, call: DeliveryWrite) -> Response:
    """Have a quarantined delivery read and handled as if it had just come, once its cause is mended."""

    async def work(tx: Transaction) -> HookDeliveryView:
        waiting = await retry_delivery(tx, delivery_id)
        if waiting is None:
            raise Conflict("Only a delivery in quarantine can be handled again.")
        return HookDeliveryView.model_validate(waiting)

    with broken_rules_as_problems():
        return await call.run(work)


_LONGEST_NAME = 63
_RAW_HEADERS = {
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


async def _body(request: Request, most_bytes: int) -> bytes:
    """The body; refused as soon as more than so many bytes of it are there."""
    parts: list[bytes] = []
    received = 0
    async for part in request.stream():
        received += len(part)
        if received > most_bytes:
            TAKEN_IN.labels("too_large").inc()
            detail = f"A delivery must not be larger than {most_bytes} bytes: send fewer alerts or less detail."
            raise Problem(413, "content-too-large", "Content Too Large", detail, headers={"Connection": "close"})
        parts.append(part)
    return b"".join(parts)


def _challenge(kept: KeptSource) -> Mapping[str, str]:
    scheme = "Basic" if kept.source.proven_by is Proof.BASIC else "Bearer"
    return {"WWW-Authenticate": f'{scheme} realm="webhooks of {kept.source.name}"'}


def _rules(body: SourceChange) -> HookRules:
    fields: dict[str, Any] = {
        name: getattr(body, name) for name in HookRules.model_fields if name in body.model_fields_set
    }
    return HookRules(**fields)


def _check_secrets(body: SourceChange) -> None:
    for secret in body.secrets or ():
        if body.proven_by is Proof.BASIC and ":" not in secret:
            raise Unprocessable("secrets: for the proof basic each is user:password.")
        if body.proven_by is Proof.STANDARD_WEBHOOKS:
            try:
                standard_key(secret)
            except ValueError as error:
                raise Unprocessable(f"secrets: {error}.") from error


def _view(kept: KeptSource) -> SourceView:
    source = kept.source
    return SourceView(
        **{name: getattr(source, name) for name in HookRules.model_fields if name != "proof"},
        name=source.name,
        proof=source.proven_by,
        secret_count=len(kept.secrets),
        created_at=kept.created_at,
        created_by=kept.created_by,
        changed_at=kept.changed_at,
        changed_by=kept.changed_by,
    )
