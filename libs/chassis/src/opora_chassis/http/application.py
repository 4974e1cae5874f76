"""A service's HTTP application: its routes, and around each request the log line, the metric and the trace."""

import time
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib.metadata import version
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, FastAPI, Request
from prometheus_client import Histogram
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from opora_chassis.http.documentation import openapi_document, operation_id
from opora_chassis.http.errors import install_error_handlers, problem_of, problem_response
from opora_chassis.http.health import CheckSource, health_routes
from opora_chassis.http.hot import HotWrite
from opora_chassis.http.keys import KeyRing
from opora_chassis.http.limits import BodyLimits
from opora_chassis.platform import Platform
from opora_chassis.telemetry import span_from

log = structlog.get_logger()

REQUEST_SECONDS = Histogram(
    "opora_http_request_seconds",
    "Time from a request's head to its answer's end",
    ["service", "method", "route", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
_TIMINGS_KEPT = 1_024
_UNLOGGED_PREFIXES = ("/health/", "/metrics")


def platform_of(request: Request) -> Platform:
    """The platform that this application was built on."""
    platform: Platform = request.app.state.platform
    return platform


PlatformDependency = Annotated[Platform, Depends(platform_of)]


def build_app(
    platform: Platform,
    routers: Sequence[APIRouter] = (),
    checks: Sequence[CheckSource] = (),
    *,
    form_paths: Sequence[str] = (),
    uploads: str | None = None,
) -> FastAPI:
    """The application with its documentation at /docs, health and metrics.

    `form_paths` begin pages that take forms; `uploads` matches paths whose routes bound and read bodies themselves.
    """
    app = Application(title=title_of(platform.service), redoc_url=None, generate_unique_id_function=operation_id)
    app.state.platform = platform
    app.state.keys = KeyRing(platform.database)
    install_error_handlers(app)
    for router in routers:
        app.include_router(router)
    app.take_short_ways(platform, routers)
    app.router.routes.extend(health_routes(checks))
    # The one added last stands outermost.
    limit = platform.settings.max_body_bytes
    app.add_middleware(BodyLimits, max_body_bytes=limit, form_paths=form_paths, uploads=uploads)
    app.add_middleware(Observed, service=platform.service)

    @cache
    def described() -> dict[str, Any]:
        return service_document(platform.service, routers)

    app.openapi = described  # type: ignore[method-assign]  # the framework's own way of replacing it
    return app


def title_of(service: str) -> str:
    """The name of a service's interface."""
    return f"Opora {service}"


def service_document(service: str, routers: Sequence[APIRouter]) -> dict[str, Any]:
    """The OpenAPI document of a service made of these routers: what it serves at /openapi.json."""
    return openapi_document(title_of(service), version("opora-chassis"), routers)


class Application(FastAPI):
    """The framework's application, and in front of it the short ways of its HotWrites."""

    def take_short_ways(self, platform: Platform, routers: Sequence[APIRouter]) -> None:
        """Serve the HotWrites of these routers on their short ways from now on."""
        hot = [route for router in routers for route in router.routes if isinstance(route, HotWrite)]
        self._short_ways = {route.path: route.short_way(platform, self.state.keys) for route in hot}
        self._service = platform.service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        way = self._short_ways.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if way is None:
            await super().__call__(scope, receive, send)
            return
        started = time.perf_counter()
        asked, receive = await way.read(scope, receive)
        if asked is None:
            await super().__call__(scope, receive, send)
            return
        status = 0
        with span_from(asked.traceparent, f"POST {self._service}"):
            try:
                try:
                    response = await asked.carry_out()
                except Exception as error:  # noqa: BLE001  any becomes an answer
                    response = problem_response(problem_of(error), way.path)
                status = response.status_code
                await response(scope, receive, send)
            finally:
                _record(self._service, "POST", way.path, status, time.perf_counter() - started)


class Observed:
    """ASGI middleware: continues the caller's trace, measures and logs each request, answers any exception."""

    def __init__(self, app: ASGIApp, *, service: str) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; an exception becomes an answer unless the answer has begun."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with span_from(Headers(scope=scope).get("traceparent"), f"{scope['method']} {self._service}"):
            try:
                await self._app(scope, receive, sending)
            except Exception as error:
                response = problem_response(problem_of(error), scope["path"])
                if status:  # half an answer is out: only breaking the connection can tell the caller
                    raise
                await response(scope, receive, sending)
            finally:
                seconds = time.perf_counter() - started
                is_logged = not scope["path"].startswith(_UNLOGGED_PREFIXES)
                _record(self._service, scope["method"], _route_of(scope), status, seconds, is_logged=is_logged)


def _record(service: str, method: str, route: str, status: int, seconds: float, *, is_logged: bool = True) -> None:
    _timing(service, method, route, status).observe(seconds)
    if is_logged:
        log.info("request_served", method=method, route=route, status=status, milliseconds=round(seconds * 1000, 1))


@lru_cache(maxsize=_TIMINGS_KEPT)
def _timing(service: str, method: str, route: str, status: int) -> Histogram:
    return REQUEST_SECONDS.labels(service, method, route, status)


def _route_of(scope: Scope) -> str:
    """The route's pattern: a label with few values, whatever callers ask for."""
    pattern: str | None = getattr(scope.get("route"), "path", None)
    if pattern is not None:
        return pattern
    endpoint = scope.get("endpoint")
    return "unmatched" if endpoint is None else endpoint.__name__
