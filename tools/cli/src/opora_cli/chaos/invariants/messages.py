"""I8 and I9: messages and surveys."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from opora_cli.chaos.invariants.finding import Finding, found
from opora_cli.chaos.observation import LedgerRow, Observation
from opora_cli.chaos.record import Injected
from opora_cli.checks import rules
from opora_contracts import Event
from opora_contracts.feedback import SurveyRequested
from opora_contracts.tickets import TicketCreated, TicketReplied, TicketResolved
from opora_contracts.topics import FEEDBACK, SLA, TICKETS
from opora_contracts.vocabulary import AuthorKind, MessageChannel

_FINISHED = frozenset({"delivered", "suppressed", "failed"})
_SUCCESSES = range(200, 300)
_AT_ONCE = frozenset(
    {"kill", "failpoint", "kill_all", "kill_server", "leave", "suspend", "terminate_backend", "rewind"}
)
"""Faults that can come between sending and recording once, however long it takes to recover from them."""


def no_message_lost(observation: Observation) -> Finding:
    """Each fact that somebody must be told of has its message; each message came to an end, and what was delivered
    arrived: under one id, and once, unless a crash or a cut came between sending and recording.
    """
    rows = {row.notification_id: row for row in observation.notifications}
    letters: dict[str, list[str]] = defaultdict(list)
    strays: list[str] = []
    for letter in observation.letters:
        notification_id = letter.message_id.strip("<>").partition("@")[0].partition(".")[0]
        if notification_id in rows:
            letters[notification_id].append(letter.message_id)
        else:
            strays.append(f"a letter to {letter.recipient} has the Message-ID {letter.message_id}, of no message")
    hooks: dict[str, list[str]] = defaultdict(list)
    for hook in observation.hooks:
        if hook.answered is not None and hook.answered not in _SUCCESSES:
            continue  # refused: its sender has to come again
        if hook.webhook_id in rows and rows[hook.webhook_id].event_id == hook.event_id:
            hooks[hook.webhook_id].append(hook.webhook_id)
        else:
            strays.append(f"a webhook about event {hook.event_id} has the id {hook.webhook_id}, of no such message")
    arrived: Mapping[str, Mapping[str, Sequence[str]]] = {
        MessageChannel.EMAIL: letters,
        MessageChannel.WEBHOOK: hooks,
    }
    return found(
        "I8",
        "every message arrives, in one copy but for crashes, under one id",
        len(rows),
        _unplanned(observation),
        (
            violation
            for row in rows.values()
            for violation in _follow(row, arrived[row.channel].get(row.notification_id, ()), observation)
        ),
        strays,
    )


def asked_once(observation: Observation) -> Finding:
    """Each closed resolution has one survey, no (ticket, cycle) has two, and feedback has those that it asked for."""
    asked = rules.asked_once(observation.history)
    facts = rules.distinct(observation.events.get(FEEDBACK.name, ()))
    told = {
        (str(event.data.survey_id), str(event.data.ticket_id), event.data.cycle)
        for event in facts
        if isinstance(event.data, SurveyRequested)
    }
    stored = {(survey.survey_id, survey.ticket_id, survey.cycle) for survey in observation.surveys}
    return found(
        "I9",
        "one survey per closed resolution",
        asked.checked,
        asked.violations,
        [f"ticket {t} cycle {c}: survey {id_} was asked for and is not stored" for id_, t, c in sorted(told - stored)],
        [f"ticket {t} cycle {c}: survey {id_} is stored and was not asked for" for id_, t, c in sorted(stored - told)],
    )


def _follow(row: LedgerRow, arrived: Sequence[str], observation: Observation) -> Iterator[str]:
    name = f"ticket {row.ticket_id}: message {row.notification_id} ({row.event_type}, {row.channel} to {row.recipient})"
    if row.state not in _FINISHED:
        yield f"{name} is {row.state}"
    elif row.state != "delivered" and not row.reason:
        yield f"{name} is {row.state} and does not say why"
    if row.state == "delivered" and not arrived:
        yield f"{name} is called delivered and did not arrive"
    if len(set(arrived)) > 1:
        yield f"{name} arrived under {', '.join(sorted(set(arrived)))}"
    excused = sum(_interruptions(fault) for fault in observation.faults if _concerns(fault, row))
    if len(arrived) > 1 + excused:
        yield f"{name} arrived {len(arrived)} times, with {excused} crashes or cuts while it was sent"


def _concerns(fault: Injected, row: LedgerRow) -> bool:
    """Whether the fault may have come between the sending of this message and its recording."""
    if fault.began_at > (row.finished_at or fault.began_at) or fault.ended_at < row.created_at:
        return False
    receiver = "smtp" if row.channel == MessageChannel.EMAIL else "webhook"
    return (
        fault.name == "kill_all"
        or fault.target in {"kafka", "postgres", receiver}
        or fault.target.partition("-")[0].partition(">")[0] == "notify"
    )


def _interruptions(fault: Injected) -> int:
    """How many copies it excuses: a state that lasts, one for each second of it."""
    if fault.name in _AT_ONCE:
        return 1
    return max(1, math.ceil((fault.ended_at - fault.began_at).total_seconds()))


def _unplanned(observation: Observation) -> list[str]:
    """Facts whose requester, or whose subscribed endpoint, has no message about them."""
    planned = Counter((row.event_id, row.recipient) for row in observation.notifications)
    requesters = {
        event.subject: event.data.requester_id
        for event in observation.events.get(TICKETS.name, ())
        if isinstance(event.data, TicketCreated)
    }
    violations: list[str] = []
    for topic in (TICKETS, SLA, FEEDBACK):
        for event in rules.distinct(observation.events.get(topic.name, ())):
            recipients = [
                f"webhook:{endpoint}"
                for endpoint, patterns in observation.endpoints.items()
                if any(fnmatchcase(event.type, pattern) for pattern in patterns)
            ]
            requester_id = requesters.get(event.subject)
            if requester_id is not None and _interests_the_requester(event):
                recipients.append(f"customer:{requester_id}")
            violations += [
                f"ticket {event.subject}: {recipient} was not told of {event.type} {event.id}"
                for recipient in recipients
                if not planned[event.id, recipient]
            ]
    return violations


def _interests_the_requester(event: Event[Any]) -> bool:
    """By the rules that hold when nobody has saved others."""
    match event.data:
        case TicketReplied(author_kind=author_kind):
            return author_kind is AuthorKind.AGENT
        case TicketCreated() | TicketResolved() | SurveyRequested():
            return True
        case _:
            return False
