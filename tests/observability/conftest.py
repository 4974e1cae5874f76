"""A platform with an edge, a Prometheus and a day of work behind it, shared by the tests that look at it."""

import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import pytest_asyncio

from opora_chassis.testing import wait_until
from tests.observability.stage import (
    FASTER,
    Edge,
    Platform,
    Prometheus,
    running_edge,
    running_platform,
    running_prometheus,
)
from tests.programs import program

_DESK_SECONDS = 25
_DESK_TICKETS = 40
_DESK_ENDS_SECONDS = 240
_LOOK_BEHIND_SECONDS = 10
_WRONG_USAGE = 2


@pytest.fixture(scope="module")
def watched_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform with a process for each role; nothing is started where a program to watch it with is missing."""
    program("prometheus", "prometheus")
    program("haproxy", "haproxy")
    with running_platform(tmp_path_factory.mktemp("watched")) as platform:
        yield platform


@pytest.fixture(scope="module")
def edge(watched_platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """The edge before it."""
    with running_edge(tmp_path_factory.mktemp("edge"), watched_platform) as edge:
        yield edge


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def prometheus(
    watched_platform: Platform, edge: Edge, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Prometheus]:
    """Prometheus, once every target has answered it."""
    with running_prometheus(tmp_path_factory.mktemp("prometheus"), watched_platform, edge) as prometheus:
        # The edge is one more.
        targets = sum(len(service.processes) for service in watched_platform.endpoints.services.values()) + 1

        async def all_answer() -> bool:
            try:
                return len(await prometheus.series("up == 1")) == targets
            except httpx.TransportError:
                return False

        await wait_until(all_answer, 60, what="an answer of every target", poll_seconds=0.3)
        yield prometheus


@pytest.fixture(scope="module")
def worked_since(watched_platform: Platform, edge: Edge, prometheus: Prometheus) -> float:
    """The demonstration's desk has done its work, and others have asked at the edge; when that began, as Unix time."""
    began_at = time.time()
    key = watched_platform.endpoints.api_key
    command = [
        *(sys.executable, "-m", "opora_cli", "desk", "--directory", str(watched_platform.directory)),
        *("--seconds", str(_DESK_SECONDS), "--tickets", str(_DESK_TICKETS)),
    ]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as desk,
        httpx.Client(headers={"Authorization": f"Bearer {key}"}, timeout=30, trust_env=False) as caller,
    ):
        output = ""
        deadline = time.monotonic() + _DESK_ENDS_SECONDS
        while desk.returncode is None and time.monotonic() < deadline:
            for url in edge.urls.values():
                caller.get(f"{url}/v1/nothing-here")
            assert caller.get(f"{edge.urls['intake']}/v1/tickets").is_success
            try:
                output = desk.communicate(timeout=0.3)[0]
            except subprocess.TimeoutExpired:
                continue
        if desk.returncode is None:
            desk.kill()
        # Whether every invariant holds is asked elsewhere; here it is to have worked.
        assert desk.returncode is not None, "the desk did not come to its end"
        assert 0 <= desk.returncode < _WRONG_USAGE, output
    return began_at - _LOOK_BEHIND_SECONDS / FASTER
