"""Agreements in files: what is read, and what is said of those that cannot be."""

import json
from pathlib import Path

import pytest

from opora_cli.agreement_files import load_agreements, read_agreements
from opora_cli.errors import CommandError

GOOD = """\
name: Office hours
time_zone: Europe/Berlin
weekly_hours:
  mon: &day [[09:00, 17:00]]
  tue: *day
  wed: [["22:00", "06:00"]]
holidays: [2026-12-25]
metrics:
  resolution:
    targets:
      P1: {hours: 4}
      P2: {hours: 1.5}
"""


def problems(path: Path, text: str) -> list[str]:
    path.write_text(text)
    _, found = read_agreements(path)
    return [str(problem).removeprefix(str(path)) for problem in found]


def test_yaml_has_the_types_of_json_only(tmp_path: Path) -> None:
    """Times and dates need no quotes, as they would elsewhere; aliases are written out."""
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    (written,) = load_agreements(path)
    assert written.document.as_json()["weekly_hours"] == {
        "mon": [["09:00", "17:00"]],
        "tue": [["09:00", "17:00"]],
        "wed": [["22:00", "06:00"]],
    }
    assert written.document.as_json()["holidays"] == ["2026-12-25"]
    resolution = written.document.metrics.resolution
    assert resolution is not None
    assert [target.total_seconds for target in resolution.targets.values()] == [14_400, 5_400]
    assert written.where("weekly_hours", "wed") == f"{path}:6: weekly_hours.wed"


