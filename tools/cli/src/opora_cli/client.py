"""Calling the platform's services: a client per service, with errors that a person can act on."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Any

import httpx

from opora_cli.errors import NOT_RUNNING, CommandError

_RETRIED_SECONDS = 60.0
_PAUSE_SECONDS = 0.25
_TRANSIENT = frozenset({httpx.codes.BAD_GATEWAY, httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.GATEWAY_TIMEOUT})


class RefusedError(CommandError):
    """A service answered that it will not do what was asked; `problem` is its RFC 9457 document."""

    def __init__(self, method: str, url: str, status: int, problem: dict[str, Any]) -> None:
        self.status = status
        self.problem = problem
        reason = problem.get("detail") or problem.get("title") or "no reason given"
        super().__init__(f"{method} {url} was refused with {status}: {reason}")


class ServiceClient:
    """Calls one service with one key. Safe to repeat: every write carries an Idempotency-Key.

    A connection error and 502, 503, 504 are tried again, with the same key, for a minute: a service that was killed and
    comes back loses and doubles nothing.
    """

    def __init__(self, name: str, url: str, api_key: str, *, connections: int = 8) -> None:
        self.name = name
        self.url = url.rstrip("/")
        self._http = httpx.AsyncClient(
            base_url=self.url,
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=httpx.Timeout(60, connect=5),
            limits=httpx.Limits(max_connections=connections),
            trust_env=False,
        )
        # The pool looks at every waiting request whenever one ends: let them wait here instead.
        self._room = asyncio.Semaphore(connections)

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def get(self, path: str, **parameters: Any) -> Any:
        """The answer's JSON. Raises RefusedError, or CommandError when the service does not answer for a minute."""
        given = {name: value for name, value in parameters.items() if value is not None}
        return await self._call("GET", path, params=given)

    async def stream(self, path: str, **parameters: Any) -> AsyncIterator[bytes]:
        """The answer's bytes as they come. Raises RefusedError, or CommandError when the service does not answer."""
        try:
            async with self._room, self._http.stream("GET", path, params=parameters) as response:
                if not response.is_success:
                    await response.aread()
                    _answer("GET", response)
                async for piece in response.aiter_bytes():
                    yield piece
        except httpx.TransportError as error:
            raise CommandError(
                f"{self.name} at {self.url} does not answer: {type(error).__name__}: {error}",
                next_command="opora status",
                exit_code=NOT_RUNNING,
            ) from error

    async def post(self, path: str, body: Any, *, actor: str | None = None, key: str | None = None) -> Any:
        """Write once, however often it has to be tried, and over calls with the same `key`. Raises as `get`."""
        return await self._call("POST", path, json=body, headers=_write_headers(actor, key))

    async def put(self, path: str, body: Any) -> Any:
        """Replace. Raises as `get`."""
        return await self._call("PUT", path, json=body, headers=_write_headers(None))

    async def delete(self, path: str) -> Any:
        """Remove. Raises as `get`."""
        return await self._call("DELETE", path, headers=_write_headers(None))

    async def _call(self, method: str, path: str, **request: Any) -> Any:
        deadline = asyncio.get_running_loop().time() + _RETRIED_SECONDS
        while True:
            try:
                async with self._room:
                    response = await self._http.request(method, path, **request)
            except httpx.TransportError as error:
                problem = f"{type(error).__name__}: {error}"
            else:
                if response.status_code not in _TRANSIENT:
                    return _answer(method, response)
                problem = f"status {response.status_code}"
            if asyncio.get_running_loop().time() >= deadline:
                raise CommandError(
                    f"{self.name} at {self.url} does not answer: {problem}",
                    next_command="opora status",
                    exit_code=NOT_RUNNING,
                )
            await asyncio.sleep(_PAUSE_SECONDS)


def _answer(method: str, response: httpx.Response) -> Any:
    if response.is_success:
        return response.json() if response.content else None
    try:
        problem = response.json()
    except ValueError:
        problem = {"detail": response.text[:200]}
    raise RefusedError(
        method,
        str(response.url),
        response.status_code,
        problem if isinstance(problem, dict) else {"detail": str(problem)},
    )


def _write_headers(actor: str | None, key: str | None = None) -> dict[str, str]:
    headers = {"Idempotency-Key": key or secrets.token_hex(16)}
    return headers if actor is None else {**headers, "X-Opora-Actor": actor}
