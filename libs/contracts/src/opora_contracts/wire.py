r"""Records whose header *names* are not UTF-8 must not stop a partition.

aiokafka raises on such a record, loses the records that it had read before it in the same fetch, and meets it again on
every later fetch. A librdkafka client publishes header names as raw bytes, so anybody can send one. `install` makes
aiokafka's fetcher read the batch again leniently, with the undecodable bytes shown as `\xNN`; whether the event can
be used is then for the decoder to say.

Rests on internals of aiokafka 0.14 (`fetcher.MemoryRecords`, `_DefaultRecordBatchPy`); `test_wire.py` and
`test_contracts_consumer.py` guard them.
"""

import struct
from collections.abc import Callable, Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

_LENGTH_OFFSET = struct.calcsize(">q")
_LOG_OVERHEAD = struct.calcsize(">qi")


def install() -> None:
    """Give aiokafka's consumers of this process the lenient reading. May be called again."""
    fetcher.MemoryRecords = _LenientRecords


class _LenientRecords:
    """A fetch's batches: read fast, and again leniently where that fails."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._fast = MemoryRecords(data)
        self._position = 0

    def size_in_bytes(self) -> int:
        return int(self._fast.size_in_bytes())

    def has_next(self) -> bool:
        return bool(self._fast.has_next())

    def next_batch(self) -> "_LenientBatch":
        begin = self._position
        (length,) = struct.unpack_from(">i", self._data, begin + _LENGTH_OFFSET)
        self._position = begin + _LOG_OVERHEAD + length
        end = self._position
        return _LenientBatch(self._fast.next_batch(), lambda: _ReadableBatch(memoryview(self._data)[begin:end]))


class _LenientBatch:
    """A batch that falls back to the lenient reader from the record on that the fast one cannot read."""

    def __init__(self, fast: Any, reread: Callable[[], Any]) -> None:
        self._fast = fast
        self._reread = reread

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fast, name)

    def __iter__(self) -> Iterator[Any]:
        last_offset = -1
        try:
            for record in self._fast:
                last_offset = record.offset
                yield record
        except (UnicodeDecodeError, CorruptRecordException):
            for record in self._reread():
                if record.offset > last_offset:
                    yield record


class _ReadableBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    """aiokafka's pure Python reader over bytes that can always be shown."""

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer = _ShowableBytes(self._buffer)  # type: ignore[has-type]


class _ShowableBytes(bytearray):
    def __getitem__(self, item: Any) -> Any:
        taken = super().__getitem__(item)
        return _ShowableBytes(taken) if isinstance(item, slice) else taken

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        return super().decode(encoding, errors)
