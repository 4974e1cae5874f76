"""The customer's page: one click in a mail opens it, and the page itself sends the rating. No key, no cookie.

A GET records nothing, because mail scanners fetch every link of a message; only a POST does.
"""

import secrets
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from opora_chassis.http import BadRequest, PlatformDependency, form_fields
from opora_feedback import handlers, links, store
from opora_feedback.domain import HIGHEST_SCORE, LOWEST_SCORE, SurveyState
from opora_feedback.settings import settings_of
from opora_feedback.words import Words, words_for

FORM_PATH = "/s/"
LONGEST_COMMENT = 5000
_SCORES = frozenset(str(score) for score in range(LOWEST_SCORE, HIGHEST_SCORE + 1))
_pages = Environment(
    loader=PackageLoader("opora_feedback"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Form:
    """What the page sends. A comment of None was not asked for, so the earlier one stays."""

    score: int
    comment: str | None


@router.get("/s/{token}/{score}")
async def show_survey(token: str, score: str, request: Request, platform: PlatformDependency) -> HTMLResponse:
    """The page that sends the chosen rating by itself; 404 for a link that is not ours, 410 for one that is over."""
    words = words_for(request.headers.get("accept-language", ""))
    try:
        link = links.verify(token, settings_of(platform).signing_secrets)
    except links.BadTokenError:
        return _message(404, words, words.unknown, words.unknown_text)
    survey = await store.find_survey(platform.database, link.survey_id)
    if survey is None or score not in _SCORES:
        return _message(404, words, words.unknown, words.unknown_text)
    words = words_for(survey.language)
    if survey.state is SurveyState.EXPIRED or await platform.database.now() > survey.expires_at:
        return _message(410, words, words.expired, words.expired_text)
    return _page("survey.html", 200, words, token=token, chosen=int(score), comment=survey.comment or "")


@router.post("/s/{token}")
async def take_answer(token: str, request: Request, platform: PlatformDependency) -> HTMLResponse:
    """Record the rating and the comment of the form; a later answer replaces an earlier one."""
    settings = settings_of(platform)
    words = words_for(request.headers.get("accept-language", ""))
    try:
        link = links.verify(token, settings.signing_secrets)
    except links.BadTokenError:
        return _message(404, words, words.unknown, words.unknown_text)
    form = await read_form(request)
    if form is None:
        return _message(400, words, words.unreadable, words.unreadable_text)
    if form.comment is not None and len(form.comment) > LONGEST_COMMENT:
        return _message(422, words, words.too_long, words.too_long_text)
    try:
        async with platform.database.transaction() as tx:
            survey = await handlers.take_answer(tx, link.survey_id, form.score, form.comment, settings.asking_policy)
    except handlers.UnknownSurveyError:
        return _message(404, words, words.unknown, words.unknown_text)
    except handlers.SurveyExpiredError as error:
        words = words_for(error.language)
        return _message(410, words, words.expired, words.expired_text)
    words = words_for(survey.language)
    return _message(200, words, words.thanks, words.thanks_text)


async def read_form(request: Request) -> Form | None:
    """The form that was sent; None when it cannot be read or holds no rating from 1 to 5.

    Line ends become one character, as the browser counted them; NUL, which no text column holds, is dropped.
    """
    try:
        fields = await form_fields(request)
    except BadRequest:
        return None
    if fields.get("score") not in _SCORES:
        return None
    comment = fields.get("comment")
    return Form(int(fields["score"]), None if comment is None else comment.replace("\r\n", "\n").replace("\0", ""))


def _message(status: int, words: Words, heading: str, text: str) -> HTMLResponse:
    return _page("message.html", status, words, heading=heading, text=text)


def _page(template: str, status: int, words: Words, **values: object) -> HTMLResponse:
    nonce = secrets.token_urlsafe(16)
    html = _pages.get_template(template).render(words=words, nonce=nonce, **values)
    return HTMLResponse(
        html,
        status_code=status,
        headers={
            "Content-Security-Policy": (
                f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self';"
                " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
            ),
            "X-Robots-Tag": "noindex, nofollow",
            # The address is the customer's key to the survey: it must neither leak as a referrer nor be kept.
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Content-Language": words.language,
        },
    )
