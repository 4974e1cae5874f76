"""`opora sla …` as people use it."""

import json
from pathlib import Path

from typer.testing import CliRunner

from opora_cli.main import app

QUESTION = {
    "id": 7,
    "timezone": "Europe/Berlin",
    "weekly_hours": {"thu": [["09:00", "17:00"]], "mon": [["09:00", "17:00"]]},
    "date_overrides": {"2026-12-24": [["09:00", "12:00"]]},
    "op": "add",
    "start": "2026-12-24T11:00:00",
    "amount_seconds": 7200,
}


def evaluate(path: Path | str, stdin: bytes = b"") -> tuple[int, list[dict[str, object]], str]:
    """Exit code, answered lines and what was said on standard error."""
    result = CliRunner().invoke(app, ["sla", "calendar", "eval", str(path)], input=stdin)
    return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()], result.stderr


def test_each_line_comes_back_with_its_answer(tmp_path: Path) -> None:
    """In order, with what stood in it; blank lines are passed over."""
    file = tmp_path / "cases.jsonl"
    between = {**QUESTION, "op": "between", "end": "2026-12-28T10:00:00"}
    file.write_text(f"{json.dumps(QUESTION)}\n\n{json.dumps(between)}")
    answers = [{**QUESTION, "answer": "2026-12-28T10:00:00+01:00"}, {**between, "answer": 7200}]
    assert evaluate(file) == (0, answers, "")
    assert evaluate("-", file.read_bytes())[:2] == (0, answers)


def test_a_line_that_cannot_be_answered_says_why_and_the_others_are() -> None:
    """Whatever stands in it: no JSON, no object, no such zone, a line without end."""
    lines = [
        json.dumps({**QUESTION, "timezone": "Europe/Bern"}).encode(),
        b"{",
        b"[1]",
        b'{"note": "' + b"x" * 1_100_000 + b'"}',
        b"\xff",
        json.dumps(QUESTION).encode(),
    ]
    code, answers, said = evaluate("-", b"\n".join(lines))
    assert code == 1
    assert [str(answer.get("error", ""))[:26] for answer in answers] == [
        "timezone: 'Europe/Bern' is",
        "no JSON in UTF-8: Expectin",
        "no JSON object",
        "longer than 1,000,000 byte",
        "no JSON in UTF-8: 'utf-8' ",
        "",
    ]
    assert answers[0]["id"] == 7
    assert "line 4: longer than" in said


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """It is no question of working time."""
    assert evaluate(tmp_path / "none.jsonl")[0] == 1
