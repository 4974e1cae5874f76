"""Reports of a running sla: compliance, causes of breaches, the pause ledger, and what the metrics tell of it."""

from __future__ import annotations

import csv
from io import StringIO
from typing import Any
from uuid import UUID

from opora_chassis.identifiers import new_id
from opora_contracts.tickets import TicketHeld, TicketReplied, TicketResolved, TicketResumed
from opora_contracts.vocabulary import AuthorKind, Channel, ResolutionCode, WaitingOn
from opora_sla.agreement import DEFAULT_AGREEMENT_ID
from opora_sla.metrics import ClockMetric
from opora_sla.reporting import BREACH_COLUMNS, COMPLIANCE_COLUMNS, PAUSE_COLUMNS, TIME_COLUMNS
from opora_sla.store.gauges import at_risk_clocks, breached_open_clocks

from .conftest import Desk, DeskRunner

HOUR = 3_600
NONE = dict.fromkeys([metric.value for metric in ClockMetric], 0)


async def resolve(desk: Desk, hours: float, ticket_id: UUID) -> None:
    await desk.say(hours, TicketResolved(ticket_id=ticket_id, cycle=1, resolution_code=ResolutionCode.SOLVED))


async def hold(desk: Desk, begin: float, end: float, ticket_id: UUID, whom: WaitingOn) -> list[str]:
    return [
        await desk.say(begin, TicketHeld(ticket_id=ticket_id, waiting_on=whom)),
        await desk.say(end, TicketResumed(ticket_id=ticket_id)),
    ]


async def a_day_s_work(desk: Desk) -> tuple[UUID, UUID, UUID, list[str]]:
    """Three P1 tickets of two groups: resolved in time; late by an hour after a hold; still open and late.

    The default agreement gives four hours round the clock, and pauses while the customer is asked.
    """
    organization = new_id()
    met = await desk.create(0, group="=Desk", organization_id=organization)
    late = await desk.create(0, group="Network", assignee="anna")
    going = await desk.create(1, group="Network")
    await resolve(desk, 1, met)
    # 3 h 40 min are used when the customer is asked: 20 minutes are left.
    evidence = await hold(desk, 1, 2, late, WaitingOn.THIRD_PARTY)
    evidence += await hold(desk, 3 + 2 / 3, 5 + 2 / 3, late, WaitingOn.CUSTOMER)
    await resolve(desk, 7, late)
    for ticket_id in (met, late, going):
        await desk.taken_in(ticket_id)
    await desk.mark(8)

    async def judged() -> bool:
        listed = await desk.get("/v1/clocks", outcome="breached", metric="resolution")
        return len(listed["items"]) == 2

    await desk.service.wait_until(judged)
    return met, late, going, evidence


def parsed(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(text, newline="")))


async def test_compliance_by_each_dimension(sla: DeskRunner) -> None:
    """Counted and measured by the database as by hand; the window takes clocks by their start."""
    async with sla() as desk:
        await a_day_s_work(desk)
        tables: dict[str, list[dict[str, Any]]] = {}
        for by in ("agreement", "organization", "group", "assignee", "priority", "metric", "month"):
            tables[by] = (await desk.get("/v1/reports/compliance", by=by, metric="resolution"))["rows"]
        everything = await desk.get("/v1/reports/compliance")
        earlier = await desk.get("/v1/reports/compliance", metric="resolution", to=desk.at(0.5).isoformat())
        later = await desk.get("/v1/reports/compliance", metric="resolution", **{"from": desk.at(0.5).isoformat()})
        shortened = await desk.get("/v1/reports/compliance", by="group", metric="resolution", limit=1)
        sheet = await desk.service.client.get(
            "/v1/reports/compliance", params={"by": "group", "metric": "resolution", "format": "csv"}
        )

    (whole,) = tables["metric"]
    assert {name: whole[name] for name in ("key", "n", "met", "breached", "open", "cancelled", "compliance")} == {
        "key": "resolution",
        "n": 3,
        "met": 1,
        "breached": 2,
        "open": 0,
        "cancelled": 0,
        "compliance": 0.3333,
    }
    assert (whole["compliance_low"], whole["compliance_high"]) == (0.0615, 0.7923)
    # One hour and five: of the ticket that goes on nothing is measured yet.
    assert whole["used_seconds"] == {"n": 2, "p50": HOUR, "p90": 5 * HOUR, "p95": 5 * HOUR, "p99": 5 * HOUR}
    assert whole["used_share"] == {"n": 2, "p50": 0.25, "p90": 1.25, "p95": 1.25, "p99": 1.25}
    assert [(row["key"], row["name"]) for row in tables["agreement"]] == [
        (str(DEFAULT_AGREEMENT_ID), "Standard support")
    ]
    assert [(row["key"], row["met"], row["breached"]) for row in tables["group"]] == [
        ("=Desk", 1, 0),
        ("Network", 0, 2),
    ]
    assert [(row["key"], row["n"]) for row in tables["assignee"]] == [("anna", 1), (None, 2)]
    assert [row["n"] for row in tables["organization"]] == [1, 2]
    assert [(row["key"], row["n"]) for row in tables["priority"]] == [("P1", 3)]
    assert {row["key"] for row in tables["month"]} <= {f"{desk.at(hours):%Y-%m}" for hours in (0, 1)}
    assert {row["metric"] for row in everything["rows"]} == {"first_response", "resolution"}
    assert [report["rows"][0]["n"] for report in (earlier, later)] == [2, 1]
    assert ([row["key"] for row in shortened["rows"]], shortened["left_out"]) == (["Network"], 1)
    assert sheet.headers["content-type"].partition(";")[0] == "text/csv"
    assert sheet.text.splitlines()[0] == ",".join(COMPLIANCE_COLUMNS)
    assert [(row["key"], row["used_seconds_p50"]) for row in parsed(sheet.text)] == [
        ("'=Desk", "3600"),
        ("Network", "18000"),
    ]


