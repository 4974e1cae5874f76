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


def unpack(commit: str, directory: Path) -> None:
    """Put the release's sources there. Raises CalledProcessError when git has no such commit."""
    archive = subprocess.run(["git", "archive", commit], cwd=_CHECKOUT, capture_output=True, check=True)  # noqa: S607
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as opened:
        opened.extractall(directory, filter="data")


def python_path(directory: Path) -> str:
    """The PYTHONPATH that runs the services of unpacked sources instead of the installed ones."""
    return os.pathsep.join(str(path) for path in sorted(directory.glob("*/*/src")))
