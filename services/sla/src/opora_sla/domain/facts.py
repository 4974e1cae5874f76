"""What a clock needs of a ticket's fact, and how that is kept."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from opora_contracts.event import Event
from opora_contracts.tickets import (
    TicketAssessed,
    TicketAssigned,
    TicketCreated,
    TicketFact,
    TicketHeld,
    TicketReplied,
    TicketUpdated,
)
from opora_contracts.vocabulary import AuthorKind, Priority, WaitingOn

_KEPT = frozenset(
    {
        *("created", "assessed", "diagnosed", "planned", "resolved", "verified", "closed", "reopened"),
        *("assigned", "held", "resumed", "replied"),
    }
)


class CaseFact(NamedTuple):
    """One fact of a ticket, reduced to what moves its clocks or its steps."""

    sequence: int
    event_id: str
    kind: str
    """The event's type without its family: `created`, `held` …"""
    at: datetime
    priority: Priority | None = None
    waiting_on: WaitingOn | None = None
    author_kind: AuthorKind | None = None
    group: str | None = None
    assignee: str | None = None
    import_id: str | None = None
    joined_live: bool = False

    @property
    def is_kept(self) -> bool:
        """Whether a clock, how it is judged, or the time in a step can depend on it. Other facts need not be kept."""
        return self.kind in _KEPT or self.joined_live


def case_fact(event: Event[TicketFact]) -> CaseFact:
    """The event as its ticket's clocks see it. The event must carry a sequence, as every fact of intake does."""
    if event.sequence is None:
        raise ValueError(
            f"{event.type} {event.id} of {event.source} has no ce_sequence; facts of a ticket are numbered"
        )
    data = event.data
    kind = event.type.removeprefix("ticket.")
    priority = waiting_on = author_kind = group = assignee = None
    joined_live = False
    match data:
        case TicketCreated():
            priority, group, assignee = data.priority, data.group, data.assignee
        case TicketAssessed():
            priority = data.priority
        case TicketHeld():
            waiting_on = data.waiting_on
        case TicketReplied():
            author_kind = data.author_kind
        case TicketAssigned():
            group, assignee = data.group, data.assignee
        case TicketUpdated():
            joined_live = bool(data.joined_live)
    return CaseFact(
        event.sequence,
        event.id,
        kind,
        event.time,
        priority,
        waiting_on,
        author_kind,
        group,
        assignee,
        event.import_id,
        joined_live,
    )


def fact_to_json(fact: CaseFact) -> dict[str, Any]:
    """The fact as a JSON object without the fields that say nothing."""
    written = {
        "sequence": fact.sequence,
        "event_id": fact.event_id,
        "kind": fact.kind,
        "at": fact.at.isoformat(),
        "priority": fact.priority,
        "waiting_on": fact.waiting_on,
        "author_kind": fact.author_kind,
        "group": fact.group,
        "assignee": fact.assignee,
        "import_id": fact.import_id,
        "joined_live": fact.joined_live or None,
    }
    return {name: value for name, value in written.items() if value is not None}


def fact_from_json(written: dict[str, Any]) -> CaseFact:
    """The inverse of `fact_to_json`."""
    priority, waiting_on, author = written.get("priority"), written.get("waiting_on"), written.get("author_kind")
    return CaseFact(
        sequence=written["sequence"],
        event_id=written["event_id"],
        kind=written["kind"],
        at=datetime.fromisoformat(written["at"]),
        priority=Priority(priority) if priority else None,
        waiting_on=WaitingOn(waiting_on) if waiting_on else None,
        author_kind=AuthorKind(author) if author else None,
        group=written.get("group"),
        assignee=written.get("assignee"),
        import_id=written.get("import_id"),
        joined_live=bool(written.get("joined_live")),
    )
