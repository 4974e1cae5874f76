"""`opora sla simulate` on small logs, with outcomes worked out by hand."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from opora_cli.errors import CommandError
from opora_cli.main import app
from tools.cli.tests.logs import italian_row, italian_text, servicenow_row, servicenow_text, write

# 2016-03-01 is a Tuesday. INC1 takes two hours of which half an hour waits, INC2 four and INC3 is not done.
ROWS = [
    servicenow_row("INC1", "New", "1/3/2016 08:00", made_sla="true"),
    servicenow_row("INC1", "Active", "1/3/2016 08:30", sys_mod_count="1"),
    servicenow_row("INC1", "Awaiting User Info", "1/3/2016 09:00", sys_mod_count="2"),
    servicenow_row("INC1", "Active", "1/3/2016 09:30", sys_mod_count="3"),
    servicenow_row("INC1", "Resolved", "1/3/2016 10:00", sys_mod_count="4", made_sla="true"),
    servicenow_row("INC2", "New", "1/3/2016 08:00", assignment_group="?"),
    servicenow_row("INC2", "Resolved", "1/3/2016 12:00", sys_mod_count="1", made_sla="false"),
    servicenow_row("INC3", "New", "1/3/2016 11:00", opened_at="1/3/2016 11:00", priority="1 - Critical"),
]
HOUR = 3_600
THREE_HOURS = {"name": "draft", "metrics": {"resolution": {"targets": {"P1": {"hours": 2}, "P3": {"hours": 3}}}}}
ONE_HOUR = {"name": "now", "metrics": {"resolution": {"targets": {"P1": {"minutes": 30}, "P3": {"hours": 1}}}}}
YAML = """
# What we would like to promise.
name: draft
metrics:
  resolution:
    targets:
      P1: {hours: 2}
      P3: {hours: 3}
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The small log, compressed."""
    return write(tmp_path / "log.csv.gz", servicenow_text(ROWS))


def simulated(*words: object) -> tuple[int, str, str]:
    """Exit code and what was said; a CommandError's code and message."""
    result = CliRunner().invoke(app, ["sla", "simulate", *(str(word) for word in words)])
    if isinstance(result.exception, CommandError):
        return result.exception.exit_code, result.stdout, result.exception.message
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def written(path: Path, document: Any) -> Path:
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def rate(met: int = 0, breached: int = 0, still: int = 0, percent: float | None = None) -> dict[str, Any]:
    return {
        "n": met + breached,
        "met": met,
        "breached": breached,
        "open": still,
        "cancelled": 0,
        "breach_percent": percent,
    }


def test_a_draft_is_compared_with_what_the_log_recorded(tmp_path: Path, log: Path) -> None:
    """By priority, group and hour; the target finder says which target both P3 tickets had met."""
    draft = written(tmp_path / "draft.yaml", YAML)
    code, said, _ = simulated("--agreement", draft, "--log", f"servicenow:{log}", "--json")
    report = json.loads(said)
    assert (code, report["tickets"], report["rows"], report["before"]) == (0, 3, 8, "recorded")
    assert (report["judged_at"], report["time_zone"]) == ("2016-03-01 12:00:00+00:00", "UTC")
    resolution = report["metrics"]["resolution"]
    # INC3 is P1, open for an hour of two; the log holds it, so far, for in time.
    assert resolution["by_priority"] == {
        "P1": {"before": rate(met=1, percent=0), "after": rate(still=1)},
        "P3": {"before": rate(1, 1, percent=50), "after": rate(1, 1, percent=50)},
    }
    assert resolution["by_group"] == {
        "": {"before": rate(0, 1, percent=100), "after": rate(0, 1, percent=100)},
        "Group 7": {"before": rate(2, percent=0), "after": rate(1, still=1, percent=0)},
    }
    assert list(resolution["by_hour"]) == ["08", "11"]
    assert resolution["changes"] == {"newly_breached": 0, "relieved": 0}
    assert resolution["targets"] == [
        {"priority": "P3", "n": 2, "target_seconds": 3 * HOUR, "found_seconds": 4 * HOUR},
    ]
    assert resolution["used_seconds"]["p50"] == 1.5 * HOUR


def test_a_draft_is_compared_with_another_agreement(tmp_path: Path, log: Path) -> None:
    """Both over the same facts: an hour was too little for all three, and two or three hours relieve INC1."""
    draft, now = written(tmp_path / "draft.json", THREE_HOURS), written(tmp_path / "now.json", [ONE_HOUR])
    code, said, _ = simulated("--agreement", draft, "--against", now, "--log", f"servicenow:{log}", "--json")
    report = json.loads(said)
    assert (code, report["before"], report["against"]) == (0, "agreement", ["now"])
    assert report["metrics"]["resolution"]["all"] == {
        "before": rate(0, 3, percent=100),
        "after": rate(1, 1, 1, percent=50),
    }
    assert report["metrics"]["resolution"]["changes"] == {"newly_breached": 0, "relieved": 1}


