"""A partition's records as a file: gzip, one JSON object a line, every byte kept.

    {"offset": 41, "timestamp_ms": 1780000000000, "key": "…", "value": "{…}", "headers": [["ce_id", "…"], …]}

Bytes that are UTF-8 stand as text, others as {"base64": "…"}, none as null: `zcat FILE | head` can be read.
"""

import base64
import binascii
import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from pydantic_core import from_json, to_json

_LEVEL = 1
"""gzip's fastest: the records of one topic repeat each other so much that more effort gains little."""


class RecordError(Exception):
    """A line of the file is no record."""


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One record of a topic, byte for byte."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]

    @property
    def fingerprint(self) -> str:
        """What tells this record from any other, wherever it stands."""
        return sha256(_line(replace(self, offset=0))).hexdigest()


class RecordFile:
    """Writes one partition's records. `close` makes the file whole."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = gzip.GzipFile(path, "wb", compresslevel=_LEVEL, mtime=0)
        self.count = 0
        self.last: LogRecord | None = None

    def append(self, records: Sequence[LogRecord]) -> None:
        """Add records, in order of offset."""
        self._file.write(b"".join(_line(record) for record in records))
        self.count += len(records)
        self.last = records[-1] if records else self.last

    def close(self) -> None:
        """End the file."""
        self._file.close()


def read_records(path: Path) -> Iterator[LogRecord]:
    """Every record in order. Raises RecordError, or OSError, EOFError or zlib.error for a file that breaks off."""
    with gzip.open(path, "rb") as file:
        yield from _records(file)  # type: ignore[arg-type]  # reads as a binary file does


def _records(file: BinaryIO) -> Iterator[LogRecord]:
    for number, line in enumerate(file, start=1):
        try:
            entry = from_json(line)
            yield LogRecord(
                offset=entry["offset"],
                timestamp_ms=entry["timestamp_ms"],
                key=_unpacked(entry["key"]),
                value=_unpacked(entry["value"]),
                headers=tuple((name, _unpacked(value)) for name, value in entry["headers"]),
            )
        except (ValueError, KeyError, TypeError, binascii.Error) as error:
            raise RecordError(f"line {number} is no record: {error!r}") from error


def _line(record: LogRecord) -> bytes:
    entry = {
        "offset": record.offset,
        "timestamp_ms": record.timestamp_ms,
        "key": _packed(record.key),
        "value": _packed(record.value),
        "headers": [[name, _packed(value)] for name, value in record.headers],
    }
    return to_json(entry) + b"\n"


def _packed(content: bytes | None) -> Any:
    if content is None:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}


def _unpacked(content: Any) -> bytes | None:
    if content is None:
        return None
    if isinstance(content, str):
        return content.encode()
    return base64.b64decode(content["base64"], validate=True)
