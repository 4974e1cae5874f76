"""`opora sla simulate` over the platform's own log, on records written by hand."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import pytest
from typer.testing import CliRunner

from opora_cli.errors import CommandError
from opora_cli.main import app
from opora_cli.simulation import platform_log
from opora_cli.simulation.platform_log import PlatformLog
from opora_contracts import Event, ReasonCode, UnknownEvent
from opora_contracts.consumer import Place, Undecodable
from opora_contracts.tickets import TicketCreated, TicketFact, TicketHeld, TicketNoted, TicketResolved, TicketResumed
from opora_contracts.vocabulary import Channel, Kind, Level, Priority, ResolutionCode, WaitingOn
from opora_sla.agreement import DEFAULT_AGREEMENT_ID, DEFAULT_DOCUMENT
from tools.cli.tests.platforms import answering

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
DRAFT = {"name": "draft", "metrics": {"resolution": {"targets": {"P1": {"hours": 2}}, "pauses": ["customer"]}}}
BETTER = DRAFT | {"name": "gold in force", "conditions": {"tier": ["gold"]}, "rank": -1_000_000}


def at(hours: float) -> datetime:
    return MARCH + timedelta(hours=hours)


def created(number: int, hours: float, tier: str | None = None) -> Event[TicketFact]:
    data = TicketCreated(
        ticket_id=UUID(int=number),
        number=f"OP-{number}",
        title="It does not print",
        channel=Channel.EMAIL,
        kind=Kind.INCIDENT,
        impact=Level.HIGH,
        urgency=Level.HIGH,
        priority=Priority.P1,
        tier=tier,
        group="Desk",
    )
    return fact(number, 1, hours, data)


def fact(number: int, sequence: int, hours: float, data: TicketFact) -> Event[TicketFact]:
    return Event(
        id=f"{number}:{sequence}",
        source="/opora/intake",
        type=data.event_type,
        version=1,
        time=at(hours),
        subject=str(UUID(int=number)),
        sequence=sequence,
        data=data,
    )


def resolved(number: int, sequence: int, hours: float) -> Event[TicketFact]:
    data = TicketResolved(ticket_id=UUID(int=number), cycle=1, resolution_code=ResolutionCode.SOLVED)
    return fact(number, sequence, hours, data)


def held(number: int, begin: float, end: float) -> list[Event[TicketFact]]:
    ticket_id = UUID(int=number)
    return [
        fact(number, 2, begin, TicketHeld(ticket_id=ticket_id, waiting_on=WaitingOn.CUSTOMER)),
        fact(number, 3, end, TicketResumed(ticket_id=ticket_id)),
    ]


NO_EVENT = Undecodable(
    topic="opora.tickets",
    partition=0,
    offset=99,
    reason_code=ReasonCode.WRONG_SCHEMA,
    detail="title is missing",
    key=None,
    value=None,
    headers=(),
)
# February's ticket; three hours with an hour and a half of waiting; five hours; one that is resolved in the next month.
LOG: list[Any] = [
    created(1, -5),
    created(2, 1),
    *held(2, 1.5, 3),
    created(3, 2, "gold"),
    resolved(2, 4, 4),
    resolved(2, 4, 4),
    resolved(1, 2, 5),
    fact(3, 2, 6, TicketNoted(ticket_id=UUID(int=3), message_id=UUID(int=9))),
    resolved(3, 3, 7),
    created(4, 30 * 24),
    resolved(5, 7, 8),
    created(6, 31 * 24 + 1),
    resolved(4, 2, 31 * 24 + 5),
]


class Records:
    """A Consumer's part of the records above."""

    log: Any = LOG

    def __init__(self, bootstrap: str, *topics: str, **options: Any) -> None:
        assert (topics, options["until_end"], bootstrap) == (("opora.tickets",), True, "127.0.0.1:1")
        self.place: Place | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing to close."""

    async def __aiter__(self) -> Any:
        for offset, given in enumerate(self.log):
            self.place = Place("opora.tickets", 0, offset)
            yield given


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A platform with that log and two agreements."""
    views = [
        {"id": str(UUID(int=7)), "version": 3, "created_at": "2026-01-01T00:00:00Z", "document": BETTER},
        {
            "id": str(DEFAULT_AGREEMENT_ID),
            "version": 1,
            "created_at": "2024-01-01T00:00:00Z",
            "document": DEFAULT_DOCUMENT.as_json(),
        },
    ]
    pages = {
        "/v1/agreements?limit=200": {"items": views[:1], "next_cursor": "c"},
        "/v1/agreements?limit=200&cursor=c": {"items": views[1:], "next_cursor": None},
    }
    monkeypatch.setattr(platform_log, "Consumer", Records)
    with answering(pages) as (endpoints, asked):
        monkeypatch.setenv("OPORA_ENDPOINTS", endpoints)
        monkeypatch.setenv("OPORA_API_KEY", "opk_x")
        yield asked


@pytest.fixture
def draft(tmp_path: Path) -> str:
    """Two hours to resolve, paused while the customer is asked."""
    path = tmp_path / "draft.json"
    path.write_text(json.dumps(DRAFT))
    return str(path)


def simulated(*words: str) -> Any:
    result = CliRunner().invoke(app, ["sla", "simulate", *words, "--json"])
    assert result.exit_code == 0, result.exception or result.output
    return json.loads(result.stdout)


def outcomes(rate: dict[str, Any]) -> tuple[int, int, int]:
    return rate["met"], rate["breached"], rate["open"]


