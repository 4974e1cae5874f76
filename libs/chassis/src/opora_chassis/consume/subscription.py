"""What a service says about its consumption of one topic."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from opora_chassis.database import Transaction
from opora_contracts import Event, Fact, Topic

BatchHandler = Callable[[Sequence[Event[Any]], Transaction], Awaitable[None]]
"""Applies a batch inside one transaction. Duplicates, gaps and parked keys never reach it."""


class Guard(Enum):
    """How a duplicate is recognised."""

    SEQUENCE = "sequence"
    """By the aggregate's version: for facts of our own services. Also sees gaps."""
    INBOX = "inbox"
    """By (source, id): for what foreign systems publish, who may not claim a source of ours."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """One service's consumption of one topic."""

    topic: Topic
    handle: BatchHandler
    types: tuple[type[Fact], ...]
    """What the handler wants; other facts advance the guard and are otherwise passed over."""
    guard: Guard = Guard.SEQUENCE

    @property
    def consumer(self) -> str:
        """The name under which guards and dead letters are kept."""
        return self.topic.name
