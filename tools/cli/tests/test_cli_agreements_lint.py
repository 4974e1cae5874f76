"""`opora sla agreements lint` as people use it."""

import json
from pathlib import Path

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
