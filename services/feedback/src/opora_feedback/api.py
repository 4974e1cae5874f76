"""Feedback's HTTP interface for programs: surveys, their links, answers and scores."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict

from opora_chassis.http import (
    Caller,
    Limit,
    NotFound,
    Page,
    PlatformDependency,
    decode_cursor,
    page_of,
    requires,
    shown,
)
from opora_chassis.platform import Platform
from opora_feedback import api_examples, links, store
from opora_feedback.domain import HIGHEST_SCORE, LOWEST_SCORE, Survey, SurveyState
from opora_feedback.settings import settings_of
from opora_feedback.store import Dimension

router = APIRouter(prefix="/v1")
MayRead = Annotated[Caller, Depends(requires("surveys:read"))]


class SurveyView(BaseModel):
    """A survey as the interface shows it."""

    model_config = ConfigDict(from_attributes=True)

    survey_id: UUID
    ticket_id: UUID
    cycle: int
    customer_id: UUID
    language: str
    state: SurveyState
    requested_at: datetime
    expires_at: datetime
    score: int | None
    comment: str | None
    answered_at: datetime | None
    alerted_at: datetime | None
    assignee: str | None
    group: str | None
    product: str | None
    category: str | None


class ScoreView(BaseModel):
    """A score: the mean, and the share of 4 and 5 with its 95 % interval (Wilson)."""

    model_config = ConfigDict(from_attributes=True)

    key: str | None
    n: int
    mean: float
    csat: float
    csat_low: float
    csat_high: float


class ScoreTable(BaseModel):
    """One line per value of the dimension, the most answers first; the line with key null has no such value."""

    by: Dimension | None
    items: list[ScoreView]


@router.get("/surveys", summary="List surveys")
@shown(api_examples.page(api_examples.SURVEY))
async def list_surveys(
    _caller: MayRead,
    platform: PlatformDependency,
    ticket_id: UUID | None = None,
    limit: Limit = 50,
    cursor: str | None = None,
) -> Page[SurveyView]:
    """Surveys, newest first."""
    place = decode_cursor(cursor, survey_id=UUID)
    before = None if place is None else place["survey_id"]
    surveys = await store.list_surveys(platform.database, ticket_id=ticket_id, before=before, limit=limit + 1)
    return page_of(_views(surveys), limit, lambda last: {"survey_id": last.survey_id})


@router.get("/surveys/{survey_id}", summary="Read a survey")
@shown(api_examples.SURVEY)
async def show_survey(survey_id: UUID, _caller: MayRead, platform: PlatformDependency) -> SurveyView:
    """One survey."""
    return SurveyView.model_validate(await _survey(platform, survey_id))


@router.get("/surveys/{survey_id}/links", summary="Read a survey's links")
@shown(api_examples.LINKS)
async def show_links(
    survey_id: UUID, request: Request, _caller: MayRead, platform: PlatformDependency
) -> dict[str, str]:
    """The signed one-click address of each score. Whoever has one may answer as the customer."""
    settings = settings_of(platform)
    survey = await _survey(platform, survey_id)
    token = links.sign(links.Link(survey.survey_id, survey.expires_at), settings.signing_secrets)
    public_url = settings.public_url or str(request.base_url)
    return {str(score): links.address(public_url, token, score) for score in range(LOWEST_SCORE, HIGHEST_SCORE + 1)}


@router.get("/scores", summary="Read scores")
@shown(api_examples.SCORES)
async def show_scores(
    _caller: MayRead,
    platform: PlatformDependency,
    by: Dimension | None = None,
    from_time: Annotated[AwareDatetime | None, Query(alias="from")] = None,
    to_time: Annotated[AwareDatetime | None, Query(alias="to")] = None,
) -> ScoreTable:
    """Scores of the answers given in [from, to), as a whole or per agent, group, product or category."""
    found = await store.scores(platform.database, by=by, from_time=from_time, to_time=to_time)
    return ScoreTable(by=by, items=[ScoreView.model_validate(score) for score in found])


@router.get("/responses", summary="List answers")
@shown(api_examples.page(api_examples.SURVEY))
async def list_responses(
    _caller: MayRead,
    platform: PlatformDependency,
    highest_score: Annotated[int, Query(ge=LOWEST_SCORE, le=HIGHEST_SCORE)] = HIGHEST_SCORE,
    limit: Limit = 50,
    cursor: str | None = None,
) -> Page[SurveyView]:
    """Answers with their comments, the newest first; `highest_score=2` shows those who should be called back."""
    place = decode_cursor(cursor, answered_at=AwareDatetime, survey_id=UUID)
    before = None if place is None else (place["answered_at"], place["survey_id"])
    surveys = await store.list_responses(platform.database, highest_score=highest_score, before=before, limit=limit + 1)
    return page_of(_views(surveys), limit, lambda last: {"answered_at": last.answered_at, "survey_id": last.survey_id})


async def _survey(platform: Platform, survey_id: UUID) -> Survey:
    survey = await store.find_survey(platform.database, survey_id)
    if survey is None:
        raise NotFound("survey", survey_id)
    return survey


def _views(surveys: Sequence[Survey]) -> list[SurveyView]:
    return [SurveyView.model_validate(survey) for survey in surveys]
