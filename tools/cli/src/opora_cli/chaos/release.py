"""The release before this one, as source: so that its processes can work beside this one's."""

import io
import os
import re
import subprocess
import tarfile
from pathlib import Path

_RELEASE = re.compile(r"^## \[(\d+\.\d+\.\d+)\].*commit `([0-9a-f]{7,40})`", re.MULTILINE)
_CHECKOUT = Path(__file__).parents[5]


def previous_release() -> tuple[str, str] | None:
    """(version, commit) of the newest release in CHANGELOG.md; None outside a checkout with its history."""
    changelog = _CHECKOUT / "CHANGELOG.md"
    if not (_CHECKOUT / ".git").exists() or not changelog.exists():
        return None
    found = _RELEASE.search(changelog.read_text())
    return None if found is None else (found[1], found[2])


def unpack(commit: str, directory: Path) -> str:
    """Put the release's sources there; returns the PYTHONPATH that runs them instead of the installed ones.

    Raises CalledProcessError when git has no such commit.
    """
    command = ["git", "archive", commit, "libs", "services"]
    archive = subprocess.run(command, cwd=_CHECKOUT, capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as opened:
        opened.extractall(directory, filter="data")
    return os.pathsep.join(str(path) for path in sorted(directory.glob("*/*/src")))
