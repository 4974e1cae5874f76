"""Programs that the project does not bring: a test that needs one is skipped where it is missing, but never in CI."""

import os
import shutil

import pytest

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


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