def test_json_and_lists_are_read_too(tmp_path: Path) -> None:
    """One agreement or several, with tabs between the tokens; each knows its line."""
    one = '{"name": "%s",\n\t"metrics": {"resolution": {"targets": {"P1": {"hours": 4}}}}}'
    path = tmp_path / "good.json"
    path.write_text(f"[\n{one % 'first'},\n{one % 'second'}\n]")
    first, second = load_agreements(path)
    assert (first.document.name, second.document.name) == ("first", "second")
    assert second.where("metrics") == f"{path}:5: 1.metrics"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("time_zone: Europe/Berlin", "timezone: Europe/Berlin"), ":2: timezone: unknown field; write time_zone"),
        (("Europe/Berlin", "Europe/Bern"), ":2: time_zone: 'Europe/Bern' is no IANA time zone; write one such as"),
        (("wed:", "wednesday:"), ":6: weekly_hours.wednesday: 'wednesday' cannot stand here; write 'mon', 'tue', "),
        (('"22:00", "06:00"', '"22:00", "22:00"'), ":3: weekly_hours: wed: [22:00, 22:00] is empty; write"),
        (('"22:00", "06:00"', '"9", "12:00"'), ":3: weekly_hours: wed: '9' is no wall time; write HH:MM"),
        (('"22:00", "06:00"', "24:00, 06:00"), ":3: weekly_hours: wed: a stretch begins at 24:00; write it at 00:00"),
        (('"22:00", "06:00"', "22:00"), ":6: weekly_hours.wed.0.1: is missing; write it"),
        (("2026-12-25", "25.12.2026"), ":7: holidays.0: '25.12.2026' cannot stand here; write "),
        (
            ("P1: {hours: 4}", "P9: {hours: 4}"),
            ":11: metrics.resolution.targets.P9: 'P9' cannot stand here; write 'P1',",
        ),
        (("P1: {hours: 4}", "P1: {hours: 0}"), ":11: metrics.resolution.targets.P1: a target needs working time, for"),
        (
            ("P1: {hours: 4}", "P1: {hours: -4}"),
            ":11: metrics.resolution.targets.P1.hours: -4 cannot stand here; write ",
        ),
        (("P1: {hours: 4}", "P1: {days: 3654}"), ":11: metrics.resolution.targets.P1: a target is at most ten years"),
        (("P1: {hours: 4}", "P1: {hour: 4}"), ":11: metrics.resolution.targets.P1.hour: unknown field; write hours"),
        (("P1: {hours: 4}", "P1: 4h"), ":11: metrics.resolution.targets.P1: '4h' cannot stand here; write "),
        (("name: Office hours\n", ""), ":1: name: is missing; write it"),
        (("resolution:", "solution:"), ":9: metrics.solution: unknown field; write resolution"),
        (("resolution:", "xyz:"), ":9: metrics.xyz: unknown field; write one of first_response, next_response, "),
        (("holidays:", "holiday: []\nholidays:"), ":7: holiday: unknown field; write holidays"),
        (("holidays:", "name: again\nholidays:"), ":7: 'name' stands twice; write it once"),
        (("holidays:", "? [a]\n: b\nholidays:"), ":7: a key must be a word"),
        (("holidays:", "conditions: &c [*c]\nholidays:"), ":7: refers to itself"),
        (("holidays:", "\tholidays:"), ":7: no YAML: found character"),
        (("[[09:00, 17:00]]", "[[09:00, 17:00]"), ":5: no YAML: "),
        (("tue: *day", "tue: *night"), ":5: no YAML: found undefined alias"),
        (
            ("holidays:", "rank: !!python/object:os.system x\nholidays:"),
            ":7: no YAML: could not determine a constructor",
        ),
    ],
    ids=str,
)
def test_a_bad_agreement_is_refused_with_its_line(tmp_path: Path, change: tuple[str, str], expected: str) -> None:
    """One problem, where it is, and what to write instead."""
    old, new = change
    assert old in GOOD
    found = problems(tmp_path / "bad.yaml", GOOD.replace(old, new, 1))
    assert [words[: len(expected)] for words in found[:1]] == [expected], found


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("x.yaml", "", ": is empty; write an object with name and metrics"),
        ("x.yaml", "- 7\n", ":1: 0: is no agreement; write an object with name and metrics, or a list of such"),
        ("x.yaml", "word", ":1: is no agreement; write an object with name and metrics, or a list of such"),
        ("x.yaml", "[]", ": holds no agreement; write an object with name and metrics"),
        ("x.json", "{\n", ":2: no JSON: Expecting property name"),
        ("x.json", '{"name": "a", "name": "b"}', ": no JSON: 'name' stands twice in one object; write it once"),
        ("x.json", "[" * 100_000, ": no JSON: "),
        ("x.yaml", "[" * 100_000, ": no YAML: "),
    ],
)
def test_a_file_that_is_no_agreement_is_refused(tmp_path: Path, name: str, text: str, expected: str) -> None:
    """Empty, of the wrong shape, broken off, or without end."""
    (found,) = problems(tmp_path / name, text)
    assert found.startswith(expected)


def test_aliases_that_grow_without_end_are_refused(tmp_path: Path) -> None:
    """Ten aliases of ten aliases and so on are a small file and a great many values."""
    layers = ["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9))]
    (found,) = problems(tmp_path / "bomb.yaml", "\n".join(layers))
    assert "has more than 100,000 values" in found


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "cannot be read"), (b"\xff\xfe", "is not UTF-8"), (b"#" * 1_000_001, "is longer than 1,000,000 bytes")],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, reason: str) -> None:
    """With the reason."""
    path = tmp_path / "agreement.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CommandError, match=reason):
        read_agreements(path)


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    """A line each; the agreements that are right are still there for who wants them."""
    path = tmp_path / "two.json"
    good = {"name": "good", "metrics": {"resolution": {"targets": {"P1": {"hours": 4}}}}}
    path.write_text(json.dumps([good, {"name": "", "metrics": {}}]))
    agreements, found = read_agreements(path)
    assert [written.document.name for written in agreements] == ["good"]
    assert len(found) == 2
    with pytest.raises(CommandError) as refused:
        load_agreements(path)
    assert refused.value.message.splitlines() == [str(problem) for problem in found]
    assert refused.value.exit_code == 2
