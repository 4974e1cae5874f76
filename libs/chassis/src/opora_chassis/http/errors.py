"""Errors as callers see them: problem details (RFC 9457), one shape for everything that goes wrong."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from uuid import UUID

import asyncpg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.responses import Response

from opora_chassis.errors import is_transient
from opora_chassis.identifiers import new_id

log = structlog.get_logger()

RETRY_AFTER_SECONDS = 2

_TEXT = {"type": "string"}
PROBLEM_RESPONSE: dict[str, Any] = {
    "description": "Anything else is a problem (RFC 9457). `type` is stable; 422 lists the fields under `errors`.",
    "content": {
        "application/problem+json": {
            "schema": {
                "title": "Problem",
                "type": "object",
                "required": ["type", "title", "status", "detail", "instance"],
                "properties": {
                    "type": _TEXT,
                    "title": _TEXT,
                    "status": {"type": "integer"},
                    "detail": _TEXT,
                    "instance": _TEXT,
                },
                "additionalProperties": True,
            }
        }
    },
}
"""How every operation's documentation describes its refusals."""


class Problem(Exception):  # noqa: N818  RFC 9457's own word
    """An answer other than the one asked for. `slug` is stable; `detail` tells this caller what to do."""

    def __init__(
        self,
        status: int,
        slug: str,
        title: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **extensions: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.slug = slug
        self.title = title
        self.detail = detail
        self.headers = dict(headers or {})
        self.extensions = extensions


class BadRequest(Problem):
    """400: the request cannot be read."""

    def __init__(self, detail: str, **extensions: Any) -> None:
        super().__init__(400, "bad-request", "The request cannot be read", detail, **extensions)


class Forbidden(Problem):
    """403: the caller is known and may not do this."""

    def __init__(self, detail: str, **extensions: Any) -> None:
        super().__init__(403, "forbidden", "Not allowed", detail, **extensions)


class NotFound(Problem):
    """404: there is no such thing, or none that this caller may know of."""

    def __init__(self, what: str, identifier: UUID | str) -> None:
        super().__init__(404, "not-found", "Not found", f"There is no {what} {identifier}.")


class Conflict(Problem):
    """409: the thing's present state does not allow this; extensions such as `allowed` say what it does allow."""

    def __init__(self, detail: str, **extensions: Any) -> None:
        super().__init__(409, "conflict", "In conflict with the present state", detail, **extensions)


class Unprocessable(Problem):
    """422: the request can be read, and what it says cannot be done."""

    def __init__(self, detail: str, **extensions: Any) -> None:
        super().__init__(422, "unprocessable", "The request cannot be carried out", detail, **extensions)


def problem_response(problem: Problem, path: str) -> Response:
    """The problem as application/problem+json; `instance` is the path that was asked for."""
    content = {
        "type": f"urn:opora:problem:{problem.slug}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "instance": path,
        **problem.extensions,
    }
    return Response(
        to_json(content, fallback=str),
        status_code=problem.status,
        headers=problem.headers,
        media_type="application/problem+json",
    )


def problem_of(error: Exception) -> Problem:
    """The problem that stands for an exception. What nobody foresaw is logged under an id and told by that id only."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError):
        return _invalid(error.errors())
    if isinstance(error, HTTPException):
        return _refused(error)
    if isinstance(error, asyncpg.CharacterNotInRepertoireError | asyncpg.UntranslatableCharacterError):
        return Unprocessable("Text must not hold the NUL character (U+0000).")
    if is_transient(error) and not isinstance(error, ValueError):
        log.warning("request_met_outage", error=repr(error))
        return Problem(
            503,
            "unavailable",
            "Temporarily unavailable",
            "Something that this service stands on does not answer. Repeat the request; with the same"
            " Idempotency-Key a write happens once.",
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        )
    error_id = str(new_id())
    log.error("request_failed", error_id=error_id, exc_info=error)
    return Problem(
        500,
        "internal",
        "The service failed",
        f"This is a fault of the service. Its log tells more under {error_id}.",
        error_id=error_id,
    )


def install_error_handlers(app: FastAPI) -> None:
    """Let every expected refusal of this app be answered as a problem."""

    async def answer(request: Request, error: Exception) -> Response:
        return problem_response(problem_of(error), request.url.path)

    for expected in (Problem, RequestValidationError, HTTPException):
        app.add_exception_handler(expected, answer)


def _refused(error: HTTPException) -> Problem:
    """What the framework refuses: no such route, wrong method, a body that is too large or not JSON."""
    phrase = HTTPStatus(error.status_code).phrase
    slug = phrase.lower().replace(" ", "-").replace("'", "")
    return Problem(error.status_code, slug, phrase, str(error.detail), headers=error.headers)


def _invalid(errors: Sequence[Mapping[str, Any]]) -> Problem:
    for error in errors:
        if error["type"] == "json_invalid":
            reason = error.get("ctx", {}).get("error", "not JSON")
            return BadRequest(f"The body is not JSON: {reason}, at character {error['loc'][-1]}.")
        if error["loc"][0] == "path":
            return Problem(404, "not-found", "Not found", f"{error['loc'][-1]} in the path: {error['msg']}.")
    broken = [_broken_rule(error) for error in errors]
    named = ", ".join(f"{rule['field']} ({rule['rule']})" for rule in broken)
    return Unprocessable(f"{len(broken)} of the request's fields cannot be accepted: {named}.", errors=broken)


def _broken_rule(error: Mapping[str, Any]) -> dict[str, str]:
    place, *names = error["loc"]
    rule = "is not a known field" if error["type"] == "extra_forbidden" else str(error["msg"])
    return {"field": ".".join(str(name) for name in names) or str(place), "rule": rule, "in": str(place)}
