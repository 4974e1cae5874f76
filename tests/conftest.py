"""What the tests of the whole platform share: migrated databases, and the services' logs where a test fails."""

from collections.abc import Generator, Iterator

import pytest

from opora_embedded.testing import PostgresServer
from tests.e2e.stack import Databases, Stack


@pytest.fixture(scope="session")
def databases(postgres: PostgresServer) -> Iterator[Databases]:
    """Copies of migrated databases on the session's PostgreSQL."""
    made = Databases(postgres)
    yield made
    made.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of every process' log below a failure."""
    report = yield
    if report.failed:
        for stack in getattr(item, "funcargs", {}).values():
            if isinstance(stack, Stack):
                report.sections += [(f"log of {name}", tail) for name, tail in stack.log_tails()]
    return report
