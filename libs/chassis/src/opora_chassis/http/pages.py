"""Lists in pages, by keyset: a page costs the same wherever it lies, and nothing is skipped when rows come and go."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from json import loads
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, TypeAdapter
from pydantic_core import to_json

from opora_chassis.http.errors import BadRequest

Item = TypeVar("Item")

Limit = Annotated[int, Query(ge=1, le=200, description="How many items the page holds at most.")]
"""`limit: Limit = 50` in a route."""


class Page(BaseModel, Generic[Item]):
    """One page of a list. `next_cursor` gives the next page; null says that this is the last one."""

    items: list[Item]
    next_cursor: str | None = None


def page_of(items: Sequence[Item], limit: int, cursor_of: Callable[[Item], Mapping[str, Any]]) -> Page[Item]:
    """The page of a query that asked for `limit` + 1 rows: the row too many tells that there is a next page."""
    if len(items) <= limit:
        return Page(items=list(items))
    return Page(items=list(items[:limit]), next_cursor=encode_cursor(cursor_of(items[limit - 1])))


def encode_cursor(position: Mapping[str, Any]) -> str:
    """Where a page ends, as opaque text for the URL. Instants and UUIDs become strings."""
    return urlsafe_b64encode(to_json(dict(position))).decode().rstrip("=")


def decode_cursor(cursor: str | None, *fields: str, **typed: Any) -> dict[str, Any] | None:
    """The position that `encode_cursor` was given; None for no cursor.

    `fields` come back as JSON values, `typed` ones (`id=UUID, at=datetime`) as their type. Raises BadRequest for
    text that is not a cursor of exactly these fields.
    """
    if cursor is None:
        return None
    refusal = BadRequest("The cursor is not one that this list gave out; begin again without a cursor.")
    try:
        position = loads(urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)))
        if isinstance(position, dict) and position.keys() == {*fields, *typed}:
            return position | {name: TypeAdapter(kind).validate_python(position[name]) for name, kind in typed.items()}
    except (ValueError, RecursionError) as error:
        raise refusal from error
    raise refusal
