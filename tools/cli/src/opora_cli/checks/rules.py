"""The invariants. Pure: a history in, findings out; each finding names its invariant and every violation."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from opora_cli.checks.commitments import commitments
from opora_cli.checks.history import Acknowledged, Clock, Finding, History
from opora_contracts import Event
from opora_contracts.commitments import (
    CommitmentBreached,
    CommitmentCancelled,
    CommitmentCorrected,
    CommitmentMet,
    CommitmentPaused,
    CommitmentResumed,
    CommitmentStarted,
)
from opora_contracts.feedback import SurveyRequested
from opora_contracts.sla import SlaBreached, SlaCancelled, SlaCorrected, SlaMet, SlaPaused, SlaResumed, SlaStarted
from opora_contracts.tickets import TicketAssessed, TicketClosed, TicketCreated, TicketReplied, TicketResolved
from opora_contracts.vocabulary import AuthorKind, Metric, Outcome, Priority, ResolutionCode

_NOT_ASKED = frozenset({ResolutionCode.CANCELLED, ResolutionCode.DUPLICATE})


def check(history: History) -> list[Finding]:
    """Every invariant, in the order in which a reader would ask."""
    return [invariant(history) for invariant in INVARIANTS]


def nothing_lost(history: History) -> Finding:
    """Every acknowledged request is a ticket in the topic and in each service's database."""
    created = [event for event in history.tickets if isinstance(event.data, TicketCreated)]
    by_external = {(event.data.external_source, event.data.external_id): str(event.data.ticket_id) for event in created}
    on_topic = {str(event.data.ticket_id) for event in created}
    closed = {str(event.data.ticket_id) for event in history.tickets if isinstance(event.data, TicketClosed)}
    violations: list[str] = []
    for request in history.acknowledged:
        ticket_id = request.ticket_id or by_external.get(_external(request))
        if ticket_id is None or ticket_id not in on_topic:
            violations.append(f"{request.label} has no ticket.created on the topic")
            continue
        for service, state in history.services.items():
            # Feedback's business begins when a ticket is closed.
            expected = ticket_id in closed if service == "feedback" else True
            if expected and ticket_id not in state.tickets:
                violations.append(f"{request.label} ({ticket_id}) is not in the database of {service}")
    return Finding(
        "every acknowledged ticket is on the topic and in each service", len(history.acknowledged), (*violations,)
    )


def one_ticket_per_request(history: History) -> Finding:
    """The same foreign event makes one ticket, however often it is delivered."""
    counted = Counter(
        (event.data.external_source, event.data.external_id)
        for event in distinct(history.tickets)
        if isinstance(event.data, TicketCreated) and event.data.external_id is not None
    )
    violations = [f"{source} {name} made {count} tickets" for (source, name), count in counted.items() if count > 1]
    return Finding("a foreign event makes one ticket", len(counted), (*violations,))


def unbroken_order(history: History) -> Finding:
    """On every topic the facts of each (source, subject) are numbered 1, 2, 3 … in the order in which they stand."""
    last: dict[tuple[str, str, str], int] = defaultdict(int)
    violations: list[str] = []
    for topic, events in history.events.items():
        for event in events:
            if event.sequence is None:
                continue
            place = (topic, event.source, event.subject)
            if event.sequence > last[place] + 1:
                violations.append(f"{topic} {event.subject}: {event.sequence} follows {last[place]}, a gap")
            # A number that comes again is the relay's second delivery, which every consumer drops.
            last[place] = max(last[place], event.sequence)
    return Finding("facts are numbered 1..n per ticket and source, in order", len(last), (*violations,))


def breached_once(history: History) -> Finding:
    """No clock is declared breached twice."""
    breaches = (event for event in distinct(history.sla) if isinstance(event.data, SlaBreached | CommitmentBreached))
    counted = Counter(clock_of(event) for event in breaches)
    violations = [f"{named(clock)} was breached {count} times" for clock, count in counted.items() if count > 1]
    return Finding("each breach is declared exactly once", len(counted), (*violations,))


