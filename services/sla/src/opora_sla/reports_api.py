"""The reports of sla over HTTP: compliance, causes of breaches, times, the pause ledger; as JSON or CSV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from opora_chassis.http import Caller, Limit, Page, PlatformDependency, decode_cursor, encode_cursor, requires, shown
from opora_contracts.fact import Instant
from opora_sla import reports_examples as examples
from opora_sla.api_examples import page
from opora_sla.metrics import ClockMetric
from opora_sla.report_reading import LedgerPlace, breach_causes, pause_ledger, ticket_times
from opora_sla.reporting import BREACH_COLUMNS, COMPLIANCE_COLUMNS, PAUSE_COLUMNS, TIME_COLUMNS, csv_text
from opora_sla.reporting.causes import By
from opora_sla.reporting.times import Place
from opora_sla.reports_views import (
    BreachReport,
    ComplianceReport,
    PauseView,
    TimeReport,
    breach_report,
    compliance_report,
    pause_view,
    time_report,
)
from opora_sla.store.compliance import Dimension, Window, agreement_names, compliance

router = APIRouter(prefix="/v1/reports")
MayRead = Annotated[Caller, Depends(requires("sla:read"))]
From = Annotated[Instant | None, Query(alias="from", description="The first instant that counts.")]
To = Annotated[Instant | None, Query(alias="to", description="The first instant that counts no more.")]
Format = Annotated[
    Literal["json", "csv"],
    Query(
        alias="format",
        description="`csv`: RFC 4180, an object's fields as columns; text that a spreadsheet would take for a formula"
        " gets an apostrophe before it.",
    ),
]
Rows = Annotated[int, Query(ge=1, le=5_000, description="How many rows there are at most: those with the most clocks.")]
Clocks = Annotated[
    int, Query(ge=1, le=5_000, description="Of how many clocks the causes are looked at; of more, of a sample.")
]
Tickets = Annotated[int, Query(ge=1, le=5_000, description="How many tickets are looked at; of more, a sample.")]
ShortlyBefore = Annotated[
    int,
    Query(
        ge=0,
        le=31_536_000,
        description="A pause is flagged that began with at most so much working time left of the target.",
    ),
]
_Documented = dict[int | str, dict[str, Any]]


def _also_csv(columns: Sequence[str], *rows: dict[str, Any], **headers: Any) -> _Documented:
    content = {"text/csv": {"schema": {"type": "string"}, "example": csv_text(columns, rows)}}
    return {200: {"content": content} | ({"headers": headers} if headers else {})}


@router.get(
    "/compliance",
    response_model=ComplianceReport,
    responses=_also_csv(COMPLIANCE_COLUMNS, *examples.COMPLIANCE["rows"]),
    summary="Report compliance",
)
@shown(examples.COMPLIANCE)
async def report_compliance(
    platform: PlatformDependency,
    _caller: MayRead,
    *,
    by: Dimension = "metric",
    metric: ClockMetric | None = None,
    from_at: From = None,
    to_at: To = None,
    limit: Rows = 1_000,
    form: Format = "json",
) -> Response | ComplianceReport:
    """What became of the clocks that started in [from, to), with percentiles of the working time used.

    A row for each key and metric. `group` and `assignee` are those that have the ticket now, `priority` is the one
    whose target counts, `month` is that of the clock's start in UTC.
    """
    window = Window(from_at, to_at)
    table = await compliance(platform.database, by, window, metric.value if metric else None, limit)
    ids = {row.key for row in table.rows if row.key is not None} if by == "agreement" else set()
    names = await agreement_names(platform.database, sorted(ids)) if ids else {}
    report = compliance_report(table, names, by, metric, window)
    return _csv(COMPLIANCE_COLUMNS, report.rows) if form == "csv" else report


@router.get(
    "/breaches",
    response_model=BreachReport,
    responses=_also_csv(BREACH_COLUMNS, *examples.BREACHES["rows"]),
    summary="Report the causes of breaches",
)
@shown(examples.BREACHES)
async def report_breaches(
    platform: PlatformDependency,
    _caller: MayRead,
    *,
    by: By = "waiting",
    metric: ClockMetric | None = None,
    from_at: From = None,
    to_at: To = None,
    limit: Clocks = 1_000,
    form: Format = "json",
) -> Response | BreachReport:
    """Whom, in which step, or with which group the clocks spent their time that were breached in [from, to).

    From the start of each to its breach. By the tickets' facts as they are known now.
    """
    window = Window(from_at, to_at)
    report = breach_report(await breach_causes(platform.database, window, metric, by, limit), by, metric, window)
    return _csv(BREACH_COLUMNS, report.rows) if form == "csv" else report


@router.get(
    "/times",
    response_model=TimeReport,
    responses=_also_csv(TIME_COLUMNS, *examples.TIMES["rows"]),
    summary="Report the time in each step or with each group",
)
@shown(examples.TIMES)
async def report_times(
    platform: PlatformDependency,
    _caller: MayRead,
    *,
    by: Place = "step",
    from_at: From = None,
    to_at: To = None,
    limit: Tickets = 1_000,
    form: Format = "json",
) -> Response | TimeReport:
    """How long tickets were in each step, or in hand with each group, of which a clock started in [from, to).

    Stays that have ended, summed up for each ticket. A group has a ticket in hand until it is resolved.
    """
    window = Window(from_at, to_at)
    report = time_report(*await ticket_times(platform.database, window, by, limit), by, window)
    return _csv(TIME_COLUMNS, report.rows) if form == "csv" else report


@router.get(
    "/pauses",
    response_model=Page[PauseView],
    responses=_also_csv(
        PAUSE_COLUMNS,
        examples.PAUSE,
        Link={"description": 'In CSV: the next page, `<…>; rel="next"`.', "schema": {"type": "string"}},
    ),
    summary="List pauses",
)
@shown(page(examples.PAUSE))
async def list_pauses(
    request: Request,
    platform: PlatformDependency,
    _caller: MayRead,
    *,
    from_at: From = None,
    to_at: To = None,
    shortly_before_seconds: ShortlyBefore = 1_800,
    cursor: Annotated[str | None, Query(max_length=1_000, description="`next_cursor` of the page before.")] = None,
    limit: Limit = 50,
    form: Format = "json",
) -> Response | Page[PauseView]:
    """The pause ledger: pauses of clocks that began in [from, to), in the order of (ticket, beginning, metric, cycle).

    Those that began when little of the target was left are flagged. A page may hold fewer than `limit`, or none, and
    still not be the last: `next_cursor` says so.
    """
    after = _place(cursor)
    found = await pause_ledger(platform.database, Window(from_at, to_at), after, limit, shortly_before_seconds)
    views = [pause_view(line) for line in found.lines]
    next_cursor = None if found.next is None else encode_cursor(found.next._asdict())
    if form == "json":
        return Page(items=views, next_cursor=next_cursor)
    answer = _csv(PAUSE_COLUMNS, views)
    if next_cursor is not None:
        following = request.url.include_query_params(cursor=next_cursor)
        answer.headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
    return answer


def _place(cursor: str | None) -> LedgerPlace | None:
    position = decode_cursor(
        cursor, ticket_id=UUID, from_at=Instant | None, metric=ClockMetric | None, cycle=int | None
    )
    return None if position is None else LedgerPlace(**position)


def _csv(columns: Sequence[str], rows: Iterable[BaseModel]) -> Response:
    return Response(csv_text(columns, (row.model_dump(mode="json") for row in rows)), media_type="text/csv")
