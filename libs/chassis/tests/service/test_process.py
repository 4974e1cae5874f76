"""A service's parts in one process, as services' own tests run them."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from opora_chassis.migrations import migrate
from opora_chassis.process import Process, loop_pause
from opora_chassis.service import Loop, Parts, Service, StartError
from opora_chassis.settings import ServiceSettings
from opora_chassis.testing import running_service, wait_until

NO_MIGRATIONS = Path(__file__).parent / "no_migrations"


def service_with(*loops: Loop) -> Service:
    """A service of nothing but loops."""
    return Service("sample", ServiceSettings, NO_MIGRATIONS, lambda _platform: Parts(loops=loops))


async def test_a_running_service_answers_and_ends_well(kafka: Any, database: str) -> None:
    """All roles start, readiness lists their checks, and the end of the block drains them."""
    async with running_service(service_with(), kafka, database) as sample:
        ready = await sample.client.get("/health/ready")
        assert ready.status_code == 200, ready.text
        assert [check["name"] for check in ready.json()["checks"]] == ["process", "relay", "database"]
        assert "opora_relay_shards" in (await sample.client.get("/metrics")).text
        assert await sample.database.fetchval("select count(*) from outbox") == 0


async def test_a_loop_that_raises_is_begun_again(kafka: Any, database: str) -> None:
    """A failure is logged and counted, and the loop gets another try."""
    tries: list[int] = []

    async def flaky(stop: asyncio.Event) -> None:
        tries.append(1)
        if len(tries) < 3:
            raise RuntimeError("not yet")
        await stop.wait()

    async with running_service(service_with(Loop("flaky", flaky)), kafka, database) as sample:
        await sample.wait_until(lambda: len(tries) == 3)
        metrics = (await sample.client.get("/metrics")).text
        assert 'opora_loop_failures_total{loop="flaky",service="sample"} 2.0' in metrics


def test_a_loop_returns_soon_after_an_outage_and_seldom_to_a_bug() -> None:
    """However long a server was away the loop looks every second; one that fails by itself pauses up to 30 s."""
    outage, bug = ConnectionResetError("away"), RuntimeError("a bug")
    assert [loop_pause(failures, outage, jitter=1) for failures in (1, 3, 5, 6, 1000)] == [0.1, 0.4, 1, 1, 1]
    assert [loop_pause(failures, bug, jitter=1) for failures in (1, 3, 8, 9, 1000)] == [0.2, 0.8, 25.6, 30, 30]
    assert loop_pause(9, None, jitter=0) == 15


async def test_a_loop_that_hangs_fails_the_test_that_ran_it(kafka: Any, database: str) -> None:
    """The drain names it."""

    async def deaf(_stop: asyncio.Event) -> None:
        await asyncio.Event().wait()

    with pytest.raises(AssertionError, match="deaf"):
        async with running_service(service_with(Loop("deaf", deaf)), kafka, database, grace_seconds=0.2):
            pass


async def test_missing_topics_refuse_the_start(kafka: Any, database: str) -> None:
    """The broker lacks what the registry says: the start is refused with what is missing and the command."""
    service = service_with()
    await migrate(database, service.all_migrations())
    settings = service.settings(
        database_dsn=SecretStr(database), kafka_bootstrap=kafka.bootstrap, topic_prefix="nobody-made."
    )
    process = Process(service, settings, frozenset({"relay"}))
    with pytest.raises(StartError, match=r"nobody-made\.opora\.tickets does not exist: run `opora topics create`"):
        await process.run()
    assert await process.drain() == []


async def test_a_port_in_use_refuses_the_start(kafka: Any, database: str) -> None:
    """The message names the port and the setting."""
    async with running_service(service_with(), kafka, database) as first:
        port = int(first.process.address.rpartition(":")[2])
        settings = first.platform.settings.model_copy(update={"http_port": port})
        second = Process(service_with(), settings, frozenset({"serve"}))
        with pytest.raises(StartError, match="OPORA_HTTP_PORT"):
            await second.run()
        assert await second.drain() == []


async def test_waiting_tells_what_it_waited_for() -> None:
    """A condition that never holds fails with its name and its last value."""

    def never() -> int:
        return 0

    with pytest.raises(AssertionError, match=r"never did not hold within 0.05 s; last: 0"):
        await wait_until(never, 0.05)
