"""What customers think, published by feedback on `opora.feedback`, keyed by ticket id."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from opora_contracts.fact import Fact, Identifier, Instant, Language, ShortText


class FeedbackFact(Fact):
    """Which survey of which ticket and cycle."""

    survey_id: UUID
    ticket_id: UUID
    cycle: Annotated[int, Field(ge=1)]
    customer_id: UUID


class SurveyRequested(FeedbackFact, event_type="survey.requested"):
    """The customer should be asked: at most once per (ticket, cycle). The signed link is fetched from feedback."""

    language: Language = "en"
    expires_at: Instant


class FeedbackReceived(FeedbackFact, event_type="feedback.received"):
    """The customer answered, or changed the answer: the newest fact of a survey holds."""

    score: Annotated[int, Field(ge=1, le=5)]
    """CSAT, 1 very dissatisfied … 5 very satisfied."""
    has_comment: bool = False
    assignee: Identifier | None = None
    group: ShortText | None = None
    product: ShortText | None = None
    category: ShortText | None = None


class FeedbackAlerted(FeedbackFact, event_type="feedback.alerted"):
    """The score is so low that somebody should call back."""

    score: Annotated[int, Field(ge=1, le=5)]
    threshold: Annotated[int, Field(ge=1, le=5)]
    assignee: Identifier | None = None
    group: ShortText | None = None
