"""The runbook's commands: each is one, with these arguments."""

import shlex
from typing import Any

import pytest
import typer.main
from typer.core import TyperGroup

from opora_cli.main import app
from tests.observability.files import ROOT, RUNBOOK, commands

PAGES = (RUNBOOK, ROOT / "docs/operations/monitoring.md")
PLACEHOLDERS = {"SERVICE": "intake", "KEY": "case-7", "ID": "01900000-0000-7000-8000-000000000001"}
WRONG_USAGE: Any = typer.BadParameter.__base__
"""What a command line is refused with."""
TOLD = sorted({command for page in PAGES for command in commands(page.read_text("utf-8"))})


@pytest.mark.parametrize("command", TOLD)
def test_a_command_of_the_runbook_can_be_typed(command: str) -> None:
    """Subcommand, options and arguments are what the program takes, or a script that is there."""
    program, *words = [PLACEHOLDERS.get(word, word) for word in shlex.split(command)]
    if program == "python":
        assert (ROOT / words[0]).is_file()
        return
    assert program == "opora"
    parse(typer.main.get_command(app), words)


def test_a_wrong_command_is_noticed() -> None:
    """The check is no formality: an option that was renamed and a command that is gone are seen."""
    root = typer.main.get_command(app)
    for words in (["dead-letters", "list", "--of", "sla"], ["heal"], ["dead-letters", "show"]):
        with pytest.raises(WRONG_USAGE):
            parse(root, words)


def parse(command: Any, words: list[str], parent: Any = None) -> None:
    """Parse as the program would, down to the last subcommand, and run nothing. Raises what wrong usage raises."""
    with command.make_context(command.name, list(words), parent=parent) as context:
        if isinstance(command, TyperGroup):
            _, chosen, left = command.resolve_command(context, [*context._protected_args, *context.args])
            parse(chosen, left, context)
