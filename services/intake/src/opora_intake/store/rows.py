"""Between rows and domain types."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Protocol

import asyncpg
from pydantic_core import to_json

from opora_contracts.vocabulary import (
    AuthorKind,
    Channel,
    Kind,
    Level,
    Priority,
    Profile,
    ResolutionCode,
    Step,
    WaitingOn,
)
from opora_intake.domain import Consent, Customer, Message, Organization, Ticket, Visibility
from opora_intake.domain.customer import Undeliverable


class Reader(Protocol):
    """A transaction, or the database outside of one."""

    async def fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """All rows."""
        ...

    async def fetchrow(self, sql: str, *arguments: Any) -> asyncpg.Record | None:
        """The first row, or None."""
        ...


def rows_json(rows: Iterable[Any]) -> str:
    """Dataclasses or mappings as one JSON array: a statement takes them all as a single parameter."""
    return to_json(list(rows)).decode()


def ticket_of(row: asyncpg.Record) -> Ticket:
    """The ticket in a row of `tickets`."""
    waiting_on, resolution_code = row["waiting_on"], row["resolution_code"]
    return Ticket(
        **{
            **row,
            "channel": Channel(row["channel"]),
            "kind": Kind(row["kind"]),
            "impact": Level(row["impact"]),
            "urgency": Level(row["urgency"]),
            "priority": Priority(row["priority"]),
            "tags": tuple(row["tags"]),
            "watchers": tuple(row["watchers"]),
            "profile": Profile(row["profile"]),
            "step": Step(row["step"]),
            "waiting_on": None if waiting_on is None else WaitingOn(waiting_on),
            "resolution_code": None if resolution_code is None else ResolutionCode(resolution_code),
        }
    )


def message_of(row: asyncpg.Record) -> Message:
    """The message in a row of `messages`."""
    return Message(
        **{
            **row,
            "visibility": Visibility(row["visibility"]),
            "author_kind": AuthorKind(row["author_kind"]),
            "channel": Channel(row["channel"]),
        }
    )


def customer_of(row: asyncpg.Record) -> Customer:
    """The customer in a row of `customers` with its `emails`, `phones`, newest `consents` and what is undeliverable."""
    consents = tuple(Consent(**{**one, "at": datetime.fromisoformat(one["at"])}) for one in row["consents"] or ())
    undeliverable = tuple(
        Undeliverable(**{**one, "since": datetime.fromisoformat(one["since"])}) for one in row["undeliverable"] or ()
    )
    return Customer(
        **{
            **row,
            "emails": tuple(row["emails"]),
            "phones": tuple(row["phones"]),
            "consents": consents,
            "undeliverable": undeliverable,
        }
    )


def organization_of(row: asyncpg.Record) -> Organization:
    """The organisation in a row of `organizations` with its `domains`."""
    return Organization(**{**row, "domains": tuple(row["domains"])})
