"""A connection is cut after a real server has done something and before its client hears of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import urlsplit

import aiosmtplib
import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from opora_cli.chaos.links import Link, Trigger
from opora_cli.chaos.sinks import Letterbox
from opora_embedded import Kafka

INSERT = "insert into acts (name) values ($1)"
NAMES = "select coalesce(array_agg(name order by name), '{}') from acts"


@pytest.fixture
async def link(database: str) -> AsyncIterator[Link]:
    """A link to PostgreSQL."""
    parts = urlsplit(database)
    link = Link("sla>postgres", target=(parts.hostname or "", parts.port or 5432), protocol="postgres")
    await link.start()
    yield link
    await link.stop()


@pytest.fixture
async def direct(database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection past the link, to a database with a table."""
    connection = await asyncpg.connect(database)
    await connection.execute("create table acts (name text not null)")
    yield connection
    await connection.close()


@asynccontextmanager
async def connected(link: Link, database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection through the link, given up at the end."""
    connection = await asyncpg.connect(database, host="127.0.0.1", port=link.port)
    try:
        yield connection
    finally:
        connection.terminate()


async def test_the_answer_to_a_commit_is_lost(link: Link, database: str, direct: asyncpg.Connection) -> None:
    """The client gets an error, and the row is there; each second COMMIT only, over all connections."""
    async with connected(link, database) as connection:
        link.cut_after(Trigger.COMMIT, every=2)
        async with connection.transaction():
            await connection.execute(INSERT, "first")
        with pytest.raises((asyncpg.PostgresConnectionError, ConnectionError)):
            async with connection.transaction():
                await connection.execute(INSERT, "second")
        assert connection.is_closed()
    async with connected(link, database) as connection:
        async with connection.transaction():
            await connection.execute(INSERT, "third")
        assert await direct.fetchval(NAMES) == ["first", "second", "third"]
        link.pass_through()
        async with connection.transaction():
            await connection.execute(INSERT, "fourth")
    assert (link.triggered, link.cuts, link.connections) == (1, 1, 2)


async def test_what_is_no_commit_passes(link: Link, database: str, direct: asyncpg.Connection) -> None:
    """A rollback, a query that speaks of COMMIT, and a single statement are heard of."""
    async with connected(link, database) as connection:
        link.cut_after("commit")
        transaction = connection.transaction()
        await transaction.start()
        assert await connection.fetchval("select 'COMMIT' || $1", ";") == "COMMIT;"
        await transaction.rollback()
        await connection.execute(INSERT, "single")
        assert await direct.fetchval(NAMES) == ["single"]
    assert link.triggered == 0


async def test_a_prepared_commit_is_one_too(link: Link, database: str, direct: asyncpg.Connection) -> None:
    """Cut not when the statement is prepared but when it was executed."""
    async with connected(link, database) as connection:
        await connection.execute("begin")
        await connection.execute(INSERT, "prepared")
        link.cut_after("commit")
        statement = await connection.prepare("commit")
        assert link.triggered == 0
        with pytest.raises((asyncpg.PostgresConnectionError, ConnectionError)):
            await statement.fetch()
        assert await direct.fetchval(NAMES) == ["prepared"]
    assert link.triggered == 1


async def test_queries_survive_three_byte_slices(link: Link, database: str, direct: asyncpg.Connection) -> None:
    """However the bytes are cut up, the conversation is the same, and a COMMIT is still recognised afterwards."""
    link.slow(0.001, 3)
    async with connected(link, database) as connection:
        async with connection.transaction():
            await connection.execute(INSERT, "x" * 2_000)
        assert await connection.fetchval("select name from acts") == "x" * 2_000
        link.cut_after("commit")
        with pytest.raises((asyncpg.PostgresConnectionError, ConnectionError)):
            async with connection.transaction():
                await connection.execute(INSERT, "y")
    assert await direct.fetchval("select count(*) from acts") == 2


@pytest.mark.parametrize(("direction", "done"), [("up", []), ("down", ["half"])])
async def test_a_half_open_connection_times_its_client_out(
    link: Link, database: str, direct: asyncpg.Connection, direction: str, done: list[str]
) -> None:
    """The client waits in vain; the server has done it only when the request still reached it."""
    async with connected(link, database) as connection:
        await connection.fetchval("select 1")
        link.black_hole("up" if direction == "up" else "down")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(connection.execute("insert into acts values ('half')")), 0.5)
        assert await direct.fetchval(NAMES) == done


async def test_the_answer_to_the_end_of_a_letter_is_lost(tmp_path: Path) -> None:
    """The client is disconnected, and the letter is kept; each time, until the link is switched back."""
    letterbox = Letterbox(tmp_path)
    await letterbox.start()
    link = Link("notify>smtp", target=("127.0.0.1", letterbox.port), protocol="smtp")
    await link.start()
    try:
        link.cut_after("data_end")
        for _ in range(2):
            with pytest.raises(aiosmtplib.SMTPServerDisconnected):
                await mail(link.port)
        assert len(letterbox.letters) == 2
        link.pass_through()
        await mail(link.port)
        assert [letter.message_id for letter in letterbox.letters] == ["<1@opora.example>"] * 3
        assert (link.triggered, link.cuts) == (2, 2)
    finally:
        await link.stop()
        await letterbox.stop()


async def mail(port: int) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Message-ID"] = "a@opora.example", "b@c.example", "<1@opora.example>"
    message.set_content("DATA\n.\n354\n")
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, timeout=10) as connection:
        await connection.send_message(message)


async def test_the_answer_to_a_produce_request_is_lost(tmp_path: Path) -> None:
    """The producer tries in vain until its time is over, and each time the record is on the topic."""
    link = Link("sla>kafka", protocol="kafka")
    await link.start()
    server = Kafka(tmp_path, further_listeners={"SLA": link.port})
    try:
        await asyncio.to_thread(server.start)
        link.target = ("127.0.0.1", server.listener_port("SLA"))
        await create_topic(server, "acts")
        producer = AIOKafkaProducer(
            bootstrap_servers=f"127.0.0.1:{link.port}", acks="all", request_timeout_ms=2_000, retry_backoff_ms=200
        )
        await producer.start()
        try:
            await producer.send_and_wait("acts", b"heard")
            link.cut_after("produce")
            with pytest.raises(KafkaError):
                await producer.send_and_wait("acts", b"unheard")
            assert link.triggered >= 1
            assert await values(server, "acts") == [b"heard"] + [b"unheard"] * link.triggered
            link.pass_through()
            await producer.send_and_wait("acts", b"again")
        finally:
            await producer.stop()
    finally:
        server.close()
        await link.stop()


async def create_topic(server: Kafka, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=server.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    await admin.close()


async def values(server: Kafka, topic: str) -> list[bytes]:
    """Every record of the topic, read past the link."""
    partition = TopicPartition(topic, 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=server.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        return [(await consumer.getone()).value for _ in range(end)]
    finally:
        await consumer.stop()
