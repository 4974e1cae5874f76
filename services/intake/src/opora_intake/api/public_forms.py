"""Web forms for visitors: the page, and the same by script from the sites that a form names. No key, no cookie.

Who sends proves nothing but that the page was asked for. What is answered names the new ticket and nothing else.
"""

import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from prometheus_client import Counter
from pydantic import Field, ValidationError
from starlette.responses import JSONResponse, Response

from opora_chassis.clock import host_now
from opora_chassis.http import BadRequest, Forbidden, Input, NotFound, PlatformDependency, Problem
from opora_chassis.platform import Platform
from opora_intake.api.dependencies import Rules
from opora_intake.domain.contacts import LONGEST_ADDRESS
from opora_intake.domain.fields import FieldType
from opora_intake.domain.form_tokens import LIFE, NONCE_BYTES, TokenFault, TokenRefused, make_token
from opora_intake.domain.web_forms import (
    LONGEST_MESSAGE,
    LONGEST_NAME,
    LONGEST_SUBJECT,
    Demand,
    Flooded,
    FormLimits,
    Given,
    Mistaken,
    WebForm,
    asked_fields,
)
from opora_intake.handlers.case_settings import RulesInForce
from opora_intake.handlers.web_forms import Submitted, submit
from opora_intake.pages.web_form import Filled, form_page, message_page
from opora_intake.pages.words import WORDS, words_accepted
from opora_intake.settings import IntakeSettings
from opora_intake.store import web_forms as store

PAGE_PATH = "/forms/"
_MOST_BODY_BYTES = 256 * 1024
"""A message of the most characters, each written as twelve bytes by a form, with room for the other fields."""
_MOST_VALUES = 300
_LONGEST_NAME = 63
_RETRY_SECONDS = 3600
_OWN = "fields."

SUBMISSIONS = Counter("opora_form_submissions_total", "Submissions of web forms, by how they were answered", ["answer"])
for _answer in ("opened", "repeated", "mistaken", "token", "flood"):
    SUBMISSIONS.labels(_answer)

router = APIRouter(include_in_schema=False)


class Submission(Input):
    """What a script sends."""

    token: str = Field(default="", max_length=200)
    email: str = ""
    name: str = ""
    subject: str = ""
    message: str = ""
    fields: dict[str, Any] = Field(default_factory=dict, max_length=_MOST_VALUES)
    website: str = ""


@router.options("/v1/forms/{name}")
async def ask_before(name: str, request: Request, platform: PlatformDependency) -> Response:
    """Whether a page of the asking site may send (CORS preflight)."""
    form = await _found(platform, name)
    headers = _shared_with(form, request)
    if "Access-Control-Allow-Origin" in headers:
        headers |= {
            "Access-Control-Allow-Methods": "GET, POST",
            "Access-Control-Allow-Headers": "content-type",
            "Access-Control-Max-Age": "600",
        }
    return Response(status_code=204, headers=headers)


@router.get("/v1/forms/{name}")
async def describe_form(name: str, request: Request, platform: PlatformDependency, rules: Rules) -> Response:
    """What the form asks, and a token for one submission."""
    form = await _found(platform, name)
    asked = asked_fields(form, await rules.current(platform.database))
    required = {"type": "text", "required": True}
    fields: list[dict[str, Any]] = [
        {"name": "email", **required, "type": "email", "max_length": LONGEST_ADDRESS},
        {"name": "subject", **required, "max_length": LONGEST_SUBJECT},
        {"name": "message", **required, "max_length": LONGEST_MESSAGE},
    ]
    if form.rules.asks_name is not Demand.NO:
        is_required = form.rules.asks_name is Demand.REQUIRED
        fields.insert(1, {"name": "name", "type": "text", "required": is_required, "max_length": LONGEST_NAME})
    for each, definition in asked:
        told: dict[str, Any] = {
            "name": f"{_OWN}{each.name}",
            "label": definition.label,
            "type": definition.type.value,
            "required": each.required,
        }
        if definition.type is FieldType.TEXT:
            told["max_length"] = definition.max_length
        if definition.choices:
            told["choices"] = list(definition.choices)
        bounds = {"minimum": definition.minimum, "maximum": definition.maximum}
        fields.append(told | {bound: value for bound, value in bounds.items() if value is not None})
    return JSONResponse(
        {
            "name": form.name,
            "title": form.rules.title,
            "introduction": form.rules.introduction,
            "language": form.rules.language.value,
            "fields": fields,
            "token": _new_token(form),
            "token_seconds": int(LIFE.total_seconds()),
            "minimum_seconds": form.rules.minimum_seconds,
        },
        headers={"Cache-Control": "no-store", **_shared_with(form, request)},
    )


