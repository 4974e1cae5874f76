"""One intake for the kit, run by its processes on a real broker and database, and one run of every case against it."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio

from opora_cli.conformance.run import Report, run_cases
from opora_contracts.conformance import CASES, Run
from opora_embedded.testing import KafkaServer
from tests.conformance.kit import DEADLINE_SECONDS, target_of
from tests.e2e.stack import Databases, Stack, running_stack


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def platform(
    kafka: KafkaServer, databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stack]:
    """Intake in two processes, as operators run it: what consumes is not what answers."""
    directory = tmp_path_factory.mktemp("conformance")
    names = ["intake consume relay", "intake serve"]
    async with running_stack(directory, kafka, databases, names) as stack:
        yield stack


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def report(platform: Stack) -> Report:
    """What a run of every case saw."""
    return await run_cases(
        target_of(platform), CASES, Run(uuid4().hex), deadline_seconds=DEADLINE_SECONDS, say=lambda _: None
    )