async def test_the_causes_of_breaches(sla: DeskRunner) -> None:
    """Of the late ticket's six hours two were the customer's and one a third party's; the other's were all ours."""
    async with sla() as desk:
        await a_day_s_work(desk)
        waiting = await desk.get("/v1/reports/breaches", metric="resolution")
        steps = await desk.get("/v1/reports/breaches", by="step", metric="resolution")
        groups = await desk.get("/v1/reports/breaches", by="group", metric="resolution")
        sampled = await desk.get("/v1/reports/breaches", metric="resolution", limit=1)
        later = await desk.get("/v1/reports/breaches", metric="resolution", **{"from": desk.at(5.5).isoformat()})
        nothing = await desk.get("/v1/reports/breaches", to=desk.at(0).isoformat())
        sheet = await desk.service.client.get("/v1/reports/breaches", params={"format": "csv"})

    assert waiting["metrics"] == [{"metric": "resolution", "breached": 2, "examined": 2}]
    assert [
        (row["cause"], row["n"], row["largest_in"], row["spent_seconds"], row["share"]) for row in waiting["rows"]
    ] == [
        ("us_inside_hours", 2, 2, 7 * HOUR, 0.7),
        ("customer", 1, 0, 2 * HOUR, 0.2),
        ("third_party", 1, 0, HOUR, 0.1),
    ]
    assert [(row["cause"], row["share"]) for row in steps["rows"]] == [("received", 1)]
    assert [(row["cause"], row["n"]) for row in groups["rows"]] == [("Network", 2)]
    assert sampled["metrics"] == [{"metric": "resolution", "breached": 2, "examined": 1}]
    assert later["metrics"] == [{"metric": "resolution", "breached": 1, "examined": 1}]
    assert (nothing["metrics"], nothing["rows"]) == ([], [])
    assert sheet.text.splitlines()[0] == ",".join(BREACH_COLUMNS)


async def test_the_time_in_steps_and_with_groups(sla: DeskRunner) -> None:
    """Of the two tickets that were resolved: an hour and seven by the wall, an hour and four in hand."""
    async with sla() as desk:
        await a_day_s_work(desk)
        steps = await desk.get("/v1/reports/times")
        groups = await desk.get("/v1/reports/times", by="group")
        sampled = await desk.get("/v1/reports/times", limit=2)
        later = await desk.get("/v1/reports/times", **{"from": desk.at(0.5).isoformat()})
        sheet = await desk.service.client.get("/v1/reports/times", params={"format": "csv"})

    assert (steps["tickets"], steps["examined"]) == (3, 3)
    (received,) = steps["rows"]
    assert (received["key"], received["n"], received["handled_seconds_sum"]) == ("received", 2, 5 * HOUR)
    assert (received["elapsed_seconds"]["p50"], received["elapsed_seconds"]["p90"]) == (HOUR, 7 * HOUR)
    assert [(row["key"], row["n"], row["handled_seconds"]["p50"]) for row in groups["rows"]] == [
        ("=Desk", 1, HOUR),
        ("Network", 1, 4 * HOUR),
    ]
    assert (sampled["tickets"], sampled["examined"]) == (3, 2)
    assert (later["tickets"], later["rows"]) == (1, [])
    assert sheet.text.splitlines()[0] == ",".join(TIME_COLUMNS)


