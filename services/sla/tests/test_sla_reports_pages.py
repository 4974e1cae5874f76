"""Reports over HTTP with tickets held in memory instead of a database: pages, forms, limits."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator, Collection
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from opora_chassis.http import Caller, platform_of
from opora_chassis.http.errors import install_error_handlers
from opora_contracts.vocabulary import Priority, WaitingOn
from opora_sla import report_reading, reports_api
from opora_sla.agreement import AgreementDocument, read_agreement
from opora_sla.domain import Case, CaseFact, ClockKey, fold
from opora_sla.metrics import ClockMetric
from opora_sla.reading import Reading
from opora_sla.store import causes as cause_store
from opora_sla.store.compliance import Compliance, ComplianceTable, Window

MONDAY = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
DOCUMENT = {"name": "Four hours", "metrics": {"resolution": {"targets": {"P1": {"hours": 4}}}}}
AGREEMENT = read_agreement(UUID(int=1), 1, AgreementDocument.model_validate(DOCUMENT), MONDAY)
RESOLUTION = ClockKey(ClockMetric.RESOLUTION, 1)


def after(hours: float) -> datetime:
    return MONDAY + timedelta(hours=hours)


def reading(number: int, *holds: tuple[float, float]) -> Reading:
    """A P1 ticket that is created at nine and waits for its customer in these hours, judged after ten of them."""
    ticket_id = UUID(int=number)
    facts = [CaseFact(1, f"{number}:1", "created", MONDAY, priority=Priority.P1)]
    for begin, end in holds:
        place = len(facts) + 1
        facts.append(CaseFact(place, f"{number}:{place}", "held", after(begin), waiting_on=WaitingOn.CUSTOMER))
        facts.append(CaseFact(place + 1, f"{number}:{place + 1}", "resumed", after(end)))
    case = Case(
        ticket_id=ticket_id,
        number=f"OP-{number}",
        external_source=None,
        external_id=None,
        import_id=None,
        live=True,
        partition=0,
        agreement_id=AGREEMENT.id,
        agreement_version=1,
        organization_id=None,
        tier=None,
        product=None,
        kind="incident",
        channel="email",
        priority=Priority.P1,
        assignee=None,
        group=None,
        judged_at=after(10),
    )
    return Reading(case, facts, AGREEMENT, fold(facts, AGREEMENT, after(10)))


TICKETS = {
    each.case.ticket_id: each
    for each in (reading(1, (1, 2), (2.5, 3), (3.25, 3.5)), reading(2), reading(3), reading(4), reading(5, (1.5, 2)))
}


@pytest.fixture
def portions(monkeypatch: pytest.MonkeyPatch) -> list[list[UUID]]:
    """Which tickets were read, portion by portion; the store gives every ticket from a place on."""
    read: list[list[UUID]] = []

    async def paused_tickets(
        _database: Any, _window: Window, from_id: UUID | None, after_id: UUID | None, limit: int
    ) -> list[UUID]:
        first = [each for each in TICKETS if (from_id is None or each >= from_id)]
        return [each for each in first if after_id is None or each > after_id][:limit]

    async def read_tickets(_database: Any, ticket_ids: Collection[UUID]) -> list[Reading]:
        read.append(list(ticket_ids))
        return [TICKETS[ticket_id] for ticket_id in sorted(ticket_ids)]

    monkeypatch.setattr(cause_store, "paused_tickets", paused_tickets)
    monkeypatch.setattr(report_reading, "read_tickets", read_tickets)
    return read


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """The routes alone, without keys."""
    app = FastAPI()
    install_error_handlers(app)
    app.include_router(reports_api.router)

    class Platform:
        database = None

    (may_read,) = reports_api.MayRead.__metadata__  # type: ignore[attr-defined]
    caller = Caller(UUID(int=0), "test", frozenset({"sla:read"}), "test")
    app.dependency_overrides = {may_read.dependency: lambda: caller, platform_of: Platform}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://sla") as asking:
        yield asking


async def ledger(client: httpx.AsyncClient, **parameters: Any) -> list[list[str]]:
    """The holds on each page, following the cursors."""
    pages: list[list[str]] = []
    cursor: str | None = None
    while len(pages) < 10:
        given = parameters if cursor is None else {**parameters, "cursor": cursor}
        answer = await client.get("/v1/reports/pauses", params=given)
        assert answer.status_code == 200, answer.text
        pages.append([each["hold_event"] for each in answer.json()["items"]])
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            return pages
    raise AssertionError(f"the ledger does not end: {pages}")


@pytest.mark.parametrize(
    ("limit", "pages"),
    [
        (1, [["1:2"], ["1:4"], ["1:6"], ["5:2"]]),
        (2, [["1:2", "1:4"], ["1:6", "5:2"]]),
        (3, [["1:2", "1:4", "1:6"], ["5:2"]]),
        (4, [["1:2", "1:4", "1:6", "5:2"]]),
    ],
)
async def test_pages_of_the_ledger_lose_and_double_nothing(
    client: httpx.AsyncClient, portions: list[list[UUID]], limit: int, pages: list[list[str]]
) -> None:
    """Also where a page ends within a ticket, or a ticket in between has no pause."""
    assert await ledger(client, limit=limit) == pages


async def test_a_page_of_the_ledger_has_an_end(
    client: httpx.AsyncClient, portions: list[list[UUID]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where few tickets have a pause that counts, a page may be empty and still not be the last."""
    monkeypatch.setattr(report_reading, "_TICKETS_AT_ONCE", 1)
    monkeypatch.setattr(report_reading, "_TICKETS_A_PAGE", 2)
    assert await ledger(client) == [["1:2", "1:4", "1:6"], [], ["5:2"]]
    assert [number.int for portion in portions for number in portion] == [1, 2, 3, 4, 5]


