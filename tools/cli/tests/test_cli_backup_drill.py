"""What the drill calls a violation: made-up histories in which a restore went wrong."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from opora_cli.backup.drill import commands
from opora_cli.backup.drill.outside import (
    Expected,
    Log,
    _history_is_whole,
    _nothing_acknowledged_is_missing,
    _survey_links,
    _take,
)
from opora_cli.backup.drill.stage import Report
from opora_cli.backup.drill.work import Acknowledgement
from opora_cli.checks.history import Finding, ServiceState
from opora_contracts import Event
from opora_contracts.codec import encode
from opora_contracts.tickets import TicketNoted

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
TICKET = "0190b0a0-0000-7000-8000-000000000001"


def acknowledged(number: str, version: int, seconds: float) -> Acknowledgement:
    return Acknowledgement(ticket_id=number, number=number, version=version, at=NOON + timedelta(seconds=seconds))


def expected(directory: Path, *answers: Acknowledgement, history: int = 0) -> Expected:
    return Expected(NOON, answers, history, "opk_x", directory)


class Record:
    """A record as aiokafka gives it."""

    def __init__(self, sequence: int, *, import_id: str | None = None, event_type: str = "ticket.noted") -> None:
        event = Event(
            id=f"e{sequence}",
            source="/opora/intake",
            type="ticket.noted",
            version=1,
            time=NOON,
            subject=TICKET,
            data=TicketNoted(ticket_id=TICKET, message_id=TICKET),
            sequence=sequence,
            import_id=import_id,
        )
        encoded = encode(event)
        self.key, self.value = encoded.key, encoded.value
        self.headers = [(k, event_type.encode() if k == "ce_type" else v) for k, v in encoded.headers]
        self.partition = self.offset = 0


def test_an_acknowledged_write_that_is_gone_is_named(tmp_path: Path) -> None:
    """The ticket is missing, or stands at an older version than was acknowledged before the instant."""
    kept = {
        one.ticket_id: one for one in expected(tmp_path, acknowledged("OP-1", 3, -5), acknowledged("OP-2", 1, -4)).kept
    }
    assert _nothing_acknowledged_is_missing(kept, {"OP-1": 3, "OP-2": 2}).holds
    gone = _nothing_acknowledged_is_missing(kept, {"OP-1": 2, "OP-2": 0})
    assert gone.violations == (
        "OP-1 was acknowledged in version 3, and is there in 2",
        "OP-2 was acknowledged in version 1, and is there in none",
    )


def test_what_was_acknowledged_after_the_instant_is_not_promised(tmp_path: Path) -> None:
    """It is counted as the price, and never as a violation."""
    known = expected(tmp_path, acknowledged("OP-1", 1, -0.001), acknowledged("OP-2", 1, 0), acknowledged("OP-3", 1, 2))
    assert [one.number for one in known.kept] == ["OP-1"]
    assert [one.number for one in known.lost] == ["OP-2", "OP-3"]


def test_history_that_is_missing_somewhere_is_named(tmp_path: Path) -> None:
    """On the topic, or in one service's database."""
    log = Log(history_tickets={"a", "b"})
    whole = {name: ServiceState(tickets=frozenset({"a", "b", "c"})) for name in ("intake", "sla", "notify")}
    assert _history_is_whole(expected(tmp_path, history=2), log, whole).holds
    assert _history_is_whole(expected(tmp_path, history=3), log, whole).violations == ("2 of 3 are on the topic",)
    partial = {**whole, "sla": ServiceState(tickets=frozenset({"a"}))}
    assert _history_is_whole(expected(tmp_path, history=2), log, partial).violations == (
        "1 of the tickets on the topic are not in the database of sla",
    )


def test_a_gap_on_the_log_is_seen_and_a_second_delivery_is_none() -> None:
    """Numbers of history are followed too, though its facts are not kept."""
    log = Log()
    for record in (Record(1), Record(1), Record(2), Record(4)):
        _take(log, "opora.tickets", record)
    assert log.gaps == [f"opora.tickets {TICKET}: 4 follows 2"]
    assert len(log.live["opora.tickets"]) == 4
    history = Log()
    for record in (Record(1, import_id="i", event_type="ticket.created"), Record(3, import_id="i")):
        _take(history, "opora.tickets", record)
    assert history.gaps == [f"opora.tickets {TICKET}: 3 follows 1"]
    assert (history.history_facts, history.history_tickets) == (2, {TICKET})
    assert history.live["opora.tickets"] == []


def test_a_report_with_a_violation_does_not_hold(capsys: pytest.CaptureFixture[str]) -> None:
    """The violated invariant is named with its case; RTO is restore and start."""
    report = Report(
        findings=[Finding("RPO 0", 3), Finding("every link opens", 2, ("the link x answers 404",))],
        tickets=10,
        records=100,
        backup_bytes=1_000_000,
        platform_bytes=2_000_000,
        load_seconds=1.0,
        backup_seconds=2.0,
        writers_stood_still_seconds=0.05,
        acknowledged_before=3,
        acknowledged_after=1,
        letters_between=2,
        destroyed_after_seconds=4.0,
        restore_seconds=5.5,
        start_seconds=6.0,
        settle_seconds=1.0,
    )
    assert not report.holds
    assert report.rto_seconds == 11.5
    commands._print(report)
    said = capsys.readouterr().out
    assert "VIOLATED every link opens: the link x answers 404" in said
    assert "an invariant is VIOLATED" in said
    assert "0 are missing" in said


def test_letters_that_the_restored_platform_cannot_know_are_left_out(tmp_path: Path) -> None:
    """A survey that was asked after the instant may be asked again: its first letter counts for nothing."""
    for number, name in enumerate(("000001-a.eml", "000002-a.eml"), start=1):
        body = f"Subject: [OP-7] How did we do?\n\nOP-7: http://127.0.0.1:1/s/token{number}/5\n"
        (tmp_path / name).write_text(body)
    known = Expected(NOON, (), 0, "opk_x", tmp_path, frozenset({"000001-a.eml"}))
    assert _survey_links(known) == {"OP-7": frozenset({"token2"})}
