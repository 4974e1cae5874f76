"""The HTTP interface of sla: agreements, clocks and their reasons, outcomes in bulk, progress."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from opora_chassis.http import (
    Caller,
    Limit,
    NotFound,
    Page,
    PlatformDependency,
    WriteCall,
    decode_cursor,
    page_of,
    requires,
    shown,
    writes,
)
from opora_contracts.vocabulary import Outcome
from opora_sla import api_examples, handlers
from opora_sla.agreement import Agreement, AgreementDocument
from opora_sla.metrics import ClockMetric
from opora_sla.reading import read_ticket, read_tickets
from opora_sla.store import agreements as agreement_store
from opora_sla.store import cases as case_store
from opora_sla.store import reports
from opora_sla.views import (
    AgreementView,
    ExplainedTicketView,
    ImportView,
    ListedClockView,
    OutcomeView,
    StatusView,
    TicketView,
    agreement_view,
    explained_view,
    outcome_view,
    ticket_view,
)

router = APIRouter(prefix="/v1")
MayRead = Annotated[Caller, Depends(requires("sla:read"))]
MayWriteAgreements = Annotated[WriteCall, Depends(writes("agreements:write"))]
Cursor = Annotated[str | None, Query(max_length=1_000, description="`next_cursor` of the page before.")]


@router.post("/agreements", status_code=201, response_model=AgreementView, summary="Write an agreement")
@shown(api_examples.AGREEMENT, api_examples.AGREEMENTS)
async def create_agreement(document: AgreementDocument, call: MayWriteAgreements) -> Response:
    """A new agreement, version 1. A document that an agreement says already gives that one and changes nothing."""
    return await call.run(
        lambda tx: _view(handlers.create_agreement(tx, document)),
        status=201,
    )


@router.put("/agreements/{agreement_id}", response_model=AgreementView, summary="Revise an agreement")
@shown(api_examples.REVISED, api_examples.REVISIONS)
async def revise_agreement(agreement_id: UUID, document: AgreementDocument, call: MayWriteAgreements) -> Response:
    """The next version, for tickets created from now on; the same document again changes nothing."""
    return await call.run(lambda tx: _view(handlers.revise_agreement(tx, agreement_id, document)))


@router.get("/agreements", summary="List agreements")
@shown(api_examples.page(api_examples.AGREEMENT))
async def list_agreements(
    platform: PlatformDependency, _caller: MayRead, cursor: Cursor = None, limit: Limit = 50
) -> Page[AgreementView]:
    """The newest version of every agreement, in the order of their ids."""
    position = decode_cursor(cursor, id=UUID)
    after_id = position["id"] if position else None
    agreements = await agreement_store.list_agreements(platform.database, after_id, limit + 1)
    return page_of([agreement_view(each) for each in agreements], limit, lambda view: {"id": view.id})


@router.get("/agreements/{agreement_id}", summary="Read an agreement")
@shown(api_examples.AGREEMENT)
async def get_agreement(
    agreement_id: UUID,
    platform: PlatformDependency,
    _caller: MayRead,
    version: Annotated[int | None, Query(ge=1, le=2_147_483_647)] = None,
) -> AgreementView:
    """This version of an agreement, or its newest."""
    agreement = await agreement_store.find_agreement(platform.database, agreement_id, version)
    if agreement is None:
        raise NotFound("agreement", str(agreement_id) if version is None else f"{agreement_id} in version {version}")
    return agreement_view(agreement)


@router.get("/tickets/{ticket_id}", summary="Read a ticket's clocks")
@shown(api_examples.TICKET)
async def get_ticket(ticket_id: UUID, platform: PlatformDependency, _caller: MayRead) -> TicketView:
    """A ticket's clocks."""
    reading = await read_ticket(platform.database, ticket_id)
    if reading is None:
        raise NotFound("ticket", ticket_id)
    return ticket_view(reading)


@router.get("/tickets/{ticket_id}/explain", summary="Explain a ticket's clocks")
@shown(api_examples.EXPLAINED)
async def explain_ticket(ticket_id: UUID, platform: PlatformDependency, _caller: MayRead) -> ExplainedTicketView:
    """Why a ticket's clocks stand as they do: what they counted, and the events that made it so."""
    reading = await read_ticket(platform.database, ticket_id)
    if reading is None:
        raise NotFound("ticket", ticket_id)
    return explained_view(reading)


@router.get("/clocks", summary="List clocks")
@shown(api_examples.page(api_examples.LISTED_CLOCK))
async def list_clocks(
    platform: PlatformDependency,
    _caller: MayRead,
    outcome: Outcome | None = None,
    metric: ClockMetric | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[ListedClockView]:
    """Clocks as they were last judged, in the order of (ticket, metric, cycle)."""
    position = decode_cursor(cursor, ticket_id=UUID, metric=str, cycle=int)
    after = (position["ticket_id"], position["metric"], position["cycle"]) if position else None
    listed = await reports.list_clocks(platform.database, outcome, metric, after, limit + 1)
    return page_of(
        [ListedClockView.model_validate(each) for each in listed],
        limit,
        lambda view: {"ticket_id": view.ticket_id, "metric": view.metric, "cycle": view.cycle},
    )


@router.get("/outcomes", summary="List outcomes of tickets")
@shown(api_examples.page(api_examples.OUTCOME))
async def list_outcomes(
    platform: PlatformDependency,
    _caller: MayRead,
    external_source: Annotated[str | None, Query(max_length=200)] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[OutcomeView]:
    """What became of tickets, of one source or all, in the order of their ids."""
    position = decode_cursor(cursor, ticket_id=UUID)
    after_id = position["ticket_id"] if position else None
    ticket_ids = await reports.list_tickets(platform.database, external_source, after_id, limit + 1)
    readings = await read_tickets(platform.database, ticket_ids)
    return page_of([outcome_view(each) for each in readings], limit, lambda view: {"ticket_id": view.ticket_id})


@router.get("/imports/{import_id}", summary="Read how far an import was taken in")
@shown(api_examples.IMPORT, may_be_missing=False)
async def get_import(import_id: str, platform: PlatformDependency, _caller: MayRead) -> ImportView:
    """How far an import was taken in. One that sla has not heard of yet has no tickets and no watermarks."""
    counts = await reports.import_counts(platform.database, import_id)
    watermarks = await case_store.watermarks(platform.database, import_id)
    return ImportView(import_id=import_id, watermarks=watermarks, **counts)


@router.get("/status", summary="Read how much there is")
@shown(api_examples.STATUS)
async def get_status(platform: PlatformDependency, _caller: MayRead) -> StatusView:
    """How many tickets, facts and clocks there are, and how far the live facts are known."""
    counts = await reports.status_counts(platform.database)
    return StatusView.model_validate(
        counts
        | {
            "clocks": await reports.clock_counts(platform.database),
            "watermarks": await case_store.watermarks(platform.database, case_store.LIVE),
        }
    )


async def _view(agreement: Awaitable[Agreement]) -> AgreementView:
    return agreement_view(await agreement)