def test_a_draft_counts_by_the_calendar_that_it_names(tmp_path: Path, log: Path) -> None:
    """Wherever it stands: its zone is the log's, its hours are the clocks', its feed is said not to be read."""
    draft = written(tmp_path / "draft.json", THREE_HOURS | {"calendar": "Mornings"})
    mornings = {"name": "Mornings", "time_zone": "Europe/Berlin", "weekly_hours": {"tue": [["08:00", "10:00"]]}}
    calendars = written(tmp_path / "calendars.json", {"calendars": mornings | {"feed": "https://example.com/a.ics"}})
    words = ("--agreement", draft, "--log", f"servicenow:{log}", "--json")
    code, said, beside = simulated("--agreement", calendars, *words)
    report = json.loads(said)
    assert (code, report["time_zone"]) == (0, "Europe/Berlin")
    assert report["metrics"]["resolution"]["by_priority"]["P3"]["after"] == rate(met=2, percent=0)
    assert report["metrics"]["resolution"]["used_seconds_by_priority"]["P3"]["longest"] == 2 * HOUR
    assert "https://example.com/a.ics was not read" in beside
    code, _, beside = simulated(*words)
    assert (code, "calendar: 'Mornings' is no calendar; write one of '24x7'" in beside) == (2, True)
    code, _, beside = simulated("--agreement", calendars, "--log", f"servicenow:{log}")
    assert (code, "holds no agreement" in beside) == (2, True)


def test_the_tables_tell_a_person_the_same(tmp_path: Path, log: Path) -> None:
    """Rates, use and targets, each with its n."""
    draft = written(tmp_path / "draft.json", THREE_HOURS)
    code, said, _ = simulated("--agreement", draft, "--log", f"servicenow:{log}")
    rows = [" ".join(line.replace("│", " ").split()) for line in said.splitlines()]
    assert code == 0
    assert "all 3 1 33.3 2 1 50.0 1 0 +16.7" in rows
    assert "no group 1 1 100.0 1 1 100.0 0 0 +0.0" in rows
    assert "P3 2 1 h 30 min 4 h 4 h 4 h 4 h 4 h" in rows
    assert "P3 2 3 h 4 h" in rows
    assert any(
        row.startswith("3 tickets, 8 rows, judged at 2016-03-01 12:00 UTC; before is what the log") for row in rows
    )


def test_the_outcomes_are_written_as_a_replay_writes_them(tmp_path: Path, log: Path) -> None:
    """A line per ticket, so that both can be compared by a program."""
    draft, out = written(tmp_path / "draft.json", THREE_HOURS), tmp_path / "out.jsonl"
    assert simulated("--agreement", draft, "--log", f"servicenow:{log}", "--out", out, "--json")[0] == 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    due = {line["source_id"]: line["metrics"]["resolution"].pop("due_at") for line in lines}
    assert due == {"INC1": "2016-03-01T11:30:00Z", "INC2": "2016-03-01T11:00:00Z", "INC3": "2016-03-01T13:00:00Z"}
    assert [(line["source_id"], line["priority"], line["metrics"]["resolution"]) for line in lines] == [
        ("INC1", "P3", {"outcome": "met", "used_seconds": 5400, "target_seconds": 10800}),
        ("INC2", "P3", {"outcome": "breached", "used_seconds": 14400, "target_seconds": 10800}),
        ("INC3", "P1", {"outcome": "open", "used_seconds": 3600, "target_seconds": 7200}),
    ]


def test_the_log_s_zone_is_the_draft_s_unless_it_is_named(tmp_path: Path, log: Path) -> None:
    """The log's times are wall times; hours of creation are told in the same zone."""
    draft = written(tmp_path / "draft.json", {**THREE_HOURS, "time_zone": "Europe/Berlin"})
    for words, judged_at in (
        ((), "2016-03-01 11:00:00+00:00"),
        (("--log-zone", "Asia/Kolkata"), "2016-03-01 06:30:00+00:00"),
    ):
        _, said, _ = simulated("--agreement", draft, "--log", f"servicenow:{log}", "--json", *words)
        report = json.loads(said)
        assert report["judged_at"] == judged_at
        assert list(report["metrics"]["resolution"]["by_hour"]) == ["08", "11"]


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_a_picture_is_written(tmp_path: Path, log: Path, suffix: str) -> None:
    """Of the format that its name says; the same report gives the same SVG."""
    draft = written(tmp_path / "draft.json", THREE_HOURS)
    pictures = [tmp_path / f"one.{suffix}", tmp_path / f"two.{suffix}"]
    for picture in pictures:
        assert simulated("--agreement", draft, "--log", f"servicenow:{log}", "--plot", picture)[0] == 0
    first, second = (picture.read_bytes() for picture in pictures)
    assert first.startswith(b"\x89PNG" if suffix == "png" else b"<?xml")
    assert first == second
    if suffix == "svg":
        assert b"hour of creation" in first


