"""Routes that are asked for often: documented like any other, served on a short way."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.responses import Response
from starlette.types import Message, Receive, Scope

from opora_chassis.http.idempotency import KEY_MAX_CHARACTERS, WriteCall, hash_of
from opora_chassis.http.keys import KeyRing, RequiredScope, hashed_token_of, scopes_of
from opora_chassis.platform import Platform

_READ_HEADERS = frozenset(
    {
        b"authorization",
        b"content-length",
        b"content-type",
        b"idempotency-key",
        b"traceparent",
        b"transfer-encoding",
        b"x-opora-actor",
    }
)
_MOST_LENGTH_DIGITS = 18


class HotWrite(APIRoute):
    """A write whose function takes `body`, a model, and `call`, from `writes(scope)`, and nothing else.

    The framework's layers cost more than everything that this service does for such a request, so that a request in
    which nothing is wrong is read here. Any other goes the framework's way, which serves it too, and refuses it in the
    same words as everywhere. Raises TypeError for a function that takes anything else.
    """

    def short_way(self, platform: Platform, keys: KeyRing) -> "ShortWay":
        """How to serve this route past the framework."""
        call_name, scope = _call_of(self.dependant)
        body_name, model = _body_of(self.dependant)
        return ShortWay(self.path, self.endpoint, call_name, scope, body_name, model, platform, keys)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request in which nothing is wrong, read to its end."""

    traceparent: str | None
    carry_out: Callable[[], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class ShortWay:
    """Reads requests for one HotWrite."""

    path: str
    endpoint: Callable[..., Awaitable[Response]]
    call_name: str
    required: RequiredScope
    body_name: str
    model: TypeAdapter[Any]
    platform: Platform
    keys: KeyRing

    async def read(self, scope: Scope, receive: Receive) -> tuple[Asked | None, Receive]:
        """What is asked for, or None for a request that the framework is to serve; it receives from what is given.

        Asks no database: a key that this process has not seen in the last seconds is the framework's to look up.
        """
        head = _head_of(scope)
        if head is None or not self._takes(head):
            return None, receive
        hashed = hashed_token_of(head.get(b"authorization", b"").decode("latin-1"))
        caller = None if hashed is None else self.keys.seen_caller(hashed)
        if caller is None or not caller.holds(self.required.scope) or b"x-opora-actor" in head:
            return None, receive
        named = head.get(b"idempotency-key")
        key = None if named is None else named.decode("latin-1")
        if key is not None and not 0 < len(key) <= KEY_MAX_CHARACTERS:
            return None, receive
        messages = await _whole_body(receive)
        body = messages[0].get("body", b"") if len(messages) == 1 else b"".join(m.get("body", b"") for m in messages)
        try:
            if messages[-1]["type"] != "http.request":
                return None, _again(messages, receive)
            model = self.model.validate_json(body)
        except ValidationError:
            return None, _again(messages, receive)
        query = scope["query_string"].decode("latin-1")
        request_hash = hash_of("POST", self.path, query, caller, body)
        call = WriteCall(caller, "POST", self.path, key, request_hash, self.platform.database)
        traceparent = head.get(b"traceparent")

        def carry_out() -> Awaitable[Response]:
            return self.endpoint(**{self.call_name: call, self.body_name: model})

        return Asked(None if traceparent is None else traceparent.decode("latin-1"), carry_out), receive

    def _takes(self, head: dict[bytes, bytes]) -> bool:
        """Whether a body of a known length that is small enough, and JSON, is announced."""
        length = head.get(b"content-length", b"")
        return (
            length.isdigit()
            and len(length) < _MOST_LENGTH_DIGITS
            and 0 < int(length) <= self.platform.settings.max_body_bytes
            and b"transfer-encoding" not in head
            and head.get(b"content-type", b"").partition(b";")[0].strip().lower() == b"application/json"
        )


def _head_of(scope: Scope) -> dict[bytes, bytes] | None:
    """The headers that are read here; None when one of them is given twice."""
    head: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in _READ_HEADERS:
            if name in head:
                return None
            head[name] = value
    return head


async def _whole_body(receive: Receive) -> list[Message]:
    messages = [await receive()]
    while messages[-1].get("more_body", False):
        messages.append(await receive())
    return messages


def _again(messages: list[Message], receive: Receive) -> Receive:
    """Gives the messages that were received once more, then what follows them."""
    left = iter(messages)

    async def received() -> Message:
        message = next(left, None)
        return await receive() if message is None else message

    return received


def _call_of(dependant: Dependant) -> tuple[str, RequiredScope]:
    names = [needed.name for needed in dependant.dependencies]
    scopes = list(scopes_of(dependant))
    if len(names) != 1 or names[0] is None or len(scopes) != 1:
        raise TypeError(f"{dependant.call} takes one dependency, a WriteCall of one scope, and not {names}")
    return names[0], scopes[0]


def _body_of(dependant: Dependant) -> tuple[str, TypeAdapter[Any]]:
    others = [*dependant.path_params, *dependant.query_params, *dependant.header_params, *dependant.cookie_params]
    if len(dependant.body_params) != 1 or others:
        raise TypeError(f"{dependant.call} takes one body and no further parameter")
    (body,) = dependant.body_params
    model: Any = body.field_info.annotation
    return body.name, TypeAdapter(model)
