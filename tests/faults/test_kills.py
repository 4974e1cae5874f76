"""Things that break under a whole platform in the middle of its work, and what is still true afterwards."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from opora_cli.mail_sink import MailSink
from opora_embedded import Kafka, Postgres
from tests.e2e.facts import Facts, watched_facts
from tests.e2e.stack import Databases, Stack, running_stack
from tests.faults.invariants import expect_nothing_lost
from tests.faults.traffic import running_traffic

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROCESSES = ("intake all", "sla all", "notify all", "feedback all")
FIRST_RESPONSE_SECONDS = 2
SETTINGS = {
    # A letter that a killed process had in hand is sent by another when its lease ends.
    "OPORA_SEND_TIMEOUT_SECONDS": "3",
    "OPORA_WEBHOOK_TIMEOUT_SECONDS": "3",
    "OPORA_LEASE_SECONDS": "5",
}


@pytest.fixture(scope="module")
def own_kafka() -> Iterator[Kafka]:
    """A broker that these tests may break."""
    with Kafka() as server:
        yield server


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[Postgres]:
    """A PostgreSQL that these tests may break."""
    with Postgres() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(
    own_kafka: Kafka, own_postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stack]:
    """All four services, with a mail server and an agreement under which a forgotten ticket is soon breached."""
    directory = tmp_path_factory.mktemp("faults")
    sink = MailSink(directory / "mail")
    sink.start()
    try:
        async with running_stack(
            directory,
            own_kafka,
            Databases(own_postgres, by_command=False),
            PROCESSES,
            smtp=sink.address,
            settings=SETTINGS,
        ) as running:
            async with running.client("sla") as sla:
                targets = {"P3": {"seconds": FIRST_RESPONSE_SECONDS}}
                agreement = {"name": "Within two seconds", "metrics": {"first_response": {"targets": targets}}}
                (await sla.post("/agreements", json=agreement)).raise_for_status()
            yield running
    finally:
        sink.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def facts(stack: Stack) -> AsyncIterator[Facts]:
    """Every fact of all these tests: what one of them broke must still hold after the next."""
    async with watched_facts(stack) as watched:
        yield watched


@pytest.mark.slow
@pytest.mark.parametrize("service", ["intake", "sla", "notify", "feedback"])
async def test_a_killed_service_loses_nothing(stack: Stack, facts: Facts, service: str) -> None:
    """Kill -9 in the middle of the work, and a new process: all that was acknowledged has its whole effect, once."""
    async with running_traffic(stack) as traffic:
        await traffic.goes_on()
        await stack.kill(f"{service} all")
        if service != "intake":
            await traffic.goes_on()  # without it
        await stack.start(f"{service} all")
        await traffic.goes_on()
    await expect_nothing_lost(stack, facts, traffic)


@pytest.mark.slow
async def test_a_terminated_service_finishes_its_work_and_exits_0(stack: Stack, facts: Facts) -> None:
    """SIGTERM in the middle of the work drains each service: exit code 0, and nothing is lost."""
    async with running_traffic(stack) as traffic:
        for name in ("feedback all", "notify all", "sla all", "intake all"):
            await traffic.goes_on(5)
            assert await stack.stop(name) == 0
        await stack.start(*PROCESSES)
        await traffic.goes_on(5)
    await expect_nothing_lost(stack, facts, traffic)


@pytest.mark.slow
async def test_a_restarted_database_is_waited_for(stack: Stack, facts: Facts, own_postgres: Postgres) -> None:
    """PostgreSQL is restarted and then killed: no service ends, and all of them catch up."""
    processes = pids(stack)
    async with running_traffic(stack) as traffic:
        for end in (own_postgres.stop, own_postgres.kill):
            await traffic.goes_on(5)
            await asyncio.to_thread(end)
            await asyncio.to_thread(own_postgres.start)
        await traffic.goes_on(5)
    await expect_nothing_lost(stack, facts, traffic)
    assert pids(stack) == processes


@pytest.mark.slow
async def test_a_restarted_broker_is_waited_for(stack: Stack, facts: Facts, own_kafka: Kafka) -> None:
    """Kafka is killed and started again: intake goes on taking requests, no service ends, and all of them catch up."""
    processes = pids(stack)
    async with running_traffic(stack) as traffic:
        await traffic.goes_on(5)
        await asyncio.to_thread(own_kafka.kill)
        await traffic.goes_on(5)  # without a broker
        await asyncio.to_thread(own_kafka.start)
        await traffic.goes_on(5)
    await expect_nothing_lost(stack, facts, traffic)
    assert pids(stack) == processes


def pids(stack: Stack) -> dict[str, int]:
    """The processes that run, by name."""
    return {name: process.pid for name, process in stack.running.items() if process.running}
