"""Tickets that belong together, over HTTP."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from opora_chassis.database import Transaction
from opora_chassis.http import Page, PlatformDependency, shown
from opora_contracts.vocabulary import Relation, Step
from opora_intake.api import link_examples as examples
from opora_intake.api.carrying_out import found_ticket
from opora_intake.api.dependencies import ReadTickets, Rules, TicketReference, TicketWrite, broken_rules_as_problems
from opora_intake.api.views import TicketView, View, ticket_view
from opora_intake.domain import commands
from opora_intake.domain.ticket import NUMBER_PREFIX
from opora_intake.handlers import links as handlers
from opora_intake.store import links as store

router = APIRouter(prefix="/v1/tickets/{ticket}", tags=["tickets"])

_MOST_SHOWN = 1_000
_NO_LINK = "The link cannot be: a circle, a second parent, too many; or `expected_version` is not the ticket's version."


class LinkView(View):
    """A link as the ticket sees it."""

    relation: Relation
    ticket_id: UUID
    number: str
    title: str
    step: Step
    since: datetime
    actor: str | None


@router.get("/links", summary="List a ticket's links")
@shown(examples.LINKS)
async def get_links(ticket: TicketReference, platform: PlatformDependency, _caller: ReadTickets) -> Page[LinkView]:
    """The links, oldest first, as this end sees them: at most 1,000. All incidents of a problem are at `/incidents`."""
    found = await found_ticket(platform, ticket)
    views: list[LinkView] = []
    for link, number, title, step in await store.links_of(platform.database, found.id, _MOST_SHOWN):
        relation, other = link.seen_from(found.id)
        views.append(
            LinkView(
                relation=relation,
                ticket_id=other,
                number=f"{NUMBER_PREFIX}{number}",
                title=title,
                step=step,
                since=link.since,
                actor=link.actor,
            )
        )
    return Page(items=views)


@router.post("/link", response_model=TicketView, summary="Link a ticket with another one")
@shown(examples.LINKED, {"Another one is the cause": {"relation": "caused_by", "ticket": "OP-1017"}}, conflict=_NO_LINK)
async def link(ticket: TicketReference, body: commands.Link, call: TicketWrite) -> Response:
    """Say how two tickets belong together; a link that is there already changes nothing."""

    async def work(tx: Transaction) -> TicketView:
        return ticket_view(await handlers.link_tickets(tx, ticket, body, call.caller.actor))

    with broken_rules_as_problems():
        return await call.run(work)


@router.post("/unlink", response_model=TicketView, summary="Take a link back")
@shown(
    examples.UNLINKED,
    {"It was not the cause": {"relation": "caused_by", "ticket": "OP-1017"}},
    conflict="There is no such link, or `expected_version` is not the ticket's version.",
)
async def unlink(ticket: TicketReference, body: commands.Unlink, call: TicketWrite) -> Response:
    """Take a link back, from either end."""

    async def work(tx: Transaction) -> TicketView:
        return ticket_view(await handlers.unlink_tickets(tx, ticket, body, call.caller.actor))

    with broken_rules_as_problems():
        return await call.run(work)


@router.post("/merge", response_model=TicketView, summary="Merge a ticket into another one")
@shown(
    examples.MERGED,
    {"The same case came twice": {"into": "OP-1017"}},
    conflict="One of the two is closed, or they are one; or `expected_version` is not the ticket's version.",
)
async def merge(ticket: TicketReference, body: commands.Merge, call: TicketWrite, rules: Rules) -> Response:
    """Close the ticket as a duplicate. The other one shows the messages of both, takes the answers to both threads, and
    those who asked here watch it. It cannot be taken back.
    """

    async def work(tx: Transaction) -> TicketView:
        return ticket_view(await handlers.merge_tickets(tx, ticket, body, call.caller.actor, rules))

    with broken_rules_as_problems():
        return await call.run(work)


@router.post("/split", status_code=201, response_model=TicketView, summary="Split messages off")
@shown(
    examples.SPLIT,
    {"Another question in the same thread": {"messages": [examples.MESSAGE_ID], "title": "The invoice is wrong too"}},
    conflict="A message is not shown on this ticket, none would stay, or the ticket is closed.",
)
async def split(ticket: TicketReference, body: commands.Split, call: TicketWrite, rules: Rules) -> Response:
    """Open a ticket for the same people that shows these messages, and no longer here. Both are linked."""

    async def work(tx: Transaction) -> TicketView:
        return ticket_view(await handlers.split_ticket(tx, ticket, body, call.caller.actor, rules))

    with broken_rules_as_problems():
        return await call.run(work, status=201)


@router.post("/follow-up", status_code=201, response_model=TicketView, summary="Continue a closed ticket")
@shown(
    examples.FOLLOW_UP,
    {"It began again": {"body": "Since the update every page comes twice again.", "channel": "phone"}},
    conflict="The ticket is not closed, or was merged; or `expected_version` is not the ticket's version.",
)
async def follow_up(ticket: TicketReference, body: commands.FollowUp, call: TicketWrite, rules: Rules) -> Response:
    """Open a ticket for the same requester and group that continues a closed one, which stays; both are linked."""

    async def work(tx: Transaction) -> TicketView:
        return ticket_view(await handlers.follow_up(tx, ticket, body, call.caller.actor, rules))

    with broken_rules_as_problems():
        return await call.run(work, status=201)
