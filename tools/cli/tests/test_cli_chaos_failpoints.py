"""A process that kills itself at a named point: without clean-up, at the pass that was asked for."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from opora_cli.chaos import failpoints

PROGRAM = """
import asyncio
from types import SimpleNamespace
from opora_chassis.database import Transaction

def emit():
    tx = Transaction.__new__(Transaction)
    tx._source, tx._written, tx._after_commit, tx._emitted = "/opora/intake", {("x", "live"): 1}, [], []
    return tx

print("begun", flush=True)
emit().committed()
print("passed once", flush=True)
emit().committed()
print("passed twice", flush=True)
"""


@pytest.mark.parametrize(("passes", "said"), [(1, ["begun"]), (2, ["begun", "passed once"])])
def test_the_process_is_gone_at_its_pass(tmp_path: Path, passes: int, said: list[str]) -> None:
    """By SIGKILL, before anything after the commit."""
    (tmp_path / "opora_made_up.py").write_text(PROGRAM)
    ended = subprocess.run(
        [sys.executable, "-m", failpoints.MODULE, f"after_commit:{passes}", "opora_made_up"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert ended.stdout.split("\n")[:-1] == said


def test_a_process_that_does_not_pass_it_ends_as_ever(tmp_path: Path) -> None:
    """The point changes nothing else."""
    (tmp_path / "opora_made_up.py").write_text("print('done')\n")
    ended = subprocess.run(
        [sys.executable, "-m", failpoints.MODULE, "before_commit:1", "opora_made_up"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, "done\n")
