"""`opora sla agreements lint` as people use it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from opora_cli.main import app

GOLD = """\
name: Gold
conditions: {tier: [gold]}
metrics:
  resolution:
    targets: {P1: {hours: 4}}
"""
ALL = """\
name: Everybody
rank: 1
metrics:
  resolution:
    targets:
      P1: {hours: 8}
      P2: {hours: 4}
"""


def linted(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["sla", "agreements", "lint", *(str(word) for word in words)])
    return result.exit_code, result.stdout


def test_all_files_are_looked_at_together(tmp_path: Path) -> None:
    """A finding a line, with the file, the line and the field."""
    gold, everybody = tmp_path / "gold.yaml", tmp_path / "all.yaml"
    gold.write_text(GOLD)
    everybody.write_text(ALL)
    assert linted(gold) == (0, "1 agreements, nothing to say\n")
    code, said = linted(gold, everybody)
    assert code == 1
    assert said.splitlines() == [
        (
            f"{gold}:2: conditions: never applies: 'Everybody' will be chosen for every ticket of its conditions;"
            " write a higher rank here"
        ),
        f"{everybody}:6: metrics.resolution.targets.P1: P1 has more time than P2; write at most as much",
    ]


def test_what_cannot_be_read_is_said_beside_what_can(tmp_path: Path) -> None:
    """As JSON for a script."""
    bad, gold = tmp_path / "bad.yaml", tmp_path / "gold.yaml"
    bad.write_text(GOLD.replace("tier", "teer"))
    gold.write_text(GOLD.replace("tier: [gold]", "priority: [P2]"))
    code, said = linted(bad, gold, "--json")
    assert code == 1
    assert json.loads(said) == [
        {"where": f"{bad}:2: conditions.teer", "problem": "unknown field; write tier", "note": False},
        {
            "where": f"{gold}:2: conditions.priority.0",
            "problem": "no metric has a target for P2: such a ticket has no clock; write one, or leave it out",
            "note": False,
        },
    ]


def test_a_note_alone_is_no_failure(tmp_path: Path) -> None:
    """Night hours may well be meant."""
    path = tmp_path / "night.yaml"
    path.write_text(GOLD + 'weekly_hours: {mon: [["22:00", "06:00"]]}\n')
    code, said = linted(path)
    assert (code, said) == (
        0,
        (
            f"{path}:6: weekly_hours.mon.0: note: is open from 22:00 until 06:00 of the next day; if that is a"
            " slip, swap them\n"
        ),
    )


def test_a_file_that_is_not_there_is_another_matter(tmp_path: Path) -> None:
    """Nothing was looked at."""
    result = CliRunner().invoke(app, ["sla", "agreements", "lint", str(tmp_path / "none.yaml")])
    assert "none.yaml cannot be read" in str(result.exception)


CALENDARS = """\
calendars:
  - name: Berlin
    time_zone: Europe/Berlin
    weekly_hours: {mon: [[09:00, 17:00]]}
    holidays_of: {country: DE, subdivision: BE}
agreements:
  - name: Gold
    calendar: Berlin
    metrics:
      resolution:
        targets: {P1: {hours: 4}}
