"""What the documents say is what is there: tables, examples, links, commands, decisions."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperGroup

from opora_cli.main import app
from opora_contracts.reference import topics_table
from opora_sla.agreement import AgreementDocument

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")] if "node_modules" not in page.parts
)
DECISIONS = ROOT / "docs/decisions"
LINK = re.compile(r"(?:\]\(|^\[[^]]+\]: )(?!https?:|mailto:|#)([^)#\s]+)", re.MULTILINE)
MAKE = re.compile(r"`make ([a-z]+)\b|^\s*make ([a-z]+)\b", re.MULTILINE)
COMMAND = re.compile(r"(?:`|\.venv/bin/)opora ([a-z-]+)(?: ([a-z-]+))?")
PARTS_OF_A_DECISION = ["Context", "Decision", "Consequences", "Revisit trigger"]


def broken_links(page: Path) -> list[str]:
    """Links of a page to files that do not exist."""
    return [target for target in LINK.findall(page.read_text("utf-8")) if not (page.parent / target).exists()]


def named_targets(page: Path) -> Iterator[str]:
    """Targets of make that a page tells its reader to use."""
    for inline, block in MAKE.findall(page.read_text("utf-8")):
        yield inline or block


def test_the_topics_of_the_readme_are_the_registry() -> None:
    """The table of topics stands in the README exactly as the registry writes it."""
    assert topics_table("docs/events/") in (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("name", ["publish_event.py", "consume_events.py"])
def test_the_readme_shows_the_examples_as_they_are(name: str) -> None:
    """What the README shows of an example is its code, from the first import to the last line."""
    source = (ROOT / "docs/examples" / name).read_text("utf-8")
    code = source[source.index("import asyncio") :]
    assert f"```python\n{code}```" in (ROOT / "README.md").read_text("utf-8")


def test_the_agreement_of_the_readme_is_one_that_sla_takes() -> None:
    """The example of an agreement is read by the sla service's own model."""
    (example,) = re.findall(r"```json\n(\{\n.+?\n\})\n```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert AgreementDocument.model_validate_json(example).name == "Office hours"


def test_links_lead_to_files() -> None:
    """No page links to a file that is not there."""
    assert {page.name: broken for page in PAGES if (broken := broken_links(page))} == {}


def test_make_has_the_targets_that_the_pages_name() -> None:
    """Whoever types what a page says gets what it promises."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert {page.name: unknown for page in PAGES if (unknown := set(named_targets(page)) - targets)} == {}


def unknown_commands(page: Path, commands: dict[str, set[str]]) -> set[str]:
    """What a page tells its reader to type after `opora` that is no command, or no command of that group."""
    named = COMMAND.findall(page.read_text("utf-8"))
    return {
        f"{name} {sub}".rstrip()
        for name, sub in named
        if name not in commands or (sub and commands[name] and sub not in commands[name])
    }


def test_opora_has_the_commands_that_the_pages_name() -> None:
    """Every `opora …` in the documents is one, down to the subcommand."""
    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)
    commands = {
        name: set(command.commands) if isinstance(command, TyperGroup) else set()
        for name, command in root.commands.items()
    }
    assert {page.name: unknown for page in PAGES if (unknown := unknown_commands(page, commands))} == {}


def test_every_decision_has_its_four_parts_and_its_place_in_the_list() -> None:
    """A decision says why, what, at what price and when to look again; the list shows it under its own title."""
    index = (DECISIONS / "README.md").read_text("utf-8")
    pages = sorted(DECISIONS.glob("[0-9]*.md"))
    assert [page.name[:4] for page in pages] == [f"{number:04}" for number in range(1, len(pages) + 1)]
    for page in pages:
        text = page.read_text("utf-8")
        number, title = re.match(r"# (\d{4})\. (.+)\n", text).groups()  # type: ignore[union-attr]
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == PARTS_OF_A_DECISION, page.name
        assert f"| [{number}]({page.name}) | {title} |\n" in index
