"""What a log of another system becomes: entries in time order, and the lines that could not be read."""

import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Generic, Protocol, TypeVar

_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened to one ticket of a foreign log, as intake's import takes it.

    `ordinal` counts 1, 2, 3 … per `source_id` in time order: the entry's identity within its import.
    """

    source_id: str
    ordinal: int
    at: datetime
    action: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class MalformedLine:
    """A line of the file that was left out, and why."""

    line: int
    problem: str


class LineError(Exception):
    """This line cannot be read; the message says what was expected."""


class UnreadableLogError(Exception):
    """The file as a whole is not the log that was named: missing, without the expected header, or empty."""


class Row(Protocol):
    """What every format's row has."""

    @property
    def source_id(self) -> str:
        """The ticket's name in the log."""

    @property
    def at(self) -> datetime:
        """When the row was written; aware UTC."""


RowT = TypeVar("RowT", bound=Row)


@dataclass(frozen=True, slots=True)
class Format(Generic[RowT]):
    """One kind of log: its name, its header, how a line is read, and what a ticket's rows become."""

    name: str
    columns: tuple[str, ...]
    """Columns that must be in the header; others are ignored, and their order is free."""
    source_id_column: str
    read_row: Callable[[dict[str, str]], RowT]
    """Raises LineError for a value that cannot be understood."""
    convert: Callable[[Sequence[RowT]], list[Entry]]
    """A ticket's rows in time order → its entries in time order. Pure."""
    optional_columns: tuple[str, ...] = ()
    """Columns that `read_row` gets too where the header has them."""


@dataclass(slots=True)
class ConvertedLog:
    """A whole file, converted."""

    entries: list[Entry] = field(default_factory=list)
    """In time order over all tickets; entries of one instant stand in the tickets' file order, then by ordinal."""
    source_ids: list[str] = field(default_factory=list)
    """The tickets in the order in which the file names them first."""
    malformed: list[MalformedLine] = field(default_factory=list)
    rows: int = 0
    """How many rows were read and used."""
    digest: str = ""
    """SHA-256 of the file's uncompressed content."""


def convert_file(
    path: Path, log_format: Format[RowT], *, limit: int | None = None, on_row: Callable[[int], None] | None = None
) -> ConvertedLog:
    """Read a log, plain or gzip, line by line, and convert it; with `limit`, only the first so many tickets.

    A line that cannot be read is listed in `malformed` and left out; everything else goes on.
    Raises UnreadableLogError when the file or its header is not what the format needs.
    """
    converted = ConvertedLog()
    rows = _rows(path, log_format, converted, limit)
    by_ticket: dict[str, list[RowT]] = {}
    for row in rows:
        by_ticket.setdefault(row.source_id, []).append(row)
        converted.rows += 1
        if on_row is not None:
            on_row(converted.rows)
    converted.source_ids = list(by_ticket)
    for ticket_rows in by_ticket.values():
        # Sorting is stable: rows of one instant keep the order in which the file has them.
        ticket_rows.sort(key=lambda row: row.at)
        converted.entries.extend(log_format.convert(ticket_rows))
    converted.entries.sort(key=lambda entry: entry.at)
    return converted


def _rows(path: Path, log_format: Format[RowT], converted: ConvertedLog, limit: int | None) -> Iterator[RowT]:
    digest = hashlib.sha256()
    lines = _lines(path, digest, converted.malformed)
    header = next(lines, None)
    if header is None:
        raise UnreadableLogError(f"{path} is empty; expected a {log_format.name} log with a header line")
    names = _fields(header[1])
    missing = [name for name in log_format.columns if name not in names]
    if missing:
        raise UnreadableLogError(
            f"{path} is not a {log_format.name} log: its first line lacks the columns {', '.join(missing)}"
        )
    # A name that the header repeats means its first column.
    wanted = (*log_format.columns, *(name for name in log_format.optional_columns if name in names))
    positions = {name: names.index(name) for name in wanted}
    id_position = positions[log_format.source_id_column]
    chosen: set[str] = set()
    for line_number, text in lines:
        try:
            fields = _fields(text)
            if len(fields) > id_position and not _choose(fields[id_position], chosen, limit):
                continue
            if len(fields) != len(names):
                problem = f"has {len(fields)} columns; expected {len(names)}"
                converted.malformed.append(MalformedLine(line_number, problem))
                continue
            row = log_format.read_row({name: fields[position] for name, position in positions.items()})
        except LineError as error:
            converted.malformed.append(MalformedLine(line_number, str(error)))
            continue
        yield row
    converted.digest = digest.hexdigest()


def _choose(source_id: str, chosen: set[str], limit: int | None) -> bool:
    """Whether the ticket is among the first `limit`; a new one is added while there is room."""
    if limit is None or source_id in chosen:
        return True
    if len(chosen) >= limit:
        return False
    chosen.add(source_id)
    return True


def _lines(path: Path, digest: Any, malformed: list[MalformedLine]) -> Iterator[tuple[int, str]]:
    """Every line that is not blank, with its number from 1. A file that breaks off is reported, not raised."""
    number = 0
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(_uncompressed(file), start=1):
                digest.update(raw)
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8", "replace").rstrip("\r\n")
                if line:
                    yield number, line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        malformed.append(MalformedLine(number + 1, f"the compressed file breaks off here: {error}"))
    except OSError as error:
        raise UnreadableLogError(f"{path} cannot be read: {error.strerror or error}") from error


def _uncompressed(file: BinaryIO) -> Iterable[bytes]:
    start = file.read(len(_GZIP_MAGIC))
    file.seek(0)
    if start == _GZIP_MAGIC:
        return io.BufferedReader(gzip.GzipFile(fileobj=file))
    return file


def _fields(line: str) -> list[str]:
    """One line, one record: a stray quote spoils its own line, never the rest of the file."""
    try:
        return next(csv.reader((line,), strict=True))
    except csv.Error as error:
        raise LineError(f"is not valid CSV: {error}") from error
