"""Agreements: the document an operator writes, what it means to a clock, and which one applies to a ticket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, model_validator

from opora_contracts.fact import Instant
from opora_contracts.tickets import TicketCreated
from opora_contracts.vocabulary import Channel, Kind, Priority
from opora_sla.calendar import Calendar
from opora_sla.calendar.document import HOURS, NEWER_HOURS, NamedCalendar, OpenHours
from opora_sla.metrics import (
    ClockMetric,
    Document,
    Metrics,
    ResolutionMetric,
    ResponseMetric,
    Target,
    Terms,
    promises,
    promises_of_groups,
)

Name = Annotated[str, Field(min_length=1, max_length=200)]
Names = Annotated[tuple[Name, ...], Field(min_length=1)]


class Conditions(Document):
    """Which tickets the agreement is for, judged as they were when created. Every list that is given must match."""

    organization_id: Annotated[tuple[UUID, ...], Field(min_length=1)] | None = None
    requester_id: Annotated[tuple[UUID, ...], Field(min_length=1)] | None = None
    """Customers of intake."""
    tier: Names | None = None
    product: Names | None = None
    kind: Annotated[tuple[Kind, ...], Field(min_length=1)] | None = None
    priority: Annotated[tuple[Priority, ...], Field(min_length=1)] | None = None
    channel: Annotated[tuple[Channel, ...], Field(min_length=1)] | None = None
    external_source: Names | None = None
    category: Names | None = None
    tags: Names | None = None
    """Matches a ticket that has one of them."""

    def given(self) -> dict[str, frozenset[str]]:
        """The allowed values of each dimension that is restricted."""
        lists = self.model_dump(mode="json", exclude_none=True)
        return {dimension: frozenset(values) for dimension, values in lists.items()}


class AgreementDocument(OpenHours):
    """An agreement as its author writes it. Unknown fields are refused, by name."""

    name: Name
    calendar: Name | None = None
    """The name of a calendar that the platform keeps, instead of hours that are written here."""
    metrics: Metrics
    conditions: Conditions = Conditions()
    rank: Annotated[int, Field(strict=True, ge=-1_000_000, le=1_000_000)] = 0
    """Among the agreements that match a ticket, the one of the highest rank applies."""
    valid_from: Instant | None = None
    """It is for tickets that are created from then on; absent: for those of any time before `valid_until`."""
    valid_until: Instant | None = None
    """It is for tickets that are created before; they keep it for as long as they live."""

    @model_validator(mode="after")
    def _is_valid_at_some_time(self) -> AgreementDocument:
        if self.valid_from is not None and self.valid_until is not None and self.valid_from >= self.valid_until:
            raise ValueError("valid_until is not after valid_from: it would be for no ticket; write a later one")
        return self

    @model_validator(mode="after")
    def _hours_stand_in_one_place(self) -> AgreementDocument:
        if self.calendar is not None and (twice := sorted(HOURS & self.model_fields_set)):
            raise ValueError(
                f"calendar stands beside {' and '.join(twice)}; write hours here, or the name of a calendar, not both"
            )
        return self

    def as_json(self) -> dict[str, Any]:
        """The document with its defaults written out, so that it means the same for ever."""
        written = self.model_dump(mode="json", exclude_none=True)
        # Documents that were kept before there were breaks and overrides are found again by comparing.
        absent = HOURS if self.calendar is not None else {name for name in NEWER_HOURS if not written[name]}
        return {name: value for name, value in written.items() if name not in absent}


@dataclass(frozen=True, slots=True)
class Agreement:
    """One version of an agreement, ready to be matched and folded with."""

    id: UUID
    version: int
    created_at: datetime
    document: AgreementDocument
    calendar: Calendar
    terms: Mapping[ClockMetric, Terms]
    operational: Mapping[str, Terms]
    """What groups owe each other, by the name of the group."""
    conditions: Mapping[str, frozenset[str]]
    named: NamedCalendar | None = None
    """The calendar version that the document's name stood for when this version was written."""

    def terms_of(self, metric: ClockMetric, party: str | None) -> Terms | None:
        """What it promises about a metric; about one between groups, what this group owes. None for nothing."""
        if metric is ClockMetric.OPERATIONAL:
            return self.operational.get(party or "")
        return self.terms.get(metric)


def read_agreement(
    agreement_id: UUID,
    version: int,
    document: AgreementDocument,
    created_at: datetime,
    named: NamedCalendar | None = None,
) -> Agreement:
    """What the document means. Raises ValueError for one that refers to a calendar which is not given."""
    if document.calendar is not None and named is None:
        raise ValueError(f"the calendar {document.calendar!r} is not given")
    return Agreement(
        id=agreement_id,
        version=version,
        created_at=created_at,
        document=document,
        calendar=document.working_time() if named is None else named.working_time,
        terms=promises(document.metrics),
        operational=promises_of_groups(document.metrics),
        conditions=document.conditions.given(),
        named=named,
    )


Dimensions = Mapping[str, str | frozenset[str] | None]
"""What conditions ask about, of one ticket: a value, none, or several at once."""


def dimensions_of(created: TicketCreated) -> dict[str, str | frozenset[str] | None]:
    """What conditions ask about, of a ticket at its creation."""
    return {
        "organization_id": str(created.organization_id) if created.organization_id else None,
        "requester_id": str(created.requester_id) if created.requester_id else None,
        "tier": created.tier,
        "product": created.product,
        "kind": created.kind.value,
        "priority": created.priority.value,
        "channel": created.channel.value,
        "external_source": created.external_source,
        "category": created.category,
        "tags": frozenset(created.tags or ()),
    }


def choose(agreements: Sequence[Agreement], dimensions: Dimensions, created_at: datetime) -> Agreement:
    """The agreement that applies to a ticket of these dimensions at its creation.

    `agreements` are the newest versions of all. Of those that were valid then and whose conditions all match, the one
    of the highest rank; among equals the one with the most conditions; then the newest. When none matches, the default
    agreement, in its newest version among `agreements` or else as it is built in.
    """
    matching = [
        agreement
        for agreement in agreements
        if agreement.id != DEFAULT_AGREEMENT_ID
        and _is_valid(agreement.document, created_at)
        and all(_allows(allowed, dimensions.get(name)) for name, allowed in agreement.conditions.items())
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


def _is_valid(document: AgreementDocument, at: datetime) -> bool:
    return (document.valid_from is None or document.valid_from <= at) and (
        document.valid_until is None or at < document.valid_until
    )


def _allows(allowed: frozenset[str], value: str | frozenset[str] | None) -> bool:
    return not allowed.isdisjoint(value) if isinstance(value, frozenset) else value in allowed


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
