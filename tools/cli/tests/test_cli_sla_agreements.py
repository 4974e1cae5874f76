"""`opora sla agreements preview` and `migrate` against written-down answers of sla."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from opora_cli.errors import CommandError
from opora_cli.main import app
from opora_sla import changes_examples
from tools.cli.tests.platforms import answering

AGREEMENT = changes_examples.CHANGE["agreement_id"]
CHANGES = f"/v1/agreements/{AGREEMENT}/changes"
ANSWERS: dict[str, Any] = {
    f"/v1/agreements/{AGREEMENT}/preview": changes_examples.PREVIEW,
    CHANGES: changes_examples.CHANGE | {"finished_at": None, "examined": 0, "migrated": 0, "effects": {}},
    f"{CHANGES}/{changes_examples.CHANGE['id']}": changes_examples.CHANGE,
}
ONE = "{name: A, metrics: {resolution: {targets: {P1: {hours: 4}}}}}"
DRAFT = "name: Gold\nmetrics: {resolution: {targets: {P1: {hours: 4}}}}\n"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A platform that gives the answers above, and what it was asked."""
    with answering(ANSWERS) as (endpoints, paths):
        monkeypatch.setenv("OPORA_ENDPOINTS", endpoints)
        monkeypatch.setenv("OPORA_API_KEY", "opk_x")
        yield paths


def told(*words: str) -> str:
    """What the command prints when it ends well."""
    result = CliRunner().invoke(app, ["sla", "agreements", *words], env={"COLUMNS": "220"})
    assert result.exit_code == 0, result.exception or result.output
    return result.stdout


def draft(tmp_path: Path, text: str = DRAFT) -> str:
    (tmp_path / "draft.yaml").write_text(text)
    return str(tmp_path / "draft.yaml")


def test_a_preview_lists_the_clocks_that_would_differ(asked: list[str], tmp_path: Path) -> None:
    """With their due dates before and after, and what it rests on; or as JSON."""
    text = " ".join(told("preview", AGREEMENT, draft(tmp_path)).replace("│", " ").split())
    assert "OP-1042 resolution 1 due earlier open, due 2026-03-05T08:00:00Z, target 24 h" in text
    assert "open, due 2026-03-04T12:00:00Z, target 20 h" in text
    assert text.endswith("due earlier: 1 1 open tickets examined, nothing changed")
    found = json.loads(told("preview", AGREEMENT, draft(tmp_path), "--json"))
    assert found == {name: changes_examples.PREVIEW[name] for name in ("examined", "effects", "changes")}
    short = told("preview", AGREEMENT, draft(tmp_path), "--limit", "0")
    assert "1 more clocks are not listed" in short


def test_going_over_is_waited_for(asked: list[str]) -> None:
    """The command ends when the request is done, and says what it did; or at once."""
    text = told("migrate", AGREEMENT)
    assert "412 of 412 open tickets went over to version 2; done" in text
    assert "newly breached: 3" in text
    assert len(asked) == 2
    assert "goes on" in told("migrate", AGREEMENT, "--no-wait")
    assert json.loads(told("migrate", AGREEMENT, "--json")) == changes_examples.CHANGE


@pytest.mark.parametrize(("text", "words"), [(f"- {ONE}\n- {ONE}\n", "2 agreements"), ("name: A\n", "metrics")])
def test_a_draft_is_one_agreement(asked: list[str], tmp_path: Path, text: str, words: str) -> None:
    """Two, or one that is none, are refused with what is wrong."""
    result = CliRunner().invoke(app, ["sla", "agreements", "preview", AGREEMENT, draft(tmp_path, text)])
    assert isinstance(result.exception, CommandError)
    assert words in str(result.exception)
    assert asked == []
