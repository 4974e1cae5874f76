"""The consumer on a real broker: everything is given, at least once, and only what had its effect is behind it."""

import asyncio
import struct
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.record.util import calc_crc32c

from opora_chassis.testing import wait_until
from opora_contracts import Event, Fact, UnknownEvent, fact, upcast
from opora_contracts.codec import encode
from opora_contracts.consumer import ConsumeError, Consumer, Given, Place, Undecodable
from opora_contracts.publisher import partition_of
from opora_contracts.tickets import TicketNoted
from opora_contracts.upcast import upcaster
from opora_embedded.testing import KafkaServer

from .conftest import put
from .test_contracts_publisher import nobody

TOPIC = "opora.tickets"
TIME = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
_CRC_OFFSET, _CRC_COVERS_FROM = 17, 21


def noted(ticket_id: UUID, sequence: int) -> Event[Fact]:
    """A small fact of a ticket, as intake numbers them."""
    return Event(
        id=f"{ticket_id}-{sequence}",
        source="/opora/intake",
        type="ticket.noted",
        version=1,
        time=TIME,
        subject=str(ticket_id),
        key=str(ticket_id),
        sequence=sequence,
        data=TicketNoted(ticket_id=ticket_id, message_id=uuid4()),
    )


def ids(given: list[Given]) -> list[str]:
    """The ids of events, in order."""
    return [one.id for one in given if isinstance(one, Event)]


async def rest_of(consumer: Consumer) -> list[Given]:
    """What a consumer gives until its end."""
    return [given async for given in consumer]


async def take(consumer: Consumer, count: int) -> list[Given]:
    """The next so many."""
    async with asyncio.timeout(30):
        return [await anext(consumer) for _ in range(count)]


class PatchedBatch:
    """A producer's batch whose bytes are changed before they are sent, as a foreign client could have written them."""

    def __init__(self, batch: Any, old: bytes, new: bytes) -> None:
        self._batch, self._old, self._new = batch, old, new

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def _build(self) -> bytearray:
        built = bytearray(self._batch._build().replace(self._old, self._new))
        struct.pack_into(">I", built, _CRC_OFFSET, calc_crc32c(bytes(built[_CRC_COVERS_FROM:])))
        return built


async def test_everything_is_given_in_order_and_counted(kafka: KafkaServer, prefix: str) -> None:
    """Events, a type from the future, and bytes that are none, even in a header's name: each given, nothing stops."""
    ticket = uuid4()
    partition = partition_of(str(ticket).encode(), 12)
    first, unknown, garbled, last = (encode(noted(ticket, number)) for number in range(1, 5))

    def renamed(record: Any, name: str, value: bytes) -> list[tuple[str, bytes]]:
        return [(header, value if header == name else text) for header, text in record.headers]

    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
        batch = producer.create_batch()
        stray = [("ce_typ@" if name == "ce_type" else name, value) for name, value in garbled.headers]
        rows = [
            (first.key, first.value, list(first.headers)),
            (
                unknown.key,
                unknown.value,
                [
                    (name, value)
                    for name, value in renamed(unknown, "ce_type", b"ticket.sung")
                    if name != "ce_dataschema"
                ],
            ),
            (b"k", b"{", list(first.headers)),
            (garbled.key, garbled.value, stray),
            (last.key, last.value, list(last.headers)),
        ]
        for key, value, headers in rows:
            batch.append(key=key, value=value, timestamp=None, headers=headers)
        batch.close()
        patched = PatchedBatch(batch, b"ce_typ@", b"ce_typ\xff")
        await (await producer.send_batch(patched, prefix + TOPIC, partition=partition))
    async with Consumer(kafka.bootstrap, TOPIC, until_end=True, topic_prefix=prefix) as consumer:
        given = await rest_of(consumer)
        assert consumer.place == Place(prefix + TOPIC, partition, 4)
    event, future, broken, nameless, end = given
    assert isinstance(event, Event)
    assert (event.sequence, event.partition, event.offset) == (1, partition, 0)
    assert isinstance(future, UnknownEvent)
    assert (future.type, future.sequence) == ("ticket.sung", 2)
    assert isinstance(broken, Undecodable)
    assert (broken.reason_code, broken.key, broken.value, broken.offset) == ("bad_json", b"k", b"{", 2)
    assert isinstance(nameless, Undecodable)
    assert "ce_type" in nameless.detail
    assert ("ce_typ\\xff", b"ticket.noted") in nameless.headers
    assert ids([end]) == [f"{ticket}-4"]
    assert consumer.counts == {"events": 2, "unknown": 1, "ticket.sung": 1, "undecodable": 2}


