"""I4 to I6: between the databases and the log nothing is missing, out of order or done twice."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from opora_cli.chaos.invariants.finding import Finding, found
from opora_cli.chaos.observation import Observation
from opora_cli.checks import rules
from opora_contracts import TOPICS, Event
from opora_contracts.commitments import (
    CommitmentBreached,
    CommitmentCorrected,
    CommitmentEscalated,
    CommitmentFact,
    CommitmentMet,
    CommitmentPaused,
    CommitmentResumed,
    CommitmentWarning,
)
from opora_contracts.sla import (
    SlaBreached,
    SlaCorrected,
    SlaEscalated,
    SlaFact,
    SlaMet,
    SlaPaused,
    SlaResumed,
    SlaWarning,
)
from opora_contracts.topics import PROGRESS, REQUESTS, SLA, TICKETS

_FACT_TOPICS = [topic for topic in TOPICS if topic not in {REQUESTS, PROGRESS}]
_MOVE_NO_CLOCK = frozenset(f"ticket.{fact}" for fact in ("noted", "updated", "linked", "unlinked", "merged"))
"""What sla has no need to keep."""
_NOTED = (
    *(SlaBreached, SlaMet, SlaWarning, SlaEscalated),
    *(CommitmentBreached, CommitmentMet, CommitmentWarning, CommitmentEscalated),
)


def outbox_complete(observation: Observation) -> Finding:
    """Every fact that a service decided on stands on its topic, every fact on a topic was decided on, no outbox holds
    one back.
    """
    stored = {
        (ticket_id, entry.sequence, entry.type)
        for ticket_id, entries in observation.timeline.items()
        for entry in entries
    }
    facts = rules.distinct(observation.events.get(TICKETS.name, ()))
    published = {(event.subject, event.sequence or 0, event.type) for event in facts}
    missing = [
        f"ticket {ticket_id}: {fact} ({sequence}) is in intake's timeline and not on the topic"
        for ticket_id, sequence, fact in sorted(stored - published)
    ]
    surplus = [
        f"ticket {ticket_id}: {fact} ({sequence}) is on the topic and not in intake's timeline"
        for ticket_id, sequence, fact in sorted(published - stored)
    ]
    places = Counter((event.subject, event.sequence) for event in facts)
    contested = [
        f"ticket {ticket_id}: {count} different facts have the number {sequence}"
        for (ticket_id, sequence), count in places.items()
        if count > 1
    ]
    return found(
        "I4",
        "what is stored is published, and what is published is stored",
        len(stored | published),
        missing,
        surplus,
        contested,
        _untold(observation),
        rules.outboxes_empty(observation.history).violations,
    )


def in_order(observation: Observation) -> Finding:
    """Facts are numbered 1..n on their topics without a gap, and each consumer has applied exactly the last."""
    order = rules.unbroken_order(observation.history)
    violations: list[str] = []
    checked = 0
    for topic in _FACT_TOPICS:
        last = _last_sequences(observation.events.get(topic.name, ()))
        for service in topic.consumers:
            tables = observation.services.get(service)
            if tables is None:
                continue
            applied = {
                (source, subject): sequence
                for (consumer, source, subject), sequence in tables.applied.items()
                # A row is made before its first fact is handled, and stays when that one failed.
                if consumer == topic.name and sequence
            }
            checked += len(last)
            violations += [
                f"{service} applied {subject} of {topic.name} up to {applied.get((source, subject), 0)},"
                f" the topic has {last.get((source, subject), 0)}"
                for source, subject in sorted(last.keys() | applied.keys())
                if last.get((source, subject), 0) != applied.get((source, subject), 0)
            ]
    return found(
        "I5", "facts are numbered 1..n and applied to the last", order.checked + checked, order.violations, violations
    )


def one_effect_per_event(observation: Observation) -> Finding:
    """Each consumer gave each event its effect once, and knows it: a message, a closing, a step of a clock.

    That no foreign event opened two tickets is a matter of keys, and looked at there.
    """
    messages = [
        (row.ticket_id, row.event_source, row.event_id, row.channel, row.recipient) for row in observation.notifications
    ]
    closings = [(closing.ticket_id, closing.cycle) for closing in observation.closings]
    told = rules.distinct(observation.events.get(SLA.name, ()))
    facts = [event for event in told if isinstance(event.data, SlaFact | CommitmentFact)]
    said = [_saying(event) for event in facts]
    return found(
        "I6",
        "one effect per event and consumer",
        len(messages) + len(closings) + len(observation.case_facts) + len(said),
        [
            f"notify has {count} messages about event {event_id} of ticket {ticket_id} to {recipient} by {channel}"
            for (ticket_id, _, event_id, channel, recipient), count in _repeated(messages).items()
        ],
        [
            f"feedback has {count} closings of ticket {ticket_id} cycle {cycle}"
            for (ticket_id, cycle), count in _repeated(closings).items()
        ],
        [f"sla said {count} times: {' '.join(map(str, words))}" for words, count in _repeated(said).items()],
        _kept_by_sla(observation),
        _unnoted_steps(observation, facts),
        _forgotten_requests(observation),
    )


def _untold(observation: Observation) -> list[str]:
    """Facts that a service has numbered and that are not on its topic, or the other way round."""
    violations: list[str] = []
    for service, tables in observation.services.items():
        for topic in (topic for topic in _FACT_TOPICS if service in topic.producers and topic is not TICKETS):
            last = {
                subject: sequence
                for (_, subject), sequence in _last_sequences(observation.events.get(topic.name, ())).items()
            }
            told = {subject: count for (name, subject), count in tables.told.items() if name == topic.name and count}
            violations += [
                f"{service} told {told.get(subject, 0)} facts of {subject}, {topic.name} has {last.get(subject, 0)}"
                for subject in sorted(last.keys() | told.keys())
                if last.get(subject, 0) != told.get(subject, 0)
            ]
    return violations


def _last_sequences(events: Iterable[Event[Any]]) -> Mapping[tuple[str, str], int]:
    """By (source, subject)."""
    last: dict[tuple[str, str], int] = defaultdict(int)
    for event in events:
        last[event.source, event.subject] = max(last[event.source, event.subject], event.sequence or 0)
    return last


def _repeated(cases: Iterable[Hashable]) -> dict[Any, int]:
    return {case: count for case, count in Counter(cases).items() if count > 1}


def _saying(event: Event[Any]) -> tuple[object, ...]:
    """What a fact of sla says, without when it was said: two that agree in this say the same."""
    fact = event.data
    words: tuple[object, ...] = (event.type, "ticket", str(fact.ticket_id), str(fact.metric), "cycle", fact.cycle)
    details: tuple[object, ...] = ()
    match fact:
        case SlaPaused() | CommitmentPaused():
            details = (fact.paused_at,)
        case SlaResumed() | CommitmentResumed():
            details = (fact.resumed_at,)
        case SlaWarning() | CommitmentWarning():
            details = (fact.percent, fact.left_seconds)
        case SlaEscalated() | CommitmentEscalated():
            details = (fact.level, fact.repetition)
        case SlaCorrected() | CommitmentCorrected():
            party = getattr(fact, "party", None)
            details = (party, fact.before.value, fact.after.value, event.causation_id)
        case _:
            pass
    return (*words, *details)


def _kept_by_sla(observation: Observation) -> list[str]:
    """Sla folds exactly the facts of the topic that move clocks, each once."""
    wanted = {
        (event.subject, event.sequence or 0, event.id)
        for event in rules.distinct(observation.events.get(TICKETS.name, ()))
        if event.type not in _MOVE_NO_CLOCK
    }
    kept = set(observation.case_facts)
    return [
        *(f"sla has no fact {sequence} of ticket {ticket}" for ticket, sequence, _ in sorted(wanted - kept)),
        *(
            f"sla has a fact {n} ({id_}) of ticket {ticket}, not from the topic"
            for ticket, n, id_ in sorted(kept - wanted)
        ),
        *(
            f"sla has event {event_id} of ticket {ticket} {count} times"
            for (ticket, event_id), count in _repeated(
                (ticket, event_id) for ticket, _, event_id in observation.case_facts
            ).items()
        ),
    ]


def _unnoted_steps(observation: Observation, facts: Iterable[Event[Any]]) -> list[str]:
    """Alarms and ends that sla has told and not noted as said: it would say them again."""
    noted = {(ticket, metric, cycle, step) for ticket, metric, cycle, step, _ in observation.fired_steps}
    return [
        f"ticket {event.data.ticket_id}: sla has told {event.type} {event.data.metric} and does not know of it"
        for event in facts
        if isinstance(event.data, _NOTED)
        and (
            str(event.data.ticket_id),
            str(event.data.metric),
            event.data.cycle,
            event.type.rpartition(".")[2],
        )
        not in noted
    ]


def _forgotten_requests(observation: Observation) -> list[str]:
    """Foreign events that had their effect and that intake does not remember: it would handle them again."""
    handled = {event_id for _, _, event_id in observation.services["intake"].inbox}
    return [
        f"ticket {event.subject}: intake does not know that it handled event {event.causation_id} ({event.type})"
        for event in rules.distinct(observation.events.get(TICKETS.name, ()))
        if event.causation_id is not None and event.causation_id not in handled
    ]
