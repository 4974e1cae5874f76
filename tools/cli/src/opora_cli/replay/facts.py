"""What a platform would make of a log's entries, without a platform: the same commands, rules and facts."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from opora_cli.replay.entries import Entry
from opora_cli.replay.run import RefusedEntry
from opora_contracts.event import Event
from opora_contracts.tickets import TicketCreated
from opora_intake.domain import Decision, Open, RuleBroken, Ticket, decide, open_ticket
from opora_intake.domain.history import BadEntry, HistoryEntry, command_of
from opora_sla.domain import CaseFact, case_fact

_NAMELESS = UUID(int=0)
"""Nothing is stored, so nothing needs an identity of its own."""


@dataclass(frozen=True, slots=True)
class TicketFacts:
    """A ticket's facts as sla sees them, up to the first entry that intake would refuse."""

    created: TicketCreated | None
    """None when not even the creation was possible; there are no facts then."""
    facts: tuple[CaseFact, ...]
    refused: RefusedEntry | None


def ticket_facts(entries: Sequence[Entry], external_source: str) -> TicketFacts:
    """The facts of one ticket from its entries in time order. An event's id is the ticket's name and its sequence."""
    ticket: Ticket | None = None
    created: TicketCreated | None = None
    facts: list[CaseFact] = []
    for entry in entries:
        try:
            decision = _decide(ticket, entry, external_source)
        except RuleBroken as refusal:
            return TicketFacts(created, tuple(facts), RefusedEntry(entry.source_id, entry.ordinal, str(refusal)))
        ticket = decision.ticket
        for recorded in decision.facts:
            if isinstance(recorded.data, TicketCreated):
                created = recorded.data
            event = Event(
                id=f"{entry.source_id}:{recorded.sequence}",
                source=external_source,
                type=recorded.data.event_type,
                version=recorded.data.version,
                time=recorded.time,
                subject=entry.source_id,
                data=recorded.data,
                sequence=recorded.sequence,
            )
            facts.append(case_fact(event))
    return TicketFacts(created, tuple(facts), None)


def _decide(ticket: Ticket | None, entry: Entry, external_source: str) -> Decision:
    command = command_of(
        HistoryEntry(
            source_id=entry.source_id, ordinal=entry.ordinal, at=entry.at, action=entry.action, data=entry.data
        )
    )
    if isinstance(command, Open):
        opening = command.model_copy(update={"external_source": external_source, "external_id": entry.source_id})
        return open_ticket(opening, entry.at, ticket_id=_NAMELESS, number=1, message_id=_NAMELESS)
    if ticket is None:
        raise BadEntry(f"The first entry of {entry.source_id} must be create")
    return decide(ticket, command, entry.at, message_id=_NAMELESS, history=True)
