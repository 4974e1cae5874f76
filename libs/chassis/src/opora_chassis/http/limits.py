"""What a request may look like before anything reads it: its size and its kind."""

import re
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from opora_chassis.http.errors import Problem, problem_response

_WRITING = frozenset({"POST", "PUT", "PATCH"})
_FORM = "application/x-www-form-urlencoded"
_MOST_DISCARDED_BYTES = 64 * 1024 * 1024
"""A body is read so far before it is refused: a client that still sends would miss the answer."""


class BodyLimits:
    """ASGI middleware: a body above `max_body_bytes` is refused (413), a write that is not JSON too (415).

    A chunked body is counted while it arrives, so at most `max_body_bytes` are ever held. Paths that begin with one
    of `form_paths` take forms of web pages instead of JSON as well. A POST to a path that matches `uploads` is
    handed on as it is: its route bounds it.
    """

    def __init__(
        self, app: ASGIApp, *, max_body_bytes: int, form_paths: Sequence[str] = (), uploads: str | None = None
    ) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._form_paths = tuple(form_paths)
        self._uploads = re.compile(uploads) if uploads else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a refused request; hand on any other with its body counted."""
        if scope["type"] != "http" or self._is_upload(scope):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        declared = headers.get("content-length", "")
        length = int(declared) if declared.isdecimal() else 0
        if length > self._max_body_bytes:
            if length <= _MOST_DISCARDED_BYTES:
                await _discard(receive, _MOST_DISCARDED_BYTES)
            await problem_response(self._too_large(), scope["path"])(scope, receive, send)
            return
        has_body = length > 0 or "transfer-encoding" in headers
        if has_body and scope["method"] in _WRITING:
            allowed = self._allowed(scope["path"])
            given = headers.get("content-type", "").partition(";")[0].strip().lower()
            if given not in allowed:
                await problem_response(_wrong_type(given, allowed), scope["path"])(scope, receive, send)
                return
        await self._app(scope, self._counted(receive), send)

    def _is_upload(self, scope: Scope) -> bool:
        if self._uploads is None or scope["method"] != "POST":
            return False
        return self._uploads.fullmatch(scope["path"]) is not None

    def _allowed(self, path: str) -> tuple[str, ...]:
        is_form = bool(self._form_paths) and path.startswith(self._form_paths)
        return ("application/json", _FORM) if is_form else ("application/json",)

    def _counted(self, receive: Receive) -> Receive:
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_body_bytes:
                if message.get("more_body", False):
                    await _discard(receive, _MOST_DISCARDED_BYTES - received)
                problem = self._too_large()
                # The framework lets only its own exception pass while it reads a body.
                raise HTTPException(problem.status, problem.detail, headers=problem.headers)
            return message

        return counted

    def _too_large(self) -> Problem:
        detail = f"The body must not be larger than {self._max_body_bytes} bytes."
        # What the caller goes on sending is not read: the connection cannot be used again.
        return Problem(413, "content-too-large", "Content Too Large", detail, headers={"Connection": "close"})


async def _discard(receive: Receive, most_bytes: int) -> None:
    """Read the rest of the body and drop it, up to this size."""
    more = True
    while more and most_bytes > 0:
        message = await receive()
        most_bytes -= len(message.get("body", b""))
        more = message["type"] == "http.request" and message.get("more_body", False)


def _wrong_type(given: str, allowed: Sequence[str]) -> Problem:
    return Problem(
        415,
        "unsupported-media-type",
        "Unsupported Media Type",
        f"The body is declared as {given or 'nothing'}; send {' or '.join(allowed)}.",
        headers={"Accept": ", ".join(allowed)},
        allowed=list(allowed),
    )
