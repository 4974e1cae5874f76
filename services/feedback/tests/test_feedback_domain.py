"""The rules of asking and answering, and the arithmetic of scores."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from opora_contracts.feedback import FeedbackAlerted, FeedbackReceived, SurveyRequested
from opora_contracts.tickets import TicketClosed
from opora_contracts.vocabulary import ResolutionCode
from opora_feedback import domain
from opora_feedback.domain import AskingPolicy, Journal, Person, Survey, SurveyState, Verdict

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
TICKET = UUID("0195512a-0000-7000-8000-000000000001")
CUSTOMER = UUID("0195512a-0000-7000-8000-000000000002")
SURVEY = UUID("0195512a-0000-7000-8000-000000000003")
POLICY = AskingPolicy(ask_interval=timedelta(days=7), survey_life=timedelta(days=14), alert_threshold=2)


def closed(code: ResolutionCode = ResolutionCode.SOLVED, requester_id: UUID | None = CUSTOMER) -> TicketClosed:
    return TicketClosed(
        ticket_id=TICKET,
        cycle=1,
        resolution_code=code,
        requester_id=requester_id,
        language="ru",
        assignee="anna",
        group="Network",
        product="VPN",
    )


def survey() -> Survey:
    return Survey(
        survey_id=SURVEY,
        ticket_id=TICKET,
        cycle=1,
        customer_id=CUSTOMER,
        language="ru",
        requested_at=NOON,
        expires_at=NOON + timedelta(days=14),
        assignee="anna",
        group="Network",
    )


def test_a_served_customer_is_asked() -> None:
    """A closing with a requester who was never asked before leads to a survey."""
    assert domain.judge(closed(), NOON, Person(), NOON, POLICY) is Verdict.ASKED


@pytest.mark.parametrize("code", [ResolutionCode.DUPLICATE, ResolutionCode.CANCELLED])
def test_nobody_is_asked_about_a_case_that_was_not_served(code: ResolutionCode) -> None:
    """Duplicates and cancelled requests ask nothing: there was no help to rate."""
    assert domain.judge(closed(code), NOON, Person(), NOON, POLICY) is Verdict.NOT_SERVED


def test_a_ticket_without_a_requester_asks_nobody() -> None:
    """A ticket that a machine opened has nobody to ask."""
    assert domain.judge(closed(requester_id=None), NOON, Person(), NOON, POLICY) is Verdict.NOBODY_TO_ASK


@pytest.mark.parametrize(
    ("days_ago", "verdict"),
    [(0, Verdict.ASKED_LATELY), (6.99, Verdict.ASKED_LATELY), (7, Verdict.ASKED), (30, Verdict.ASKED)],
)
def test_a_person_is_asked_once_per_interval(days_ago: float, verdict: Verdict) -> None:
    """A person who was asked less than seven days ago is left in peace, on the seventh day asked again."""
    assert domain.judge(closed(), NOON, Person(NOON - timedelta(days=days_ago)), NOON, POLICY) is verdict


def test_an_interval_of_zero_always_asks() -> None:
    """An interval of zero asks even a person who was asked in the same instant."""
    assert domain.judge(closed(), NOON, Person(NOON), NOON, replace(POLICY, ask_interval=timedelta(0))) is Verdict.ASKED


def test_a_closing_of_long_ago_asks_nobody() -> None:
    """A service that is built late from old facts does not ask about cases that were closed before a survey's life."""
    assert domain.judge(closed(), NOON - timedelta(days=15), Person(), NOON, POLICY) is Verdict.LONG_AGO


def test_a_survey_carries_the_closings_dimensions_and_ends_in_time() -> None:
    """A survey belongs to the closing's ticket, cycle and dimensions, and expires at the end of its life."""
    closing = domain.closing_of(closed(), NOON, Verdict.ASKED)
    made = domain.survey_of(closing, customer_id=CUSTOMER, language="ru", survey_id=SURVEY, now=NOON, policy=POLICY)
    assert made == replace(survey(), product="VPN")
    assert domain.request_of(made) == SurveyRequested(
        survey_id=SURVEY,
        ticket_id=TICKET,
        cycle=1,
        customer_id=CUSTOMER,
        language="ru",
        expires_at=datetime(2026, 3, 16, 12, 0, tzinfo=UTC),
    )


def test_a_good_answer_is_told_once() -> None:
    """A first answer is recorded and told; the very same answer again tells nothing."""
    first = domain.answer(survey(), 5, "  Quick!  ", NOON, POLICY)
    assert first.survey.state is SurveyState.ANSWERED
    assert (first.survey.score, first.survey.comment, first.survey.answered_at) == (5, "Quick!", NOON)
    assert [type(fact) for fact in first.facts] == [FeedbackReceived]
    assert domain.answer(first.survey, 5, "Quick!", NOON, POLICY).facts == ()


def test_a_changed_answer_replaces_the_old_one_and_is_told_again() -> None:
    """A second click with another score tells the new score and keeps the comment given before."""
    first = domain.answer(survey(), 5, "Quick!", NOON, POLICY)
    second = domain.answer(first.survey, 3, None, NOON, POLICY)
    assert (second.survey.score, second.survey.comment) == (3, "Quick!")
    (received,) = second.facts
    assert isinstance(received, FeedbackReceived)
    assert (received.score, received.has_comment, received.assignee) == (3, True, "anna")


def test_an_emptied_comment_is_removed() -> None:
    """Sending the form with an empty comment removes the earlier comment."""
    first = domain.answer(survey(), 5, "Quick!", NOON, POLICY)
    assert domain.answer(first.survey, 5, "", NOON, POLICY).survey.comment is None


def test_a_low_score_alerts_once_per_survey() -> None:
    """A score at the threshold alerts; a second low score of the same survey does not alert again."""
    first = domain.answer(survey(), 2, None, NOON, POLICY)
    received, alerted = first.facts
    assert isinstance(received, FeedbackReceived)
    assert isinstance(alerted, FeedbackAlerted)
    assert (alerted.score, alerted.threshold, alerted.group) == (2, 2, "Network")
    second = domain.answer(first.survey, 1, None, NOON, POLICY)
    assert [type(fact) for fact in second.facts] == [FeedbackReceived]


def test_a_journal_counts_without_gaps_and_never_goes_back_in_time() -> None:
    """Facts of a ticket are numbered 1, 2, 3 …, and one written by a slow clock takes the time of the one before."""
    journal, first = Journal(TICKET).write(domain.request_of(survey()), NOON)
    journal, second = journal.write(domain.answer(survey(), 5, None, NOON, POLICY).facts[0], NOON - timedelta(1))
    assert [(fact.sequence, fact.time) for fact in (first, second)] == [(1, NOON), (2, NOON)]
    assert (first.actor, second.actor) == ("system:feedback", f"customer:{CUSTOMER}")
    assert journal == Journal(TICKET, 2, NOON)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662), (0, 0, 0.0, 1.0)],
)
def test_the_interval_is_wilsons(successes: int, n: int, low: float, high: float) -> None:
    """The interval agrees with published values (Newcombe 1998, method 3) and stays within 0 and 1."""
    assert domain.wilson_interval(successes, n) == pytest.approx((low, high), abs=5e-5)


def test_a_score_gives_mean_and_share() -> None:
    """Answers 5, 4, 3 and 1 have the mean 3.25 and half of them satisfied."""
    score = domain.score_of("anna", n=4, total=13, satisfied=2)
    assert (score.key, score.n, score.mean, score.csat) == ("anna", 4, 3.25, 0.5)
    assert score.csat_low < 0.5 < score.csat_high