@router.post("/v1/forms/{name}")
async def take_submission(name: str, request: Request, platform: PlatformDependency, rules: Rules) -> Response:
    """Open a ticket: 201; 200 when the same page has opened it before; 422 with what is wrong, by field."""
    form = await _found(platform, name)
    shared = _shared_with(form, request)
    try:
        origin = request.headers.get("origin")
        if origin is not None and "Access-Control-Allow-Origin" not in shared:
            raise Forbidden(f"Pages of {origin[:300]} do not take part in this form: name it in `origins`.")
        submitted = await _submitted(platform, form, _read_json(await _body(request)), rules)
    except Problem as problem:
        problem.headers |= shared
        raise
    except (TokenRefused, Mistaken, Flooded) as refusal:
        refused = _problem_of(refusal, form)
        refused.headers |= shared
        raise refused from refusal
    return JSONResponse({"ticket": submitted.ticket}, status_code=200 if submitted.is_repeated else 201, headers=shared)


@router.get(PAGE_PATH + "{name}")
async def show_form(name: str, request: Request, platform: PlatformDependency, rules: Rules) -> Response:
    """The form's page."""
    form = await _open_form(platform, name)
    if form is None:
        return _no_such_page(request)
    return form_page(form, asked_fields(form, await rules.current(platform.database)), _new_token(form))


@router.post(PAGE_PATH + "{name}")
async def take_page(name: str, request: Request, platform: PlatformDependency, rules: Rules) -> Response:
    """Open a ticket for what the page sends; what is wrong is said beside the fields, and nothing written is lost."""
    form = await _open_form(platform, name)
    if form is None:
        return _no_such_page(request)
    words = WORDS[form.rules.language]
    try:
        given = _read_page(await _body(request), request.headers.get("content-type", ""))
    except BadRequest:
        return message_page(words, words.unreadable, words.mistaken, status=400, form=form)
    asked = asked_fields(form, await rules.current(platform.database))
    try:
        submitted = await _submitted(platform, form, given, rules)
    except Mistaken as refusal:
        return form_page(form, asked, given.token, status=422, filled=Filled(given, refusal.mistakes))
    except TokenRefused as refusal:
        token = given.token if refusal.fault is TokenFault.EARLY else _new_token(form)
        filled = Filled(given, notice=words.faults[refusal.fault])
        return form_page(form, asked, token, status=422, filled=filled)
    except Flooded:
        headers = {"Retry-After": str(_RETRY_SECONDS)}
        filled = Filled(given, notice=words.flooded)
        return form_page(form, asked, given.token, status=429, filled=filled, headers=headers)
    return message_page(words, words.sent, words.sent_text, status=200, number=submitted.ticket, form=form)


async def _submitted(platform: Platform, form: WebForm, given: Given, rules: RulesInForce) -> Submitted:
    settings = cast("IntakeSettings", platform.settings)
    limits = FormLimits(settings.intake_form_most_of_address_an_hour, settings.intake_form_most_an_hour)
    try:
        async with platform.database.transaction() as tx:
            submitted = await submit(tx, form, given, now=host_now(), limits=limits, rules=rules)
    except (TokenRefused, Mistaken, Flooded) as refusal:
        SUBMISSIONS.labels({TokenRefused: "token", Mistaken: "mistaken", Flooded: "flood"}[type(refusal)]).inc()
        raise
    SUBMISSIONS.labels("repeated" if submitted.is_repeated else "opened").inc()
    return submitted