def test_the_italian_log_can_be_tried_too(tmp_path: Path) -> None:
    """It records no outcome, so that there is nothing to compare with."""
    rows = [
        italian_row("Case 1", "Assign seriousness", "2012/10/09 14:50:00.000"),
        italian_row("Case 1", "Resolve ticket", "2012/10/09 15:50:00.000"),
    ]
    log = write(tmp_path / "italian.csv", italian_text(rows))
    draft = written(tmp_path / "d.json", {"name": "d", "metrics": {"resolution": {"targets": {"P2": {"hours": 1}}}}})
    code, said, _ = simulated("--agreement", draft, "--log", f"italian:{log}", "--json")
    report = json.loads(said)
    assert (code, report["before"]) == (0, None)
    assert report["metrics"]["resolution"]["all"]["after"] == rate(met=1, percent=0)


def test_what_the_log_does_not_record_is_not_before(tmp_path: Path) -> None:
    """A log without made_sla, and an incident whose mark cannot be read."""
    text = servicenow_text([{**row, "made_sla": "?"} for row in ROWS])
    draft = written(tmp_path / "draft.json", THREE_HOURS)
    for name, content in (("unread.csv", text), ("without.csv", text.replace("made_sla", "made_other"))):
        log = write(tmp_path / name, content)
        code, said, _ = simulated("--agreement", draft, "--log", f"servicenow:{log}", "--json")
        assert (code, json.loads(said)["before"]) == (0, None)


def test_a_malformed_line_and_a_refused_entry_are_named_and_the_rest_counts(tmp_path: Path) -> None:
    """Exit code 1; the ticket of the refused entry counts as far as it came."""
    rows = [*ROWS[:5], servicenow_row("INC4", "New", "1/3/2016 08:00", assigned_to="x" * 150), {"number": "INC5"}]
    log = write(tmp_path / "log.csv", servicenow_text(rows))
    draft = written(tmp_path / "draft.json", THREE_HOURS)
    code, said, stderr = simulated("--agreement", draft, "--log", f"servicenow:{log}", "--json")
    report, told = json.loads(said), " ".join(stderr.split())
    assert (code, report["malformed_lines"], report["refused_entries"], report["tickets"]) == (1, 1, 1, 2)
    assert "log.csv:8: incident_state '' is unknown" in told
    assert "INC4: entry 2 and what follows it were refused: assignee" in told


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--log", "servicenow:{log}", "--from", "2026-03-01"], "--from is for the platform's own log"),
        (["--from", "yesterday"], "--from 'yesterday' is neither a date nor a time"),
        (["--log", "jira:x.csv"], "--log jira:x.csv names no log; write servicenow:FILE or italian:FILE"),
        (["--log", "x.csv"], "names no log"),
        (["--log", "servicenow:"], "names no log"),
        (["--log", "servicenow:nowhere.csv"], "nowhere.csv cannot be read"),
        (["--log", "servicenow:{log}", "--log-zone", "Mars/Olympus"], "Mars/Olympus is no IANA time zone; write one"),
        (["--log", "servicenow:{log}", "--plot", "x.gif"], "write a name that ends in .png or .svg"),
        (["--log", "servicenow:{log}", "--plot", "nowhere/x.png"], "there is no directory nowhere for --plot"),
        (["--log", "servicenow:{log}", "--out", "nowhere/x.jsonl"], "there is no directory nowhere for --out"),
        (["--log", "servicenow:{log}", "--against", "nowhere.yaml"], "nowhere.yaml cannot be read"),
        (["--log", "italian:{log}"], "is not a italian log"),
    ],
)
def test_what_cannot_be_done_is_said_with_what_to_write(
    tmp_path: Path, log: Path, words: list[str], reason: str
) -> None:
    """Exit code 2, and nothing was read for nothing."""
    draft = written(tmp_path / "draft.json", THREE_HOURS)
    code, said, message = simulated("--agreement", draft, *(word.format(log=log) for word in words))
    assert (code, said) == (2, "")
    assert reason in message


def test_an_empty_log_holds_no_ticket(tmp_path: Path) -> None:
    """It is no use, and said so."""
    draft, log = written(tmp_path / "draft.json", THREE_HOURS), write(tmp_path / "log.csv", servicenow_text([]))
    code, _, message = simulated("--agreement", draft, "--log", f"servicenow:{log}")
    assert (code, message) == (2, f"{log} holds no ticket that could be read")
