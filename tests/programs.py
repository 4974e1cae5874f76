"""Programs that the project does not bring: a test that needs one is skipped where it is missing, but never in CI."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_QUIETLY = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=10000",
)


def program(name: str, package: str) -> str:
    """The path of a program. Without it the test is skipped, or, where the environment says CI=true, fails."""
    path = shutil.which(name)
    if path is None:
        reason = f"{name} is not installed: apt-get install --no-install-recommends {package}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


def browser() -> str:
    """The browser to use: the one named in OPORA_BROWSER, or one that is installed; missing, it ends as `program`."""
    named = os.environ.get("OPORA_BROWSER") or next(filter(shutil.which, _BROWSERS), None)
    return named or program("chromium", "chromium")


async def rendered(url: str, profile: Path) -> str:
    """The page's document as the browser has it in the end, after its scripts have run."""
    process = await asyncio.create_subprocess_exec(
        *(browser(), *_QUIETLY, "--dump-dom", f"--user-data-dir={profile}", url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        document, _ = await asyncio.wait_for(process.communicate(), 120)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return document.decode()
