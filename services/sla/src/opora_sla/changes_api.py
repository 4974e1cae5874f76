"""The HTTP interface for what becomes of open tickets when an agreement changes: preview, request, progress."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import AwareDatetime, Field
from starlette.responses import Response

from opora_chassis.database import Transaction
from opora_chassis.http import (
    Input,
    Limit,
    NotFound,
    Page,
    PlatformDependency,
    decode_cursor,
    encode_cursor,
    page_of,
    shown,
)
from opora_contracts.vocabulary import Outcome
from opora_sla import changes, changes_examples
from opora_sla.agreement import AgreementDocument
from opora_sla.api import Cursor, MayRead, MayWriteAgreements
from opora_sla.domain import Change, Clock, Effect
from opora_sla.metrics import ClockMetric
from opora_sla.store import changes as change_store
from opora_sla.views import View

router = APIRouter(prefix="/v1")


class PreviewInput(Input):
    """A draft of an agreement's next version, and which of its open tickets to try it on."""

    document: AgreementDocument
    created_from: AwareDatetime | None = None
    """Only tickets created from then on; without it, all that are open."""
    cursor: Annotated[str, Field(max_length=1_000)] | None = None
    """`next_cursor` of the answer before."""
    limit: Annotated[int, Field(strict=True, ge=1, le=500)] = 200
    """How many open tickets to examine."""


class ChangeInput(Input):
    """Which open tickets are to go over to a newer version of their agreement."""

    to_version: Annotated[int, Field(strict=True, ge=1, le=2_147_483_647)] | None = None
    """Without it, the newest."""
    created_from: AwareDatetime | None = None
    """Only tickets created from then on; without it, all that are open."""


class PreviewedClockView(View):
    """How a clock stands, as far as it was judged last."""

    outcome: Outcome
    due_at: datetime | None
    used_seconds: int
    target_seconds: int
    party: str | None = None
    """The group that owes it, or `third_party`; null for the whole support side."""


class ClockChangeView(View):
    """A clock that would differ; without `before` only the draft measures it, without `after` only the former one."""

    ticket_id: UUID
    number: str
    metric: ClockMetric
    cycle: int
    effect: Effect
    before: PreviewedClockView | None
    after: PreviewedClockView | None


class PreviewView(View):
    """What the draft would change for the tickets that were examined; those of a next page are not counted here."""

    examined: int
    effects: dict[Effect, int]
    changes: list[ClockChangeView]
    next_cursor: str | None


class AgreementChangeView(View):
    """A request that open tickets go over to a version, and how far it has come."""

    id: UUID
    agreement_id: UUID
    to_version: int
    created_from: datetime | None
    requested_at: datetime
    requested_by: str
    examined: int
    """Open tickets under older versions that were looked at."""
    migrated: int
    """Of those, the ones that went over."""
    effects: dict[Effect, int]
    """How many of their clocks this changed, and how."""
    finished_at: datetime | None


@router.post("/agreements/{agreement_id}/preview", summary="Try a draft on open tickets")
@shown(changes_examples.PREVIEW, changes_examples.DRAFTS)
async def preview_change(
    agreement_id: UUID, body: PreviewInput, platform: PlatformDependency, _caller: MayRead
) -> PreviewView:
    """What a draft would change for the agreement's open tickets, in pages; nothing is written."""
    position = decode_cursor(body.cursor, ticket_id=UUID)
    seen = await changes.preview(
        platform.database,
        agreement_id,
        body.document,
        created_from=body.created_from,
        after_id=position["ticket_id"] if position else None,
        limit=body.limit,
    )
    differing = [(ticket, change) for ticket in seen.tickets for change in ticket.changes]
    return PreviewView(
        examined=seen.examined,
        effects=Counter(change.effect for _, change in differing),
        changes=[_change_view(ticket, change) for ticket, change in differing],
        next_cursor=None if seen.last_id is None else encode_cursor({"ticket_id": seen.last_id}),
    )


@router.post(
    "/agreements/{agreement_id}/changes",
    status_code=201,
    response_model=AgreementChangeView,
    summary="Take open tickets over to a newer version",
)
@shown(changes_examples.CHANGE, changes_examples.CHANGES)
async def request_change(agreement_id: UUID, body: ChangeInput, call: MayWriteAgreements) -> Response:
    """Open tickets under older versions are judged by this one from now on, as if it had applied from their creation.

    The timers carry it out in batches; the answer's id tells how far that has come. Without such a request open tickets
    keep the version that they pinned.
    """

    async def ask(tx: Transaction) -> AgreementChangeView:
        change = await changes.request_change(tx, agreement_id, body.to_version, body.created_from, call.caller.name)
        return AgreementChangeView.model_validate(change)

    return await call.run(ask, status=201)


@router.get("/agreements/{agreement_id}/changes", summary="List changes of open tickets")
@shown(changes_examples.page(changes_examples.CHANGE))
async def list_changes(
    agreement_id: UUID, platform: PlatformDependency, _caller: MayRead, cursor: Cursor = None, limit: Limit = 50
) -> Page[AgreementChangeView]:
    """What was requested for an agreement's open tickets, the oldest first."""
    position = decode_cursor(cursor, id=UUID)
    listed = await change_store.list_changes(
        platform.database, agreement_id, position["id"] if position else None, limit + 1
    )
    return page_of([AgreementChangeView.model_validate(one) for one in listed], limit, lambda view: {"id": view.id})


@router.get("/agreements/{agreement_id}/changes/{change_id}", summary="Read how far a change has come")
@shown(changes_examples.CHANGE)
async def get_change(
    agreement_id: UUID, change_id: UUID, platform: PlatformDependency, _caller: MayRead
) -> AgreementChangeView:
    """A request with its progress."""
    change = await change_store.find_change(platform.database, agreement_id, change_id)
    if change is None:
        raise NotFound("change", change_id)
    return AgreementChangeView.model_validate(change)


def _change_view(ticket: changes.PreviewedTicket, change: Change) -> ClockChangeView:
    return ClockChangeView(
        ticket_id=ticket.case.ticket_id,
        number=ticket.case.number,
        metric=change.key.metric,
        cycle=change.key.cycle,
        effect=change.effect,
        before=_clock_view(change.before),
        after=_clock_view(change.after),
    )


def _clock_view(clock: Clock | None) -> PreviewedClockView | None:
    return None if clock is None else PreviewedClockView.model_validate(clock)