"""


def test_agreements_refer_to_calendars_of_the_same_files(tmp_path: Path) -> None:
    """Beside them or in another file; the one that is open round the clock is always there."""
    both, calendars, agreements = (tmp_path / f"{name}.yaml" for name in ("both", "calendars", "agreements"))
    both.write_text(CALENDARS)
    first, second = CALENDARS.split("agreements:\n")
    calendars.write_text(first)
    agreements.write_text(f"agreements:\n{second}")
    assert linted(both) == (0, "1 agreements and 1 calendars, nothing to say\n")
    assert linted(agreements, calendars) == (0, "1 agreements and 1 calendars, nothing to say\n")
    assert linted(agreements) == (
        1,
        (
            f"{agreements}:3: agreements.0.calendar: 'Berlin' is no calendar; write one of '24x7',"
            " or write that calendar first\n"
        ),
    )
    agreements.write_text(f"agreements:\n{second}".replace("Berlin", "24x7"))
    assert linted(agreements) == (0, "1 agreements, nothing to say\n")


@pytest.mark.parametrize(
    ("change", "code", "expected"),
    [
        (
            ("calendar: Berlin", "calendar: Berlim"),
            1,
            ":8: agreements.0.calendar: 'Berlim' is no calendar; write 'Berlin'",
        ),
        (
            ("calendar: Berlin", "calendar: Berlin\n    holidays: []"),
            1,
            ":7: agreements.0: calendar stands beside holidays",
        ),
        (("09:00, 17:00", "17:00, 17:00"), 1, ":4: calendars.0.weekly_hours: mon: [17:00, 17:00] is empty; write "),
        (
            ("[[09:00, 17:00]]", "[[09:00, 17:00], [16:00, 18:00]]"),
            1,
            ":4: calendars.0.weekly_hours: mon: [16:00, 18:00] begins before the stretch above it ends",
        ),
        (("{mon: [[09:00, 17:00]]}", "{}"), 1, ":4: calendars.0.weekly_hours: no day is open; leave weekly_hours out"),
        (
            ("    holidays_of", "    breaks: {mon: [[08:00, 18:00]]}\n    holidays_of"),
            1,
            ":5: calendars.0.breaks: the breaks leave no hour open",
        ),
        (("Europe/Berlin", "Europe/Bern"), 1, ":3: calendars.0.time_zone: 'Europe/Bern' is no IANA time zone"),
        (("subdivision: BE", "subdivision: be"), 1, ":5: calendars.0.holidays_of.subdivision: 'be' is no subdivision"),
        (("subdivision: BE", "state: BE"), 1, ":5: calendars.0.holidays_of.state: unknown field; write one of country"),
        (("{hours: 4}", "{days: 200}"), 1, ":11: agreements.0.metrics.resolution.targets.P1: ten years have less"),
        (("[[09:00, 17:00]]", "[[17:00, 09:00]]"), 0, ":4: calendars.0.weekly_hours.mon.0: note: is open from 17:00"),
        (("calendar: Berlin", "rank: 1"), 0, ":2: calendars.0.name: note: no agreement refers to this calendar"),
        (("name: Berlin", "name: 24x7"), 1, ":2: calendars.0.name: 24x7 is every platform's own calendar"),
        (
            ("agreements:", "  - {name: Berlin}\nagreements:"),
            1,
            ":6: calendars.1.name: is the name of another calendar too: 'Berlin'",
        ),
        (
            ("    holidays_of", "    holidays: [2026-12-24]\n    date_overrides: {2026-12-24: []}\n    holidays_of"),
            1,
            ":5: calendars.0.holidays.0: 2026-12-24 has hours of its own under date_overrides",
        ),
        (("agreements:", "agreement:"), 1, ":6: agreement: unknown field; write agreements and calendars here"),
        (("calendars:", "calendars: 7\nx:"), 1, ":1: calendars: is no calendar; write an object with name and"),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_calendar_is_said_with_its_line(
    tmp_path: Path, change: tuple[str, str], code: int, expected: str
) -> None:
    """What is impossible and what is hardly meant alike: where, what, and what to write."""
    old, new = change
    assert old in CALENDARS
    path = tmp_path / "all.yaml"
    path.write_text(CALENDARS.replace(old, new, 1))
    found, said = linted(path)
    assert expected in said, said
    assert said.startswith(str(path))
    assert found == code


def test_what_groups_owe_is_read_with_its_line(tmp_path: Path) -> None:
    """A field that is not known, a target without sense and one that is too long, each where it stands."""
    bad, long = tmp_path / "bad.yaml", tmp_path / "long.yaml"
    owed = GOLD + "  operational:\n    network:\n      targets: {P1: {hours: 6}}\n"
    bad.write_text(owed + "      pausess: [customer]\n    developers:\n      targets: {P1: {hourz: 1}}\n")
    long.write_text(owed)
    code, said = linted(bad, long)
    assert code == 1
    assert said.splitlines() == [
        f"{bad}:9: metrics.operational.network.pausess: unknown field; write pauses",
        f"{bad}:11: metrics.operational.developers.targets.P1.hourz: unknown field; write hours",
        (
            f"{long}:8: metrics.operational.network.targets.P1: more time for one group than the whole resolution may"
            " take; write a smaller target"
        ),
    ]
