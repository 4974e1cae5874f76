"""What an application tells about itself: its OpenAPI document, with examples, scopes and every refusal."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import getdoc
from typing import Any, TypeVar

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel

from opora_chassis.http.errors import PROBLEM_RESPONSE, RETRY_AFTER_SECONDS
from opora_chassis.http.keys import scopes_of

Json = dict[str, Any]
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

_JSON = "application/json"
_PROBLEM_JSON = "application/problem+json"
_WRITING = frozenset({"post", "put", "patch", "delete"})
_KEY_SCHEME = "ApiKey"
_PROBLEM_REFERENCE = {"$ref": "#/components/schemas/Problem"}

DESCRIPTION = """\
Every call carries a key: `Authorization: Bearer opk_…`. What a key may do is said by its scopes; each operation names
the one that it needs, and `admin` holds all.

* **Writes can be repeated.** Send an `Idempotency-Key` of your own: the same request under the same key, within 7 days,
  has one effect and gets the first answer again, with `Idempotent-Replayed: true`.
* **Lists come in pages.** `next_cursor` of one page is the `cursor` of the next; null says that there is none.
* **A field that is not declared is refused**, by name.
* **Refusals are problem details** (RFC 9457): `type` is stable, `detail` says what to do. After a 503, wait as many
  seconds as `Retry-After` says.
* Times are RFC 3339 with a zone. Durations are whole seconds.
"""

_ACTOR_PARAMETER: Json = {
    "name": "X-Opora-Actor",
    "in": "header",
    "required": False,
    "description": "In whose name this is done: `agent:<id>` or `customer:<id>`. The key then needs the scope"
    " `actor:assume`. Absent: in the key's own name.",
    "schema": {"type": "string", "pattern": r"^(agent|customer):[^\s:]{1,100}$"},
    "example": "agent:anna",
}


@dataclass(frozen=True, slots=True)
class _Shown:
    answer: Any = None
    bodies: Mapping[str, Any] = field(default_factory=dict)
    conflict: str | None = None
    may_be_missing: bool = True


@dataclass(frozen=True, slots=True)
class _Refusal:
    name: str
    status: str
    description: str
    problem: Mapping[str, Any]
    headers: Mapping[str, Any] = field(default_factory=dict)


def _refusal(
    status: int,
    name: str,
    description: str,
    *,
    slug: str,
    title: str,
    detail: str,
    headers: Mapping[str, Any] | None = None,
    **extensions: Any,
) -> _Refusal:
    problem = {"type": f"urn:opora:problem:{slug}", "title": title, "status": status, "detail": detail}
    problem |= {"instance": "/v1/tickets", **extensions}
    return _Refusal(name, str(status), description, problem, headers or {})


_REFUSALS = {
    refusal.status: refusal
    for refusal in (
        _refusal(
            400,
            "BadRequest",
            "The request cannot be read: a body that is no JSON, a cursor that no list gave out, a malformed header.",
            slug="bad-request",
            title="The request cannot be read",
            detail="The body is not JSON: Expecting value, at character 10.",
        ),
        _refusal(
            401,
            "Unauthorized",
            "No key was sent, or one that is unknown, expired or revoked.",
            slug="unauthorized",
            title="A valid key is needed",
            detail="Send a key: `Authorization: Bearer opk_…`.",
            headers={"WWW-Authenticate": {"description": "How to authenticate.", "schema": {"type": "string"}}},
        ),
        _refusal(
            403,
            "Forbidden",
            "The key lacks the scope that the operation needs; `scope` names it.",
            slug="forbidden",
            title="Not allowed",
            detail="The key ci lacks the scope tickets:write.",
            scope="tickets:write",
        ),
        _refusal(
            404,
            "NotFound",
            "There is no such thing, or the path cannot name one.",
            slug="not-found",
            title="Not found",
            detail="There is no ticket 018f3a52-9b3c-7c5e-9d8c-2f6a41b7e003.",
        ),
        _refusal(
            409,
            "Conflict",
            "The thing's present state does not allow this.",
            slug="conflict",
            title="In conflict with the present state",
            detail="OP-1042 is received; it cannot be verified.",
        ),
        _refusal(
            413,
            "ContentTooLarge",
            "The body is larger than the service takes; `detail` says how large it may be.",
            slug="content-too-large",
            title="Content Too Large",
            detail="The body must not be larger than 1048576 bytes.",
        ),
        _refusal(
            415,
            "UnsupportedMediaType",
            "The body is not declared as JSON.",
            slug="unsupported-media-type",
            title="Unsupported Media Type",
            detail="The body is declared as application/xml; send application/json.",
            headers={"Accept": {"description": "What can be sent.", "schema": {"type": "string"}}},
            allowed=["application/json"],
        ),
        _refusal(
            422,
            "Unprocessable",
            "The request can be read, and what it says cannot be done; `errors` lists the fields. Also: an"
            " Idempotency-Key that was used for another request.",
            slug="unprocessable",
            title="The request cannot be carried out",
            detail="1 of the request's fields cannot be accepted: prioritty (is not a known field).",
            errors=[{"field": "prioritty", "rule": "is not a known field", "in": "body"}],
        ),
        _refusal(
            503,
            "Unavailable",
            "The database does not answer. Nothing is half done; repeat the request.",
            slug="unavailable",
            title="Temporarily unavailable",
            detail="Something that this service stands on does not answer. Repeat the request; with the same"
            " Idempotency-Key a write happens once.",
            headers={
                "Retry-After": {
                    "description": "Seconds to wait.",
                    "schema": {"type": "integer"},
                    "example": RETRY_AFTER_SECONDS,
                }
            },
        ),
    )
}

_shown: dict[Callable[..., Any], _Shown] = {}


def shown(
    answer: Any = None,
    bodies: Mapping[str, Any] | None = None,
    *,
    conflict: str | None = None,
    may_be_missing: bool = True,
) -> Callable[[Endpoint], Endpoint]:
    """For a route, below its decorator: what the documentation shows of it.

    `answer` is an example of the success answer, `bodies` are examples of the request by what they are for, and
    `conflict` says when the route answers 409. `may_be_missing=False` is for a path that always leads to something.
    """

    def remember(endpoint: Endpoint) -> Endpoint:
        _shown[endpoint] = _Shown(answer, dict(bodies or {}), conflict, may_be_missing)
        return endpoint

    return remember


def operation_id(route: APIRoute) -> str:
    """The name of the route's function, which is unique within a service."""
    return route.name


