"""Agreements: the document an operator writes, what it means to a clock, and which one applies to a ticket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, field_validator

from opora_contracts.tickets import TicketCreated
from opora_contracts.vocabulary import Channel, Kind, Metric, Priority
from opora_sla.calendar import Calendar, compose
from opora_sla.calendar.written import WallTimes, Weekday, known_zone, week_of
from opora_sla.metrics import Document, Metrics, ResolutionMetric, ResponseMetric, Target, Terms, promises

Name = Annotated[str, Field(min_length=1, max_length=200)]
Names = Annotated[tuple[Name, ...], Field(min_length=1)]


class Conditions(Document):
    """Which tickets the agreement is for, judged as they were when created. Every list that is given must match."""

    organization_id: Annotated[tuple[UUID, ...], Field(min_length=1)] | None = None
    tier: Names | None = None
    product: Names | None = None
    kind: Annotated[tuple[Kind, ...], Field(min_length=1)] | None = None
    priority: Annotated[tuple[Priority, ...], Field(min_length=1)] | None = None
    channel: Annotated[tuple[Channel, ...], Field(min_length=1)] | None = None
    external_source: Names | None = None

    def given(self) -> dict[str, frozenset[str]]:
        """The allowed values of each dimension that is restricted."""
        lists = self.model_dump(mode="json", exclude_none=True)
        return {dimension: frozenset(values) for dimension, values in lists.items()}


class AgreementDocument(Document):
    """An agreement as its author writes it. Unknown fields are refused, by name."""

    name: Name
    time_zone: str = "UTC"
    """An IANA name, such as Europe/Berlin."""
    weekly_hours: dict[Weekday, WallTimes] | None = None
    """Open hours as [from, to] in local wall time, "HH:MM", up to "24:00"; `to` before `from` is on the next day. A
    day that is absent is closed; without the whole field every hour is open."""
    holidays: tuple[date, ...] = ()
    """Local dates that are closed all day."""
    metrics: Metrics
    conditions: Conditions = Conditions()
    rank: Annotated[int, Field(strict=True, ge=-1_000_000, le=1_000_000)] = 0
    """Among the agreements that match a ticket, the one of the highest rank applies."""

    @field_validator("time_zone")
    @classmethod
    def _zone_is_known(cls, name: str) -> str:
        return known_zone(name)

    @field_validator("weekly_hours")
    @classmethod
    def _hours_are_in_order(cls, hours: dict[Weekday, WallTimes] | None) -> Any:
        if hours is None:
            return None
        if not any(hours.values()):
            raise ValueError("no day is open; leave weekly_hours out for round the clock")
        week_of(hours)
        return hours

    def as_json(self) -> dict[str, Any]:
        """The document with its defaults written out, so that it means the same for ever."""
        return self.model_dump(mode="json", exclude_none=True)

    @property
    def calendar(self) -> Calendar:
        """The working time that the document describes."""
        week = None if self.weekly_hours is None else week_of(self.weekly_hours)
        return compose(self.time_zone, week, holidays=self.holidays)


@dataclass(frozen=True, slots=True)
class Agreement:
    """One version of an agreement, ready to be matched and folded with."""

    id: UUID
    version: int
    created_at: datetime
    document: AgreementDocument
    calendar: Calendar
    terms: Mapping[Metric, Terms]
    conditions: Mapping[str, frozenset[str]]


def read_agreement(agreement_id: UUID, version: int, document: AgreementDocument, created_at: datetime) -> Agreement:
    """What the document means."""
    return Agreement(
        id=agreement_id,
        version=version,
        created_at=created_at,
        document=document,
        calendar=document.calendar,
        terms=promises(document.metrics),
        conditions=document.conditions.given(),
    )


def dimensions_of(created: TicketCreated) -> dict[str, str | None]:
    """What conditions ask about, of a ticket at its creation."""
    return {
        "organization_id": str(created.organization_id) if created.organization_id else None,
        "tier": created.tier,
        "product": created.product,
        "kind": created.kind.value,
        "priority": created.priority.value,
        "channel": created.channel.value,
        "external_source": created.external_source,
    }


def choose(agreements: Sequence[Agreement], dimensions: Mapping[str, str | None]) -> Agreement:
    """The agreement that applies to a ticket of these dimensions at its creation.

    `agreements` are the newest versions of all. Of those whose conditions all match, the one of the highest rank;
    among equals the one with the most conditions; then the newest. When none matches, the default agreement, in its
    newest version among `agreements` or else as it is built in.
    """
    matching = [
        agreement
        for agreement in agreements
        if agreement.id != DEFAULT_AGREEMENT_ID
        and all(dimensions.get(name) in allowed for name, allowed in agreement.conditions.items())
    ]
    if matching:
        return max(
            matching,
            key=lambda agreement: (
                agreement.document.rank,
                len(agreement.conditions),
                agreement.created_at,
                agreement.id,
            ),
        )
    return next((agreement for agreement in agreements if agreement.id == DEFAULT_AGREEMENT_ID), DEFAULT_AGREEMENT)


_P1, _P2, _P3, _P4, _P5 = Priority
_RESPONSE_TARGETS = {
    _P1: Target(minutes=15),
    _P2: Target(hours=1),
    _P3: Target(hours=4),
    _P4: Target(hours=8),
    _P5: Target(hours=24),
}

DEFAULT_AGREEMENT_ID = UUID("01900000-0000-7000-8000-000000000001")
"""The agreement that applies when no other does; an operator may write new versions of it."""
DEFAULT_DOCUMENT = AgreementDocument(
    name="Standard support",
    metrics=Metrics(
        first_response=ResponseMetric(targets=_RESPONSE_TARGETS),
        next_response=ResponseMetric(targets=_RESPONSE_TARGETS),
        resolution=ResolutionMetric(
            targets={
                _P1: Target(hours=4),
                _P2: Target(hours=8),
                _P3: Target(hours=24),
                _P4: Target(hours=72),
                _P5: Target(hours=120),
            },
        ),
    ),
)
DEFAULT_AGREEMENT = read_agreement(DEFAULT_AGREEMENT_ID, 1, DEFAULT_DOCUMENT, datetime(2024, 1, 1, tzinfo=UTC))
