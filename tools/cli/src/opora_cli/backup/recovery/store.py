"""The SQL with which a caught-up service takes over what it had told before its database was lost."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from opora_contracts import Event
from opora_contracts.commitments import (
    CommitmentBreached,
    CommitmentCancelled,
    CommitmentCorrected,
    CommitmentEscalated,
    CommitmentMet,
    CommitmentWarning,
)
from opora_contracts.feedback import FeedbackAlerted, FeedbackReceived, SurveyRequested
from opora_contracts.notifications import NotificationDelivered, NotificationFailed
from opora_contracts.sla import SlaBreached, SlaCancelled, SlaCorrected, SlaEscalated, SlaMet, SlaWarning
from opora_contracts.vocabulary import Outcome

_JUST_AFTER = timedelta(microseconds=1)
"""A step that time alone brings comes just after its instant."""
_REPETITIONS = 1_000
"""Sla numbers the calls of a ladder: level × this + repetition."""
_ALARMS = (SlaWarning, SlaEscalated, SlaBreached, CommitmentWarning, CommitmentEscalated, CommitmentBreached)
_SOURCES_OF_MESSAGES = ["/opora/intake", "/opora/sla", "/opora/feedback"]


async def drop_told_again(connection: Any, topic: str, numbers: Mapping[str, int]) -> int:
    """Take facts that the log has already out of the outbox; returns how many. The relay must not run."""
    rows = await connection.fetch("select id, key, headers from outbox where topic = $1", topic)
    told = [row["id"] for row in rows if _sequence(row["headers"]) <= numbers.get(row["key"].decode(), 0)]
    await connection.execute("delete from outbox where id = any($1::bigint[])", told)
    return len(told)


def _sequence(headers: str) -> int:
    return int(dict(json.loads(headers))["ce_sequence"])


# sla ------------------------------------------------------------------------------------------------------------------


async def take_over_sla(connection: Any, events: Sequence[Event[Any]], numbers: Mapping[str, int]) -> None:
    """No warning, escalation or breach is said twice, outcomes are those that the world knows, numbers go on."""
    steps = [
        (event.data.ticket_id, event.data.metric, event.data.cycle, *_step(event), event.time)
        for event in events
        if isinstance(event.data, _ALARMS)
    ]
    await connection.executemany(
        "insert into fired_steps (ticket_id, metric, cycle, step, ordinal, fired_at)"
        " select $1, $2, $3, $4, $5, $6 where exists (select from cases where ticket_id = $1) on conflict do nothing",
        steps,
    )
    outcomes: dict[tuple[UUID, str, int], str] = {}
    for event in events:
        outcome = _outcome(event)
        if outcome is not None:
            outcomes[event.data.ticket_id, event.data.metric, event.data.cycle] = outcome
    await connection.executemany(
        "update clocks set outcome = $4 where ticket_id = $1 and metric = $2 and cycle = $3",
        [(*clock, outcome) for clock, outcome in outcomes.items()],
    )
    judged_at: dict[str, datetime] = {}
    for event in events:
        # Judged earlier, the clock would seem not to have come so far, and that would be said as a correction.
        at = event.time + _JUST_AFTER
        judged_at[event.subject] = max(at, judged_at.get(event.subject, at))
    await connection.executemany(
        "update cases set emitted_sequence = greatest(emitted_sequence, $2), judged_at = greatest(judged_at, $3),"
        " waypoint = null"
        " where ticket_id = $1",
        [(UUID(subject), number, judged_at[subject]) for subject, number in numbers.items()],
    )


def _step(event: Event[Any]) -> tuple[str, int]:
    match event.data:
        case SlaWarning(left_seconds=None) | CommitmentWarning(left_seconds=None) as warning:
            return "warning", warning.percent
        case SlaWarning() | CommitmentWarning() as warning:
            return "warning", -(warning.left_seconds or 0)
        case SlaEscalated() | CommitmentEscalated() as call:
            return "escalated", call.level * _REPETITIONS + call.repetition
        case _:
            return "breached", 0


def _outcome(event: Event[Any]) -> str | None:
    match event.data:
        case SlaBreached() | CommitmentBreached():
            return Outcome.BREACHED
        case SlaMet() | CommitmentMet():
            return Outcome.MET
        case SlaCancelled() | CommitmentCancelled():
            return Outcome.CANCELLED
        case SlaCorrected() | CommitmentCorrected() as corrected:
            return corrected.after
        case _:
            return None


# feedback -------------------------------------------------------------------------------------------------------------


async def take_over_feedback(connection: Any, events: Sequence[Event[Any]], numbers: Mapping[str, int]) -> None:
    """Surveys that were asked are the ones whose links lie in mailboxes, with the ratings that were given.

    Comments are in no event: those given after the backup are lost.
    """
    for event in events:
        fact = event.data
        match fact:
            case SurveyRequested():
                await _take_over_survey(connection, fact, event.time)
            case FeedbackReceived():
                await connection.execute(
                    "update surveys set state = 'answered', score = $2, answered_at = $3 where survey_id = $1",
                    fact.survey_id,
                    fact.score,
                    event.time,
                )
            case FeedbackAlerted():
                await connection.execute(
                    "update surveys set alerted_at = $2 where survey_id = $1", fact.survey_id, event.time
                )
            case _:
                pass
    await connection.executemany(
        "insert into journals (ticket_id, sequence) values ($1, $2)"
        " on conflict (ticket_id) do update set sequence = greatest(journals.sequence, excluded.sequence)",
        [(UUID(subject), number) for subject, number in numbers.items()],
    )


async def _take_over_survey(connection: Any, survey: SurveyRequested, requested_at: datetime) -> None:
    await connection.execute(
        "update closings set verdict = 'asked' where ticket_id = $1 and cycle = $2", survey.ticket_id, survey.cycle
    )
    await connection.execute(
        "insert into surveys (survey_id, ticket_id, cycle, customer_id, language, requested_at, expires_at, state)"
        " select $1, $2, $3, $4, $5, $6, $7, 'requested'"
        " where exists (select from closings where ticket_id = $2 and cycle = $3)"
        " on conflict (ticket_id, cycle) do update set survey_id = excluded.survey_id,"
        " requested_at = excluded.requested_at, expires_at = excluded.expires_at",
        survey.survey_id,
        survey.ticket_id,
        survey.cycle,
        survey.customer_id,
        survey.language,
        requested_at,
        survey.expires_at,
    )
    await connection.execute(
        "insert into asked_customers (customer_id, last_asked_at) values ($1, $2) on conflict (customer_id)"
        " do update set last_asked_at = greatest(asked_customers.last_asked_at, excluded.last_asked_at)",
        survey.customer_id,
        requested_at,
    )


# notify ---------------------------------------------------------------------------------------------------------------


async def take_over_notify(connection: Any, events: Sequence[Event[Any]], _numbers: Mapping[str, int]) -> None:
    """Messages that were sent, given up or withheld are so, under the identity that they left with."""
    for event in events:
        fact = event.data
        state = (
            "delivered"
            if isinstance(fact, NotificationDelivered)
            else "failed"
            if isinstance(fact, NotificationFailed)
            else "suppressed"
        )
        planned = await connection.fetchval(
            "select notification_id from notifications where notification_id = $1"
            " or (event_source = any($5::text[]) and event_id = $2 and channel = $3 and recipient = $4)"
            " order by notification_id = $1 desc limit 1",
            fact.notification_id,
            event.causation_id,
            fact.channel,
            fact.recipient,
            _SOURCES_OF_MESSAGES,
        )
        if planned is None:
            continue
        if planned != fact.notification_id:
            # What was told of it under its new identity, nobody needs to hear.
            await connection.execute("delete from outbox where key = convert_to($1, 'UTF8')", str(planned))
        await connection.execute(
            "update notifications set notification_id = $2, state = $3, attempts = $4, told = greatest(told, $5),"
            " reason = $6, due_at = null, finished_at = $7 where notification_id = $1",
            planned,
            fact.notification_id,
            state,
            fact.attempts,
            event.sequence,
            getattr(fact, "reason", None),
            event.time,
        )


TAKE_OVER: Mapping[str, Callable[..., Any]] = {
    "sla": take_over_sla,
    "feedback": take_over_feedback,
    "notify": take_over_notify,
}
