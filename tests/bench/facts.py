"""Facts of tickets and customers as intake publishes them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

from opora_chassis.identifiers import new_id
from opora_contracts import Event
from opora_contracts.customers import CustomerFact
from opora_contracts.tickets import TicketCreated, TicketFact, TicketReplied, TicketResolved
from opora_contracts.vocabulary import AuthorKind, Channel, Kind, Level, Priority, ResolutionCode

Known = TypeVar("Known", bound=TicketFact | CustomerFact)
BODY = "The printer on the second floor prints every page twice since this morning. " * 6
_NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def lives(tickets: int) -> Iterator[Event[TicketFact]]:
    """Three facts of each ticket: all are created, then all answered, then all resolved; ids ascend."""
    ids = [new_id() for _ in range(tickets)]
    for number, ticket_id in enumerate(ids):
        yield fact(1, created(ticket_id, number), _NOON)
    for ticket_id in ids:
        replied = TicketReplied(
            ticket_id=ticket_id, message_id=new_id(), author_kind=AuthorKind.AGENT, channel=Channel.WEB
        )
        yield fact(2, replied, _NOON + timedelta(minutes=1))
    for ticket_id in ids:
        resolved = TicketResolved(ticket_id=ticket_id, cycle=1, resolution_code=ResolutionCode.SOLVED)
        yield fact(3, resolved, _NOON + timedelta(minutes=2))


def created(
    ticket_id: UUID, number: int, requester_id: UUID | None = None, *, group: str | None = None
) -> TicketCreated:
    """The first fact of a ticket."""
    return TicketCreated(
        ticket_id=ticket_id,
        number=f"OP-{number}",
        title="The printer prints every page twice",
        channel=Channel.WEB,
        kind=Kind.INCIDENT,
        impact=Level.MEDIUM,
        urgency=Level.MEDIUM,
        priority=Priority.P3,
        language="en",
        requester_id=requester_id,
        group=group,
    )


def fact(sequence: int, data: Known, at: datetime) -> Event[Known]:
    """A fact of a ticket or of a customer, as a consumer is given it."""
    subject = str(data.ticket_id if isinstance(data, TicketFact) else data.customer_id)
    event_id = str(new_id())
    return Event(
        id=event_id,
        source="/opora/intake",
        type=data.event_type,
        version=data.version,
        time=at,
        subject=subject,
        data=data,
        sequence=sequence,
        key=subject,
        correlation_id=event_id,
        actor="agent:anna",
    )
