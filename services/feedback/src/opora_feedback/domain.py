"""When a customer is asked, what an answer means, and how sure a share is. Pure: no I/O, no wall clock."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from opora_contracts.event import Event, NewEvent
from opora_contracts.fact import Fact
from opora_contracts.feedback import FeedbackAlerted, FeedbackFact, FeedbackReceived, SurveyRequested
from opora_contracts.tickets import TicketClosed
from opora_contracts.vocabulary import ResolutionCode

ACTOR = "system:feedback"
LOWEST_SCORE, HIGHEST_SCORE = 1, 5
SATISFIED_FROM = 4
"""CSAT counts the scores 4 and 5 as satisfied."""
_NOT_SERVED = frozenset({ResolutionCode.DUPLICATE, ResolutionCode.CANCELLED})


@dataclass(frozen=True, slots=True)
class AskingPolicy:
    """What an organisation sets. An `ask_interval` of zero asks after every closing."""

    ask_interval: timedelta = timedelta(days=7)
    survey_life: timedelta = timedelta(days=14)
    alert_threshold: int = 2


class Verdict(StrEnum):
    """Why a customer was asked, or why not: kept with each closing."""

    ASKED = "asked"
    NOBODY_TO_ASK = "nobody_to_ask"
    NOT_SERVED = "not_served"
    ASKED_LATELY = "asked_lately"
    LONG_AGO = "long_ago"
    DECLINED = "declined"


class SurveyState(StrEnum):
    """Where a survey stands; an answered one may still be changed until it expires."""

    REQUESTED = "requested"
    ANSWERED = "answered"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Person:
    """What asking a customer depends on; merged records are one person."""

    last_asked_at: datetime | None = None
    """When the person was last asked about any ticket."""
    declined: bool = False
    """The person withdrew or refused the consent to surveys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """One (ticket, cycle) that came to its end, with the dimensions by which scores are counted."""

    ticket_id: UUID
    cycle: int
    closed_at: datetime
    resolution_code: ResolutionCode
    verdict: Verdict
    requester_id: UUID | None = None
    organization_id: UUID | None = None
    assignee: str | None = None
    group: str | None = None
    product: str | None = None
    category: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """One question to one customer about one (ticket, cycle), and the newest answer."""

    survey_id: UUID
    ticket_id: UUID
    cycle: int
    customer_id: UUID
    language: str
    requested_at: datetime
    expires_at: datetime
    state: SurveyState = SurveyState.REQUESTED
    score: int | None = None
    comment: str | None = None
    answered_at: datetime | None = None
    alerted_at: datetime | None = None
    assignee: str | None = None
    group: str | None = None
    product: str | None = None
    category: str | None = None


@dataclass(frozen=True, slots=True)
class Journal:
    """How many facts feedback has told about a ticket, and when the last one was."""

    ticket_id: UUID
    sequence: int = 0
    last_at: datetime | None = None

    def write(self, data: FeedbackFact, now: datetime, cause: Event[Fact] | None = None) -> tuple["Journal", NewEvent]:
        """The next fact of the ticket, numbered without a gap and never earlier than the one before."""
        at = max(now, self.last_at) if self.last_at else now
        actor = f"customer:{data.customer_id}" if isinstance(data, FeedbackReceived) else ACTOR
        written = replace(self, sequence=self.sequence + 1, last_at=at)
        fact = NewEvent(
            data=data,
            subject=str(self.ticket_id),
            sequence=written.sequence,
            time=at,
            actor=actor,
            cause=cause,
        )
        return written, fact


@dataclass(frozen=True, slots=True)
class Answer:
    """What a visit decided: the survey as it is now and the facts to tell, oldest first. No fact: nothing changed."""

    survey: Survey
    facts: tuple[FeedbackReceived | FeedbackAlerted, ...]


def judge(closed: TicketClosed, closed_at: datetime, person: Person, now: datetime, policy: AskingPolicy) -> Verdict:
    """Whether to ask about this closing; `person` is who the requester is by now."""
    if closed.requester_id is None:
        return Verdict.NOBODY_TO_ASK
    if person.declined:
        return Verdict.DECLINED
    if closed.resolution_code in _NOT_SERVED:
        return Verdict.NOT_SERVED
    if now - closed_at > policy.survey_life:
        return Verdict.LONG_AGO
    if person.last_asked_at is not None and now - person.last_asked_at < policy.ask_interval:
        return Verdict.ASKED_LATELY
    return Verdict.ASKED


