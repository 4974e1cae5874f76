"""What feedback does with closings and with answers. Each function works inside the caller's transaction."""

from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from prometheus_client import Counter

from opora_chassis.database import Transaction
from opora_contracts import Event
from opora_contracts.tickets import TicketClosed
from opora_feedback import domain, store
from opora_feedback.domain import AskingPolicy, Closing, NewSurveyId, Survey, SurveyState, Verdict

CLOSINGS = Counter("opora_feedback_closings_total", "Live closings judged, by verdict", ["verdict"])
ANSWERS = Counter("opora_feedback_answers_total", "Answers taken, changed ones included, by score", ["score"])


class UnknownSurveyError(Exception):
    """No survey has this id; a genuine link may outlive a restored database."""


class SurveyExpiredError(Exception):
    """The survey can no longer be answered; `language` is the one to say so in."""

    def __init__(self, language: str) -> None:
        super().__init__("the survey has expired")
        self.language = language


async def follow_closings(
    events: Sequence[Event[Any]], tx: Transaction, *, policy: AskingPolicy, new_survey_id: NewSurveyId
) -> None:
    """Ask about each live closing at most once per (ticket, cycle), and each person at most once per interval.

    History (events of an import) is left alone.
    """
    closed = [cast("Event[TicketClosed]", event) for event in events if event.import_id is None]
    known = await store.known_closings(tx, {(event.data.ticket_id, event.data.cycle) for event in closed})
    last_asked_at = await store.lock_asked_customers(
        tx, {event.data.requester_id for event in closed if event.data.requester_id is not None}
    )
    journals = await store.lock_journals(tx, {event.data.ticket_id for event in closed})
    closings: list[Closing] = []
    surveys: list[Survey] = []
    for event in closed:
        fact = event.data
        if (fact.ticket_id, fact.cycle) in known:
            continue
        known.add((fact.ticket_id, fact.cycle))
        asked_before = None if fact.requester_id is None else last_asked_at[fact.requester_id]
        verdict = domain.judge(fact, event.time, asked_before, tx.now, policy)
        closing = domain.closing_of(fact, event.time, verdict)
        closings.append(closing)
        CLOSINGS.labels(verdict).inc()
        if verdict is Verdict.ASKED and fact.requester_id is not None:
            survey = domain.survey_of(
                closing,
                customer_id=fact.requester_id,
                language=fact.language,
                survey_id=new_survey_id(),
                now=tx.now,
                policy=policy,
            )
            last_asked_at[fact.requester_id] = tx.now
            request = domain.request_of(survey)
            journals[fact.ticket_id], told = journals[fact.ticket_id].write(request, tx.now, event)
            surveys.append(survey)
            tx.emit(told)
    await store.insert_closings(tx, closings)
    await store.insert_surveys(tx, surveys)
    await store.save_asked_customers(tx, {survey.customer_id: tx.now for survey in surveys})
    await store.save_journals(tx, [journals[survey.ticket_id] for survey in surveys])


async def take_answer(
    tx: Transaction, survey_id: UUID, score: int, comment: str | None, policy: AskingPolicy
) -> Survey:
    """Record an answer and tell it; the same answer again changes nothing and tells nothing.

    Raises UnknownSurveyError and SurveyExpiredError; then nothing is recorded.
    """
    survey = await store.lock_survey(tx, survey_id)
    if survey is None:
        raise UnknownSurveyError
    if survey.state is SurveyState.EXPIRED or tx.now > survey.expires_at:
        raise SurveyExpiredError(survey.language)
    answer = domain.answer(survey, score, comment, tx.now, policy)
    if answer.facts:
        journal = (await store.lock_journals(tx, {survey.ticket_id}))[survey.ticket_id]
        for fact in answer.facts:
            journal, told = journal.write(fact, tx.now)
            tx.emit(told)
        await store.save_answer(tx, answer.survey)
        await store.save_journals(tx, [journal])
        ANSWERS.labels(str(score)).inc()
    return answer.survey
