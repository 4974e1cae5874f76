"""What a run writes into docs/reliability.md."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from opora_cli.chaos.reliability import BEGIN, END, with_run

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PAGE = f"# Title\n\n{BEGIN}\n\nthe last one\n\n{END}\n\nafter\n"


def report(*violations: str) -> dict[str, Any]:
    finding = {"id": "I1", "invariant": "no lost ticket", "checked": 1200, "violations": list(violations)}
    one = {
        "rounds": ["kill -9 of each role"],
        "faults": ["kill sla"],
        "acknowledged": 1500,
        "settled_after_seconds": 4.2,
        "seconds": 90.0,
        "findings": [finding],
    }
    return {"seed": 7, "rounds": [one], "sometimes": {"a key was parked": 3}}


def test_the_part_of_the_run_is_replaced() -> None:
    """What stands around it stays."""
    page = with_run(PAGE, report(), AT)
    assert page.startswith("# Title")
    assert page.endswith("after\n")
    assert "the last one" not in page
    assert (
        "Run of 2026-03-01, seed 7: 1 rounds, 1 faults, 1,500 writes acknowledged in 2 minutes, 0 violations." in page
    )
    assert "| kill -9 of each role | 1 | 1500 | 4 s | 1,200 |" in page
    assert "| a key was parked | 3 |" in page
    assert with_run(page, report(), AT) == page


def test_violations_are_not_hidden() -> None:
    """Each is named, and the cell says how many there are."""
    page = with_run(PAGE, report("ticket 1 is lost", "ticket 2 is lost"), AT)
    assert "**2 violated**" in page
    assert "* ticket 2 is lost" in page


def test_a_page_without_a_place_is_refused() -> None:
    """Nothing is written where it was not asked for."""
    with pytest.raises(ValueError, match="the page lacks the lines"):
        with_run("# Title\n", report(), AT)


def test_the_page_of_the_repository_has_its_place() -> None:
    """`make chaos` can write into it."""
    page = Path(__file__).parents[3] / "docs" / "reliability.md"
    assert "seed 7" in with_run(page.read_text(), report(), AT)
