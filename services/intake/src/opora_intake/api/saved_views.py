"""Lists of tickets that agents keep: their own and shared ones, with how many tickets each holds."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field, StringConstraints, model_validator
from starlette.responses import Response

from opora_chassis.database import Transaction
from opora_chassis.http import (
    Caller,
    Conflict,
    Forbidden,
    Input,
    Limit,
    NotFound,
    PlatformDependency,
    Unprocessable,
    decode_cursor,
    page_of,
    shown,
)
from opora_chassis.identifiers import new_id
from opora_chassis.platform import Platform
from opora_intake.api import search_examples as examples
from opora_intake.api.dependencies import ReadTickets, TicketWrite
from opora_intake.api.search import FoundPage, FoundView, SearchQuery, Words, search_page
from opora_intake.api.tickets import TicketQuery
from opora_intake.api.views import View, ticket_view
from opora_intake.handlers.search import Sight, search_tickets
from opora_intake.store import search, tickets, views
from opora_intake.store.views import SavedView

router = APIRouter(prefix="/v1", tags=["views"])

ME = "@me"
MOST_VIEWS = 100
MOST_COUNTED = 1000

_TAKEN = "Another view of the same owner has this name."


class ViewQuery(TicketQuery):
    """What a view asks for: filters, words, or both. `@me` as assignee is whoever looks at it."""

    text: Words | None = None
    sort: Annotated[str, Field(pattern="^(newest|relevance)$")] = "newest"

    @model_validator(mode="after")
    def _is_no_page(self) -> "ViewQuery":
        if "cursor" in self.model_fields_set or "limit" in self.model_fields_set:
            raise ValueError("a view is no page: leave out limit and cursor")
        return self

    def filters(self) -> dict[str, Any]:
        """The given filters by the store's names."""
        filters = super().filters()
        return {name: value for name, value in filters.items() if name not in {"text", "sort"}}


Name = Annotated[str, StringConstraints(min_length=1, max_length=100, strip_whitespace=True)]
Position = Annotated[int, Field(ge=0, le=10_000)]


class ViewBody(Input):
    """A view to keep."""

    name: Name
    query: ViewQuery
    shared: bool = False
    """Everybody sees it; its owner alone changes it."""
    position: Position = 0
    """Where it stands in the list: small numbers first, then by name."""


class ViewChange(Input):
    """What is to be different; what is not given stays."""

    name: Name | None = None
    query: ViewQuery | None = None
    shared: bool | None = None
    position: Position | None = None


class SavedViewView(View):
    """A list that somebody keeps."""

    id: UUID
    name: str
    query: dict[str, Any]
    owner: str
    """The actor who made it."""
    shared: bool
    position: int
    changed_at: datetime
    count: int | None = None
    """How many tickets it holds, up to 1,000, where counts were asked for."""


class SavedViewsView(View):
    """The caller's own views and the shared ones, in their order."""

    items: list[SavedViewView]


@router.get("/views", summary="List views")
@shown(examples.VIEWS)
async def list_views(
    platform: PlatformDependency,
    caller: ReadTickets,
    *,
    counts: Annotated[bool, Query(description="Count each view's tickets, up to 1,000.")] = False,
) -> SavedViewsView:
    """The caller's own views and the shared ones, at most 200, in their order; with counts where they are asked for."""
    kept = await views.list_views(platform.database, caller.actor)
    return SavedViewsView(
        items=[_view(view, await _count(platform, caller, view) if counts else None) for view in kept]
    )


@router.post("/views", status_code=201, response_model=SavedViewView, summary="Keep a view")
@shown(examples.VIEW, examples.NEW_VIEWS, conflict=_TAKEN)
async def create_view(body: ViewBody, call: TicketWrite) -> Response:
    """Keep a list under a name; at most 100 for each owner."""

    async def work(tx: Transaction) -> SavedViewView:
        if await views.views_count(tx, call.caller.actor) >= MOST_VIEWS:
            raise Unprocessable(f"Nobody keeps more than {MOST_VIEWS} views: remove one first.")
        return await _saved(
            tx,
            SavedView(
                id=new_id(),
                name=body.name,
                query=_kept_query(body.query),
                owner=call.caller.actor,
                shared=body.shared,
                position=body.position,
                changed_at=tx.now,
            ),
        )

    return await call.run(work, status=201)


