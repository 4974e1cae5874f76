"""What anybody can publish must never stop a partition: keys and headers that no table holds, codecs, false sources."""

import pytest
from aiokafka import AIOKafkaProducer

from opora_chassis.consume import Guard
from opora_chassis.consume.record import Delivery, Record, read
from opora_contracts import UndecodableEvent
from opora_contracts.conformance import CASES, Compression, Run
from opora_contracts.topics import REQUESTS

from .conftest import Cell

RUN = Run("chassis")
CASE = {case.name: case for case in CASES}


async def publish(cell: Cell, *names: str) -> None:
    """Publish the records of these cases."""
    for name in names:
        for record in CASE[name].records(RUN):
            await cell.send_raw(record.key, record.value, list(record.headers), topic=REQUESTS)


async def test_unstorable_keys_and_headers_become_dead_letters(cell: Cell) -> None:
    """U+0000 in a key or in a header's name, and a key longer than an index holds, are put aside like any other."""
    names = ("key-with-nul", "key-of-10000-characters", "key-not-utf-8", "header-name-with-nul")
    await publish(cell, *names)
    async with cell.consuming(REQUESTS, Guard.INBOX):
        letters = await cell.wait_letters(len(names))
    raw_keys = {letter["raw_key"] for letter in letters}
    assert raw_keys == {CASE[name].records(RUN)[0].key for name in names}
    assert all(len(letter["key"]) <= 200 and letter["key"].isprintable() for letter in letters)


async def test_a_source_of_ours_is_put_aside_and_holds_up_nobody(cell: Cell) -> None:
    """An event that claims one of our services as its source has no effect, known type or not; the rest of its batch
    has its own at once.
    """
    await publish(cell, "reserved-source", "minimal-binary", "reserved-source-unknown-type")
    async with cell.consuming(REQUESTS, Guard.INBOX):
        await cell.wait_seen(RUN.identity("minimal-binary"), [None])
        letters = await cell.wait_letters(2)
    assert {letter["reason_code"] for letter in letters} == {"reserved_source"}
    assert {letter["source"] for letter in letters} == {"/opora/intake", "/opora/sla"}
    assert await cell.seen(RUN.identity("reserved-source")) == []


@pytest.mark.parametrize("compression", [one for one in Compression if one is not Compression.NONE])
async def test_every_codec_of_kafka_is_read(cell: Cell, compression: Compression) -> None:
    """A producer chooses how it compresses; whatever it chooses, the event is read."""
    record = CASE[f"compressed-{compression}"].records(RUN)[0]
    async with AIOKafkaProducer(bootstrap_servers=cell.bootstrap, compression_type=compression.value) as producer:
        await producer.send_and_wait(
            cell.prefix + REQUESTS.name, record.value, key=record.key, headers=list(record.headers)
        )
    async with cell.consuming(REQUESTS, Guard.INBOX):
        await cell.wait_seen(record.subject, [None])


def delivery_of(key: bytes) -> Delivery:
    """What the chassis makes of a record that is not an event."""
    return read(Record("t", 3, 9, key, b"{}", ()))


def test_what_is_parked_can_be_stored_and_told_apart() -> None:
    """An ordinary key is itself; others are shown in part, with a digest that keeps them apart; no key, the place."""
    assert delivery_of(b"alert-1").key == "alert-1"
    assert delivery_of(b"\xfe").key == "\\xfe"
    assert delivery_of(b"").key == "t/3/9"
    long, longer = delivery_of(b"k" * 201), delivery_of(b"k" * 202)
    assert long.key.startswith("k" * 100 + "~")
    assert (len(long.key), long.key == longer.key) == (117, False)
    assert delivery_of(b"a\0").key.startswith("a\\x00~")
    assert isinstance(long.content, UndecodableEvent)
