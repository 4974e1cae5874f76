"""Tags, watchers and the installation's own fields over HTTP."""

from fastapi import APIRouter
from starlette.responses import Response

from opora_chassis.http import shown
from opora_intake.api import case_examples as examples
from opora_intake.api.carrying_out import NOT_NOW, carry_out
from opora_intake.api.dependencies import Rules, TicketReference, TicketWrite
from opora_intake.api.views import TicketView
from opora_intake.domain import commands

router = APIRouter(prefix="/v1/tickets/{ticket}", tags=["tickets"])


@router.post("/tag", response_model=TicketView, summary="Put tags on a ticket")
@shown(examples.TAGGED, {"Two tags": {"tags": ["vip", "outage-2026-03"]}}, conflict=NOT_NOW)
async def tag(ticket: TicketReference, body: commands.TagTicket, call: TicketWrite, rules: Rules) -> Response:
    """Put tags on the ticket, at most 30 in all. One that it has already changes nothing."""
    return await carry_out(ticket, body, call, rules)


@router.post("/untag", response_model=TicketView, summary="Take tags off a ticket")
@shown(examples.UNTAGGED, {"One tag": {"tags": ["outage-2026-03"]}}, conflict=NOT_NOW)
async def untag(ticket: TicketReference, body: commands.Untag, call: TicketWrite, rules: Rules) -> Response:
    """Take tags off the ticket. One that it does not have changes nothing."""
    return await carry_out(ticket, body, call, rules)


@router.post("/watch", response_model=TicketView, summary="Let somebody watch a ticket")
@shown(examples.WATCHED, {"An agent": {"watchers": ["agent:boris"]}}, conflict=NOT_NOW)
async def watch(ticket: TicketReference, body: commands.Watch, call: TicketWrite, rules: Rules) -> Response:
    """Let agents or customers watch the ticket from here on, at most 50 in all. They get none of what was before."""
    return await carry_out(ticket, body, call, rules)


@router.post("/unwatch", response_model=TicketView, summary="Let somebody watch no longer")
@shown(examples.UNWATCHED, {"An agent": {"watchers": ["agent:boris"]}}, conflict=NOT_NOW)
async def unwatch(ticket: TicketReference, body: commands.Unwatch, call: TicketWrite, rules: Rules) -> Response:
    """Take watchers off the ticket. Who does not watch it is passed over."""
    return await carry_out(ticket, body, call, rules)


@router.patch("/fields", response_model=TicketView, summary="Give values to own fields")
@shown(examples.FIELDS_SET, {"A number of affected people": {"values": {"affected": 40}}}, conflict=NOT_NOW)
async def set_fields(ticket: TicketReference, body: commands.SetFields, call: TicketWrite, rules: Rules) -> Response:
    """Give values to fields that the settings define; null takes a value away, an absent field keeps its own."""
    return await carry_out(ticket, body, call, rules)