@router.patch("/views/{view_id}", response_model=SavedViewView, summary="Change a view")
@shown(examples.CHANGED_VIEW, examples.VIEW_CHANGES, conflict=_TAKEN)
async def change_view(view_id: UUID, body: ViewChange, call: TicketWrite) -> Response:
    """Change a view of one's own."""

    async def work(tx: Transaction) -> SavedViewView:
        view = await _own(tx, view_id, call.caller)
        given = body.model_dump(exclude_none=True, exclude={"query"})
        query = view.query if body.query is None else _kept_query(body.query)
        fields = {name: getattr(view, name) for name in ("id", "name", "owner", "shared", "position")}
        return await _saved(tx, SavedView(**{**fields, **given, "query": query, "changed_at": tx.now}))

    return await call.run(work)


@router.delete("/views/{view_id}", status_code=204, response_class=Response, summary="Remove a view")
@shown()
async def remove_view(view_id: UUID, call: TicketWrite) -> Response:
    """Remove a view of one's own; its tickets stay as they are."""

    async def work(tx: Transaction) -> None:
        await _own(tx, view_id, call.caller)
        await views.remove_view(tx, view_id)

    return await call.run(work, status=204)


@router.get("/views/{view_id}/tickets", summary="List a view's tickets")
@shown(examples.FOUND)
async def list_view_tickets(
    view_id: UUID,
    platform: PlatformDependency,
    caller: ReadTickets,
    limit: Limit = 50,
    cursor: str | None = None,
) -> FoundPage:
    """The tickets that the view holds now, as this caller may see them."""
    view = await views.find_view(platform.database, view_id, caller.actor)
    if view is None:
        raise NotFound("view", view_id)
    query = ViewQuery.model_validate(view.query)
    filters = _of_caller(query, caller)
    if query.text is not None:
        asked = SearchQuery.model_validate({**view.query, "limit": limit, "cursor": cursor})
        return await search_page(platform, caller, asked, filters, open_only=query.open)
    position = decode_cursor(cursor, before_number=int) or {}
    listed = await tickets.list_tickets(platform.database, limit=limit + 1, open_only=query.open, **filters, **position)
    page = page_of(listed, limit, lambda ticket: {"before_number": ticket.number})
    items = [FoundView(ticket=ticket_view(ticket), title=None, excerpt=None) for ticket in page.items]
    return FoundPage(items=items, next_cursor=page.next_cursor)


async def _saved(tx: Transaction, view: SavedView) -> SavedViewView:
    try:
        await views.save_view(tx, view)
    except views.ViewNameTakenError:
        raise Conflict(f"{_TAKEN} Choose another than {view.name}.") from None
    return _view(view, None)


async def _own(tx: Transaction, view_id: UUID, caller: Caller) -> SavedView:
    view = await views.lock_view(tx, view_id)
    if view is None or (view.owner != caller.actor and not view.shared):
        raise NotFound("view", view_id)
    if view.owner != caller.actor:
        raise Forbidden(f"This view belongs to {view.owner}: keep one of your own.")
    return view


def _kept_query(query: ViewQuery) -> dict[str, Any]:
    """Only what was given: a filter that comes later does not change the view."""
    return query.model_dump(mode="json", exclude_unset=True)


def _of_caller(query: ViewQuery, caller: Caller) -> dict[str, Any]:
    """The filters for this caller. Raises Unprocessable where `@me` is nobody."""
    filters = query.filters()
    if filters.get("assignee") == ME:
        kind, _, name = caller.actor.partition(":")
        if kind != "agent":
            raise Unprocessable("This view is for agents: say who looks at it by X-Opora-Actor.")
        filters["assignee"] = name
    return filters


async def _count(platform: Platform, caller: Caller, view: SavedView) -> int | None:
    """How many tickets the view holds for the caller; None where it is not for them."""
    query = ViewQuery.model_validate(view.query)
    try:
        filters = {**_of_caller(query, caller), "open_only": query.open}
    except Unprocessable:
        return None
    if query.text is None:
        return await search.count_listed(platform.database, filters, most=MOST_COUNTED)
    sight = Sight(messages=caller.holds("messages:read"), customers=caller.holds("customers:read"))
    found = await search_tickets(platform.database, query.text, filters, limit=MOST_COUNTED, sight=sight)
    return len(found.matches)


def _view(view: SavedView, count: int | None) -> SavedViewView:
    fields = {name: getattr(view, name) for name in SavedViewView.model_fields if name != "count"}
    return SavedViewView(**fields, count=count)
