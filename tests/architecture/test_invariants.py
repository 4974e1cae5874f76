"""ARCHITECTURE.md promises; this holds it to its word: every invariant names tests, and every named test exists."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEADING = "## Invariants"
TEST = re.compile(r"`([\w./-]+\.py)::(\w+)`")


def invariants(page: str) -> dict[str, list[tuple[str, str]]]:
    """The table under the heading: each invariant with its guards as (path, test)."""
    section = page.partition(f"\n{HEADING}\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return {row[0].strip(): TEST.findall(row[-1]) for row in rows[2:]}


def missing(guards: list[tuple[str, str]], root: Path) -> list[str]:
    """Those guards whose file or function does not exist."""
    return [f"{path}::{test}" for path, test in guards if test not in functions_of(root / path)]


def functions_of(path: Path) -> set[str]:
    """Names of the functions that a file defines, read without importing it; empty when there is no such file."""
    if not path.is_file():
        return set()
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_invariant_is_guarded_by_tests_that_exist() -> None:
    """No line of the table is without a test, and no test that it names was renamed or deleted."""
    table = invariants((ROOT / "ARCHITECTURE.md").read_text("utf-8"))
    assert table, "ARCHITECTURE.md has no table under its heading Invariants"
    assert [invariant for invariant, guards in table.items() if not guards] == []
    assert {name: gone for name, guards in table.items() if (gone := missing(guards, ROOT))} == {}


def test_the_check_finds_what_is_missing(tmp_path: Path) -> None:
    """A row without a test, a file that is gone and a test that was renamed are all seen."""
    (tmp_path / "test_it.py").write_text(
        '"""Talks of test_deleted only in words."""\nasync def test_it() -> None: ...\n'
    )
    page = (
        "# A page\n\n## Invariants\n\n| invariant | guarded by |\n|---|---|\n"
        "| kept | `test_it.py::test_it` |\n| bare | nothing |\n"
        "| broken | `gone.py::test_it`, `test_it.py::test_deleted` |\n\n## Next\n\n| no | row |\n"
    )
    table = invariants(page)
    assert list(table) == ["kept", "bare", "broken"]
    assert table["bare"] == []
    assert missing(table["kept"], tmp_path) == []
    assert missing(table["broken"], tmp_path) == ["gone.py::test_it", "test_it.py::test_deleted"]
