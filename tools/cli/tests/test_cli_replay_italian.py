"""The Italian help desk's log: what each activity becomes."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from opora_cli.replay.entries import ConvertedLog, convert_file
from opora_cli.replay.italian import italian_format
from tools.cli.tests.logs import italian_row, italian_text, write


def converted(tmp_path: Path, *rows: str, zone: str = "UTC") -> ConvertedLog:
    return convert_file(write(tmp_path / "log.csv", italian_text(rows)), italian_format(ZoneInfo(zone)))


def actions(log: ConvertedLog) -> list[str]:
    return [entry.action for entry in log.entries]


def test_an_ordinary_ticket_goes_from_its_first_activity_to_closing(tmp_path: Path) -> None:
    """It starts with its first activity; taking it in charge assigns it; waiting pauses it until work goes on."""
    log = converted(
        tmp_path,
        italian_row("Case 1", "Assign seriousness", "2012/10/09 14:50:17.250"),
        italian_row("Case 1", "Take in charge ticket", "2012/10/09 14:51:01.000", resource="Value 4"),
        italian_row("Case 1", "Wait", "2012/10/10 08:00:00.000"),
        italian_row("Case 1", "Take in charge ticket", "2012/10/11 08:00:00.000", resource="Value 4"),
        italian_row("Case 1", "Resolve ticket", "2012/10/25 11:54:26.000"),
        italian_row("Case 1", "Closed", "2012/11/09 12:54:39.000"),
    )
    assert actions(log) == ["create", "assess", "assign", "hold", "resume", "resolve", "close"]
    assert log.entries[0].at == datetime(2012, 10, 9, 14, 50, 17, 250_000, tzinfo=UTC)
    assert log.entries[0].data["priority"] == "P2"
    assert log.entries[2].data == {"group": "Workgroup Value 1", "assignee": "Resource Value 4"}
    assert log.entries[3].data == {"waiting_on": "customer"}


def test_a_second_resolution_is_a_reopening(tmp_path: Path) -> None:
    """Resolved twice in a row means reopened in between; since nothing says when, at the second one's instant."""
    log = converted(
        tmp_path,
        italian_row("Case 1", "Take in charge ticket", "2012/10/09 08:00:00.000"),
        italian_row("Case 1", "Resolve ticket", "2012/10/09 09:00:00.000"),
        italian_row("Case 1", "Resolve ticket", "2012/10/12 09:00:00.000"),
        italian_row("Case 1", "Closed", "2012/10/27 09:00:00.000"),
    )
    assert [(entry.action, entry.at.day) for entry in log.entries[3:]] == [
        ("resolve", 9),
        ("reopen", 12),
        ("resolve", 12),
        ("close", 27),
    ]


def test_work_after_the_end_reopens_at_its_own_time(tmp_path: Path) -> None:
    """Taking a resolved or closed ticket in charge reopens it then; a wait after the end reopens and holds it."""
    log = converted(
        tmp_path,
        italian_row("Case 1", "Take in charge ticket", "2012/10/09 08:00:00.000"),
        italian_row("Case 1", "Resolve ticket", "2012/10/09 09:00:00.000"),
        italian_row("Case 1", "Wait", "2012/10/10 09:00:00.000"),
        italian_row("Case 1", "Resolve ticket", "2012/10/11 09:00:00.000"),
        italian_row("Case 1", "Closed", "2012/10/12 09:00:00.000"),
        italian_row("Case 1", "Take in charge ticket", "2012/10/13 09:00:00.000"),
    )
    assert actions(log)[3:] == ["resolve", "reopen", "hold", "resolve", "close", "reopen", "assess"]


def test_the_faults_own_record_moves_no_ticket(tmp_path: Path) -> None:
    """VERIFIED, RESOLVED, INVALID, DUPLICATE and Resolve SW anomaly make no entry and end no wait."""
    log = converted(
        tmp_path,
        italian_row("Case 1", "Create SW anomaly", "2012/10/09 08:00:00.000"),
        italian_row("Case 1", "Require upgrade", "2012/10/09 09:00:00.000"),
        italian_row("Case 1", "Wait", "2012/10/09 10:00:00.000"),
        *(
            italian_row("Case 1", activity, "2012/10/09 11:00:00.000")
            for activity in ("VERIFIED", "RESOLVED", "INVALID", "DUPLICATE", "Resolve SW anomaly")
        ),
        italian_row("Case 1", "Resolve ticket", "2012/10/09 12:00:00.000"),
    )
    assert actions(log) == ["create", "diagnose", "plan", "hold", "resolve"]


def test_malformed_activities_are_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    """An unknown activity, seriousness or time is reported with its line; the ticket's other rows are used."""
    log = converted(
        tmp_path,
        italian_row("Case 1", "Insert ticket", "2012/10/09 08:00:00.000"),
        italian_row("Case 1", "Sing", "2012/10/09 08:00:00.000"),
        italian_row("Case 1", "Wait", "09/10/2012"),
        italian_row("Case 1", "Wait", "2012/10/09 09:00:00.000", seriousness="Value 7"),
        italian_row("Case 1", "Closed", "2012/10/09 12:00:00.000"),
    )
    assert actions(log) == ["create", "resolve", "close"]
    assert [(line.line, line.problem.split()[0]) for line in log.malformed] == [
        (3, "Activity"),
        (4, "Complete"),
        (5, "seriousness_2"),
    ]


def test_a_change_of_seriousness_is_a_new_assessment(tmp_path: Path) -> None:
    """The priority changes with the row that shows the new seriousness, not before."""
    log = converted(
        tmp_path,
        italian_row("Case 1", "Insert ticket", "2012/10/09 08:00:00.000"),
        italian_row("Case 1", "Assign seriousness", "2012/10/09 09:00:00.000", seriousness="Value 1"),
    )
    assert [(entry.action, entry.data.get("priority")) for entry in log.entries] == [("create", "P2"), ("assess", "P1")]