def test_the_window_is_of_event_time(platform: list[str], draft: str) -> None:
    """Tickets created in it, with what happened before its end; the same window gives the same whatever comes later."""
    report = simulated("--agreement", draft, "--from", "2026-03-01", "--to", "2026-04-01T00:00:00Z")
    assert (report["tickets"], report["rows"], report["judged_at"]) == (3, 14, "2026-04-01 00:00:00+00:00")
    assert report["log"] == "opora.tickets at 127.0.0.1:1"
    resolution = report["metrics"]["resolution"]
    # An hour and a half of two; five; and one that is open at the window's end, late by then.
    assert outcomes(resolution["all"]["after"]) == (1, 2, 0)
    assert list(resolution["by_hour"]) == ["00", "01", "02"]
    assert list(resolution["by_group"]) == ["Desk"]


def test_before_is_what_is_in_force(platform: list[str], draft: str) -> None:
    """The platform's agreements, its default one included, which applies where no other does, whatever their ranks."""
    report = simulated("--agreement", draft, "--from", "2026-03-01", "--to", "2026-03-02")
    assert (report["before"], report["against"]) == ("agreement", ["gold in force", "Standard support"])
    assert (report["not_covered"], report["not_covered_before"]) == (0, 0)
    # Four hours by default: ticket 2 is met either way. Gold has two hours already: ticket 3 is late either way.
    assert outcomes(report["metrics"]["resolution"]["all"]["before"]) == (1, 1, 0)
    assert report["metrics"]["resolution"]["changes"] == {"newly_breached": 0, "relieved": 0}
    assert report["metrics"]["first_response"]["all"]["before"]["n"] == 1


def test_an_agreement_in_force_counts_by_the_calendar_that_it_pinned(
    draft: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In that version, with what it took from elsewhere: its feed closes the day on which ticket 3 came and went."""
    pin = {"id": str(UUID(int=8)), "version": 2, "name": "Office"}
    agreement = {
        "id": str(UUID(int=7)),
        "version": 3,
        "created_at": "2026-01-01T00:00:00Z",
        "document": BETTER | {"calendar": "Office"},
        "calendar": pin,
    }
    calendar = pin | {
        "created_at": "2026-01-01T00:00:00Z",
        "document": {"name": "Office"},
        "closures": {"public_holidays": [], "feed_days": ["2026-03-01"], "feed_times": []},
    }
    monkeypatch.setattr(platform_log, "Consumer", Records)
    answers = {
        "/v1/agreements?limit=200": {"items": [agreement, agreement], "next_cursor": None},
        f"/v1/calendars/{pin['id']}?version=2": calendar,
    }
    with answering(answers) as (endpoints, asked):
        monkeypatch.setenv("OPORA_ENDPOINTS", endpoints)
        monkeypatch.setenv("OPORA_API_KEY", "opk_x")
        report = simulated("--agreement", draft, "--from", "2026-03-01", "--to", "2026-03-02")
    assert outcomes(report["metrics"]["resolution"]["all"]["before"]) == (1, 0, 0)
    assert len(asked) == 2


def test_with_a_file_or_a_bare_broker_nobody_is_asked(platform: list[str], draft: str) -> None:
    """`--against` is before; a broker without a platform has no agreements, so nothing is compared."""
    against = simulated("--agreement", draft, "--against", draft)
    assert (against["before"], against["against"], against["tickets"]) == ("agreement", ["draft"], 5)
    bare = simulated("--agreement", draft, "--bootstrap", "127.0.0.1:1")
    assert (bare["before"], bare["against"]) == (None, [])
    assert platform == []


def test_a_window_without_a_ticket_is_said(platform: list[str], draft: str) -> None:
    """Exit code 2, instead of a report of nothing."""
    result = CliRunner().invoke(app, ["sla", "simulate", "--agreement", draft, "--from", "2027-01-01"])
    assert isinstance(result.exception, CommandError)
    assert (result.exception.exit_code, result.exception.message) == (2, "opora.tickets has no ticket of that time")


def test_what_is_no_event_is_named_and_the_rest_counts(
    platform: list[str], draft: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1, and the place of the record; facts without their ticket are counted."""
    monkeypatch.setattr(Records, "log", [*LOG, NO_EVENT])
    result = CliRunner().invoke(app, ["sla", "simulate", "--agreement", draft, "--json"])
    said = " ".join(result.stderr.split())
    assert (result.exit_code, json.loads(result.stdout)["malformed_lines"]) == (1, 1)
    assert "127.0.0.1:1:14: partition 0: wrong_schema: title is missing" in said
    assert "1 facts of tickets whose creation it does not hold were left out" in said


def test_the_log_holds_what_the_window_asks_for() -> None:
    """Of each ticket every fact once, without what moves no clock; of others and of unknown types nothing."""
    log = PlatformLog(at(0), at(31 * 24), most=2)
    unknown = UnknownEvent(
        type="ticket.praised",
        version=1,
        id="u",
        source="/opora/intake",
        time=at(2),
        subject="x",
        sequence=1,
        key="x",
        partition=0,
        offset=0,
    )
    for given in [*LOG, unknown]:
        log.take(given, "partition 0", 0)
    assert (log.tickets, log.rows, log.without_creation) == (2, 15, 1)
    assert [(history.name, [fact.sequence for fact in history.facts]) for history in log.histories()] == [
        ("OP-2", [1, 2, 3, 4]),
        ("OP-3", [1, 3]),
    ]
    assert (log.tickets, log.judged_at) == (0, at(31 * 24))


def test_a_log_that_ends_before_the_window_does_is_judged_by_its_newest_fact() -> None:
    """What is not known yet is not held against anybody."""
    log = PlatformLog(to_at=at(10_000))
    for given in LOG:
        log.take(given, "partition 0", 0)
    assert log.judged_at == at(31 * 24 + 5)
