"""Tests on a container engine. They run by `make test-containers`, and in CI where an engine can be had."""

import os
from collections.abc import AsyncIterator, Generator, Iterator

import pytest
import pytest_asyncio

from tests.containers.compose import Compose, built_images, new_project

RUNS = os.environ.get("OPORA_CONTAINER_TESTS") == "1"
collect_ignore_glob = [] if RUNS else ["test_*.py"]


def pytest_report_header() -> str:
    """Say what is left out, so that nothing is skipped silently."""
    return f"container tests: {'run' if RUNS else 'not run here; make test-containers runs them'}"


@pytest.fixture(scope="session")
def images() -> dict[str, int]:
    """The images of this checkout, built, and the size of each in bytes."""
    return built_images()


@pytest.fixture(scope="session")
def project(images: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """A platform on containers with the mail sink and Kafka reachable from outside, taken down with its volumes."""
    compose = new_project(tmp_path_factory.mktemp("compose"))
    try:
        compose.up()
        yield compose
    finally:
        compose.down(volumes=True)


@pytest_asyncio.fixture
async def platform(project: Compose) -> AsyncIterator[Compose]:
    """The platform, healthy before and after: a test that breaks it mends it."""
    project.wait()
    yield project
    project.wait()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the containers said last below a failure."""
    report = yield
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, Compose):
                report.sections.append(("containers", value.logs()))
    return report
