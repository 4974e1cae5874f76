"""The guide for Node, tried."""

import json
import shutil
from pathlib import Path

from tests.e2e.stack import Stack
from tests.guides.running import check_consumer, check_publisher, run
from tests.programs import program

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "node"


async def test_the_programs_for_node_work(desk: Stack, tmp_path: Path) -> None:
    """They run on the locked packages; published twice is one ticket; each fact is printed once, then committed."""
    node = program("node", "Node 20 or later")
    npm = program("npm", "npm")
    sources = shutil.copytree(EXAMPLES, tmp_path / "node", ignore=shutil.ignore_patterns("node_modules"))
    await run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], desk, sources)
    ticket = await check_publisher([node, "publish-event.mjs"], desk, sources)
    await check_consumer([node, "consume-events.mjs"], desk, sources, ticket)


def test_the_lock_names_no_place_of_download() -> None:
    """Whoever has a registry of their own can use the lock: it pins content, not addresses."""
    lock = json.loads((EXAMPLES / "package-lock.json").read_text("utf-8"))
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert len(packages) > 3
    assert [name for name, package in packages.items() if "resolved" in package] == []
    assert [name for name, package in packages.items() if "integrity" not in package] == []