async def test_the_window_is_of_the_pause_s_beginning(client: httpx.AsyncClient, portions: list[list[UUID]]) -> None:
    """The first instant counts, the last one does not."""
    window = {"from": after(1.5).isoformat(), "to": after(3.25).isoformat()}
    assert await ledger(client, **window) == [["1:4", "5:2"]]


async def test_the_flag_is_the_asker_s(client: httpx.AsyncClient, portions: list[list[UUID]]) -> None:
    """2 h 15 min were left, 1 h 45 min, 1 h 30 min of ticket 1, and 2 h 30 min of ticket 5."""
    answer = await client.get("/v1/reports/pauses", params={"shortly_before_seconds": 2 * 3_600 + 900})
    told = [(each["remaining_seconds"], each["shortly_before"]) for each in answer.json()["items"]]
    assert told == [(10_800, False), (9_000, False), (8_100, True), (9_000, False)]


async def test_a_sheet_of_the_ledger_leads_to_the_next(client: httpx.AsyncClient, portions: list[list[UUID]]) -> None:
    """The link keeps what was asked for; on the last page there is none."""
    sheet = await client.get("/v1/reports/pauses", params={"limit": 3, "format": "csv", "to": after(3).isoformat()})
    assert sheet.headers["content-type"] == "text/csv; charset=utf-8"
    assert [row["hold_event"] for row in csv.DictReader(StringIO(sheet.text))] == ["1:2", "1:4", "5:2"]
    assert sheet.links == {}
    short = await client.get("/v1/reports/pauses", params={"limit": 2, "format": "csv", "to": after(3).isoformat()})
    rest = await client.get(short.links["next"]["url"])
    assert [row["hold_event"] for row in csv.DictReader(StringIO(rest.text))] == ["5:2"]


@pytest.mark.parametrize(
    ("question", "status"),
    [
        ("pauses?cursor=nonsense", 400),
        ("pauses?cursor=eyJ0aWNrZXRfaWQiOiJ4In0", 400),
        ("pauses?from=2026-03-01", 422),
        ("pauses?from=0001-01-01T00:00:00%2B14:00", 422),
        ("pauses?shortly_before_seconds=-1", 422),
        ("pauses?limit=201", 422),
        ("compliance?by=colour", 422),
        ("compliance?limit=5001", 422),
        ("breaches?by=month", 422),
        ("times?format=xml", 422),
    ],
)
async def test_what_cannot_be_answered_is_refused(client: httpx.AsyncClient, question: str, status: int) -> None:
    """As a problem, before anything is read."""
    answer = await client.get(f"/v1/reports/{question}")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


