"""The guide for Go, tried."""

import shutil
from pathlib import Path

from tests.e2e.stack import Stack
from tests.guides.running import check_consumer, check_publisher, run
from tests.programs import program

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "go"


async def test_the_programs_in_go_work(desk: Stack, tmp_path: Path) -> None:
    """They build from the committed sums; published twice is one ticket; each fact is printed once, then committed."""
    go = program("go", "Go 1.26 or later")
    sources = shutil.copytree(EXAMPLES, tmp_path / "go")
    await run([go, "build", "-mod=readonly", "-o", f"{tmp_path}/", "./publish", "./consume"], desk, sources)
    await run([go, "vet", "./..."], desk, sources)
    ticket = await check_publisher([str(tmp_path / "publish")], desk, tmp_path)
    await check_consumer([str(tmp_path / "consume")], desk, tmp_path, ticket)
