"""Imports of history over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from opora_chassis.database import Transaction
from opora_chassis.http import Input, NotFound, PlatformDependency, shown
from opora_chassis.identifiers import new_id
from opora_contracts.fact import Instant, ShortText
from opora_intake.api import examples
from opora_intake.api.dependencies import HistoryWrite, Rules, WriteHistory, broken_rules_as_problems
from opora_intake.api.views import ImportedView, ImportView, import_view, imported_view
from opora_intake.domain.history import MAX_ENTRIES, HistoryEntry
from opora_intake.handlers import imports as handlers
from opora_intake.store import imports as store

router = APIRouter(prefix="/v1/imports", tags=["imports of history"])


class NewImport(Input):
    """An import to be opened. Its name becomes its tickets' `external_source`."""

    name: ShortText


class Entries(Input):
    """Entries in the order in which they happened to each case, and how far the import has come."""

    entries: Annotated[tuple[HistoryEntry, ...], Field(max_length=MAX_ENTRIES)] = ()
    watermark: Instant | None = None
    """With this request, every entry that happened before this instant has been given. It never moves back."""


@router.post("", response_model=ImportView, summary="Open an import")
@shown(examples.IMPORT, examples.NEW_IMPORTS)
async def post_import(body: NewImport, call: HistoryWrite) -> Response:
    """Open an import, or find the one of this name."""

    async def work(tx: Transaction) -> ImportView:
        return import_view(await store.open_import(tx, new_id(), body.name))

    return await call.run(work)


@router.get("/{import_id}", summary="Read how far an import has come")
@shown(examples.IMPORT_UNDER_WAY)
async def get_import(import_id: UUID, platform: PlatformDependency, _caller: WriteHistory) -> ImportView:
    """How far an import has come."""
    history = await store.find_import(platform.database, import_id)
    if history is None:
        raise NotFound("import", import_id)
    return import_view(history)


@router.post("/{import_id}/entries", response_model=ImportedView, summary="Apply entries")
@shown(
    examples.IMPORTED, examples.ENTRIES, conflict="The import is closed, or an ordinal is missing; nothing was applied."
)
async def post_entries(import_id: UUID, body: Entries, call: HistoryWrite, rules: Rules) -> Response:
    """Apply up to 2,000 entries in one transaction. Entries that were applied before are skipped.

    A refused entry is reported, with those of its case that follow it; a missing ordinal refuses the request (409).
    """

    async def work(tx: Transaction) -> ImportedView:
        imported = await handlers.import_entries(
            tx, import_id, body.entries, watermark=body.watermark, actor=call.caller.actor, rules=rules
        )
        return imported_view(imported)

    with broken_rules_as_problems():
        return await call.run(work)


@router.post("/{import_id}/close", summary="Close an import")
@shown(examples.CLOSED_IMPORT)
async def close_import(import_id: UUID, platform: PlatformDependency, caller: WriteHistory) -> ImportView:
    """Take no more entries, and let the tickets that are still open join live time. Repeating it finishes it."""
    with broken_rules_as_problems():
        return import_view(await handlers.close_import(platform.database, import_id, caller.actor))