async def test_the_pause_ledger_in_pages(sla: DeskRunner) -> None:
    """Each pause once, with its evidence, flagged when little was left; pages lose and double nothing."""
    async with sla() as desk:
        _, late, _, evidence = await a_day_s_work(desk)
        twice = await desk.create(0)
        first = await hold(desk, 1, 2, twice, WaitingOn.CUSTOMER)
        second = await hold(desk, 2.5, 3, twice, WaitingOn.CUSTOMER)
        await desk.taken_in(twice)
        whole = await desk.get("/v1/reports/pauses")
        strict = await desk.get("/v1/reports/pauses", shortly_before_seconds=1_199)
        within = {"from": desk.at(2.25).isoformat(), "to": desk.at(3).isoformat()}
        window = await desk.get("/v1/reports/pauses", **within)
        items: list[Any] = []
        cursor: str | None = ""
        while cursor is not None:
            page = await desk.get("/v1/reports/pauses", limit=1, **({"cursor": cursor} if cursor else {}))
            items, cursor = items + page["items"], page["next_cursor"]
        sheet = await desk.service.client.get("/v1/reports/pauses", params={"limit": 2, "format": "csv"})
        rest = await desk.service.client.get(sheet.links["next"]["url"])

    told = [
        (each["ticket_id"], each["hold_event"], each["ended_by"], each["shortly_before"]) for each in whole["items"]
    ]
    assert told == [
        (str(late), *evidence[2:], True),
        (str(twice), *first, False),
        (str(twice), *second, False),
    ]
    pause = whole["items"][0]
    assert (pause["waiting_on"], pause["remaining_seconds"], pause["working_seconds"]) == ("customer", 1_200, 2 * HOUR)
    assert (pause["group"], pause["assignee"], pause["hold_sequence"]) == ("Network", "anna", 4)
    assert not any(each["shortly_before"] for each in strict["items"])
    assert [each["hold_event"] for each in window["items"]] == [second[0]]
    assert items == whole["items"]
    assert sheet.text.splitlines()[0] == ",".join(PAUSE_COLUMNS)
    assert [row["hold_event"] for row in parsed(sheet.text) + parsed(rest.text)] == [each[1] for each in told]
    assert "next" not in rest.links


async def test_bad_questions_to_reports_get_clear_refusals(sla: DeskRunner) -> None:
    """Unknown words, times without a zone, and foreign cursors; without the scope nothing is told."""
    async with sla(roles=frozenset({"serve"})) as desk:
        questions = {
            "/v1/reports/compliance?by=colour": 422,
            "/v1/reports/compliance?from=2026-03-01": 422,
            "/v1/reports/compliance?from=0001-01-01T00:00:00%2B14:00": 422,
            "/v1/reports/compliance?limit=5001": 422,
            "/v1/reports/breaches?by=month": 422,
            "/v1/reports/breaches?format=xml": 422,
            "/v1/reports/pauses?cursor=nonsense": 400,
            "/v1/reports/pauses?shortly_before_seconds=-1": 422,
        }
        answers = {path: await desk.service.client.get(path) for path in questions}
        anonymous = await desk.service.client.get("/v1/reports/pauses", headers={"Authorization": ""})
    assert {path: answer.status_code for path, answer in answers.items()} == questions
    assert {answer.headers["content-type"] for answer in answers.values()} == {"application/problem+json"}
    assert anonymous.status_code == 401


async def test_clocks_at_risk_and_late_are_told(sla: DeskRunner) -> None:
    """At risk is a warning without a breach, late is a breach that goes on; an end takes both away."""
    async with sla() as desk:
        assert (await at_risk_clocks(desk.database), await breached_open_clocks(desk.database)) == (NONE, NONE)
        ticket_id = await desk.create()
        await desk.say(
            0.1,
            TicketReplied(
                ticket_id=ticket_id, message_id=new_id(), author_kind=AuthorKind.AGENT, channel=Channel.EMAIL
            ),
        )
        await desk.taken_in(ticket_id)

        async def stand(at_risk: int, late: int) -> None:
            async def so() -> bool:
                found = (await at_risk_clocks(desk.database), await breached_open_clocks(desk.database))
                return found == (NONE | {"resolution": at_risk}, NONE | {"resolution": late})

            await desk.service.wait_until(so)

        await stand(0, 0)
        await desk.mark(3.5)
        await stand(1, 0)
        await desk.mark(4.5)
        await stand(0, 1)
        await resolve(desk, 5, ticket_id)
        await stand(0, 0)

        async def told() -> bool:
            metrics = (await desk.service.client.get("/metrics")).text
            return all(
                f'opora_sla_{name}_clocks{{metric="resolution"}}' in metrics for name in ("at_risk", "breached_open")
            )

        await desk.service.wait_until(told)
