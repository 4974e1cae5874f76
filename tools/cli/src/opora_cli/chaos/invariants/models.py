"""I10: what the services show is what the log says."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from opora_cli.chaos.invariants.finding import Finding, found
from opora_cli.chaos.observation import ClockRow, NamedTicket, Observation
from opora_cli.chaos.oracle import Reckoned
from opora_cli.checks import rules
from opora_contracts import Event
from opora_contracts.tickets import TicketAssessed, TicketAssigned, TicketClosed, TicketCreated
from opora_contracts.topics import TICKETS
from opora_contracts.vocabulary import Outcome


def models_equal_the_log(observation: Observation) -> Finding:
    """Sla's clocks, notify's tickets and feedback's closings are what the ticket facts make of them, and what a
    service that begins at offset 0 makes of them.
    """
    facts = rules.distinct(observation.events.get(TICKETS.name, ()))
    named = _named_tickets(facts)
    return found(
        "I10",
        "each read model equals the fold of the log, and a rebuild",
        len(observation.reckoned) + len(named) + len(observation.closings),
        _clocks(observation),
        [
            f"ticket {ticket_id}: notify has {observation.named_tickets.get(ticket_id)}, the facts say {ticket}"
            for ticket_id, ticket in named.items()
            if observation.named_tickets.get(ticket_id) != ticket
        ],
        [
            f"ticket {ticket_id} is known to notify, and not to the topic"
            for ticket_id in sorted(observation.named_tickets.keys() - named.keys())
        ],
        _closings(observation, facts),
        [f"{service}: {difference}" for service, some in observation.rebuilt.items() for difference in some],
    )


def _clocks(observation: Observation) -> Iterator[str]:
    shown = {(row.ticket_id, row.metric, row.cycle): row for row in observation.clocks}
    for clock in observation.reckoned:
        row = shown.pop((str(clock.ticket_id), clock.metric, clock.cycle), None)
        if row is None:
            yield f"{rules.named(clock.key)} is missing in sla"
        else:
            yield from _compare(clock, row, observation)
    for ticket_id, metric, cycle in shown:
        if metric in {name.partition(":")[0] for name in observation.targets}:
            yield f"ticket {ticket_id} {metric} cycle {cycle} is shown by sla, and no fact started it"


def _compare(clock: Reckoned, row: ClockRow, observation: Observation) -> Iterator[str]:
    ought = {
        "outcome": _outcome(clock, observation.judged_until),
        "started_at": clock.started_at,
        "due_at": clock.due_at,
        "stopped_at": clock.stopped_at,
    }
    if clock.stopped_at is None and _between(observation.judged_until, clock.breached_at, observation.observed_at):
        # It may have been judged when sla was looked at, or not yet.
        ought["outcome"] = row.outcome
    for column, value in ought.items():
        if getattr(row, column) != value:
            yield f"{rules.named(clock.key)}: sla shows {column} {getattr(row, column)}, the facts say {value}"


def _between(earliest: datetime, at: datetime | None, latest: datetime) -> bool:
    return at is not None and earliest <= at <= latest


def _outcome(clock: Reckoned, judged_until: datetime) -> str:
    if clock.breached_at is not None and (clock.stopped_at is not None or clock.breached_at < judged_until):
        return Outcome.BREACHED.value
    return Outcome.OPEN.value if clock.stopped_at is None else Outcome.MET.value


def _named_tickets(facts: list[Event[Any]]) -> dict[str, NamedTicket]:
    """What notify has to show of each ticket."""
    shown: dict[str, dict[str, str | None]] = {}
    for event in sorted(facts, key=lambda event: event.sequence or 0):
        fact = event.data
        match fact:
            case TicketCreated():
                shown[event.subject] = {
                    "number": fact.number,
                    "priority": fact.priority.value,
                    "requester_id": None if fact.requester_id is None else str(fact.requester_id),
                    "assignee": fact.assignee,
                    "group": fact.group,
                }
            case TicketAssigned() if event.subject in shown:
                shown[event.subject] |= {"assignee": fact.assignee, "group": fact.group}
            case TicketAssessed() if event.subject in shown:
                shown[event.subject] |= {"priority": fact.priority.value}
            case _:
                pass
    return {ticket_id: NamedTicket(ticket_id=ticket_id, **columns) for ticket_id, columns in shown.items()}  # type: ignore[arg-type]


def _closings(observation: Observation, facts: list[Event[Any]]) -> Iterator[str]:
    closed = {(event.subject, event.data.cycle) for event in facts if isinstance(event.data, TicketClosed)}
    judged = {(closing.ticket_id, closing.cycle) for closing in observation.closings}
    for ticket_id, cycle in sorted(closed - judged):
        yield f"ticket {ticket_id} cycle {cycle} was closed, and feedback does not know of it"
    for ticket_id, cycle in sorted(judged - closed):
        yield f"ticket {ticket_id} cycle {cycle} is closed for feedback, and on the topic it is not"
