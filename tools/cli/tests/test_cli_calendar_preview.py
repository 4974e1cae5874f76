"""`opora sla calendar preview` as people use it."""

import json
from pathlib import Path

from typer.testing import CliRunner

from opora_cli.errors import CommandError
from opora_cli.main import app

CALENDAR = """\
name: Berlin
time_zone: Europe/Berlin
weekly_hours: {thu: [[09:00, 17:00]], fri: [[22:00, 06:00]]}
holidays_of: {country: DE, subdivision: BE}
date_overrides: {2026-12-24: [[09:00, 12:00]]}
"""


def previewed(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["sla", "calendar", "preview", *(str(word) for word in words)])
    if isinstance(result.exception, CommandError):
        return result.exception.exit_code, result.stdout, result.exception.message
    return result.exit_code, result.stdout, result.stderr


def test_a_preview_names_the_dates_that_differ_and_sums_the_months(tmp_path: Path) -> None:
    """What is open on them, by which field, and how much each month has."""
    path = tmp_path / "berlin.yaml"
    path.write_text(CALENDAR)
    code, said, beside = previewed(path, "--from", "2026-12-17", "--days", "16")
    assert (code, beside) == (0, "")
    lines = [line.partition(": ")[0] for line in said.splitlines()]
    assert lines == [
        "Berlin (Europe/Berlin), 16 days from 2026-12-17",
        "  2026-12-24 Thu  09:00-12:00    date_overrides",
        "  2026-12-25 Fri  closed         holidays_of",
        "  2026-12-26 Sat  closed         holidays_of",
        "  2027-01-01 Fri  closed         holidays_of",
        "  2026-12     27.00 h open",
        "  2027-01      0.00 h open",
    ]


def test_a_preview_is_there_for_a_script(tmp_path: Path) -> None:
    """As JSON; of several calendars each, or the one of the name; a year by default."""
    path = tmp_path / "two.yaml"
    indented = "".join(f"    {line}\n" for line in CALENDAR.splitlines())
    path.write_text(f"calendars:\n  - name: Round\n    feed: https://example.com/a.ics\n  -\n{indented}")
    code, said, beside = previewed(path, "--from", "2026-12-24", "--json")
    both = json.loads(said)
    assert (code, beside) == (0, "")
    assert (both[0]["name"], both[0]["days"]) == ("Round", 365)
    assert sum(both[0]["open_seconds_by_month"].values()) == 365 * 86_400
    assert both[1]["differing"][0] == {
        "date": "2026-12-24",
        "by": "date_overrides",
        "holiday": None,
        "open": [["2026-12-24T09:00:00+01:00", "2026-12-24T12:00:00+01:00"]],
        "open_seconds": 10_800,
    }
    code, said, beside = previewed(path, "--name", "Round", "--days", 1)
    assert (code, said.splitlines()[0][:11]) == (0, "Round (UTC)")
    assert beside == "Round: https://example.com/a.ics was not read\n"


def test_a_preview_of_what_is_not_there_says_so(tmp_path: Path) -> None:
    """A wrong file with its lines, another name, a date out of reach."""
    path = tmp_path / "berlin.yaml"
    path.write_text(CALENDAR)
    code, _, beside = previewed(path, "--name", "Bonn")
    assert code == 2
    assert "holds no such calendar; it holds 'Berlin'" in beside
    code, _, beside = previewed(path, "--from", "9999-12-30")
    assert (code, "write a date from 1900 to 2200" in beside) == (2, True)
    path.write_text(CALENDAR.replace("Berlin\nw", "Bern\nw"))
    code, _, beside = previewed(path)
    assert (code, "2: time_zone: 'Europe/Bern' is no IANA time zone" in beside) == (1, True)
