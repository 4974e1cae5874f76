"""What feedback does with closings and with answers. Each function works inside the caller's transaction."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast
from uuid import UUID

from prometheus_client import Counter

from opora_chassis.database import Transaction
from opora_contracts import Event
from opora_contracts.customers import CustomerFact, CustomerMerged
from opora_contracts.tickets import TicketClosed
from opora_feedback import domain, store
from opora_feedback.domain import AskingPolicy, Closing, NewSurveyId, Person, Survey, SurveyState, Verdict

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
    requesters = {event.data.requester_id for event in closed if event.data.requester_id is not None}
    identities = await store.identities_of(tx, requesters)
    people = await store.lock_people(tx, {identities[requester] for requester in requesters})
    journals = await store.lock_journals(tx, {event.data.ticket_id for event in closed})
    closings: list[Closing] = []
    surveys: list[Survey] = []
    for event in closed:
        fact = event.data
        if (fact.ticket_id, fact.cycle) in known:
            continue
        known.add((fact.ticket_id, fact.cycle))
        identity = None if fact.requester_id is None else identities[fact.requester_id]
        person = Person() if identity is None else people[identity]
        verdict = domain.judge(fact, event.time, person, tx.now, policy)
        closing = domain.closing_of(fact, event.time, verdict)
        closings.append(closing)
        CLOSINGS.labels(verdict).inc()
        if verdict is Verdict.ASKED and identity is not None:
            survey = domain.survey_of(
                closing,
                customer_id=identity,
                language=fact.language,
                survey_id=new_survey_id(),
                now=tx.now,
                policy=policy,
            )
            people[identity] = replace(person, last_asked_at=tx.now)
            request = domain.request_of(survey)
            journals[fact.ticket_id], told = journals[fact.ticket_id].write(request, tx.now, event)
            surveys.append(survey)
            tx.emit(told)
    await store.insert_closings(tx, closings)
    await store.insert_surveys(tx, surveys)
    await store.save_asked_customers(tx, {survey.customer_id: tx.now for survey in surveys})
    await store.save_journals(tx, [journals[survey.ticket_id] for survey in surveys])


async def follow_customers(events: Sequence[Event[Any]], tx: Transaction) -> None:
    """Keep who was merged into whom, and who wants no surveys, history included.

    When two become one, or one becomes two again, whoever was asked last counts for both: nobody is asked too often.
    """
    states = {event.data.customer_id: event.data for event in events if isinstance(event.data, CustomerFact)}
    newest = {event.data.customer_id: event.data for event in events}
    parted = await store.save_customers(
        tx, {customer_id: _declines(fact) for customer_id, fact in sorted(states.items())}
    )
    merges = {fact.customer_id: fact.merged_into for fact in newest.values() if isinstance(fact, CustomerMerged)}
    await store.save_merges(tx, merges)
    pairs = sorted({*parted.items(), *merges.items()})
    # All at once and in one order, so that two transactions never wait for each other in a circle.
    await store.lock_people(tx, {customer_id for pair in pairs for customer_id in pair})
    for one, other in pairs:
        await store.share_last_asking(tx, one, other)


def _declines(fact: CustomerFact) -> bool:
    return any(consent.purpose == "surveys" and not consent.given for consent in fact.consents)


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
