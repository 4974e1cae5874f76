"""ServiceNow's log: what each row becomes."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from opora_cli.replay.entries import ConvertedLog, UnreadableLogError, convert_file
from opora_cli.replay.servicenow import servicenow_format
from tools.cli.tests.logs import servicenow_row, servicenow_text, write

ORDINARY = [
    servicenow_row("INC1", "New", "1/3/2016 08:10"),
    servicenow_row("INC1", "Active", "1/3/2016 09:00", sys_mod_count="1", assigned_to="Resolver 3"),
    servicenow_row("INC1", "Awaiting User Info", "1/3/2016 09:30", sys_mod_count="2", assigned_to="Resolver 3"),
    servicenow_row("INC1", "Resolved", "1/3/2016 11:00", sys_mod_count="3", assigned_to="Resolver 3"),
    servicenow_row("INC1", "Closed", "6/3/2016 12:00", sys_mod_count="4", assigned_to="Resolver 3"),
]


def converted(tmp_path: Path, text: str, *, zone: str = "UTC", limit: int | None = None) -> ConvertedLog:
    return convert_file(write(tmp_path / "log.csv", text), servicenow_format(ZoneInfo(zone)), limit=limit)


def shown(log: ConvertedLog) -> list[tuple[str, str, str]]:
    return [(entry.source_id, f"{entry.at:%d %H:%M}", entry.action) for entry in log.entries]


def test_an_ordinary_incident_goes_from_creation_to_closing(tmp_path: Path) -> None:
    """Each state takes effect at its own row's update, the ticket itself begins at opened_at."""
    log = converted(tmp_path, servicenow_text(ORDINARY))
    assert shown(log) == [
        ("INC1", "01 08:00", "create"),
        ("INC1", "01 08:10", "assign"),
        ("INC1", "01 09:00", "assess"),
        ("INC1", "01 09:00", "assign"),
        ("INC1", "01 09:30", "hold"),
        ("INC1", "01 11:00", "resolve"),
        ("INC1", "06 12:00", "close"),
    ]
    assert [entry.ordinal for entry in log.entries] == [1, 2, 3, 4, 5, 6, 7]
    assert log.entries[0].data == {
        "title": "INC1: Category 1 / Subcategory 2",
        "channel": "phone",
        "kind": "incident",
        "impact": "medium",
        "urgency": "medium",
        "priority": "P3",
        "category": "Category 1",
    }
    assert log.entries[3].data == {"group": "Group 7", "assignee": "Resolver 3"}
    assert log.entries[4].data == {"waiting_on": "customer"}
    assert log.rows == 5
    assert not log.malformed


@pytest.mark.parametrize(
    ("state", "waiting_on"),
    [
        ("Awaiting User Info", "customer"),
        ("Awaiting Evidence", "customer"),
        ("Awaiting Vendor", "third_party"),
        ("Awaiting Problem", "change"),
    ],
)
def test_each_way_of_waiting_has_its_reason(tmp_path: Path, state: str, waiting_on: str) -> None:
    """A waiting state is a hold that says whom it waits for, and work afterwards ends it."""
    rows = [servicenow_row("INC1", state, "1/3/2016 09:00"), servicenow_row("INC1", "Active", "1/3/2016 10:00")]
    entries = converted(tmp_path, servicenow_text(rows)).entries
    assert [(entry.action, entry.data) for entry in entries if entry.action in {"hold", "resume"}] == [
        ("hold", {"waiting_on": waiting_on}),
        ("resume", {}),
    ]


def test_the_end_columns_change_no_entry(tmp_path: Path) -> None:
    """No entry depends on what a row says about the incident's end, which the log repeats on every row."""
    before = converted(tmp_path, servicenow_text(ORDINARY)).entries
    later = {
        "resolved_at": "?",
        "closed_at": "1/1/2030 00:00",
        "closed_code": "code 1",
        "resolved_by": "Nobody",
        "made_sla": "false",
    }
    assert converted(tmp_path, servicenow_text([{**row, **later} for row in ORDINARY])).entries == before


