"""`opora sla report` and `opora sla explain` against written-down answers of sla and intake."""

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner

from opora_cli.errors import CommandError
from opora_cli.main import app
from opora_cli.sla_reports.commands import Metric
from opora_cli.sla_reports.screen import screenful
from opora_sla import reports_examples
from opora_sla.api_examples import EXPLAINED
from opora_sla.metrics import ClockMetric
from tools.cli.tests.platforms import answering

TICKET = reports_examples.PAUSE["ticket_id"]
PAUSES = "/v1/reports/pauses?limit=200&shortly_before_seconds=1800"
OTHER = reports_examples.PAUSE | {
    "ticket_id": "018f3a52-9b3c-7c5e-9d8c-2f6a41b7e009",
    "number": "=OP",
    "shortly_before": False,
    "breached_before": True,
    "remaining_seconds": 0,
    "to_at": None,
    "ended_by": None,
}
ANSWERS: dict[str, Any] = {
    "/v1/reports/compliance?by=agreement&metric=resolution&limit=1000"
    "&from=2026-03-01T00%3A00%3A00%2B00%3A00&to=2026-04-01T00%3A00%3A00%2B00%3A00": reports_examples.COMPLIANCE,
    "/v1/reports/breaches?by=step&limit=1000": reports_examples.BREACHES | {"by": "step"},
    "/v1/reports/times?by=step&limit=1000": reports_examples.TIMES | {"examined": 100},
    PAUSES: {"items": [reports_examples.PAUSE], "next_cursor": "more"},
    "/v1/reports/pauses?limit=200&cursor=more&shortly_before_seconds=1800": {"items": [OTHER], "next_cursor": None},
    f"/v1/tickets/{TICKET}/timeline?limit=200": {
        "items": [{"type": "ticket.created", "sequence": 1, "actor": "customer:1"}],
        "next_cursor": "rest",
    },
    f"/v1/tickets/{TICKET}/timeline?limit=200&cursor=rest": {
        "items": [{"type": "ticket.held", "sequence": 6, "actor": "agent:anna"}],
        "next_cursor": None,
    },
    "/v1/tickets/OP-1042": {"id": TICKET},
    f"/v1/tickets/{TICKET}/explain": EXPLAINED,
}
MARCH = ("--from", "2026-03-01", "--to", "2026-04-01T00:00:00Z")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A platform that gives the answers above, and what it was asked."""
    with answering(ANSWERS) as (endpoints, paths):
        monkeypatch.setenv("OPORA_ENDPOINTS", endpoints)
        monkeypatch.setenv("OPORA_API_KEY", "opk_x")
        yield paths


def told(*words: str) -> str:
    """What the command prints when it ends well."""
    result = CliRunner().invoke(app, ["sla", *words], env={"COLUMNS": "180"})
    assert result.exit_code == 0, result.exception or result.output
    return result.stdout


def cells(text: str) -> list[str]:
    return [" ".join(line.replace("│", " ").split()) for line in text.splitlines()]


def test_compliance_is_told_with_its_n_and_interval(asked: list[str]) -> None:
    """As a table, as the service's JSON, and as CSV; a date is midnight in UTC."""
    words = ("report", "compliance", "--by", "agreement", "--metric", "resolution", *MARCH)
    row = "Office hours, gold resolution 120 114 6 9 1 95.0 89.5–97.7 1 h 30 min 3 h 24 min 3 h 59 min 40 s 6 h 1.00"
    assert row in cells(told(*words))
    assert json.loads(told(*words, "--json")) == reports_examples.COMPLIANCE
    (line,) = csv.DictReader(StringIO(told(*words, "--csv"), newline=""))
    assert (line["name"], line["n"], line["compliance"], line["used_seconds_p95"]) == (
        "Office hours, gold",
        "120",
        "0.95",
        "14380",
    )


def test_causes_of_breaches_are_told_with_what_they_rest_on(asked: list[str]) -> None:
    """How many were looked at, and which steps cannot be told apart."""
    lines = cells(told("report", "breaches", "--by", "step"))
    assert "resolution us outside hours 5 3 56 h 56.0" in lines
    assert "resolution: 6 breached, 6 of them looked at" in lines
    written = CliRunner().invoke(app, ["sla", "report", "breaches", "--by", "step", "--csv"]).stdout_bytes
    assert written.split(b"\r\n")[:2] == [
        b"metric,cause,n,largest_in,spent_seconds,share",
        b"resolution,us_outside_hours,5,3,201600,0.56",
    ]


