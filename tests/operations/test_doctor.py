"""What the doctor finds on a running platform: each finding is really caused, seen with its next command, and mended.

The platform is one that something else runs: processes by role, on servers of their own that these tests may harm.
"""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from opora_chassis.clock import host_now
from opora_chassis.testing import wait_until
from opora_cli.backup.log import set_positions
from opora_cli.doctor import databases as database_examination
from opora_cli.doctor import diagnosis
from opora_cli.doctor.broker import read_positions
from opora_cli.doctor.commands import examine
from opora_cli.doctor.diagnosis import Diagnosis, judge_consumption
from opora_cli.doctor.disks import examine_brokers_disks, examine_own_disk
from opora_cli.endpoints import Endpoints, ProcessEndpoint, ServiceEndpoint, write_endpoints, write_private
from opora_contracts.topics import NOTIFICATIONS, REQUESTS
from opora_embedded import Kafka, Postgres
from tests.e2e.stack import Databases, Stack, running_stack
from tests.operations.platforms import opora

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

PROCESSES = (
    "intake serve consume",
    "intake relay",
    "sla serve consume",
    "sla relay timers",
    "notify all",
    "feedback all",
)
SETTINGS = {"OPORA_FUSE_LIMIT": "3", "OPORA_FUSE_RETRY_SECONDS": "0.5"}
LOOK_SECONDS = 1.5


@pytest.fixture(scope="module")
def own_kafka() -> Iterator[Kafka]:
    """A broker with nobody else's topics on it."""
    with Kafka() as server:
        yield server


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[Postgres]:
    """A database server of these tests alone."""
    with Postgres() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(
    own_kafka: Kafka, own_postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stack]:
    """All four services, by role where a role is to be harmed alone."""
    databases = Databases(own_postgres, by_command=False)
    directory = tmp_path_factory.mktemp("doctor")
    async with running_stack(directory, own_kafka, databases, PROCESSES, prefix="", settings=SETTINGS) as running:
        yield running
    databases.close()


@pytest.fixture(scope="module")
def endpoints(stack: Stack) -> Endpoints:
    """The description of the platform, in the stack's directory."""
    write_private(stack.directory / "api-key", stack.api_key)
    services = {
        service: ServiceEndpoint(
            url=stack.urls[service],
            database_dsn=dsn,
            processes=tuple(
                ProcessEndpoint(
                    name=name.replace(" ", "-"), roles=tuple(name.split()[1:]), url=stack.process_urls[name]
                )
                for name in PROCESSES
                if name.split()[0] == service
            ),
        )
        for service, dsn in stack.dsns.items()
    }
    described = Endpoints(
        kafka_bootstrap=stack.kafka_bootstrap,
        services=services,
        api_key_file=stack.directory / "api-key",
        smtp="127.0.0.1:9",
    )
    write_endpoints(stack.directory, described)
    return described


async def findings(endpoints: Endpoints, directory: Path) -> dict[str, Diagnosis]:
    """What the doctor calls wrong, by subject."""
    diagnoses = await examine(endpoints, directory, look_seconds=LOOK_SECONDS)
    return {one.subject: one for one in diagnoses if one.problem}


async def expect_well(endpoints: Endpoints, directory: Path) -> None:
    """Sooner or later nothing is wrong any more."""

    async def well() -> bool:
        wrong = await findings(endpoints, directory)
        assert wrong == {}, wrong
        return True

    await wait_until(well, 90, what="a doctor who finds nothing", poll_seconds=0.5)


async def new_ticket(stack: Stack) -> None:
    """One more ticket."""
    async with stack.client("intake") as intake:
        (await intake.post("/tickets", json={"title": "It hurts"})).raise_for_status()


