"""The guides show their programs as they are."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
GUIDES = ROOT / "docs" / "guides"
FENCES = {".java": "java", ".go": "go", ".mjs": "js", ".py": "python"}
PROGRAMS = sorted(path for path in EXAMPLES.rglob("*") if path.suffix in FENCES and "node_modules" not in path.parts)
WITHOUT_A_GUIDE = {"publish_event.py", "consume_events.py"}
"""Shown by the README."""


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
def test_a_guide_shows_the_program_as_it_is(program: Path) -> None:
    """Every example stands whole in the guide of its language, from its first line to its last."""
    if program.name in WITHOUT_A_GUIDE:
        shown = program.read_text("utf-8")
        assert shown[shown.index("import asyncio") :] in (ROOT / "README.md").read_text("utf-8")
        return
    language = program.relative_to(EXAMPLES).parts[0] if program.parent != EXAMPLES else "python"
    guide = (GUIDES / f"{language}.md").read_text("utf-8")
    assert f"```{FENCES[program.suffix]}\n{program.read_text('utf-8')}```" in guide


def test_every_guide_is_in_the_overview() -> None:
    """Whoever opens the overview finds every guide."""
    overview = (GUIDES / "README.md").read_text("utf-8")
    guides = {path.name for path in GUIDES.glob("*.md")} - {"README.md"}
    assert {"python.md", "java.md", "go.md", "node.md", "kcat.md"} <= guides
    assert {name for name in guides if f"]({name})" not in overview} == set()
