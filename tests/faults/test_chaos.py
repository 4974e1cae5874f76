"""Everything that is promised, checked from outside after a platform of many processes was broken."""

import json
from pathlib import Path

import pytest

from tests.operations.platforms import opora

SEED = "1"


@pytest.mark.slow
async def test_the_short_tier_holds(tmp_path: Path) -> None:
    """Kills, lost answers, a suspended consumer, copies, poison, mail trouble: every invariant holds."""
    ended = await opora("chaos", "--seed", SEED, "--rate", "2", "--json", "--directory", str(tmp_path))
    assert ended.code == 0, ended.output + ended.errors
    report = json.loads(ended.output)
    assert report["holds"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rounds", "seed"),
    [
        # The timers' pauses grew from one short outage to the next: breaches came 16 s late.
        (("database-monkey",), "11"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else value,
)
async def test_a_seed_that_failed_once_holds(tmp_path: Path, rounds: tuple[str, ...], seed: str) -> None:
    """What the harness has found stays mended."""
    ended = await opora("chaos", *rounds, "--seed", seed, "--json", "--directory", str(tmp_path))
    assert ended.code == 0, ended.output + ended.errors
