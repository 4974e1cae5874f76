"""A Kafka record as it came, and what it says."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from opora_contracts import Event
from opora_contracts.attributes import text_problem
from opora_contracts.codec import UnknownEvent, decode
from opora_contracts.errors import UndecodableEvent


@dataclass(frozen=True, slots=True)
class Record:
    """The bytes of one record and where it stood."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class Delivery:
    """A record and its meaning: an event, an event of a type unknown here, or the reason why it has none."""

    record: Record
    content: Event[Any] | UnknownEvent | UndecodableEvent

    @property
    def key(self) -> str:
        """What is parked when this delivery fails: at most 200 characters that any table can hold and index.

        A record without any key parks nothing but itself.
        """
        if not isinstance(self.content, UndecodableEvent) and self.content.key:
            return self.content.key
        if self.record.key:
            return _storable(self.record.key)
        return f"{self.record.topic}/{self.record.partition}/{self.record.offset}"


_SHOWN_CHARACTERS = 100
_DIGEST_CHARACTERS = 16


def _storable(key: bytes) -> str:
    """The key as text. One that no event may have (too long, control characters) is shown in part, with a digest."""
    text = key.decode("utf-8", errors="backslashreplace")
    if text_problem(text) is None:
        return text
    return f"{ascii(text)[1:-1][:_SHOWN_CHARACTERS]}~{sha256(key).hexdigest()[:_DIGEST_CHARACTERS]}"


def read(record: Record) -> Delivery:
    """Decode; whatever the bytes are, the answer is a delivery."""
    try:
        content: Event[Any] | UnknownEvent | UndecodableEvent = decode(
            record.key, record.value, record.headers, partition=record.partition, offset=record.offset
        )
    except UndecodableEvent as undecodable:
        content = undecodable
    return Delivery(record, content)


def records_of(raw: Sequence[Any]) -> list[Record]:
    """The records of aiokafka as ours."""
    return [Record(r.topic, r.partition, r.offset, r.key, r.value, tuple(r.headers)) for r in raw]
