"""The guide for Java, tried: its programs, run from their sources on the jars that the platform's own broker uses."""

import asyncio
from pathlib import Path

from opora_embedded.jars import prepare_jars
from tests.e2e.stack import Stack
from tests.guides.running import check_consumer, check_publisher
from tests.programs import program

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "java"


async def test_the_programs_in_java_work(desk: Stack, tmp_path: Path) -> None:
    """Published twice is one ticket; each fact is printed once, and committed after that."""
    java = program("java", "a JDK, 17 or later (Debian: default-jdk-headless)")
    program("javac", "a JDK, not only a runtime (Debian: default-jdk-headless)")
    jars = await asyncio.to_thread(prepare_jars)
    run = [java, "-cp", f"{jars[0].parent}/*"]
    ticket = await check_publisher([*run, str(EXAMPLES / "PublishEvent.java")], desk, tmp_path)
    await check_consumer([*run, str(EXAMPLES / "ConsumeEvents.java")], desk, tmp_path, ticket)
