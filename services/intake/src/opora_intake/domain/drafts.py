"""What every decider is given, and what it gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from opora_contracts.tickets import TicketFact
from opora_contracts.vocabulary import Kind, Profile
from opora_intake.domain.rules import CaseRules
from opora_intake.domain.ticket import Decision, RecordedFact, Ticket, evolve


@dataclass(frozen=True, slots=True)
class Moment:
    """When, by whom and by which rules something is decided."""

    now: datetime
    history: bool
    message_id: UUID
    actor: str | None
    rules: CaseRules

    def no_earlier(self, time: datetime, floor: datetime) -> datetime:
        """The time of a fact that another one implies; history keeps the time that the log gives."""
        return time if self.history else max(time, floor)

    def profile_of(self, kind: Kind) -> Profile:
        """The profile under which a cycle of this kind begins; a log of history has no records to ask for."""
        return Profile.LIGHT if self.history else self.rules.profile_of(kind)


Draft: TypeAlias = tuple[TicketFact, datetime]
"""A fact that is not numbered yet, and its time."""


def recorded(ticket: Ticket, drafts: Sequence[Draft]) -> Decision:
    """The ticket after these facts, and the facts with their numbers."""
    facts: list[RecordedFact] = []
    for data, time in drafts:
        ticket = evolve(ticket, data, time)
        facts.append(RecordedFact(data, ticket.version, time))
    return Decision(ticket, tuple(facts))