def test_what_comes_later_changes_nothing_before(tmp_path: Path) -> None:
    """The entries up to a row are the same whether or not later rows exist."""
    whole = converted(tmp_path, servicenow_text(ORDINARY)).entries
    for length in range(1, len(ORDINARY)):
        part = converted(tmp_path, servicenow_text(ORDINARY[:length])).entries
        assert part == whole[: len(part)]


def test_work_after_the_end_reopens(tmp_path: Path) -> None:
    """An open state after Resolved or Closed is a reopening, each time; a wait is told after it."""
    rows = [
        servicenow_row("INC1", "Resolved", "1/3/2016 09:00", sys_mod_count="1"),
        servicenow_row("INC1", "Awaiting User Info", "1/3/2016 10:00", sys_mod_count="2", reopen_count="1"),
        servicenow_row("INC1", "Closed", "1/3/2016 11:00", sys_mod_count="3", reopen_count="1"),
        servicenow_row("INC1", "Active", "1/3/2016 12:00", sys_mod_count="4", reopen_count="2"),
    ]
    assert [action for _, _, action in shown(converted(tmp_path, servicenow_text(rows)))] == [
        "create", "assign", "resolve", "reopen", "assess", "hold", "resolve", "close", "reopen", "assess",
    ]  # fmt: skip


def test_a_stale_snapshot_reopens_nothing(tmp_path: Path) -> None:
    """A row that is dated later but was written earlier, as its modification count says, is left out."""
    rows = [
        servicenow_row("INC1", "New", "1/3/2016 11:10", sys_mod_count="1"),
        servicenow_row("INC1", "New", "1/3/2016 09:52", sys_mod_count="1"),
        servicenow_row("INC1", "Resolved", "1/3/2016 11:03", sys_mod_count="2"),
        servicenow_row("INC1", "Closed", "5/3/2016 12:00", sys_mod_count="3"),
    ]
    log = converted(tmp_path, servicenow_text(rows))
    assert [action for _, _, action in shown(log)] == ["create", "assign", "resolve", "close"]


def test_a_row_before_the_opening_counts_from_the_opening(tmp_path: Path) -> None:
    """A ticket has no fact before its creation, whatever its first row is dated."""
    rows = [
        servicenow_row("INC1", "Active", "1/3/2016 07:00", sys_mod_count="7"),
        servicenow_row("INC1", "Resolved", "1/3/2016 09:00", sys_mod_count="1"),
    ]
    log = converted(tmp_path, servicenow_text(rows))
    assert shown(log)[:3] == [("INC1", "01 08:00", name) for name in ("create", "assess", "assign")]
    assert shown(log)[-1] == ("INC1", "01 09:00", "resolve")


def test_a_missing_state_goes_on_with_the_one_before(tmp_path: Path) -> None:
    """-100 says nothing: the ticket neither resumes nor changes its step."""
    rows = [
        servicenow_row("INC1", "Awaiting Vendor", "1/3/2016 09:00"),
        servicenow_row("INC1", "-100", "1/3/2016 10:00"),
    ]
    log = converted(tmp_path, servicenow_text(rows))
    assert [action for _, _, action in shown(log)] == ["create", "assess", "assign", "hold"]


def test_a_new_priority_is_an_assessment_of_its_own_time(tmp_path: Path) -> None:
    """The priority of a later row takes effect then, with its impact and urgency."""
    raised = {"impact": "1 - High", "urgency": "1 - High", "priority": "1 - Critical"}
    rows = [
        servicenow_row("INC1", "New", "1/3/2016 08:10"),
        servicenow_row("INC1", "New", "1/3/2016 10:00", **raised),
    ]
    last = converted(tmp_path, servicenow_text(rows)).entries[-1]
    assert (last.action, f"{last.at:%H:%M}") == ("assess", "10:00")
    assert last.data == {"impact": "high", "urgency": "high", "priority": "P1", "category": "Category 1"}


def test_times_are_those_of_the_agreements_zone(tmp_path: Path) -> None:
    """A time without zone is local time of the given zone."""
    log = converted(tmp_path, servicenow_text(ORDINARY), zone="America/New_York")
    assert log.entries[0].at == datetime(2016, 3, 1, 13, 0, tzinfo=UTC)


