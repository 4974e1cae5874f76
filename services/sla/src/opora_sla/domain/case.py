"""What sla keeps of a ticket."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

from opora_contracts.event import Event
from opora_contracts.tickets import TicketCreated
from opora_contracts.vocabulary import Priority
from opora_sla.agreement import Agreement
from opora_sla.domain.facts import CaseFact
from opora_sla.domain.state import ClockKey, StepKey, Told, Waypoint


class History(NamedTuple):
    """A ticket's facts so far and what was said of it."""

    facts: tuple[CaseFact, ...] = ()
    fired: frozenset[StepKey] = frozenset()
    told: Mapping[ClockKey, Told] = MappingProxyType({})


class Case(NamedTuple):
    """All that sla keeps of one ticket."""

    ticket_id: UUID
    number: str
    external_source: str | None
    external_id: str | None
    import_id: str | None
    """The import that brought the ticket; None for one that was born live."""
    live: bool
    """Whether it is judged by live time, as every ticket is but those of an open import."""
    partition: int
    agreement_id: UUID
    agreement_version: int
    organization_id: UUID | None
    tier: str | None
    product: str | None
    kind: str
    channel: str
    priority: Priority
    assignee: str | None
    group: str | None
    judged_at: datetime
    next_fire_at: datetime | None = None
    open: bool = True
    """Whether any clock may still change by itself or by the next fact in order."""
    last_sequence: int = 0
    """Of the ticket's facts, those up to this one were taken in."""
    emitted_sequence: int = 0
    waypoint: Waypoint | None = None
    """From where the ticket's walk goes on; None when all its facts must be folded anew."""
    history: History | None = History()
    """None when it was not read."""

    @property
    def open_import_id(self) -> str | None:
        """The open import by whose time the ticket is judged, or None."""
        return None if self.live else self.import_id


def open_case(created: Event[TicketCreated], agreement: Agreement) -> Case:
    """The case of a new ticket, pinned to the agreement; `advance` with its first events makes its clocks."""
    data = created.data
    return Case(
        ticket_id=data.ticket_id,
        number=data.number,
        external_source=data.external_source,
        external_id=data.external_id,
        import_id=created.import_id,
        live=created.import_id is None,
        partition=created.partition or 0,
        agreement_id=agreement.id,
        agreement_version=agreement.version,
        organization_id=data.organization_id,
        tier=data.tier,
        product=data.product,
        kind=data.kind.value,
        channel=data.channel.value,
        priority=data.priority,
        assignee=data.assignee,
        group=data.group,
        judged_at=created.time,
    )