async def execute(stack: Stack, service: str, *statements: str) -> None:
    """Change something behind a service's back."""
    connection = await asyncpg.connect(stack.dsns[service], timeout=10)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_a_healthy_platform_has_nothing_wrong(stack: Stack, endpoints: Endpoints) -> None:
    """Exit code 0, also as JSON, with every subject named."""
    await new_ticket(stack)
    await expect_well(endpoints, stack.directory)
    ended = await opora("doctor", "--json", "--directory", str(stack.directory))
    assert ended.code == 0, ended.output
    subjects = {one["subject"] for one in json.loads(ended.output)}
    assert {
        "topics",
        "sla on opora.tickets",
        "sla: watermarks",
        "intake: outbox",
        "notify: migrations",
        "feedback: database clock",
        "opora.tickets: its owner's memory",
        "intake-relay: health",
    } <= subjects
    assert any(subject.startswith("disk of broker 1") for subject in subjects)


async def test_topics_that_differ_from_the_registry(stack: Stack, endpoints: Endpoints) -> None:
    """Other retention, more partitions, missing: three findings with three commands, two of which mend it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka_bootstrap)
    await admin.start()
    try:
        resource = ConfigResource(ConfigResourceType.TOPIC, NOTIFICATIONS.name, configs={"retention.ms": "3600000"})
        await admin.alter_configs([resource])
        found = (await findings(endpoints, stack.directory))["topics"]
        assert "opora.notifications has retention.ms=3600000, the registry says -1" in found.problem
        assert found.next_command == "opora topics configure"
        assert (await opora("topics", "configure", "--directory", str(stack.directory))).output == (
            "changed opora.notifications\n"
        )
        await admin.create_partitions({NOTIFICATIONS.name: NewPartitions(13)})
        found = (await findings(endpoints, stack.directory))["topics"]
        assert "has 13 partitions, the registry says 12" in found.problem
        assert found.next_command == "opora topics check"
        await admin.delete_topics([NOTIFICATIONS.name])

        async def missing() -> bool:
            return "does not exist" in (await findings(endpoints, stack.directory))["topics"].problem

        await wait_until(missing, 30)
        assert (await findings(endpoints, stack.directory))["topics"].next_command == "opora topics create"
    finally:
        await admin.close()
    assert (await opora("topics", "create", "--directory", str(stack.directory))).code == 0
    await expect_well(endpoints, stack.directory)


@pytest.mark.parametrize(
    ("harm", "mend", "words", "next_command"),
    [
        (
            "delete from migrations where file_name = '0001_pre_schema.sql'",
            "insert into migrations values ('feedback', 1, '0001_pre_schema.sql', 'CHECKSUM', now())",
            "not applied: feedback/0001_pre_schema.sql",
            "opora migrate --service feedback",
        ),
        (
            "update migrations set checksum = 'other' where file_name = '0001_pre_schema.sql'",
            "update migrations set checksum = 'CHECKSUM' where file_name = '0001_pre_schema.sql'",
            "was changed after it had been applied",
            "git diff --",
        ),
        (
            "insert into migrations values ('feedback', 900, '0900_pre_x.sql', 'x', now())",
            "delete from migrations where number = 900",
            "has feedback/0900_pre_x.sql, of a later release",
            "git log -1",
        ),
    ],
    ids=["missing", "changed", "of a later release"],
)
async def test_a_schema_that_is_not_this_releases(  # noqa: PLR0917 - four words of a table
    stack: Stack, endpoints: Endpoints, harm: str, mend: str, words: str, next_command: str
) -> None:
    """A migration that was not applied, was changed, or is unknown here."""
    connection = await asyncpg.connect(stack.dsns["feedback"])
    checksum = await connection.fetchval(
        "select checksum from migrations where set_name = 'feedback' and file_name = '0001_pre_schema.sql'"
    )
    await connection.close()
    await execute(stack, "feedback", harm)
    found = (await findings(endpoints, stack.directory))["feedback: migrations"]
    assert words in found.problem
    assert found.next_command.startswith(next_command)
    await execute(stack, "feedback", mend.replace("CHECKSUM", checksum))
    await expect_well(endpoints, stack.directory)


async def test_a_consumer_that_stands_still(stack: Stack, endpoints: Endpoints) -> None:
    """Its group lives and its database holds it up: what waits is seen not to move."""
    connection = await asyncpg.connect(stack.dsns["sla"])
    try:
        async with connection.transaction():
            await connection.execute("lock table applied in access exclusive mode")
            await new_ticket(stack)

            async def still() -> Diagnosis | None:
                return (await findings(endpoints, stack.directory)).get("sla on opora.tickets")

            found = await wait_until(still, 30)
    finally:
        await connection.close()
    assert "it stands still" in found.problem
    assert found.measured.endswith("1 processes")
    await expect_well(endpoints, stack.directory)


async def test_a_process_that_is_stopped(stack: Stack, endpoints: Endpoints) -> None:
    """A frozen consumer of sla: it does not answer, soon nobody consumes, and watermarks stand still."""
    stack.pause("sla serve consume")
    try:

        async def nobody() -> dict[str, Diagnosis] | None:
            wrong = await findings(endpoints, stack.directory)
            found = wrong.get("sla on opora.tickets")
            return wrong if found is not None and "no process consumes" in found.problem else None

        wrong = await wait_until(nobody, 60)
    finally:
        stack.resume("sla serve consume")
    assert "does not answer" in wrong["sla-serve-consume: health"].problem
    assert "sla does not follow the marks" in wrong["sla: watermarks"].problem
    await expect_well(endpoints, stack.directory)


async def test_a_relay_that_is_stuck_and_one_that_is_gone(stack: Stack, endpoints: Endpoints) -> None:
    """Frozen, it keeps its shards and sends nothing, no mark either; killed, nobody holds a shard."""
    stack.pause("intake relay")
    try:
        await new_ticket(stack)
        # As if it had been waiting for a minute.
        await execute(stack, "intake", "update outbox set created_at = created_at - interval '1 minute'")
        wrong = await findings(endpoints, stack.directory)
    finally:
        stack.resume("intake relay")
    assert "the relay is stuck" in wrong["intake: outbox"].problem
    assert "intake's relay publishes no marks" in wrong["sla: watermarks"].problem
    await stack.kill("intake relay")
    try:
        wrong = await findings(endpoints, stack.directory)
    finally:
        await stack.start("intake relay")
    assert "no relay is at work" in wrong["intake: outbox"].problem
    assert wrong["intake: outbox"].next_command == "opora status"
    assert "does not answer" in wrong["intake-relay: health"].problem
    await expect_well(endpoints, stack.directory)


async def test_a_broken_event(stack: Stack, endpoints: Endpoints) -> None:
    """A dead letter and its parked key; discarding it mends it."""
    producer = AIOKafkaProducer(bootstrap_servers=stack.kafka_bootstrap)
    await producer.start()
    await producer.send_and_wait(REQUESTS.name, b"no event", key=b"broken")
    await producer.stop()

    async def letter() -> Diagnosis | None:
        return (await findings(endpoints, stack.directory)).get("intake: dead letters")

    found = await wait_until(letter, 30)
    assert found.measured == "1, 1 parked keys"
    assert found.next_command == "opora dead-letters list --service intake"
    listed = await opora(*found.next_command.split()[1:], "--json", "--directory", str(stack.directory))
    (dead,) = json.loads(listed.output)
    ended = await opora(
        *("dead-letters", "discard", dead["id"], "--yes", "--directory", str(stack.directory)),
        OPORA_SIGNING_SECRET="not needed to discard",
    )
    assert ended.code == 0, ended.errors
    await expect_well(endpoints, stack.directory)


async def test_a_blown_fuse(stack: Stack, endpoints: Endpoints) -> None:
    """A table is gone, as after a bad deploy: consumption stops; with the table back it goes on, and letters too."""
    await execute(stack, "notify", "alter table tickets rename to tickets_elsewhere")
    try:
        for _ in range(4):
            await new_ticket(stack)

        async def blown() -> dict[str, Diagnosis] | None:
            wrong = await findings(endpoints, stack.directory)
            return wrong if "notify-all: fuse of opora.tickets" in wrong else None

        wrong = await wait_until(blown, 60)
    finally:
        await execute(stack, "notify", "alter table tickets_elsewhere rename to tickets")
    assert wrong["notify-all: fuse of opora.tickets"].next_command == "opora dead-letters list --service notify"
    assert "the fuse has blown" in wrong["notify-all: health"].problem

    async def redriven() -> bool:
        ended = await opora("dead-letters", "redrive", "--all", "-s", "notify", "--directory", str(stack.directory))
        wrong = await findings(endpoints, stack.directory)
        return ended.code == 0 and wrong == {}

    await wait_until(redriven, 90, poll_seconds=1)


async def test_a_clock_that_is_wrong(stack: Stack, endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    """This host's clock stands five seconds behind the database's."""
    monkeypatch.setattr(database_examination, "host_now", lambda: host_now() - timedelta(seconds=5))
    found = (await findings(endpoints, stack.directory))["sla: database clock"]
    assert found.measured.startswith("+5.0")
    assert found.next_command == "timedatectl status"


async def test_a_disk_that_will_soon_be_full(
    stack: Stack, endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is really free, on the broker's disk and on ours, against a demand that no disk meets."""
    monkeypatch.setattr(diagnosis, "MIN_FREE_BYTES", 10**18)
    broker, own = await examine_brokers_disks(endpoints.kafka_bootstrap), examine_own_disk(stack.directory)
    for (found,) in (broker, own):
        assert "it will soon be full" in found.problem
        assert found.next_command == "df -h"
    totals = {one.measured.partition(" of ")[2] for one in (*broker, *own)}
    assert len(totals) == 1, "the broker runs on this very disk"