def closing_of(closed: TicketClosed, closed_at: datetime, verdict: Verdict) -> Closing:
    """The closing as feedback remembers it."""
    return Closing(
        ticket_id=closed.ticket_id,
        cycle=closed.cycle,
        closed_at=closed_at,
        resolution_code=closed.resolution_code,
        verdict=verdict,
        requester_id=closed.requester_id,
        organization_id=closed.organization_id,
        assignee=closed.assignee,
        group=closed.group,
        product=closed.product,
        category=closed.category,
    )


def survey_of(
    closing: Closing, *, customer_id: UUID, language: str, survey_id: UUID, now: datetime, policy: AskingPolicy
) -> Survey:
    """The survey that asks `customer_id` about a closing, from now until the end of its life."""
    return Survey(
        survey_id=survey_id,
        ticket_id=closing.ticket_id,
        cycle=closing.cycle,
        customer_id=customer_id,
        language=language,
        requested_at=now,
        expires_at=now + policy.survey_life,
        assignee=closing.assignee,
        group=closing.group,
        product=closing.product,
        category=closing.category,
    )


def request_of(survey: Survey) -> SurveyRequested:
    """The fact that the customer should be asked."""
    return SurveyRequested(
        survey_id=survey.survey_id,
        ticket_id=survey.ticket_id,
        cycle=survey.cycle,
        customer_id=survey.customer_id,
        language=survey.language,
        expires_at=survey.expires_at,
    )


def answer(survey: Survey, score: int, comment: str | None, now: datetime, policy: AskingPolicy) -> Answer:
    """Take an answer: a new one replaces the old, the same one again changes nothing.

    A comment of None leaves the earlier comment; an empty one removes it. A score at or below the threshold alerts
    once per survey. The caller has checked that the survey has not expired.
    """
    kept = survey.comment if comment is None else (comment.strip() or None)
    if (score, kept) == (survey.score, survey.comment):
        return Answer(survey, ())
    changed = replace(survey, state=SurveyState.ANSWERED, score=score, comment=kept, answered_at=now)
    received = FeedbackReceived(
        survey_id=survey.survey_id,
        ticket_id=survey.ticket_id,
        cycle=survey.cycle,
        customer_id=survey.customer_id,
        score=score,
        has_comment=kept is not None,
        assignee=survey.assignee,
        group=survey.group,
        product=survey.product,
        category=survey.category,
    )
    if score > policy.alert_threshold or survey.alerted_at is not None:
        return Answer(changed, (received,))
    alerted = FeedbackAlerted(
        survey_id=survey.survey_id,
        ticket_id=survey.ticket_id,
        cycle=survey.cycle,
        customer_id=survey.customer_id,
        score=score,
        threshold=policy.alert_threshold,
        assignee=survey.assignee,
        group=survey.group,
    )
    return Answer(replace(changed, alerted_at=now), (received, alerted))


@dataclass(frozen=True, slots=True)
class Score:
    """How one agent, group, product or category did: a share is worth what its interval says, not more."""

    key: str | None
    n: int
    mean: float
    csat: float
    csat_low: float
    csat_high: float


def score_of(key: str | None, n: int, total: int, satisfied: int) -> Score:
    """The score of `n` ≥ 1 answers that add up to `total`, `satisfied` of them 4 or 5."""
    low, high = wilson_interval(satisfied, n)
    return Score(key=key, n=n, mean=total / n, csat=satisfied / n, csat_low=low, csat_high=high)


def wilson_interval(successes: int, n: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson's score interval for a share, 95 % by default. Of nothing, nothing is known: (0, 1)."""
    if n == 0:
        return 0.0, 1.0
    share = successes / n
    shrink = 1 + z * z / n
    centre = (share + z * z / (2 * n)) / shrink
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / shrink
    return max(0.0, centre - spread), min(1.0, centre + spread)


NewSurveyId = Callable[[], UUID]
"""Where survey ids come from: the chassis in production, a list in tests."""