def openapi_document(title: str, version: str, routers: Sequence[APIRouter]) -> Json:
    """The OpenAPI 3.1 document of these routers' routes. Nothing has to run for it."""
    app = FastAPI(generate_unique_id_function=operation_id)
    for router in routers:
        app.include_router(router)
    document = get_openapi(title=title, version=version, description=DESCRIPTION, routes=app.routes)
    for route in (route for router in routers for route in router.routes):
        if isinstance(route, APIRoute) and route.include_in_schema:
            for method in route.methods or ():
                _complete(document["paths"][route.path_format][method.lower()], route, method.lower())
    components = document.setdefault("components", {})
    components["securitySchemes"] = {
        _KEY_SCHEME: {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer opk_…`"}
    }
    components["responses"] = {refusal.name: _response(refusal) for refusal in _REFUSALS.values()}
    components["responses"]["Problem"] = {
        "description": PROBLEM_RESPONSE["description"],
        "content": {_PROBLEM_JSON: {"schema": _PROBLEM_REFERENCE}},
    }
    schemas = components.setdefault("schemas", {})
    schemas["Problem"] = PROBLEM_RESPONSE["content"][_PROBLEM_JSON]["schema"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return document


def _complete(operation: Json, route: APIRoute, method: str) -> None:
    """Add to what the framework knows of an operation: scope, actor, examples, refusals."""
    told = _shown.get(route.endpoint, _Shown())
    scopes = sorted({required.scope for required in scopes_of(route.dependant)})
    operation.pop("security", None)
    if scopes:
        operation["security"] = [{_KEY_SCHEME: scopes}]
        needed = " and ".join(f"`{scope}`" for scope in scopes)
        operation["description"] = f"{operation.get('description', '')}\n\nNeeds the scope {needed}.".strip()
        if method in _WRITING:
            operation.setdefault("parameters", []).append(_ACTOR_PARAMETER)
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "header":
            parameter["name"] = "-".join(word.capitalize() for word in parameter["name"].split("-"))
    content = operation.get("requestBody", {}).get("content", {}).get(_JSON)
    if content is not None and told.bodies:
        content["examples"] = {
            _slug(summary): {"summary": summary, "value": body} for summary, body in told.bodies.items()
        }
    answers = {status: answer for status, answer in operation["responses"].items() if status.startswith("2")}
    for answer in answers.values():
        answer["description"] = _words_of(route)
        if told.answer is not None and _JSON in answer.get("content", {}):
            answer["content"][_JSON]["example"] = told.answer
    for status in _refusals_of(operation, told, is_secured=bool(scopes), has_body=content is not None):
        answers[status] = {"$ref": f"#/components/responses/{_REFUSALS[status].name}"}
    if told.conflict is not None:
        answers["409"] = {**_response(_REFUSALS["409"]), "description": told.conflict}
    operation["responses"] = {**dict(sorted(answers.items())), "default": {"$ref": "#/components/responses/Problem"}}


def _refusals_of(operation: Json, told: _Shown, *, is_secured: bool, has_body: bool) -> Iterator[str]:
    places = {parameter["in"] for parameter in operation.get("parameters", ())}
    names = {parameter["name"] for parameter in operation.get("parameters", ())}
    if is_secured:
        yield from ("401", "403")
    if has_body or "cursor" in names or _ACTOR_PARAMETER["name"] in names:
        yield "400"
    if "path" in places and told.may_be_missing:
        yield "404"
    if has_body:
        yield from ("413", "415")
    if has_body or places & {"query", "header"}:
        yield "422"
    yield "503"


def _response(refusal: _Refusal) -> Json:
    content = {_PROBLEM_JSON: {"schema": _PROBLEM_REFERENCE, "example": dict(refusal.problem)}}
    headers = {"headers": dict(refusal.headers)} if refusal.headers else {}
    return {"description": refusal.description, **headers, "content": content}


def _words_of(route: APIRoute) -> str:
    """What the answer is: the first paragraph of its model's docstring."""
    model = route.response_model
    words = getdoc(model) if isinstance(model, type) and issubclass(model, BaseModel) else None
    return " ".join(words.partition("\n\n")[0].split()) if words else "Done."


def _slug(summary: str) -> str:
    return "-".join(word for word in "".join(c if c.isalnum() else " " for c in summary.lower()).split())