async def test_old_versions_arrive_as_the_newest(
    kafka: KafkaServer, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fact that was written before its type had a new version is raised to it."""
    for name in ("_catalogue", "_versions"):
        monkeypatch.setattr(fact, name, dict(getattr(fact, name)))
    monkeypatch.setattr(upcast, "_upcasters", {})

    class CometSighted(Fact, event_type="comet.sighted"):
        name: str

    class CometSightedTwo(Fact, event_type="comet.sighted", version=2):
        name: str
        tails: int

    @upcaster(CometSighted)
    def _with_tails(old: CometSighted) -> CometSightedTwo:
        return CometSightedTwo(name=old.name, tails=1)

    old: Event[Fact] = Event(
        id="1", source="/sky", type="comet.sighted", version=1, time=TIME, subject="h", data=CometSighted(name="Halley")
    )
    await put(kafka.bootstrap, prefix + TOPIC, old)
    async with Consumer(kafka.bootstrap, TOPIC, until_end=True, topic_prefix=prefix) as consumer:
        (event,) = await rest_of(consumer)
    assert isinstance(event, Event)
    assert (event.version, event.data) == (2, CometSightedTwo(name="Halley", tails=1))


async def test_what_was_not_committed_is_given_again(kafka: KafkaServer, prefix: str) -> None:
    """A group goes on behind its last commit: what came after it is given again, what came before is not."""
    ticket, group = uuid4(), f"g-{uuid4()}"
    await put(kafka.bootstrap, prefix + TOPIC, *(noted(ticket, number) for number in range(1, 6)))
    async with Consumer(kafka.bootstrap, TOPIC, group=group, topic_prefix=prefix) as consumer:
        assert await consumer.commit()  # nothing yet
        assert ids(await take(consumer, 2)) == [f"{ticket}-1", f"{ticket}-2"]
        assert await consumer.commit()
        assert ids(await take(consumer, 1)) == [f"{ticket}-3"]
    async with Consumer(kafka.bootstrap, TOPIC, group=group, topic_prefix=prefix) as consumer:
        assert ids(await take(consumer, 3)) == [f"{ticket}-3", f"{ticket}-4", f"{ticket}-5"]
        assert await consumer.commit()
    await put(kafka.bootstrap, prefix + TOPIC, noted(ticket, 6))
    async with Consumer(kafka.bootstrap, TOPIC, group=group, topic_prefix=prefix) as consumer:
        assert ids(await take(consumer, 1)) == [f"{ticket}-6"]


async def test_an_effect_that_fails_is_not_behind_us(kafka: KafkaServer, prefix: str) -> None:
    """An exception in the loop leaves it uncommitted, and whoever comes next is given the event at once."""
    ticket, group = uuid4(), f"g-{uuid4()}"
    await put(kafka.bootstrap, prefix + TOPIC, noted(ticket, 1))

    async def fail() -> None:
        async with Consumer(kafka.bootstrap, TOPIC, group=group, topic_prefix=prefix) as consumer:
            async for _ in consumer:
                raise LookupError

    with pytest.raises(LookupError):
        await fail()
    begun = time.monotonic()
    async with Consumer(kafka.bootstrap, TOPIC, group=group, topic_prefix=prefix) as consumer:
        assert ids(await take(consumer, 1)) == [f"{ticket}-1"]
    assert time.monotonic() - begun < 8, "the first member did not leave its group; a lost one is noticed after 10 s"


async def test_a_projection_can_be_built_anew(kafka: KafkaServer, prefix: str) -> None:
    """Without a group each start reads everything; a group that rewinds is given everything again, also after it."""
    ticket, group = uuid4(), f"g-{uuid4()}"
    everything = [f"{ticket}-{number}" for number in range(1, 4)]
    await put(kafka.bootstrap, prefix + TOPIC, *(noted(ticket, number) for number in range(1, 4)))
    for _ in range(2):
        async with Consumer(kafka.bootstrap, TOPIC, until_end=True, topic_prefix=prefix) as consumer:
            assert ids(await rest_of(consumer)) == everything
            with pytest.raises(RuntimeError, match="stores nothing"):
                await consumer.commit()
    async with Consumer(kafka.bootstrap, TOPIC, group=group, topic_prefix=prefix) as consumer:
        await take(consumer, 3)
        await consumer.commit()
        await consumer.rewind()
        assert ids(await take(consumer, 2)) == everything[:2]
    async with Consumer(kafka.bootstrap, TOPIC, group=group, topic_prefix=prefix) as consumer:
        assert ids(await take(consumer, 3)) == everything


async def test_a_start_can_be_named(kafka: KafkaServer, prefix: str) -> None:
    """Oldest, newest, an offset, offsets of one's own, and a time of the records: each begins where it says."""
    ticket = uuid4()
    partition = partition_of(str(ticket).encode(), 12)
    await put(kafka.bootstrap, prefix + TOPIC, noted(ticket, 1), noted(ticket, 2))
    between = datetime.now(UTC) + timedelta(milliseconds=5)
    await wait_until(lambda: datetime.now(UTC) > between)
    await put(kafka.bootstrap, prefix + TOPIC, noted(ticket, 3))
    starts: list[tuple[Any, list[int]]] = [
        ("earliest", [1, 2, 3]),
        ("latest", []),
        (1, [2, 3]),
        (99, []),
        ({(prefix + TOPIC, partition): 2}, [3]),
        ({(prefix + TOPIC, (partition + 1) % 12): 2}, [1, 2, 3]),
        (between, [3]),
        (between + timedelta(days=1), []),
    ]
    for start, expected in starts:
        async with Consumer(kafka.bootstrap, TOPIC, start=start, until_end=True, topic_prefix=prefix) as consumer:
            assert [one.sequence for one in await rest_of(consumer) if isinstance(one, Event)] == expected, start


async def test_the_end_is_where_it_was_at_the_start(kafka: KafkaServer, prefix: str) -> None:
    """What arrives while reading to the end is not given, also where one partition ends long before another."""
    short = uuid4()
    partition = partition_of(str(short).encode(), 12)
    await put(kafka.bootstrap, prefix + TOPIC, noted(short, 1))
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
        for _ in range(6):  # each as much as one fetch brings of a partition
            await producer.send_and_wait(prefix + TOPIC, b"x" * 900_000, partition=(partition + 1) % 12)
    given: list[Given] = []
    async with Consumer(kafka.bootstrap, TOPIC, until_end=True, topic_prefix=prefix) as consumer:
        async for one in consumer:
            given.append(one)
            if ids([one]):
                await put(kafka.bootstrap, prefix + TOPIC, noted(short, 2))
            await asyncio.sleep(0.2)  # an effect takes time, in which the client fetches what is new
    assert ids(given) == [f"{short}-1"]
    assert consumer.counts == {"events": 1, "undecodable": 6}


async def test_partitions_that_move_lose_nothing(kafka: KafkaServer, prefix: str) -> None:
    """A second member takes over half: what the first one loses is given again, and all is committed."""
    tickets, group = [uuid4() for _ in range(60)], f"g-{uuid4()}"
    await put(kafka.bootstrap, prefix + TOPIC, *(noted(ticket, 1) for ticket in tickets))
    seen: list[str] = []

    async def work(consumer: Consumer) -> None:
        async for given in consumer:
            seen.extend(ids([given]))
            await consumer.commit()

    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(Consumer(kafka.bootstrap, TOPIC, group=group, topic_prefix=prefix))
        kept = await take(first, 20)
        second = await stack.enter_async_context(Consumer(kafka.bootstrap, TOPIC, group=group, topic_prefix=prefix))
        assert not await first.commit(), "its partitions were dealt anew since"
        working = [asyncio.create_task(work(consumer)) for consumer in (first, second)]
        await wait_until(lambda: len(set(seen)) == len(tickets), 30, what="every event, given to one of the two")
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        assert set(ids(kept)) <= set(seen)
        assert await first.commit()
        assert await second.commit()
    assert await stored(kafka.bootstrap, group, prefix) == 60


async def stored(bootstrap: str, group: str, prefix: str) -> int:
    """How many records a group has behind it, as the broker remembers."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(group)
    finally:
        await admin.close()
    return sum(one.offset for place, one in offsets.items() if place.topic == prefix + TOPIC)


async def test_without_a_broker_beginning_ends_at_the_deadline() -> None:
    """Nobody answers: an error after the time that was given."""
    begun = time.monotonic()
    with pytest.raises(ConsumeError, match=r"no broker at .* let us begin within 1\.5 s"):
        async with Consumer(nobody(), TOPIC, deadline_seconds=1.5):
            pass
    assert 1.5 <= time.monotonic() - begun < 8


@pytest.mark.parametrize(
    ("topics", "given", "words"),
    [
        ((), {}, "name at least one topic"),
        ((TOPIC,), {"deadline_seconds": 0}, "above 0"),
        ((TOPIC,), {"group": "g", "start": 7}, "for a consumer without group"),
        ((TOPIC,), {"group": "g", "until_end": True}, "for a consumer without group"),
        ((TOPIC,), {"start": datetime(2026, 3, 1)}, "a time with a zone"),  # noqa: DTZ001
        ((TOPIC,), {"connection": {"enable_auto_commit": True}}, "enable_auto_commit cannot be set"),
    ],
)
def test_what_cannot_be_combined_is_refused(topics: tuple[str, ...], given: dict[str, Any], words: str) -> None:
    """A mistake in the call is said before anything connects."""
    with pytest.raises(ValueError, match=words):
        Consumer(nobody(), *topics, **given)


async def test_a_consumer_gives_inside_its_block_only() -> None:
    """Before and after, it says how it is used instead of failing inside."""
    with pytest.raises(RuntimeError, match="inside `async with`"):
        await anext(Consumer(nobody(), TOPIC))


def test_a_partition_is_named_as_the_client_names_it() -> None:
    """A place compares with what aiokafka users have at hand."""
    assert Place("t", 1, 5)[:2] == TopicPartition("t", 1)
