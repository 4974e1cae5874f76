"""Files of customers: rows of CSV (RFC 4180) and lines of JSON, read piece by piece, and written so that a spreadsheet
runs nothing of them (OWASP, CSV injection). Pure.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from pydantic_core import to_json

from opora_contracts.fact import Language, ShortText
from opora_intake.domain.contacts import Emails, Phones
from opora_intake.domain.customer import Customer
from opora_intake.domain.zones import TimeZone

COLUMNS = ("id", "name", "emails", "phones", "language", "time_zone", "organization_id", "surveys", "newsletter")
_LISTS = frozenset({"emails", "phones"})
_BETWEEN = re.compile(r';(?=(?:[^"]*"[^"]*")*[^"]*$)')
"""A semicolon that stands in no quoted part of an address (RFC 5322)."""
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


class FileFormat(StrEnum):
    """How customers are written in a file."""

    CSV = "csv"
    JSONL = "jsonl"


@dataclass(frozen=True, slots=True)
class FileLimits:
    """How much an import takes."""

    most_bytes: int = 1024 * 1024 * 1024
    most_rows: int = 1_000_000
    longest_row: int = 65_536
    """In characters, line breaks within quotes included."""
    most_refusals: int = 10_000
    """So many refused rows are kept with their reasons; the others are counted."""


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that was not taken in, and what to write instead."""

    line: int
    field: str | None
    reason: str
    instead: str


@dataclass(frozen=True, slots=True)
class Unusable(Exception):  # noqa: N818  a refusal is an answer, not a fault
    """Nothing of the file can be understood from here on; the message says what to do."""

    message: str

    def __str__(self) -> str:
        return self.message


def _without_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not hold the character NUL")
    return text


Said = Literal["given", "withdrawn"]