def test_times_are_told_by_the_wall_and_in_hand(asked: list[str]) -> None:
    """With how many tickets they rest on."""
    lines = cells(told("report", "times"))
    assert (
        "assessed 121 2 h 35 min 25 h 30 min 49 h 120 h 1 h 23 min 3 h 15 min 3 h 55 min 5 h 45 min 206 h 11 min 40 s"
        in lines
    )
    assert "130 tickets, 100 of them looked at (a sample: give a larger --limit)" in lines
    assert told("report", "times", "--csv").splitlines()[1] == (
        "assessed,121,9300,91800,176400,432000,4980,11700,14100,20700,742300"
    )


def test_the_ledger_says_who_paused(asked: list[str]) -> None:
    """Over all pages; who is intake's to say, and nobody where it does not know the ticket; no cell is a formula."""
    found = json.loads(told("report", "pauses", "--json"))
    assert [pause["actor"] for pause in found["pauses"]] == ["agent:anna", None]
    assert found["more"] is False
    lines = cells(told("report", "pauses"))
    assert (
        "! OP-1042 resolution 1 customer 2026-03-02 12:59:30 2026-03-02 15:10:00 agent:anna 2 h 10 min 14 min 35 s"
        " 018f3b57-6b10-7d42-8c55-0b9d3e7a4018" in lines
    )
    assert "=OP resolution 1 customer 2026-03-02 12:59:30 lasts 2 h 10 min breached" in " ".join(lines)
    assert "2 pauses; 1 began with at most 30 min left (!)" in lines
    rows = list(csv.DictReader(StringIO(told("report", "pauses", "--csv"), newline="")))
    assert [(row["number"], row["actor"], row["to_at"]) for row in rows] == [
        ("OP-1042", "agent:anna", "2026-03-02T15:10:00Z"),
        ("'=OP", "", ""),
    ]


def test_a_short_ledger_says_that_there_is_more(asked: list[str]) -> None:
    """And asks for no more than it shows."""
    lines = cells(told("report", "pauses", "--limit", "1", "--no-who"))
    assert "1 pauses and more: give a larger --limit; 1 began with at most 30 min left (!)" in lines
    assert not any("timeline" in path for path in asked)


def test_wrong_words_are_refused_with_what_to_write(asked: list[str]) -> None:
    """Exit code 2, and nothing was asked."""
    for words, reason in (
        (["compliance", "--from", "March"], "--from 'March' is neither a date nor a time"),
        (["pauses", "--json", "--csv"], "--json or --csv, not both"),
    ):
        result = CliRunner().invoke(app, ["sla", "report", *words])
        assert isinstance(result.exception, CommandError)
        assert (result.exception.exit_code, reason in result.exception.message) == (2, True)
    assert asked == []


def test_a_ticket_is_explained_by_its_number_or_id(asked: list[str]) -> None:
    """Intake knows the number; an id needs nobody. What there is not is said in the service's words."""
    for name in ("OP-1042", TICKET):
        assert (
            told("explain", name).splitlines()[0].startswith("OP-1042  judged at 2026-03-02 08:45:00 UTC  under Office")
        )
    assert asked.count("/v1/tickets/OP-1042") == 1
    assert json.loads(told("explain", "OP-1042", "--json")) == EXPLAINED
    result = CliRunner().invoke(app, ["sla", "explain", "OP-1"])
    assert isinstance(result.exception, CommandError)
    assert "There is no /v1/tickets/OP-1." in result.exception.message


def event(number: int) -> str:
    return str(UUID(int=number))


def interval(number: int, *, counted: bool, waited_for: list[str], lasts: bool = False) -> dict[str, Any]:
    """The `number`th hour of the second of March."""
    begin = datetime(2026, 3, 2, tzinfo=UTC) + timedelta(hours=number)
    return {
        "from_at": begin.isoformat(),
        "to_at": (begin + timedelta(hours=1)).isoformat(),
        "counted": counted,
        "working_seconds": 3_600,
        "began_by": event(number),
        "ended_by": None if lasts else event(number + 1),
        "waited_for": waited_for,
    }


def clock(
    metric: str, outcome: str, cycle: int = 1, *intervals: dict[str, Any], state: str = "stopped"
) -> dict[str, Any]:
    due_at = None if state == "paused" else "2026-03-02T04:00:00Z"
    first: dict[str, Any] = EXPLAINED["clocks"][0]
    return first | {
        "metric": metric,
        "cycle": cycle,
        "outcome": outcome,
        "state": state,
        "due_at": due_at,
        "used_seconds": 18_000,
        "target_seconds": 14_400,
        "intervals": list(intervals),
    }