def breached_not_early(history: History) -> Finding:
    """A breach is declared after its due date, and only where the target was not reached by then."""
    stops = _stops(history.tickets)
    withdrawn = {
        clock_of(event)
        for event in history.sla
        if isinstance(event.data, SlaCorrected | CommitmentCorrected) and event.data.after is not Outcome.BREACHED
    }
    breaches = [event for event in distinct(history.sla) if isinstance(event.data, SlaBreached | CommitmentBreached)]
    violations: list[str] = []
    for event in breaches:
        clock, due_at = clock_of(event), event.data.due_at
        if event.data.detected_at < due_at:
            violations.append(
                f"{named(clock)} was declared breached {due_at - event.data.detected_at} before it was due"
            )
        in_time = [stop for stop in stops.get(clock, ()) if stop <= due_at]
        if in_time and clock not in withdrawn:
            violations.append(f"{named(clock)} was declared breached, but the target was reached at {in_time[0]}")
    return Finding("no breach is early or false", len(breaches), (*violations,))


def due_means_breached(history: History) -> Finding:
    """A clock that ran past its due date was declared breached; none was called met after its due date."""
    due: dict[Clock, datetime | None] = {}
    judged: set[Clock] = set()
    violations: list[str] = []
    for event in distinct(history.sla):
        fact, clock = event.data, clock_of(event)
        match fact:
            case SlaStarted() | SlaResumed() | CommitmentStarted() | CommitmentResumed():
                due[clock] = fact.due_at
            case SlaPaused() | CommitmentPaused():
                due[clock] = None
            case SlaCancelled() | SlaBreached() | CommitmentCancelled() | CommitmentBreached():
                judged.add(clock)
            case SlaCorrected() | CommitmentCorrected():
                due[clock] = fact.due_at
                judged.discard(clock) if fact.after is Outcome.OPEN else judged.add(clock)
            case SlaMet() | CommitmentMet():
                judged.add(clock)
                if fact.due_at is not None and fact.stopped_at > fact.due_at:
                    violations.append(f"{named(clock)} was called met at {fact.stopped_at}, due {fact.due_at}")
            case _:
                pass
    # A new priority moves the due date without a fact of its own: for such tickets sla's own list has to do.
    retargeted = _retargeted(history.tickets)
    stated = {clock: due_at for clock, due_at in due.items() if clock[0] not in retargeted and clock not in judged}
    overdue = [
        f"{named(clock)} was due at {due_at} and nothing was declared"
        for clock, due_at in (stated | dict(history.open_clocks)).items()
        if due_at is not None and due_at < history.judged_until
    ]
    return Finding("every clock that was due and unanswered is breached", len(due), (*violations, *overdue))


def asked_once(history: History) -> Finding:
    """Each closed resolution of somebody who can be asked has one survey, and no (ticket, cycle) has two."""
    asked = Counter(
        (event.data.ticket_id, event.data.cycle)
        for event in distinct(history.feedback)
        if isinstance(event.data, SurveyRequested)
    )
    closed = {
        (event.data.ticket_id, event.data.cycle)
        for event in history.tickets
        if isinstance(event.data, TicketClosed)
        and event.data.requester_id is not None
        and event.data.resolution_code not in _NOT_ASKED
        and event.import_id is None
    }
    doubled = [f"ticket {ticket} cycle {cycle} has {n} surveys" for (ticket, cycle), n in asked.items() if n > 1]
    unasked = closed - asked.keys() if history.asks_after_every_closing else set()
    missing = [f"ticket {ticket} cycle {cycle} was closed without a survey" for ticket, cycle in unasked]
    needless = [f"ticket {ticket} cycle {cycle} has a survey for no closing" for ticket, cycle in asked.keys() - closed]
    return Finding("one survey per closed resolution", len(closed), (*doubled, *missing, *needless))