class CustomerRow(BaseModel):
    """One customer of a file. What is absent or empty is left as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: UUID | None = None
    name: Annotated[ShortText, AfterValidator(_without_nul)] | None = None
    emails: Emails = ()
    phones: Phones = ()
    language: Language | None = None
    time_zone: TimeZone | None = None
    organization_id: UUID | None = None
    surveys: Said | None = None
    newsletter: Said | None = None


ReadRow: TypeAlias = tuple[int, CustomerRow]


@dataclass(frozen=True, slots=True)
class Place:
    """How far a file was read: what is needed to go on with its next piece."""

    line: int = 1
    """The line with which `carried` begins."""
    header: tuple[str, ...] | None = None
    carried: str = ""
    skipping: bool = False
    """A line that was refused for its length goes on."""


def read_piece(
    file_format: FileFormat, place: Place, text: str, *, last: bool, limits: FileLimits
) -> tuple[list[ReadRow | RefusedRow], Place]:
    """The rows that end in this piece, with their lines, and the place for the next one.

    A quote that is never closed costs its own row alone. Raises Unusable for a header that cannot be understood.
    """
    if place.line == 1 and not place.carried and place.header is None:
        text = text.removeprefix("\ufeff")
    records, rest = _records(place, text, last=last, limits=limits, quoted=file_format is FileFormat.CSV)
    header = place.header
    rows: list[ReadRow | RefusedRow] = []
    for record in records:
        if isinstance(record, RefusedRow):
            rows.append(record)
        elif file_format is FileFormat.JSONL:
            rows.append(_json_row(*record))
        elif header is None:
            header = _header(record[1])
        else:
            rows.append(_csv_row(*record, header))
    return rows, replace(rest, header=header)


def _records(
    place: Place, text: str, *, last: bool, limits: FileLimits, quoted: bool
) -> tuple[list[tuple[int, str] | RefusedRow], Place]:
    """The complete records of the text, each with its first line, and what is left over."""
    lines = (place.carried + text).split("\n")
    line, first, skipping = place.line, 0, place.skipping
    found: list[tuple[int, str] | RefusedRow] = []
    while first < len(lines):
        if skipping:  # the rest of a line that was refused
            if len(lines) == 1:
                return found, Place(line, carried="", skipping=not last)
            first, line, skipping = 1, line + 1, False
            continue
        end, size, quotes = first, len(lines[first]), lines[first].count('"')
        while quoted and quotes % 2 and end + 1 < len(lines) and size <= limits.longest_row:
            end += 1
            size += 1 + len(lines[end])
            quotes += lines[end].count('"')
        is_whole = end + 1 < len(lines) or last
        if size > limits.longest_row:
            found.append(_too_long(line, limits, is_open=end > first or bool(quoted and quotes % 2)))
            if end == first and not is_whole:
                return found, Place(line, carried="", skipping=True)
            first, line = first + 1, line + 1
        elif quoted and quotes % 2 and last:
            found.append(
                RefusedRow(line, None, "A quote is opened and never closed", 'close it, and write "" for a quote')
            )
            first, line = first + 1, line + 1
        elif not is_whole:
            return found, Place(line, carried="\n".join(lines[first:]))
        else:
            record = "\n".join(lines[first : end + 1]).removesuffix("\r")
            if record.strip():
                found.append((line, record))
            line += end + 1 - first
            first = end + 1
    return found, Place(line)


def _too_long(line: int, limits: FileLimits, *, is_open: bool) -> RefusedRow:
    if is_open:
        return RefusedRow(
            line,
            None,
            f"A quote is not closed within {limits.longest_row} characters",
            'close it, and write "" for a quote',
        )
    return RefusedRow(line, None, f"The row has more than {limits.longest_row} characters", "shorten it")


def _header(record: str) -> tuple[str, ...]:
    names = tuple(cell.strip().lower() for cell in next(csv.reader([record])))
    unknown = [name for name in names if name not in COLUMNS]
    if len(names) == 1 and ";" in names[0]:
        raise Unusable("The columns are separated by semicolons: save the file as CSV with commas")
    if unknown:
        raise Unusable(
            f"The columns {', '.join(unknown)} are unknown: the first line names some of {', '.join(COLUMNS)}"
        )
    if len(set(names)) < len(names):
        raise Unusable(f"A column is named twice: the first line names each of {', '.join(COLUMNS)} at most once")
    if not {"id", "emails", "phones"} & set(names):
        raise Unusable("The first line names none of id, emails, phones: by one of them a customer is found again")
    return names


def _csv_row(line: int, record: str, header: Sequence[str]) -> ReadRow | RefusedRow:
    try:
        (cells,) = csv.reader(io.StringIO(record, newline=""), strict=True)
    except (csv.Error, ValueError) as error:
        return RefusedRow(
            line, None, f"The row is no CSV: {error}", 'put cells with quotes into quotes, and write "" for a quote'
        )
    if len(cells) != len(header):
        return RefusedRow(
            line,
            None,
            f"The row has {len(cells)} cells and the first line {len(header)}",
            "give each column its cell, and put cells with commas into quotes",
        )
    given: dict[str, Any] = {}
    for name, cell in zip(header, (without_prefix(cell) for cell in cells), strict=True):
        if name in _LISTS:
            given[name] = [part for part in _BETWEEN.split(cell) if part.strip()]
        elif cell:
            given[name] = cell
    return _row(line, given)


def _json_row(line: int, record: str) -> ReadRow | RefusedRow:
    try:
        given = json.loads(record)
    except (ValueError, RecursionError) as error:
        return RefusedRow(line, None, f"The line is no JSON: {error}", "write one object a line")
    if not isinstance(given, dict):
        return RefusedRow(line, None, "The line is no object", 'write {"name": …, "emails": […]}')
    return _row(line, {name: value for name, value in given.items() if value is not None})


def _row(line: int, given: Mapping[str, Any]) -> ReadRow | RefusedRow:
    try:
        return line, CustomerRow.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = str(first["loc"][0])
        reason = f"unknown field {field}" if first["type"] == "extra_forbidden" else str(first["msg"])
        return RefusedRow(line, field[:100], reason[:500], _INSTEAD.get(field, f"give some of {', '.join(COLUMNS)}"))


_INSTEAD = {
    "id": "leave it empty, or give the customer's id as the export has it",
    "name": "give 1 to 200 characters",
    "emails": "give addresses such as anna@example.com, at most 20, with semicolons between them",
    "phones": "give numbers with their country code such as +49 30 901820, at most 20, with semicolons between them",
    "language": "give a tag such as de or pt-BR",
    "time_zone": "give a name such as Europe/Berlin",
    "organization_id": "give an organisation's id, or leave it empty",
    "surveys": "write given or withdrawn, or leave it empty",
    "newsletter": "write given or withdrawn, or leave it empty",
}


def with_prefix(cell: str) -> str:
    """The cell as text to every spreadsheet: what could begin a formula gets an apostrophe before it."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def without_prefix(cell: str) -> str:
    """The cell as it was before `with_prefix`."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def header_text(file_format: FileFormat) -> str:
    """What a file begins with."""
    return _csv_text(COLUMNS) if file_format is FileFormat.CSV else ""


def customers_text(file_format: FileFormat, customers: Iterable[Customer]) -> str:
    """The customers as rows of a file; importing them changes nothing."""
    if file_format is FileFormat.CSV:
        return "".join(_csv_text([with_prefix(cell) for cell in _cells(customer)]) for customer in customers)
    return "".join(f"{to_json(_given(customer)).decode()}\n" for customer in customers)


def _given(customer: Customer) -> dict[str, Any]:
    said = {one.purpose: "given" if one.given else "withdrawn" for one in customer.consents}
    values = {name: said.get(name) or getattr(customer, name, None) for name in COLUMNS}
    return {name: value for name, value in values.items() if value not in (None, ())}


def _cells(customer: Customer) -> list[str]:
    given = _given(customer)
    return [";".join(given.get(name, ())) if name in _LISTS else str(given.get(name, "")) for name in COLUMNS]


def _csv_text(cells: Sequence[str]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue()
