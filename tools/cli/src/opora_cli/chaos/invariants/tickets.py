"""I1 to I3: what was acknowledged is there, once, and nothing else is."""

from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from opora_cli.chaos.invariants.finding import Finding, found
from opora_cli.chaos.observation import Observation
from opora_cli.chaos.record import Action, Attempt, Outcome
from opora_cli.checks import rules
from opora_contracts import Event
from opora_contracts.tickets import TicketCreated
from opora_contracts.topics import FEEDBACK, SLA, TICKETS

_FACT_OF: Mapping[Action, str] = {
    "create": "ticket.created",
    "submit": "ticket.created",
    "replies": "ticket.replied",
    "submit_reply": "ticket.replied",
    "notes": "ticket.noted",
    "assign": "ticket.assigned",
    "hold": "ticket.held",
    "resume": "ticket.resumed",
    "resolve": "ticket.resolved",
    "close": "ticket.closed",
    "reopen": "ticket.reopened",
}
"""What an action says, as its last fact."""
_IMPLIED: Mapping[str, Collection[Action]] = {
    # A customer's reply, a resolution and a closing end a wait; a customer's reply reopens what was resolved.
    "ticket.resumed": {"resolve", "close", "submit_reply"},
    "ticket.reopened": {"submit_reply"},
}
_CLOCKS_AGREE_WITHIN = timedelta(seconds=1)


def nothing_lost(observation: Observation) -> Finding:
    """Every acknowledged ticket is stored, on the topic and known to every service; so is every acknowledged version.

    Events of a key under which a broken one was published have to wait instead.
    """
    tickets = rules.nothing_lost(observation.history)
    stored = {(ticket_id, entry.sequence) for ticket_id, entries in observation.timeline.items() for entry in entries}
    published = {(event.subject, event.sequence or 0) for event in _facts(observation)}
    caused = {event.causation_id for event in _facts(observation)}
    versions: list[str] = []
    checked = 0
    for attempt in observation.attempts:
        if attempt.outcome is not Outcome.ACKNOWLEDGED:
            continue
        if attempt.action == "submit_reply" and attempt.key not in observation.queued_requests:
            checked += 1
            if attempt.key not in caused:
                ticket = _ticket_of(attempt, observation)
                versions.append(f"{attempt.action} {attempt.key} to ticket {ticket} was acknowledged and has no fact")
        if attempt.ticket_id is None or attempt.version is None:
            continue
        checked += 1
        places = {"intake's timeline": stored, "the topic": published}
        versions += [
            f"ticket {attempt.ticket_id} version {attempt.version} ({attempt.action} {attempt.key}) is not in {place}"
            for place, known in places.items()
            if (attempt.ticket_id, attempt.version) not in known
        ]
    return found(
        "I1",
        "every acknowledged ticket, and version of it, is stored, published and known",
        tickets.checked + checked,
        tickets.violations,
        versions,
    )


def one_effect_per_key(observation: Observation) -> Finding:
    """However often a write or an event was repeated under its key, it had one effect."""
    external = rules.one_ticket_per_request(observation.history)
    return found(
        "I2",
        "one key has one effect",
        len(observation.attempts),
        external.violations,
        _doubled_tickets(observation),
        _more_facts_than_keys(observation),
        _shared_versions(observation),
        _repeated_causes(observation),
    )


def no_phantom(observation: Observation) -> Finding:
    """Every ticket and fact stems from an attempt that was not refused, and every consequence from a fact."""
    facts = _facts(observation)
    stored = {(ticket_id, entry.sequence) for ticket_id, entries in observation.timeline.items() for entry in entries}
    unstored = [
        f"ticket {event.subject}: {event.type} ({event.sequence}) is on the topic and nowhere in intake"
        for event in facts
        if (event.subject, event.sequence) not in stored
    ]
    return found(
        "I3",
        "nothing exists that nobody asked for",
        len(facts),
        _unasked_tickets(observation),
        _unasked_facts(observation),
        unstored,
        _without_a_cause(observation),
    )


def _facts(observation: Observation) -> list[Event[Any]]:
    return rules.distinct(observation.events.get(TICKETS.name, ()))


def _effective(attempts: Iterable[Attempt], *actions: Action) -> list[Attempt]:
    """Those that had their effect, or may have had."""
    return [each for each in attempts if each.action in actions and each.outcome is not Outcome.REFUSED]


def _ticket_of(attempt: Attempt, observation: Observation) -> str | None:
    if attempt.external is None:
        return attempt.ticket_id
    return observation.by_external.get(attempt.external)


