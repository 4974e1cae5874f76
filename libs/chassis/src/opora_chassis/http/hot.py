"""Routes that are asked for often: documented like any other, served on a short way."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.responses import Response

from opora_chassis.http.errors import Unprocessable
from opora_chassis.http.idempotency import write_call
from opora_chassis.http.keys import RequiredScope, scopes_of


class HotWrite(APIRoute):
    """A write whose function takes `body`, a model, and `call`, from `writes(scope)`, and nothing else.

    The framework's resolving of dependencies costs more than everything that this service does for such a request, so
    that key, header and body are read here. A request that is not valid goes the framework's way, and is refused in
    the same words as everywhere. Raises TypeError for a function that takes anything else.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What serves a request."""
        usual = super().get_route_handler()
        call_name, scope = _call_of(self.dependant)
        body_name, model = _body_of(self.dependant)
        endpoint = self.endpoint

        async def serve(request: Request) -> Response:
            caller = await scope(request)
            try:
                call = await write_call(request, caller)
                body = model.validate_json(await request.body())
            except (ValidationError, Unprocessable):
                return await usual(request)
            answer: Response = await endpoint(**{call_name: call, body_name: body})
            return answer

        return serve


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
