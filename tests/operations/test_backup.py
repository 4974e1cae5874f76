"""A backup of a platform with everything odd in it, restored into an empty one: the same to the byte, and usable."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from opora_chassis.outbox import partition_of
from opora_chassis.testing import wait_until
from opora_cli.backup import cut, store
from opora_cli.backup.cut import BusyWritersError, consistent_cut
from opora_cli.client import ServiceClient
from opora_cli.endpoints import Endpoints, ProcessEndpoint, ServiceEndpoint, read_endpoints
from opora_cli.store import ensure_role_and_database
from opora_contracts.topics import REQUESTS
from opora_embedded import Kafka, Postgres
from tests.operations.platforms import desk_at_work, done, opora, started, stopped, stories

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

SOURCE = b"//operations.example"
COMPARED = {
    "intake": ("tickets", "messages", "timeline", "customers", "organizations", "imports", "api_keys", "inbox"),
    "sla": ("agreements", "cases", "case_facts", "fired_steps", "clocks", "applied"),
    "notify": ("tickets", "customers", "webhook_endpoints", "applied"),
    "feedback": ("closings", "surveys", "journals", "applied"),
}
INSTANTS = 12
Records = dict[str, list[tuple[tuple[int, int], tuple[Any, ...]]]]
"""By topic: where each record stands (partition, offset), and all of it."""
DROPPED = 5
"""How many records the topic of requests has lost to its retention before the backup."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def directory(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Path]:
    """The directory of a running platform."""
    directory = tmp_path_factory.mktemp("backup") / "platform"
    await started(directory)
    yield directory
    await stopped(directory)


@pytest.fixture
def endpoints(directory: Path) -> Endpoints:
    """Where that platform is."""
    return read_endpoints(directory)