async def test_a_database_that_is_older_than_its_log(stack: Stack, endpoints: Endpoints) -> None:
    """The numbers of sla are set back, as by a dump of yesterday: it would use numbers again that it has told."""
    await new_ticket(stack)
    await expect_well(endpoints, stack.directory)
    await execute(stack, "sla", "update cases set emitted_sequence = emitted_sequence - 1")
    found = (await findings(endpoints, stack.directory))["opora.sla: its owner's memory"]
    await execute(stack, "sla", "update cases set emitted_sequence = emitted_sequence + 1")
    assert "sla's database is older than its log" in found.problem
    assert "docs/operations/disaster.md" in found.problem
    assert found.next_command == "opora restore DIR --service sla --replace"
    await expect_well(endpoints, stack.directory)


async def test_a_broker_that_lost_its_log() -> None:
    """Positions that lie behind the end of what the broker has: it is not the broker that they were acknowledged to."""
    with Kafka() as other:
        from opora_chassis.topics import create_topics

        await create_topics(other.bootstrap)
        await set_positions(other.bootstrap, {"sla": {"opora.tickets": {0: 7, 1: 0}}})
        reading = (await read_positions(other.bootstrap, {"sla"}))["sla", "opora.tickets"]
    found = judge_consumption("sla", "opora.tickets", reading, reading, 1.0)
    assert "acknowledged 7 records that the broker does not have" in found.problem
    assert found.next_command == "opora republish --backup DIR"


async def test_a_server_that_is_away(stack: Stack, endpoints: Endpoints) -> None:
    """What cannot be looked at is a finding too; the rest is examined all the same."""
    services = endpoints.services
    away = services["notify"].model_copy(update={"database_dsn": "postgresql://nobody:x@127.0.0.1:9/nothing"})
    wrong = await findings(endpoints.model_copy(update={"services": {**services, "notify": away}}), stack.directory)
    assert wrong["notify's database"].measured == "cannot be examined"
    assert not any(subject.startswith("intake") for subject in wrong)
