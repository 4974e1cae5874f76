"""Which records a tail shows, and showing them until it is told to stop."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import quote
from uuid import UUID

from opora_cli.client import ServiceClient
from opora_cli.endpoints import Endpoints
from opora_cli.errors import NOT_RUNNING, UNUSABLE_INPUT, CommandError
from opora_contracts import TOPICS, Event
from opora_contracts.consumer import ConsumeError, Consumer, Given, Place, Start, Undecodable
from opora_contracts.instants import INSTANT_RULE, instant_from_text
from opora_contracts.topics import PROGRESS

START_SECONDS = 15.0
_WORDS: dict[str, Start] = {"earliest": "earliest", "latest": "latest"}


@dataclass(frozen=True, slots=True)
class Ticket:
    """What events of one ticket say of it."""

    id: str
    number: str | None = None
    submitted: tuple[str, str] | None = None
    """(source, subject) under which another system asked for it."""

    def has(self, given: Given) -> bool:
        """Whether this is about the ticket; a record that is no event is about none."""
        if isinstance(given, Undecodable):
            return False
        if given.subject == self.id or (given.source, given.subject) == self.submitted:
            return True
        if not isinstance(given, Event):
            return False
        named: Any = getattr(given.data, "ticket_number", None)
        return str(getattr(given.data, "ticket_id", "")) == self.id or (named is not None and named == self.number)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records are shown."""

    types: tuple[str, ...] = ()
    """Names, or patterns such as `ticket.*`; all when empty."""
    ticket: Ticket | None = None

    def shows(self, given: Given) -> bool:
        """Whether this record is shown. One that is no event has no type: it is shown where nothing narrows."""
        if self.types and (
            isinstance(given, Undecodable) or not any(fnmatchcase(given.type, pattern) for pattern in self.types)
        ):
            return False
        return self.ticket is None or self.ticket.has(given)


def topics_named(names: list[str] | None) -> list[str]:
    """The registry's topics of these names, with or without `opora.`; all but the marks without a name."""
    if not names:
        return [topic.name for topic in TOPICS if topic is not PROGRESS]
    known = {topic.name for topic in TOPICS}
    full = [name if name in known else f"opora.{name}" for name in names]
    if unknown := [name for name, given in zip(names, full, strict=True) if given not in known]:
        raise CommandError(
            f"no topic is called {', '.join(unknown)}; there are {', '.join(sorted(known))}", exit_code=UNUSABLE_INPUT
        )
    return full


def start_named(text: str) -> Start:
    """Where to begin: earliest, latest, an offset, or a time. Raises CommandError for anything else."""
    if text in _WORDS:
        return _WORDS[text]
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        time: datetime = instant_from_text(text)
    except ValueError:
        raise CommandError(
            f"--from {text!r} is neither earliest nor latest, nor an offset, nor a time: {INSTANT_RULE}",
            exit_code=UNUSABLE_INPUT,
        ) from None
    return time


async def ticket_named(name: str, endpoints: Endpoints | None) -> Ticket:
    """The ticket of an id or a number such as OP-1042, as intake knows it. Raises CommandError.

    Without a platform to ask, an id is taken as it is, and a number is refused.
    """
    if endpoints is None:
        try:
            return Ticket(id=str(UUID(name)))
        except ValueError:
            raise CommandError(
                f"nobody can be asked which ticket {name!r} is: give its id, or --directory instead of --bootstrap",
                exit_code=UNUSABLE_INPUT,
            ) from None
    intake = ServiceClient("intake", endpoints.services["intake"].url, endpoints.api_key)
    try:
        found = await intake.get(f"/v1/tickets/{quote(name, safe='')}")
    finally:
        await intake.close()
    source, external_id = found["external_source"], found["external_id"]
    submitted = None if source is None or external_id is None else (source, external_id)
    return Ticket(id=found["id"], number=found["number"], submitted=submitted)


async def follow(
    bootstrap: str,
    topics: list[str],
    wanted: Wanted,
    show: Callable[[Given, Place], None],
    *,
    start: Start,
    until_end: bool,
    most: int | None,
    topic_prefix: str,
) -> int:
    """Show what is wanted until there are `most`, or until the end; returns how many. Raises CommandError."""
    shown = 0
    try:
        async with Consumer(
            bootstrap,
            *topics,
            start=start,
            until_end=until_end,
            deadline_seconds=START_SECONDS,
            topic_prefix=topic_prefix,
        ) as consumer:
            async for given in consumer:
                if consumer.place is None or not wanted.shows(given):
                    continue
                show(given, consumer.place)
                shown += 1
                if shown == most:
                    break
    except ConsumeError as error:
        raise CommandError(str(error), next_command="opora status", exit_code=NOT_RUNNING) from error
    return shown
