"""Searching tickets, and finding similar ones."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import AfterValidator, Field

from opora_chassis.http import BadRequest, Caller, Page, PlatformDependency, decode_cursor, page_of, shown
from opora_chassis.platform import Platform
from opora_intake.api import search_examples as examples
from opora_intake.api.carrying_out import found_ticket
from opora_intake.api.dependencies import ReadTickets, TicketReference
from opora_intake.api.marked import marked_html
from opora_intake.api.tickets import TicketQuery
from opora_intake.api.views import TicketView, View, ticket_view
from opora_intake.domain.search import MOST_QUERY_CHARACTERS, Match
from opora_intake.handlers.search import Found, Sight, search_tickets, similar_tickets
from opora_intake.store import search as store

router = APIRouter(prefix="/v1", tags=["search"])


def _says_something(text: str) -> str:
    if not text.strip() or "\x00" in text:
        raise ValueError("write at least one word or number")
    return text.strip()


Words = Annotated[str, Field(min_length=1, max_length=MOST_QUERY_CHARACTERS), AfterValidator(_says_something)]
Title = Annotated[
    str,
    Query(min_length=1, max_length=250, description="The title of a ticket that somebody is about to write."),
    AfterValidator(_says_something),
]
SimilarLimit = Annotated[int, Query(ge=1, le=20, description="How many tickets at most.")]


class SearchQuery(TicketQuery):
    """What to search for, among the tickets that match every given filter."""

    text: Words
    """Words, in any form and letter case: all must be there. `"a phrase"`, `this or that`, `-without`. Or a number
    (OP-1042), what another system calls the ticket, or the requester's name or address."""
    sort: Literal["newest", "relevance"] = "newest"
    """`relevance`: the best first of the 500 newest that have the words."""

    def filters(self) -> dict[str, Any]:
        """The given filters by the store's names."""
        filters = super().filters()
        return {name: value for name, value in filters.items() if name not in {"text", "sort"}}


class FoundView(View):
    """A ticket that was found, and where."""

    ticket: TicketView
    title: str | None
    """The title as HTML with nothing but `<mark>` in it; absent where nothing was searched for."""
    excerpt: str | None
    """Of the first message that has the words, likewise; absent for callers without `messages:read`."""


class FoundPage(Page[FoundView]):
    """A page of what was found. `next_cursor` gives the next one; null says that this is the last."""

    corrected: str | None = None
    """What was searched for instead, because nothing has the words as they were written."""


class SimilarView(View):
    """A ticket whose title is like the one that was asked about."""

    ticket: TicketView
    likeness: float
    """From 0.2 to 1: the share of the words in common, rare words counting for more."""


class SimilarTicketsView(View):
    """Similar tickets, the most alike first."""

    items: list[SimilarView]


@router.get("/search", summary="Search tickets")
@shown(examples.FOUND)
async def search(
    query: Annotated[SearchQuery, Query()], platform: PlatformDependency, caller: ReadTickets
) -> FoundPage:
    """Tickets by words of title and messages, number, external id, requester; misspelt words are corrected.

    Messages are searched only for callers who also hold `messages:read`, names and addresses of requesters only for
    those who also hold `customers:read`. What was just written is found within seconds.
    """
    return await search_page(platform, caller, query, query.filters(), open_only=query.open)


async def search_page(
    platform: Platform, caller: Caller, query: SearchQuery, filters: Mapping[str, Any], *, open_only: bool | None
) -> FoundPage:
    """The page of a search as this caller may see it."""
    sight = Sight(messages=caller.holds("messages:read"), customers=caller.holds("customers:read"))
    best_first = query.sort == "relevance"
    found = await search_tickets(
        platform.database,
        query.text,
        {**filters, "open_only": open_only},
        limit=query.limit + 1,
        sight=sight,
        best_first=best_first,
        after=_position(query.cursor, best_first=best_first),
    )
    page = page_of(found.matches, query.limit, lambda match: _cursor_fields(match, best_first=best_first))
    items = await _shown(platform, found, page.items, query.text, sight)
    return FoundPage(items=items, next_cursor=page.next_cursor, corrected=found.corrected)


def _position(cursor: str | None, *, best_first: bool) -> tuple[float, int] | None:
    if best_first:
        ranked = decode_cursor(cursor, rank=float, before_number=int)
        return None if ranked is None else (ranked["rank"], ranked["before_number"])
    newest = decode_cursor(cursor, before_number=int)
    if newest is not None and abs(newest["before_number"]) > 10**18:
        raise BadRequest("The cursor is not one that this list gave out; begin again without a cursor.")
    return None if newest is None else (0.0, newest["before_number"])


def _cursor_fields(match: Match, *, best_first: bool) -> dict[str, Any]:
    rank = {"rank": match.rank} if best_first else {}
    return {**rank, "before_number": match.number}


async def _shown(platform: Platform, found: Found, page: list[Match], text: str, sight: Sight) -> list[FoundView]:
    ids = [match.ticket_id for match in page]
    marked = partial(store.excerpts_of, platform.database, found.corrected or text, with_messages=sight.messages)
    # Reading the messages again takes the server longest: two of its processes do half each.
    tickets, some, others = await asyncio.gather(
        store.tickets_by_id(platform.database, ids), marked(ids[::2]), marked(ids[1::2])
    )
    excerpts = some | others
    return [
        FoundView(
            ticket=ticket_view(tickets[each]),
            title=marked_html(excerpts[each].title),
            excerpt=None if excerpts[each].message is None else marked_html(excerpts[each].message or ""),
        )
        for each in ids
        if each in tickets
    ]


@router.get("/tickets/{ticket}/similar", summary="Find tickets like this one")
@shown(examples.SIMILAR)
async def similar(
    ticket: TicketReference, platform: PlatformDependency, _caller: ReadTickets, limit: SimilarLimit = 5
) -> SimilarTicketsView:
    """Tickets whose titles are most like this one's, open or closed: the same fault, or its cure."""
    found = await found_ticket(platform, ticket)
    matches = await similar_tickets(platform.database, found.title, limit=limit, but=Match(found.id, found.number))
    return await _similar_shown(platform, matches)


@router.get("/similar", summary="Find tickets like a draft")
@shown(examples.SIMILAR)
async def similar_to_title(
    title: Title, platform: PlatformDependency, _caller: ReadTickets, limit: SimilarLimit = 5
) -> SimilarTicketsView:
    """Tickets whose titles are most like a title that is being written, so that nobody reports twice."""
    return await _similar_shown(platform, await similar_tickets(platform.database, title, limit=limit))


async def _similar_shown(platform: Platform, matches: list[Match]) -> SimilarTicketsView:
    tickets = await store.tickets_by_id(platform.database, [match.ticket_id for match in matches])
    return SimilarTicketsView(
        items=[
            SimilarView(ticket=ticket_view(tickets[match.ticket_id]), likeness=match.rank)
            for match in matches
            if match.ticket_id in tickets
        ]
    )