def _problem_of(refusal: TokenRefused | Mistaken | Flooded, form: WebForm) -> Problem:
    detail, words = f"{refusal}.", WORDS[form.rules.language]
    match refusal:
        case Flooded():
            headers = {"Retry-After": str(_RETRY_SECONDS)}
            return Problem(429, "too-many-requests", "Too many requests", detail, headers=headers)
        case TokenRefused(TokenFault.EARLY, wait_seconds):
            headers = {"Retry-After": str(wait_seconds)}
            return Problem(422, "form-sent-early", "Sent too early", detail, headers=headers)
        case TokenRefused():
            return Problem(422, "form-token-refused", "The token is not taken", detail, token=_new_token(form))
        case Mistaken(mistakes):
            told = {name: {"mistake": each.value, "text": words.mistakes[each]} for name, each in mistakes.items()}
            return Problem(422, "form-mistaken", "The form is not filled in as it asks", detail, mistakes=told)


async def _open_form(platform: Platform, name: str) -> WebForm | None:
    form = (
        await store.find_form(platform.database, name) if 0 < len(name) <= _LONGEST_NAME and "\0" not in name else None
    )
    return form if form is not None and form.rules.is_open else None


async def _found(platform: Platform, name: str) -> WebForm:
    form = await _open_form(platform, name)
    if form is None:
        raise NotFound("web form", name[:_LONGEST_NAME])
    return form


def _no_such_page(request: Request) -> Response:
    words = words_accepted(request.headers.get("accept-language", ""))
    return message_page(words, words.unknown, words.unknown_text, status=404)


def _new_token(form: WebForm) -> str:
    return make_token(form.secret, form.name, host_now(), secrets.token_bytes(NONCE_BYTES))


def _shared_with(form: WebForm, request: Request) -> dict[str, str]:
    """The headers by which a browser lets a page of the asking site read the answer."""
    origin = request.headers.get("origin")
    allowed = {"Access-Control-Allow-Origin": origin} if origin is not None and origin in form.rules.origins else {}
    return {"Vary": "Origin", **allowed}


async def _body(request: Request) -> bytes:
    """The body; refused as soon as more of it is there than a form can hold."""
    parts: list[bytes] = []
    received = 0
    async for part in request.stream():
        received += len(part)
        if received > _MOST_BODY_BYTES:
            detail = f"What a form sends is at most {_MOST_BODY_BYTES} bytes: write less."
            raise Problem(413, "content-too-large", "Content Too Large", detail, headers={"Connection": "close"})
        parts.append(part)
    return b"".join(parts)


def _read_json(raw: bytes) -> Given:
    try:
        sent = Submission.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(step) for step in first["loc"]) or "the body"
        raise BadRequest(f"{place[:200]}: {first['msg']}.") from error
    return Given(**sent.model_dump())


def _read_page(raw: bytes, content_type: str) -> Given:
    """What a page sends: own fields as `fields.<name>`, one that may have several values once for each."""
    if not content_type.lower().startswith("application/x-www-form-urlencoded"):
        raise BadRequest("A page sends application/x-www-form-urlencoded.")
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=_MOST_VALUES, errors="replace")
    except ValueError as error:
        raise BadRequest(f"The body is not a web form: {error}.") from error
    own: dict[str, list[str]] = {}
    texts: dict[str, Any] = {}
    for name, value in pairs:
        if name.startswith(_OWN):
            own.setdefault(name.removeprefix(_OWN), []).append(value)
        elif name in _TEXTS:
            texts[name] = value
    return replace(Given(**texts), fields=_singled(own))


_TEXTS = frozenset({"token", "email", "name", "subject", "message", "website"})


def _singled(own: Mapping[str, list[str]]) -> dict[str, Any]:
    return {name: values[0] if len(values) == 1 else values for name, values in own.items()}
