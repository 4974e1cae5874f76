"""Header names that are not UTF-8: the record is a dead letter, its neighbours in the same fetch are not lost."""

import struct
from typing import Any
from uuid import uuid4

from aiokafka.record.util import calc_crc32c

from opora_chassis.outbox import partition_of
from opora_contracts.codec import encode
from opora_contracts.topics import TICKETS

from .conftest import Cell, noted

_CRC_OFFSET = 17
_CRC_COVERS_FROM = 21


class PatchedBatch:
    """A producer batch whose bytes are changed before they are sent, as a foreign client could have written them."""

    def __init__(self, batch: Any, old: bytes, new: bytes) -> None:
        self._batch = batch
        self._old, self._new = old, new

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def _build(self) -> bytearray:
        built = bytearray(self._batch._build().replace(self._old, self._new))
        struct.pack_into(">I", built, _CRC_OFFSET, calc_crc32c(bytes(built[_CRC_COVERS_FROM:])))
        return built


async def test_a_header_name_that_is_no_text_stops_nobody(cell: Cell) -> None:
    """Records before and behind it in the same batch take effect; it is put aside with a reason that shows the name."""
    ticket = uuid4()
    partition = partition_of(str(ticket).encode(), TICKETS.partitions)
    batch = cell.producer.create_batch()
    for sequence in (1, 2, 3):
        record = encode(noted(ticket, sequence))
        batch.append(key=record.key, value=record.value, timestamp=None, headers=list(record.headers))
    stray = encode(noted(uuid4(), 1))
    renamed = [("ce_typ@" if name == "ce_type" else name, value) for name, value in stray.headers]
    batch.append(key=stray.key, value=stray.value, timestamp=None, headers=renamed)
    record = encode(noted(ticket, 4))
    batch.append(key=record.key, value=record.value, timestamp=None, headers=list(record.headers))
    batch.close()
    sent = await cell.producer.send_batch(
        PatchedBatch(batch, b"ce_typ@", b"ce_typ\xff"), cell.prefix + TICKETS.name, partition=partition
    )
    await sent
    async with cell.consuming():
        await cell.wait_seen(ticket, [1, 2, 3, 4])
        (letter,) = await cell.wait_letters(1)
    assert letter["raw_key"] == stray.key
    assert "ce_type" in letter["reason"]