def surveys_mailed(history: History) -> Finding:
    """Every survey was mailed, each with one link, however often the mail was sent."""
    numbers = {
        event.data.ticket_id: event.data.number for event in history.tickets if isinstance(event.data, TicketCreated)
    }
    asked = Counter(
        numbers.get(event.data.ticket_id, str(event.data.ticket_id))
        for event in distinct(history.feedback)
        if isinstance(event.data, SurveyRequested)
    )
    violations = [
        f"{number} has {count} surveys and {len(history.survey_links.get(number, ()))} links in the mail"
        for number, count in asked.items()
        if len(history.survey_links.get(number, ())) != count
    ]
    return Finding("every survey is mailed with one link", len(asked), (*violations,))


def outboxes_empty(history: History) -> Finding:
    """Nothing waits to be published."""
    violations = [
        f"{name} has {s.outbox_rows} facts in its outbox" for name, s in history.services.items() if s.outbox_rows
    ]
    return Finding("every outbox is empty", len(history.services), (*violations,))


def no_dead_letters(history: History) -> Finding:
    """Nothing failed for good, and no key is parked."""
    violations = [
        f"{name} has {state.dead_letters} dead letters and {state.parked_keys} parked keys"
        for name, state in history.services.items()
        if state.dead_letters or state.parked_keys
    ]
    return Finding("no dead letter, no parked key", len(history.services), (*violations,))


INVARIANTS: Sequence[Callable[[History], Finding]] = (
    nothing_lost,
    one_ticket_per_request,
    unbroken_order,
    breached_once,
    breached_not_early,
    due_means_breached,
    asked_once,
    surveys_mailed,
    outboxes_empty,
    no_dead_letters,
)


def breach_lags_seconds(history: History) -> list[float]:
    """How long after its due date each breach was declared, in real seconds, smallest first."""
    return sorted(
        (event.data.detected_at - event.data.due_at).total_seconds() / history.clock_scale
        for event in distinct(history.sla)
        if isinstance(event.data, SlaBreached | CommitmentBreached)
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The value below which `percent` of the ordered values lie (nearest rank); 0.0 for none."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def distinct(events: Iterable[Event[Any]]) -> list[Event[Any]]:
    """Each event once: a relay that died between sending and deleting sends again, under the same id."""
    seen: dict[tuple[str, str], Event[Any]] = {}
    for event in events:
        seen.setdefault((event.source, event.id), event)
    return list(seen.values())


def _stops(tickets: Sequence[Event[Any]]) -> dict[Clock, list[datetime]]:
    """When each resolution, first response and commitment was reached, from the ticket facts alone."""
    stops: dict[Clock, list[datetime]] = defaultdict(list)
    for clock, span in commitments(tickets).items():
        if span.stopped_at is not None:
            stops[clock].append(span.stopped_at)
    for event in tickets:
        fact = event.data
        match fact:
            case TicketResolved() | TicketClosed():
                stops[fact.ticket_id, Metric.RESOLUTION, fact.cycle].append(event.time)
                stops[fact.ticket_id, Metric.FIRST_RESPONSE, 1].append(event.time)
            case TicketReplied() if fact.author_kind is AuthorKind.AGENT:
                stops[fact.ticket_id, Metric.FIRST_RESPONSE, 1].append(event.time)
            case _:
                pass
    return stops


def _retargeted(tickets: Iterable[Event[Any]]) -> set[UUID]:
    """Tickets whose priority was changed after their creation."""
    priorities: dict[UUID, Priority] = {}
    changed: set[UUID] = set()
    for event in tickets:
        fact = event.data
        if not isinstance(fact, TicketCreated | TicketAssessed):
            continue
        if priorities.setdefault(fact.ticket_id, fact.priority) is not fact.priority:
            changed.add(fact.ticket_id)
    return changed


def _external(request: Acknowledged) -> tuple[str | None, str | None]:
    return request.external or (None, None)


def clock_of(event: Event[Any]) -> Clock:
    """The clock that a fact of sla is about."""
    return (event.data.ticket_id, event.data.metric, event.data.cycle)


def named(clock: Clock) -> str:
    """The clock as a report names it."""
    ticket_id, metric, cycle = clock
    return f"ticket {ticket_id} {metric} cycle {cycle}"
