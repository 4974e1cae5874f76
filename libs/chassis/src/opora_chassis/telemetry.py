"""Logs and traces: one line of structured text per event, one W3C trace from a request to the last fact it caused.

A trace is carried through outbox and headers whether or not anybody collects it. Without an exporter no span is
recorded: a caller's traceparent is passed on as it came, and work without one begins a new trace.
"""

import importlib
import logging
import random
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import structlog
from opentelemetry import context, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from pydantic_core import to_json
from structlog.typing import EventDict, Processor, WrappedLogger

from opora_chassis.settings import ServiceSettings

_TRACEPARENT = re.compile(r"^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$")
_QUIET_LIBRARIES = ("uvicorn", "uvicorn.error", "faststream", "aiokafka", "asyncio")
LIBRARY_REPEAT_SECONDS = 10.0
"""How often a library that repeats itself is heard with the same words."""


class TelemetryError(Exception):
    """Telemetry is asked for that cannot be given; the message says what to install or to unset."""


class _Tracing:
    """Which provider records spans in this process; None records nothing."""

    provider: TracerProvider | None = None


def configure(service: str, settings: ServiceSettings) -> None:
    """Set up logs and traces for the whole process. Raises TelemetryError when traces cannot be exported."""
    configure_logs(service, level=settings.log_level, log_format=settings.log_format)
    if settings.otlp_endpoint is not None:
        _configure_export(service, settings.otlp_endpoint)


def current_traceparent() -> str | None:
    """The W3C traceparent of the work in progress, or None outside any."""
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return None
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"


@contextmanager
def span_from(traceparent: str | None, name: str) -> Iterator[None]:
    """Run the block as part of the trace that `traceparent` names; a missing or malformed one begins a new trace."""
    parent = _parse(traceparent)
    if _Tracing.provider is not None:
        tracer = _Tracing.provider.get_tracer("opora")
        within = None if parent is None else trace.set_span_in_context(NonRecordingSpan(parent), context.Context())
        with tracer.start_as_current_span(name, context=within):
            yield
        return
    token = context.attach(trace.set_span_in_context(NonRecordingSpan(parent or _new_trace())))
    try:
        yield
    finally:
        context.detach(token)


def _parse(traceparent: str | None) -> SpanContext | None:
    match = None if traceparent is None else _TRACEPARENT.match(traceparent)
    if match is None:
        return None
    span = SpanContext(int(match[1], 16), int(match[2], 16), is_remote=True, trace_flags=TraceFlags(int(match[3], 16)))
    return span if span.is_valid else None


def _new_trace() -> SpanContext:
    # Marked as sampled, so that a process further on which does export records its part.
    return SpanContext(
        random.getrandbits(128) or 1,
        random.getrandbits(64) or 1,
        is_remote=False,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )


def _configure_export(service: str, endpoint: str) -> None:
    try:
        exporters = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    except ImportError as error:
        raise TelemetryError(
            "OPORA_OTLP_ENDPOINT is set, but traces cannot be exported:"
            " install opentelemetry-exporter-otlp-proto-http, or unset it (traces are carried on in any case)"
        ) from error
    provider = TracerProvider(resource=Resource.create({"service.name": f"opora-{service}"}))
    provider.add_span_processor(BatchSpanProcessor(exporters.OTLPSpanExporter(endpoint=endpoint)))
    _Tracing.provider = provider


def configure_logs(service: str, *, level: str = "INFO", log_format: Literal["json", "console"] = "json") -> None:
    """One line per event on standard output; libraries are heard from WARNING on, in the same form."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_trace,
        _name_service(service),
    ]
    last: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_as_json)]
        if log_format == "json"
        else [
            structlog.dev.ConsoleRenderer(
                colors=sys.stdout.isatty(),
                # Other formatters show the values of variables, secrets among them.
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
    )
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(_Seldom())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in _QUIET_LIBRARIES:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(logging.WARNING)


class _Seldom(logging.Filter):
    """Lets a library say the same thing once in ten seconds: while a broker is away aiokafka would fill the disk."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, str], float] = {}
        self._held_back: dict[tuple[str, str], int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("aiokafka"):
            return True
        kind, now = (record.name, str(record.msg)), time.monotonic()
        if now - self._said.get(kind, float("-inf")) < LIBRARY_REPEAT_SECONDS:
            self._held_back[kind] = self._held_back.get(kind, 0) + 1
            return False
        self._said[kind] = now
        if held_back := self._held_back.pop(kind, 0):
            record.msg = f"{record.msg} (and {held_back} more like it)"
        return True


def _as_json(event: EventDict, **_told: Any) -> str:
    return to_json(event, fallback=str).decode()


def _add_trace(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        event["trace_id"] = f"{span.trace_id:032x}"
    return event


def _name_service(service: str) -> Processor:
    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["service"] = service
        return event

    return add