def test_why_a_ticket_is_late_is_on_one_screen() -> None:
    """The late clock first: verdict, due, used; then what was counted, who waited and which events did it."""
    late = (
        interval(0, counted=True, waited_for=[]),
        interval(1, counted=True, waited_for=["third_party"]),
        interval(2, counted=False, waited_for=["customer"]),
        interval(3, counted=True, waited_for=[], lasts=True),
    )
    met = interval(0, counted=True, waited_for=[])
    clocks = [clock("first_response", "met", 1, met), clock("resolution", "breached", 1, *late, state="running")]
    heading = "  from           to              counted (or not)  waited for   began by event"
    assert screenful(EXPLAINED | {"clocks": clocks}) == [
        "OP-1042  judged at 2026-03-02 08:45:00 UTC  under Office hours, gold, version 1",
        "resolution 1 P1: BREACHED, running; due 2026-03-02 04:00:00; 5 h of 4 h used so far",
        heading,
        f"  03-02 00:00:00 03-02 01:00:00               1 h  us           {event(0)}",
        f"  03-02 01:00:00 03-02 02:00:00               1 h  third party  {event(1)}",
        f"  03-02 02:00:00 03-02 03:00:00             (1 h)  customer     {event(2)}",
        f"  03-02 03:00:00 now                          1 h  us           {event(3)}",
        "first_response 1 P1: MET; due 2026-03-02 04:00:00; 5 h of 4 h used",
        heading,
        f"  03-02 00:00:00 03-02 01:00:00               1 h  us           {event(0)}",
        f"                 03-02 01:00:00                    ended by     {event(1)}",
    ]


def test_a_paused_clock_has_no_due_date() -> None:
    """The reader sees for whom it stands still."""
    waiting = clock(
        "resolution", "open", 1, interval(0, counted=False, waited_for=["change"], lasts=True), state="paused"
    )
    lines = screenful(EXPLAINED | {"clocks": [waiting]})
    assert lines[1] == "resolution 1 P1: OPEN, paused; no due date; 5 h of 4 h used so far"
    assert "change" in lines[3]


@pytest.mark.parametrize("intervals", [1, 2, 3, 4, 17, 18, 19, 20, 21, 22, 300])
@pytest.mark.parametrize("clocks", [1, 2, 5, 6, 7, 40])
@pytest.mark.parametrize("lasts", [True, False])
def test_however_long_the_story_the_screen_is_kept_to(intervals: int, clocks: int, lasts: bool) -> None:
    """24 lines of 100 columns; the late clock has its first and last interval, and what is left out is summed."""
    long = [
        interval(
            number,
            counted=number % 2 == 0,
            waited_for=["customer"] * (number % 2),
            lasts=lasts and number == intervals - 1,
        )
        for number in range(intervals)
    ]
    late = clock("resolution", "breached", 1, *long)
    others = [clock("next_response", "met", cycle, *long) for cycle in range(1, clocks)]
    agreement = EXPLAINED["agreement"] | {"name": "n" * 200}
    explained = EXPLAINED | {"clocks": [*others, late], "agreement": agreement}
    lines = screenful(explained)
    assert len(lines) <= 24
    assert max(len(line) for line in lines) <= 100
    assert lines[1].startswith("resolution 1 P1: BREACHED")
    assert event(0) in lines[3]
    assert any(event(intervals - 1) in line for line in lines[3:])
    if intervals > 22:
        (summed,) = (line for line in lines if "more: " in line)
        hidden = int(summed.split()[1])
        assert f"{hidden // 2 + hidden % 2} h counted" in summed or f"{hidden // 2} h counted" in summed
    whole = screenful(explained, lines=None)
    assert sum(event(number) in line for line in whole for number in (0,)) == clocks


def test_little_room_shows_no_half_of_a_clock() -> None:
    """A clock for which less is left than tells something has its verdict only."""
    story = [interval(number, counted=True, waited_for=[]) for number in range(18)]
    clocks = [clock("resolution", "breached", 1, *story), clock("first_response", "met", 1, *story)]
    lines = screenful(EXPLAINED | {"clocks": clocks})
    assert len(lines) == 1 + 2 + 20
    assert lines[-1].startswith("first_response 1 P1: MET")


def test_every_metric_can_be_asked_for() -> None:
    """What groups, third parties and updates owe too: the command knows the words that sla knows."""
    assert {metric.value for metric in Metric} == {metric.value for metric in ClockMetric}
