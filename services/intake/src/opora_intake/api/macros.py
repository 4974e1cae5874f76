"""Macros over HTTP: several commands to a ticket as one."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path
from pydantic import Field, TypeAdapter, ValidationError
from starlette.responses import Response

from opora_chassis.database import Transaction
from opora_chassis.http import (
    Input,
    Limit,
    NotFound,
    Page,
    PlatformDependency,
    WriteCall,
    decode_cursor,
    page_of,
    shown,
    writes,
)
from opora_intake.api import macro_examples as examples
from opora_intake.api.dependencies import ReadTickets, Rules, TicketReference, TicketWrite, broken_rules_as_problems
from opora_intake.api.examples import page as page_example
from opora_intake.api.views import TicketView, View, ticket_view
from opora_intake.domain.macros import Macro, MacroDraft, MacroName, Operation
from opora_intake.handlers import macros as handlers
from opora_intake.store import macros as store

router = APIRouter(prefix="/v1", tags=["macros"])

MayWrite = Annotated[WriteCall, Depends(writes("settings:write"))]
Version = Annotated[int | None, Field(ge=1)]
_NAME = TypeAdapter(MacroName)
_REFUSED = (
    "An operation is not possible where the ticket stands: `operation` and `action` say which, `detail` why; nothing"
    " was done. Or `expected_version` is no longer the ticket's version."
)


def _named(name: Annotated[str, Path(description="The macro's name.")]) -> str:
    try:
        return _NAME.validate_python(name)
    except ValidationError:
        raise NotFound("macro", name) from None


Name = Annotated[str, Depends(_named)]


class NewMacro(MacroDraft):
    """A macro to keep."""

    name: MacroName


class MacroReplacement(MacroDraft):
    """What the macro is from now on."""

    expected_version: Version = None
    """Refuse unless the macro still is at this version."""


class MacroRun(Input):
    """Carry out the macro."""

    expected_version: Version = None
    """Refuse unless the ticket still is at this version."""


class MacroView(View):
    """A macro: what it does, and for what."""

    name: str
    description: str
    operations: tuple[Operation, ...]
    version: int
    changed_at: datetime
    changed_by: str


class MacroOutcomeView(View):
    """The ticket after a macro, with the ids of what was written on it, in order."""

    ticket: TicketView
    message_ids: list[UUID]


@router.get("/macros", summary="List macros")
@shown(page_example(examples.MACRO))
async def list_macros(
    platform: PlatformDependency, _caller: ReadTickets, limit: Limit = 200, cursor: str | None = None
) -> Page[MacroView]:
    """All macros, in the order of their names."""
    position = decode_cursor(cursor, after=str) or {"after": None}
    macros = await store.list_macros(platform.database, limit=limit + 1, **position)
    page = page_of(macros, limit, lambda macro: {"after": macro.name})
    return Page(items=[_view(macro) for macro in page.items], next_cursor=page.next_cursor)


@router.get("/macros/{name}", summary="Read a macro")
@shown(examples.MACRO)
async def get_macro(name: Name, platform: PlatformDependency, _caller: ReadTickets) -> MacroView:
    """One macro."""
    macro = await store.find_macro(platform.database, name)
    if macro is None:
        raise NotFound("macro", name)
    return _view(macro)


@router.post("/macros", status_code=201, response_model=MacroView, summary="Keep a macro")
@shown(examples.MACRO, examples.NEW_MACROS, conflict="Another macro has this name.")
async def add_macro(body: NewMacro, call: MayWrite, rules: Rules) -> Response:
    """Keep several commands under a name: at most 20 in a macro, at most 500 macros. Each is checked as if alone."""

    async def work(tx: Transaction) -> MacroView:
        return _view(await handlers.add_macro(tx, body.name, body, call.caller.actor, rules))

    with broken_rules_as_problems():
        return await call.run(work, status=201)


@router.put("/macros/{name}", response_model=MacroView, summary="Replace a macro")
@shown(examples.REPLACED, examples.REPLACEMENTS, conflict="`expected_version` is no longer the macro's version.")
async def replace_macro(name: Name, body: MacroReplacement, call: MayWrite, rules: Rules) -> Response:
    """Let the macro do something else from now on; what it did stays done."""

    async def work(tx: Transaction) -> MacroView:
        replaced = await handlers.replace_macro(
            tx, name, body, call.caller.actor, rules, expected_version=body.expected_version
        )
        return _view(replaced)

    with broken_rules_as_problems():
        return await call.run(work)


@router.delete("/macros/{name}", status_code=204, response_class=Response, summary="Remove a macro")
@shown()
async def remove_macro(name: Name, call: MayWrite) -> Response:
    """Remove a macro; what it did stays done."""
    with broken_rules_as_problems():
        return await call.run(lambda tx: handlers.remove_macro(tx, name), status=204)


@router.post("/tickets/{ticket}/macros/{name}", response_model=MacroOutcomeView, summary="Carry out a macro")
@shown(examples.OUTCOME, examples.RUNS, conflict=_REFUSED)
async def run_macro(ticket: TicketReference, name: Name, body: MacroRun, call: TicketWrite, rules: Rules) -> Response:
    """Carry out every operation of the macro on the ticket, in order; when one is refused, none is carried out."""

    async def work(tx: Transaction) -> MacroOutcomeView:
        outcome = await handlers.run_macro(
            tx, ticket, name, expected_version=body.expected_version, actor=call.caller.actor, rules=rules
        )
        return MacroOutcomeView(
            ticket=ticket_view(outcome.ticket), message_ids=[message.id for message in outcome.messages]
        )

    with broken_rules_as_problems():
        return await call.run(work)


def _view(macro: Macro) -> MacroView:
    return MacroView(**{name: getattr(macro, name) for name in MacroView.model_fields})