def _too_many_tickets(observation: Observation) -> tuple[list[TicketCreated], list[TicketCreated]]:
    """Tickets of people that no write can have opened: those that may be the double of a write's, and phantoms."""
    writes = _effective(observation.attempts, "create")
    named = {attempt.ticket_id for attempt in writes}
    opened = [event for event in _facts(observation) if isinstance(event.data, TicketCreated)]
    unanswered = deque(sorted(attempt.started_at for attempt in writes if attempt.ticket_id is None))
    doubles, phantoms = [], []
    for event in sorted(opened, key=lambda event: event.time):
        if event.data.external_id is not None or str(event.data.ticket_id) in named:
            continue
        latest = event.time + _CLOCKS_AGREE_WITHIN
        if unanswered and unanswered[0] <= latest:
            # A write whose answer was lost may have its effect at any time after it began.
            unanswered.popleft()
        elif any(each.started_at <= latest and event.time <= each.ended_at + _CLOCKS_AGREE_WITHIN for each in writes):
            doubles.append(event.data)
        else:
            phantoms.append(event.data)
    return doubles, phantoms


def _doubled_tickets(observation: Observation) -> list[str]:
    return [
        f"ticket {ticket.ticket_id} is one more than there were keys when it was opened"
        for ticket in _too_many_tickets(observation)[0]
    ]


def _unasked_tickets(observation: Observation) -> list[str]:
    submitted = {attempt.external for attempt in _effective(observation.attempts, "submit")}
    foreign = [
        event.data
        for event in _facts(observation)
        if isinstance(event.data, TicketCreated)
        and event.data.external_id is not None
        and (event.data.external_source, event.data.external_id) not in submitted
    ]
    return [
        f"ticket {ticket.ticket_id} was opened and nobody asked for it"
        for ticket in (*_too_many_tickets(observation)[1], *foreign)
    ]


def _facts_against_attempts(observation: Observation) -> Iterator[tuple[str, str, int, int]]:
    """(ticket, type, how many facts there are, how many attempts can have written one), openings left out."""
    tried = Counter(
        (_ticket_of(attempt, observation), attempt.action) for attempt in _effective(observation.attempts, *_FACT_OF)
    )
    counted = Counter((event.subject, event.type) for event in _facts(observation))
    for (ticket_id, fact), count in counted.items():
        if fact == TicketCreated.event_type:
            continue
        actions = {action for action, said in _FACT_OF.items() if said == fact} | set(_IMPLIED.get(fact, ()))
        yield ticket_id, fact, count, sum(tried[ticket_id, action] for action in actions)


def _more_facts_than_keys(observation: Observation) -> list[str]:
    return [
        f"ticket {ticket_id} has {count} {fact} of at most {possible} keys"
        for ticket_id, fact, count, possible in _facts_against_attempts(observation)
        if count > possible > 0
    ]


def _unasked_facts(observation: Observation) -> list[str]:
    return [
        f"ticket {ticket_id} has {count} {fact} and nobody asked for one"
        for ticket_id, fact, count, possible in _facts_against_attempts(observation)
        if not possible
    ]


def _shared_versions(observation: Observation) -> list[str]:
    types = {
        (ticket_id, entry.sequence): entry.type
        for ticket_id, entries in observation.timeline.items()
        for entry in entries
    }
    claims: dict[tuple[str, int], list[Attempt]] = defaultdict(list)
    for attempt in observation.attempts:
        if attempt.outcome is Outcome.ACKNOWLEDGED and attempt.ticket_id and attempt.version:
            claims[attempt.ticket_id, attempt.version].append(attempt)
    violations: list[str] = []
    for (ticket_id, version), attempts in claims.items():
        keys = sorted({attempt.key for attempt in attempts})
        if len(keys) > 1:
            violations.append(f"ticket {ticket_id} version {version} was acknowledged to {' and '.join(keys)}")
        said = types.get((ticket_id, version))
        violations += [
            f"ticket {ticket_id} version {version} is {said}, acknowledged to {attempt.action} {attempt.key}"
            for attempt in attempts
            if said is not None and said != _FACT_OF[attempt.action]
        ]
    return violations


def _repeated_causes(observation: Observation) -> list[str]:
    """A foreign event has each of its effects once; what people write has no event for its cause."""
    counted: dict[tuple[str, str], list[str]] = defaultdict(list)
    for event in _facts(observation):
        if event.causation_id is not None:
            counted[event.causation_id, event.type].append(event.subject)
    return [
        f"event {cause} led to {len(tickets)} {fact}, of ticket {', '.join(sorted(set(tickets)))}"
        for (cause, fact), tickets in counted.items()
        if len(tickets) > 1
    ]


def _without_a_cause(observation: Observation) -> list[str]:
    events = {topic.name: rules.distinct(observation.events.get(topic.name, ())) for topic in (TICKETS, SLA, FEEDBACK)}
    tickets = {event.subject for event in events[TICKETS.name]}
    ids = {event.id for event in events[TICKETS.name]}
    named = {(event.source, event.id) for some in events.values() for event in some}
    violations = [
        f"ticket {event.subject}: {event.type} {event.id} of {event.source} has no cause on the topic"
        for event in (*events[SLA.name], *events[FEEDBACK.name])
        if event.subject not in tickets or (event.causation_id is not None and event.causation_id not in ids)
    ]
    violations += [
        f"ticket {row.ticket_id}: message {row.notification_id} is about {row.event_type} {row.event_id}, on no topic"
        for row in observation.notifications
        if (row.event_source, row.event_id) not in named
    ]
    return violations
