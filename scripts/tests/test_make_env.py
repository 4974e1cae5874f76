"""The file of secrets for containers."""

import re
import stat
from pathlib import Path

import pytest

from scripts.tests.loading import load

make_env = load("make_env")
EXAMPLE = "# A word.\nPASSWORD=<generated password>\nAPI_KEY=<generated key>\nCLUSTER=<generated id>\nPORT=8081\n"


def test_every_secret_is_fresh_and_well_formed() -> None:
    """Passwords need no quoting, keys have the form that services take, comments and plain values stay."""
    first, second = make_env.environment(EXAMPLE, ""), make_env.environment(EXAMPLE, "")
    assert first != second
    assert re.fullmatch(
        r"# A word\.\nPASSWORD=[0-9a-f]{48}\nAPI_KEY=opk_[0-9A-Za-z]{43}\nCLUSTER=o[0-9A-Za-z_-]{21}\nPORT=8081\n",
        first,
    )


def test_existing_values_are_kept_and_missing_ones_added() -> None:
    """A second run changes nothing; a setting of a newer release arrives without touching the others."""
    written = make_env.environment(EXAMPLE, "")
    assert make_env.environment(EXAMPLE, written) == written
    grown = make_env.environment(EXAMPLE + "NEW_PORT=1\n", written.replace("PORT=8081", "PORT=9"))
    assert grown == written.replace("PORT=8081", "PORT=9") + "NEW_PORT=1\n"


def test_the_file_is_readable_by_its_owner_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets are nobody else's business."""
    (tmp_path / ".env.example").write_text(EXAMPLE)
    monkeypatch.setattr(make_env, "ROOT", tmp_path)
    assert make_env.main() == 0
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