def test_entries_of_all_tickets_stand_in_time_order(tmp_path: Path) -> None:
    """The import's watermark only grows, so entries go over all tickets by time; ordinals count per ticket."""
    rows = [
        servicenow_row("INC1", "New", "1/3/2016 08:30"),
        servicenow_row("INC1", "Closed", "9/3/2016 08:00"),
        servicenow_row("INC2", "New", "1/3/2016 08:20", opened_at="1/3/2016 08:05"),
        servicenow_row("INC2", "Closed", "2/3/2016 08:00", opened_at="1/3/2016 08:05"),
    ]
    log = converted(tmp_path, servicenow_text(rows))
    assert [entry.at for entry in log.entries] == sorted(entry.at for entry in log.entries)
    for source_id in ("INC1", "INC2"):
        assert [e.ordinal for e in log.entries if e.source_id == source_id] == [1, 2, 3, 4]
    assert log.source_ids == ["INC1", "INC2"]


def test_malformed_lines_are_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    """Each broken line is reported with its number and what was expected; no other line suffers from it."""
    broken = [
        "INC8,New",
        ",".join(servicenow_row("INC8", "New", "31/2/2016 08:00").values()),
        ",".join(servicenow_row("INC8", "Sleeping", "1/3/2016 08:00").values()),
        ",".join(servicenow_row("INC8", "New", "1/3/2016 08:00", priority="9 - Whatever").values()),
        '"INC8,an open quote',
        ",".join(servicenow_row("?", "New", "1/3/2016 08:00").values()),
    ]
    lines = servicenow_text(ORDINARY).splitlines()
    text = "\r\n".join([*lines[:3], *broken, *lines[3:]]) + "\r\n"
    log = converted(tmp_path, text)
    assert log.entries == converted(tmp_path, servicenow_text(ORDINARY)).entries
    assert [line.line for line in log.malformed] == [4, 5, 6, 7, 8, 9]
    reasons = " | ".join(line.problem for line in log.malformed)
    for expected in ("2 columns; expected 36", "D/M/YYYY", "'Sleeping' is unknown", "9 - Whatever", "not valid CSV"):
        assert expected in reasons


def test_a_limit_takes_the_first_tickets_of_the_file(tmp_path: Path) -> None:
    """--limit counts tickets, not rows, and lines of other tickets are not even judged."""
    rows = [*ORDINARY, servicenow_row("INC2", "New", "1/3/2016 08:20"), servicenow_row("INC3", "Sleeping", "never")]
    log = converted(tmp_path, servicenow_text(rows), limit=2)
    assert log.source_ids == ["INC1", "INC2"]
    assert not log.malformed


def test_gzip_changes_nothing(tmp_path: Path) -> None:
    """A compressed log gives the same entries and has the same digest as the plain one."""
    plain = converted(tmp_path, servicenow_text(ORDINARY))
    path = write(tmp_path / "log.csv.gz", servicenow_text(ORDINARY))
    packed = convert_file(path, servicenow_format(ZoneInfo("UTC")))
    assert (packed.entries, packed.digest) == (plain.entries, plain.digest)


def test_a_gzip_file_that_breaks_off_is_reported_at_its_end(tmp_path: Path) -> None:
    """What could be read is used, and the place where the file breaks off counts as a malformed line."""
    path = write(tmp_path / "log.csv.gz", servicenow_text(ORDINARY * 400))
    path.write_bytes(path.read_bytes()[:-40])
    log = convert_file(path, servicenow_format(ZoneInfo("UTC")))
    assert log.rows > 0
    assert "breaks off" in log.malformed[-1].problem


def test_another_file_is_refused_as_a_whole(tmp_path: Path) -> None:
    """A file without the expected header names the columns that are missing; a missing or empty file says so."""
    with pytest.raises(UnreadableLogError, match="lacks the columns number, incident_state"):
        converted(tmp_path, "a,b\n1,2\n")
    with pytest.raises(UnreadableLogError, match="is empty"):
        converted(tmp_path, "")
    with pytest.raises(UnreadableLogError, match="cannot be read"):
        convert_file(tmp_path / "nowhere.csv", servicenow_format(ZoneInfo("UTC")))