@dataclass(frozen=True, slots=True)
class Odd:
    """A backup of a platform with everything odd in it, and what was in the platform."""

    path: Path
    rows: dict[str, str]
    records: Records
    letters: list[asyncpg.Record]
    token: str
    """A key that may read tickets."""
    api_key: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def odd(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Odd:
    """It, taken when everything had settled."""
    endpoints = read_endpoints(directory)
    token = await fill(endpoints)
    letters = await dead_letters(endpoints)
    assert [row["offset"] for row in letters] == [DROPPED, DROPPED + 1]
    path = tmp_path_factory.mktemp("odd") / "backup"
    await done("backup", "create", str(path), "--directory", str(directory))
    await done("backup", "verify", str(path))
    return Odd(path, await rows_of(endpoints), await records_of(endpoints), letters, token, endpoints.api_key)


async def test_everything_odd_comes_back(odd: Odd, tmp_path: Path) -> None:
    """Rows, records, positions, keys and dead letters; a record at a letter's old place is not taken for the letter."""
    restored = tmp_path / "restored"
    await done("restore", str(odd.path), "--into", str(restored), "--skip-ticket-numbers", "500")
    try:
        after = await started(restored)
        assert await rows_of(after) == odd.rows
        expect_same_log(await records_of(after), odd.records)
        assert after.api_key == odd.api_key
        await use(after, odd.token)
        await expect_letters(after, odd.letters)
    finally:
        await stopped(restored)


async def test_servers_that_others_run_are_filled_when_they_are_empty_and_idle(odd: Odd) -> None:
    """Described by OPORA_ENDPOINTS, migrated and with topics, as containers are; a second restore is refused."""
    with Kafka() as kafka, Postgres() as postgres, HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as process:
        described = await describe(kafka, postgres, f"http://127.0.0.1:{process.server_port}")
        variables = {"OPORA_ENDPOINTS": described.model_dump_json(), "OPORA_API_KEY": odd.api_key}
        await done("migrate", **variables)
        await done("topics", "create", **variables)
        ended = await opora("restore", str(odd.path), **variables)
        assert (ended.code, "OPORA_SIGNING_SECRET is not the one" in ended.errors) == (2, True)
        variables["OPORA_SIGNING_SECRET"] = json.loads((odd.path / "secrets.json").read_text())["signing_secret"]
        serving = threading.Thread(target=process.serve_forever)
        serving.start()
        ended = await opora("restore", str(odd.path), **variables)
        process.shutdown()
        process.server_close()
        serving.join()
        assert (ended.code, "these processes run: intake-serve" in ended.errors) == (2, True)
        await done("restore", str(odd.path), **variables)
        assert await rows_of(described) == odd.rows
        expect_same_log(await records_of(described), odd.records)
        ended = await opora("restore", str(odd.path), **variables)
        assert (ended.code, "the database of intake has rows in" in ended.errors) == (2, True)
        await execute(described, "intake", "drop owned by current_user cascade")
        await done("migrate", "--service", "intake", **variables)
        for service in ("sla", "notify", "feedback"):
            await execute(described, service, "drop owned by current_user cascade")
        ended = await opora("restore", str(odd.path), **variables)
        assert (ended.code, "opora.customers" in ended.errors, "had records already" in ended.errors) == (2, True, True)


async def describe(kafka: Kafka, postgres: Postgres, url: str) -> Endpoints:
    """Empty databases with a role each, as an operator makes them, and one process that may answer or not."""
    services = {}
    for service in COMPARED:
        name = f"opora_{service}"
        await ensure_role_and_database(postgres.dsn(), name, "a-password-of-ours")
        dsn = f"postgresql://{name}:a-password-of-ours@127.0.0.1:{postgres.port}/{name}"
        processes = (ProcessEndpoint(name=f"{service}-serve", roles=("serve",), url=url),)
        services[service] = ServiceEndpoint(url=url, database_dsn=dsn, processes=processes)
    return Endpoints(kafka_bootstrap=kafka.bootstrap, services=services, smtp="127.0.0.1:9")


async def test_a_platform_that_is_not_empty_is_not_touched(directory: Path, tmp_path: Path) -> None:
    """A directory that runs, or holds data or secrets, is refused with what is in the way; so is a damaged backup."""
    backup = tmp_path / "backup"
    await done("backup", "create", str(backup), "--directory", str(directory))
    running = await opora("restore", str(backup), "--into", str(directory))
    assert (running.code, "runs in" in running.errors) == (4, True)
    used = tmp_path / "used"
    (used / "data" / "postgres").mkdir(parents=True)
    ended = await opora("restore", str(backup), "--into", str(used))
    assert (ended.code, "holds the data of a platform" in ended.errors) == (2, True)
    keyed = tmp_path / "keyed"
    keyed.mkdir()
    (keyed / "secrets.json").write_text("{}")
    ended = await opora("restore", str(backup), "--into", str(keyed))
    assert (ended.code, "secrets.json" in ended.errors) == (2, True)
    (backup / "databases" / "sla.dump").write_bytes(b"PGDMP")
    ended = await opora("restore", str(backup), "--into", str(tmp_path / "fresh"))
    assert (ended.code, "databases/sla.dump" in ended.errors) == (2, True)
    assert not (tmp_path / "fresh" / "data").exists()
    repeated = await opora("backup", str(backup), "--directory", str(directory))
    assert (repeated.code, "exists already" in repeated.errors) == (2, True)


async def test_without_secrets_a_restore_asks_first(directory: Path, tmp_path: Path) -> None:
    """A backup may leave them out; then survey links would be refused, and whoever restores it has to say so."""
    backup = tmp_path / "backup"
    await done("backup", "create", str(backup), "--without-secrets", "--directory", str(directory))
    assert not (backup / "secrets.json").exists()
    ended = await opora("restore", str(backup), "--into", str(tmp_path / "fresh"))
    assert (ended.code, "--other-secrets" in ended.errors) == (2, True)


async def test_work_goes_on_and_clocks_see_while_a_backup_is_taken(endpoints: Endpoints) -> None:
    """The instant holds snapshots for as long as dumps take: tickets are taken and watermarks move meanwhile."""
    dsns = {name: service.database_dsn for name, service in endpoints.services.items()}
    intake = ServiceClient("intake", endpoints.services["intake"].url, endpoints.api_key)
    sla = ServiceClient("sla", endpoints.services["sla"].url, endpoints.api_key)
    try:
        async with consistent_cut(endpoints.kafka_bootstrap, dsns) as instant:
            assert instant.stood_still_seconds < 3
            ticket = await intake.post("/v1/tickets", {"title": "During the backup"})

            async def seen() -> Any:
                status = await sla.get("/v1/status")
                return min(status["watermarks"].values()) > instant.taken_at.isoformat()

            await wait_until(seen, 30, what="watermarks past the instant")
            connection = await asyncpg.connect(dsns["intake"])
            try:
                # The snapshot is the instant's, whatever came later.
                async with connection.transaction(isolation="repeatable_read", readonly=True):
                    await connection.execute(f"set transaction snapshot '{instant.snapshots['intake']}'")
                    query = "select count(*) from tickets where id = $1"
                    assert await connection.fetchval(query, ticket["id"]) == 0
            finally:
                await connection.close()
    finally:
        await asyncio.gather(intake.close(), sla.close())


async def test_a_writer_that_does_not_end_is_named_and_let_go(
    endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a transaction that publishes stays open no instant can be taken; afterwards nothing is held back."""
    monkeypatch.setattr(cut, "_PATIENCE_SECONDS", (0.05, 0.1))
    dsns = {name: service.database_dsn for name, service in endpoints.services.items()}
    connection = await store.connect(dsns["sla"])
    try:
        async with connection.transaction():
            await connection.execute("lock table outbox in row exclusive mode")
            with pytest.raises(BusyWritersError, match="sla's database"):
                async with consistent_cut(endpoints.kafka_bootstrap, dsns):
                    pass
        async with consistent_cut(endpoints.kafka_bootstrap, dsns) as instant:
            assert set(instant.snapshots) == set(dsns)
    finally:
        await connection.close()


async def test_the_instant_is_one_for_databases_log_and_positions(endpoints: Endpoints) -> None:
    """While people work, at each of many instants: no log ahead of its owner, nothing between outbox and log.

    And no consumer ahead of the log, nor behind its acknowledged position.
    """
    dsns = {name: service.database_dsn for name, service in endpoints.services.items()}
    facts = 0
    async with desk_at_work(endpoints) as desk:
        for _ in range(INSTANTS):
            await stories(desk, 1)
            async with consistent_cut(endpoints.kafka_bootstrap, dsns) as instant:
                numbers = await in_snapshot(dsns, instant, "intake", "select id::text, version from tickets")
                waiting = await in_snapshot(
                    dsns, instant, "intake", "select convert_from(key, 'UTF8'), count(*) from outbox group by 1"
                )
                followed = await in_snapshot(
                    dsns, instant, "sla", "select subject, sequence from applied where consumer = 'opora.tickets'"
                )
            records = [
                (place, record)
                for place, record in (await records_of(endpoints))["opora.tickets"]
                if place[1] < instant.ends[TopicPartition("opora.tickets", place[0])]
            ]
            positions = instant.positions["sla"]["opora.tickets"]
            on_the_log: dict[str, int] = {}
            handled: dict[str, int] = {}
            for (partition, offset), (_, key, _, headers) in records:
                subject, sequence = key.decode(), int(dict(headers)["ce_sequence"])
                on_the_log[subject] = max(sequence, on_the_log.get(subject, 0))
                if offset < positions.get(partition, 0):
                    handled[subject] = max(sequence, handled.get(subject, 0))
            facts += len(records)
            assert {one: last for one, last in on_the_log.items() if last > numbers.get(one, 0)} == {}, "log ahead"
            assert {
                one: number for one, number in numbers.items() if number > on_the_log.get(one, 0) + waiting.get(one, 0)
            } == {}, "facts lost between outbox and log"
            assert {one: last for one, last in followed.items() if last > on_the_log.get(one, 0)} == {}, (
                "consumer ahead"
            )
            assert {one: last for one, last in handled.items() if last > followed.get(one, 0)} == {}, "position ahead"
    assert facts > INSTANTS


async def in_snapshot(dsns: dict[str, str], instant: cut.Cut, service: str, query: str) -> dict[str, int]:
    """The two columns of a query, as one service's snapshot of the instant shows them."""
    connection = await asyncpg.connect(dsns[service], timeout=10)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute(f"set transaction snapshot '{instant.snapshots[service]}'")
            return {row[0]: row[1] for row in await connection.fetch(query)}
    finally:
        await connection.close()


async def fill(endpoints: Endpoints) -> str:
    """Everything that a backup could get wrong; returns a key that may read tickets."""
    producer = AIOKafkaProducer(
        bootstrap_servers=endpoints.kafka_bootstrap, compression_type="gzip", max_request_size=8_000_000
    )
    intake = ServiceClient("intake", endpoints.services["intake"].url, endpoints.api_key)
    others = {name: ServiceClient(name, endpoints.services[name].url, endpoints.api_key) for name in ("sla", "notify")}
    await producer.start()
    try:
        key = b"case-1"
        for number in range(DROPPED):
            await producer.send_and_wait(REQUESTS.name, b"{}", key=key, headers=submitted(f"old-{number}", key))
        partition = TopicPartition(REQUESTS.name, partition_of(key, REQUESTS.partitions))

        async def all_dead() -> bool:
            return len(await dead_letters(endpoints)) == DROPPED

        await wait_until(all_dead, 60, what="a dead letter for each")
        await discard_all(endpoints)
        await drop_records(endpoints, partition)
        # One broken record of the same partition, and a good one behind it that waits.
        await producer.send_and_wait(REQUESTS.name, b"\xff\xfe", key=key, headers=submitted("broken", key))
        await producer.send_and_wait(REQUESTS.name, b'{"title": "Waits"}', key=key, headers=submitted("next", key))
        # More than a batch takes, less than a broker takes when it is compressed.
        await producer.send_and_wait(REQUESTS.name, b" " * 1_500_000, key=b"large", headers=[("null", None)])
        await producer.send_and_wait(REQUESTS.name, None, key=b"nothing", headers=[])
        organization = await intake.post("/v1/organizations", {"name": "Orbit", "domains": ["orbit.example"]})
        ticket = await intake.post(
            "/v1/tickets", {"title": "Тест 😀", "body": "текст", "requester_email": "anna@orbit.example"}
        )
        for action, body in (("replies", {"body": "Ответ"}), ("resolve", {}), ("close", {})):
            await intake.post(f"/v1/tickets/{ticket['id']}/{action}", body)
        assert organization["id"]
        await others["sla"].post(
            "/v1/agreements",
            {"name": "Odd", "metrics": {"first_response": {"targets": {"P3": {"hours": 1}}}}, "rank": 5},
        )
    finally:
        await asyncio.gather(producer.stop(), intake.close(), *(other.close() for other in others.values()))
    created = await done(
        *("keys", "create", "reader", "--scope", "tickets:read", "--service", "intake"),
        *("--directory", str(endpoints.api_key_file.parent if endpoints.api_key_file else "")),
    )

    async def settled() -> bool:
        found = await dead_letters(endpoints)
        return len(found) == 4 and await count(endpoints, "feedback", "surveys") == 1 and not await waiting(endpoints)

    await wait_until(settled, 60, what="everything handled")
    await discard_one(endpoints, "large")
    await discard_one(endpoints, "nothing")
    return created.output.strip()


def submitted(name: str, key: bytes) -> list[tuple[str, bytes]]:
    """Headers of a `ticket.submitted` of this id about this case."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", name.encode()),
        ("ce_source", SOURCE),
        ("ce_type", b"ticket.submitted"),
        ("ce_time", b"2026-05-04T10:00:00Z"),
        ("ce_subject", key),
        ("content-type", b"application/json"),
    ]


async def use(endpoints: Endpoints, token: str) -> None:
    """The old key reads the old ticket; a new ticket's number was never given before; a new letter's link opens."""
    async with httpx.AsyncClient(
        base_url=endpoints.services["intake"].url,
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
        trust_env=False,
    ) as reader:
        page = (await reader.get("/v1/tickets", params={"q": "Тест"})).raise_for_status()
        assert "Тест 😀" in {item["title"] for item in page.json()["items"]}
        assert (await reader.post("/v1/tickets", json={"title": "x"})).status_code == 403
    intake = ServiceClient("intake", endpoints.services["intake"].url, endpoints.api_key)
    numbers = [int(row) for row in await column(endpoints, "intake", "select number from tickets")]
    fresh = await intake.post("/v1/tickets", {"title": "After the restore"})
    await intake.close()
    assert int(fresh["number"].removeprefix("OP-")) > max(numbers) + 400


async def expect_letters(endpoints: Endpoints, before: list[asyncpg.Record]) -> None:
    """The letters wait as before; a new broken record of their partition, at their old offset too, becomes one more."""
    found = await dead_letters(endpoints)
    assert [(row["key"], row["reason_code"], row["value"]) for row in found] == [
        (row["key"], row["reason_code"], row["value"]) for row in before
    ]
    assert [row["offset"] for row in found] == [0, 1]
    key, partition = b"case-1", partition_of(b"case-1", REQUESTS.partitions)
    producer = AIOKafkaProducer(bootstrap_servers=endpoints.kafka_bootstrap)
    await producer.start()
    try:
        place = -1
        while place < DROPPED + 1:
            sent = await producer.send_and_wait(
                REQUESTS.name, b"[]", key=str(uuid4()).encode(), partition=partition, headers=submitted("bad", key)
            )
            place = sent.offset
    finally:
        await producer.stop()

    async def all_letters() -> bool:
        offsets = [row["offset"] for row in await dead_letters(endpoints) if row["partition"] == partition]
        return offsets == list(range(place + 1))

    await wait_until(all_letters, 30, what="a letter for each broken record")


async def rows_of(endpoints: Endpoints) -> dict[str, str]:
    """A checksum of each table that must be the same."""
    found = {}
    for service, tables in COMPARED.items():
        for table in tables:
            query = f"select md5(coalesce(string_agg(t::text, '|' order by t::text), '')) from {table} t"
            found[f"{service}.{table}"] = (await column(endpoints, service, query))[0]
    return found


async def records_of(endpoints: Endpoints) -> Records:
    """Every record of every kept topic: where it stands, and all of it."""
    consumer = AIOKafkaConsumer(bootstrap_servers=endpoints.kafka_bootstrap, group_id=None, enable_auto_commit=False)
    await consumer.start()
    found: Records = {}
    try:
        places = [TopicPartition(topic.name, n) for topic in cut.KEPT_TOPICS for n in range(topic.partitions)]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        ends = await consumer.end_offsets(places)
        while any([await consumer.position(place) < end for place, end in ends.items()]):
            for place, records in (await consumer.getmany(timeout_ms=500)).items():
                found.setdefault(place.topic, []).extend(
                    ((place.partition, r.offset), (r.timestamp, r.key, r.value, tuple(r.headers))) for r in records
                )
    finally:
        await consumer.stop()
    return {topic: sorted(kept, key=lambda one: one[0]) for topic, kept in found.items()}


def expect_same_log(found: Records, before: Records) -> None:
    """The same records in the same order, and at the same offsets wherever the topic had kept all of them."""
    assert {topic: [content for _, content in kept] for topic, kept in found.items()} == {
        topic: [content for _, content in kept] for topic, kept in before.items()
    }
    for topic, kept in found.items():
        if topic != REQUESTS.name:
            assert [place for place, _ in kept] == [place for place, _ in before[topic]], topic


async def drop_records(endpoints: Endpoints, place: TopicPartition) -> None:
    """Delete what stands on the partition, as its retention does."""
    admin = AIOKafkaAdminClient(bootstrap_servers=endpoints.kafka_bootstrap)
    await admin.start()
    try:
        await admin.delete_records({place: RecordsToDelete(before_offset=DROPPED)})
    finally:
        await admin.close()


async def discard_all(endpoints: Endpoints) -> None:
    """Give up every letter of intake."""
    await execute(endpoints, "intake", "delete from dead_letters")
    await execute(endpoints, "intake", "delete from parked_keys")


async def discard_one(endpoints: Endpoints, key: str) -> None:
    """Give up the letter of one key."""
    await execute(endpoints, "intake", f"delete from dead_letters where key like '%{key}%'")
    await execute(endpoints, "intake", f"delete from parked_keys where key like '%{key}%'")


async def dead_letters(endpoints: Endpoints) -> list[asyncpg.Record]:
    """Intake's dead letters, oldest first."""
    connection = await asyncpg.connect(endpoints.services["intake"].database_dsn, timeout=10)
    try:
        rows: list[asyncpg.Record] = await connection.fetch("select * from dead_letters order by position")
        return rows
    finally:
        await connection.close()


async def waiting(endpoints: Endpoints) -> list[Any]:
    """Messages in hand and facts in any outbox."""
    in_hand = await column(endpoints, "notify", "select 1 from notifications where state in ('pending', 'sending')")
    return in_hand + [
        row for name in endpoints.services for row in await column(endpoints, name, "select 1 from outbox")
    ]


async def count(endpoints: Endpoints, service: str, table: str) -> int:
    """How many rows a table has."""
    return int((await column(endpoints, service, f"select count(*) from {table}"))[0])


async def column(endpoints: Endpoints, service: str, query: str) -> list[Any]:
    """The first column of a query's rows."""
    connection = await asyncpg.connect(endpoints.services[service].database_dsn, timeout=10)
    try:
        return [row[0] for row in await connection.fetch(query)]
    finally:
        await connection.close()


async def execute(endpoints: Endpoints, service: str, statement: str) -> None:
    """Change something behind the service's back."""
    connection = await asyncpg.connect(endpoints.services[service].database_dsn, timeout=10)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
