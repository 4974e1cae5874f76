"""What notify remembers of a ticket: enough to address a message and to name the case in it."""

from dataclasses import dataclass, replace
from uuid import UUID

from opora_contracts.tickets import TicketAssessed, TicketAssigned, TicketCreated, TicketFact, TicketUpdated


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A ticket as the facts left it."""

    ticket_id: UUID
    number: str
    title: str
    language: str
    priority: str
    requester_id: UUID | None = None
    assignee: str | None = None
    group: str | None = None
    product: str | None = None
    category: str | None = None
    watchers: tuple[str, ...] = ()
    """`agent:` or `customer:` and the id."""


def apply(ticket: Ticket | None, fact: TicketFact) -> Ticket | None:
    """The ticket after a fact. None stays None until the ticket is created."""
    if isinstance(fact, TicketCreated):
        return Ticket(
            ticket_id=fact.ticket_id,
            number=fact.number,
            title=fact.title,
            language=fact.language,
            priority=fact.priority,
            requester_id=fact.requester_id,
            assignee=fact.assignee,
            group=fact.group,
            product=fact.product,
            category=fact.category,
        )
    if ticket is None:
        return None
    match fact:
        case TicketAssigned():
            return replace(ticket, assignee=fact.assignee, group=fact.group)
        case TicketAssessed():
            return replace(ticket, priority=fact.priority, category=fact.category or ticket.category)
        case TicketUpdated():
            return replace(
                ticket,
                title=fact.title or ticket.title,
                product=fact.product or ticket.product,
                category=fact.category or ticket.category,
                watchers=ticket.watchers if fact.watchers is None else fact.watchers,
            )
        case _:
            return ticket
