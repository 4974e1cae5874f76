"""The drill as a test: a small platform is backed up at work, destroyed, restored, and looked at from outside."""

import json
from pathlib import Path

import pytest

from tests.operations.platforms import done


@pytest.mark.slow
async def test_a_destroyed_platform_comes_back_from_its_backup(tmp_path: Path) -> None:
    """Everything acknowledged before the backup's instant is there, every invariant holds, the doctor is content."""
    ended = await done("drill", "--tickets", "300", "--json", "--directory", str(tmp_path))
    report = json.loads(ended.output)
    violated = {finding["invariant"]: finding["violations"] for finding in report["findings"] if finding["violations"]}
    assert violated == {}
    assert report["holds"] is True
    cases = {finding["invariant"]: finding["checked"] for finding in report["findings"]}
    assert cases["every ticket of the import drill is everywhere"] == 300
    assert cases["each breach is declared exactly once"] > 0
    assert cases["survey links in letters of the destroyed platform open"] > 0
    assert report["acknowledged_before"] > 0
    assert report["acknowledged_after"] > 0, "nothing was lost: the platform was not at work when it was destroyed"
    assert 0 < report["writers_stood_still_seconds"] < 5
    assert report["rto_seconds"] > 0
    assert not (tmp_path / "drill" / "restored").exists()