async def test_breaches_say_what_they_rest_on(
    client: httpx.AsyncClient, portions: list[list[UUID]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three breached clocks two were drawn, and of these one is withdrawn by now: it has no cause."""
    asked: list[Any] = []

    async def count_breached(*_: Any) -> dict[ClockMetric, int]:
        return {ClockMetric.RESOLUTION: 3}

    async def sample_breached(_database: Any, window: Window, metric: str | None, limit: int) -> Any:
        asked.append((window, metric, limit))
        return {UUID(int=1): [RESOLUTION], UUID(int=2): [ClockKey(ClockMetric.RESOLUTION, 2)]}

    monkeypatch.setattr(cause_store, "count_breached", count_breached)
    monkeypatch.setattr(cause_store, "sample_breached", sample_breached)
    window: dict[str, Any] = {"from": MONDAY.isoformat(), "metric": "resolution", "limit": 2}
    report = (await client.get("/v1/reports/breaches", params=window)).json()
    assert asked == [(Window(MONDAY, None), "resolution", 2)]
    assert report["metrics"] == [{"metric": "resolution", "breached": 3, "examined": 1}]
    # Four hours of ours and an hour and three quarters of the customer's.
    assert [(row["cause"], row["spent_seconds"], row["share"]) for row in report["rows"]] == [
        ("us_inside_hours", 14_400, 0.6957),
        ("customer", 6_300, 0.3043),
    ]


async def test_times_say_what_they_rest_on(
    client: httpx.AsyncClient, portions: list[list[UUID]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing has gone on from its first step: no row, and the numbers of tickets say of how many."""

    async def sample_tickets(_database: Any, _window: Window, limit: int) -> tuple[list[UUID], int]:
        return list(TICKETS)[:limit], len(TICKETS)

    monkeypatch.setattr(cause_store, "sample_tickets", sample_tickets)
    report = (await client.get("/v1/reports/times", params={"limit": 4})).json()
    assert (report["tickets"], report["examined"], report["rows"]) == (5, 4, [])


async def test_compliance_asks_for_what_was_asked(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dimension, window and limit reach the store, agreements get their names, and a sheet is safe to open."""
    asked: list[Any] = []
    row = Compliance(
        key=str(AGREEMENT.id),
        metric="resolution",
        met=3,
        breached=1,
        open=0,
        cancelled=0,
        ended=4,
        used_seconds=[1, 2, 3, 4],
        used_share=[0.25, 0.5, 0.75, 1],
    )

    async def compliance(_database: Any, *told: Any) -> ComplianceTable:
        asked.append(told)
        return ComplianceTable([row], 1)

    async def agreement_names(_database: Any, ids: Any) -> dict[str, str]:
        return dict.fromkeys(ids, "=Four hours")

    monkeypatch.setattr(reports_api, "compliance", compliance)
    monkeypatch.setattr(reports_api, "agreement_names", agreement_names)
    parameters: dict[str, Any] = {"by": "agreement", "metric": "resolution", "to": MONDAY.isoformat(), "limit": 7}
    report = (await client.get("/v1/reports/compliance", params=parameters)).json()
    assert asked == [("agreement", Window(None, MONDAY), "resolution", 7)]
    assert (report["rows"][0]["name"], report["rows"][0]["compliance"], report["left_out"]) == ("=Four hours", 0.75, 0)
    sheet = (await client.get("/v1/reports/compliance", params=parameters | {"format": "csv"})).text
    (line,) = csv.DictReader(StringIO(sheet))
    assert (line["name"], line["n"], line["used_share_p99"]) == ("'=Four hours", "4", "1.0")
