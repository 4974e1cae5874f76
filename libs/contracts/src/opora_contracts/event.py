"""Events: the CloudEvents 1.0 attributes around a fact, as they are written and as they are read."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from opora_contracts.fact import Fact

F_co = TypeVar("F_co", bound=Fact, covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Generic[F_co]):
    """A fact with its context attributes (CloudEvents 1.0, section 3). `time` is aware UTC: when it happened."""

    id: str
    source: str
    type: str
    version: int
    time: datetime
    subject: str
    data: F_co
    sequence: int | None = None
    """The aggregate's version, 1, 2, 3 … per (source, subject); None where a foreign producer counts nothing."""
    key: str = ""
    correlation_id: str | None = None
    causation_id: str | None = None
    actor: str | None = None
    """Who did it: `agent:<id>`, `customer:<id>`, `key:<name>` or `system:<service>`."""
    import_id: str | None = None
    """The import of history that this fact belongs to; None for a live fact."""
    traceparent: str | None = None
    partition: int | None = None
    """Where the record was read, for consumers that keep state per partition."""
    offset: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """A fact that a decision wants published. Its id, source and key are given when it enters the outbox."""

    data: Fact
    subject: str
    sequence: int
    time: datetime
    actor: str | None = None
    import_id: str | None = None
    cause: Event[Fact] | None = field(default=None, repr=False)
    """The event that led to this one: gives correlation, causation and trace."""
    traceparent: str | None = None
    """The trace of the request that led to it, where one transaction carries out several; else the work's own."""
