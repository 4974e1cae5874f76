"""Everything that is promised, checked from outside after a platform of many processes was broken."""

import json
from pathlib import Path

import pytest

from tests.operations.platforms import opora

SEED = "11"
"""Under which the harness has found most: what it found stays mended."""


@pytest.mark.slow
async def test_the_short_tier_holds(tmp_path: Path) -> None:
    """Kills, lost answers, a database killed time and again, a consumer that hangs, copies, poison, mail: all holds."""
    ended = await opora("chaos", "--seed", SEED, "--rate", "2", "--json", "--directory", str(tmp_path))
    assert ended.code == 0, ended.output + ended.errors
    report = json.loads(ended.output)
    assert report["holds"]
