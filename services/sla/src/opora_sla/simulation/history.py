"""A ticket as a log has it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from opora_sla.agreement import Dimensions
from opora_sla.domain import CaseFact


@dataclass(frozen=True, slots=True)
class History:
    """What is known of one ticket, whatever log it comes from."""

    name: str
    """The log's name of the ticket."""
    dimensions: Dimensions
    """What agreements ask about, as it was when the ticket was created."""
    facts: tuple[CaseFact, ...]
    """In any order; `created` is among them."""
    resolved_in_time: bool | None = None
    """What the log itself says of the resolution; None when it says nothing."""

    @property
    def created_at(self) -> datetime:
        """When the ticket was created. Raises ValueError when no fact says so."""
        for fact in self.facts:
            if fact.kind == "created":
                return fact.at
        raise ValueError(f"{self.name} has no creation among its facts")
