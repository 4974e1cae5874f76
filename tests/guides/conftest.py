"""A platform whose topics have their plain names, as the guides show them."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from opora_embedded import Kafka
from tests.e2e.stack import Databases, Stack, running_stack


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def desk(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """Intake on a broker of its own. Tests keep apart by subjects and groups of their own."""
    with Kafka() as own:
        directory = tmp_path_factory.mktemp("guides")
        async with running_stack(directory, own, databases, ["intake all"], prefix="") as stack:
            yield stack
