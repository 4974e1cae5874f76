"""Files of customers, read in pieces and written for spreadsheets: pure."""

import csv
import io
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opora_intake.domain.customer import Consent, Customer
from opora_intake.domain.customer_files import (
    CustomerRow,
    FileFormat,
    FileLimits,
    Place,
    ReadRow,
    RefusedRow,
    customers_text,
    header_text,
    read_piece,
    with_prefix,
    without_prefix,
)
from opora_intake.domain.customer_import import Register

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
LIMITS = FileLimits()
CHARACTERS = st.characters(exclude_characters="\x00", codec="utf-8")
CELLS = st.text(CHARACTERS, max_size=12)
NAMES = st.text(CHARACTERS, min_size=1, max_size=30) | st.builds(
    str.__add__, st.sampled_from(["=", "+", "-", "@", "\t", "\r", "'", "'=", "''+"]), CELLS
)
LOCAL_PARTS = st.sampled_from(["anna", '"a;b"', '"a,b"', "a+b", "ΝΙΚΟΣ", "=cmd", "-x"])
PHONES = st.lists(st.sampled_from(["+4930901820", "+16502530000", "+442079460958"]), unique=True, max_size=3)


@st.composite
def customers(draw: st.DrawFn) -> Customer:
    """A customer as it may stand in the database."""
    mark = uuid4().hex
    said = draw(st.sets(st.sampled_from(["newsletter", "surveys"])))
    return Customer(
        id=uuid4(),
        name=draw(NAMES),
        emails=tuple(f"{part}@{n}.{mark}.example" for n, part in enumerate(draw(st.lists(LOCAL_PARTS, max_size=3)))),
        phones=tuple(draw(PHONES)),
        language=draw(st.sampled_from(["en", "de", "pt-BR"])),
        time_zone=draw(st.sampled_from(["UTC", "Europe/Berlin"])),
        consents=tuple(Consent(purpose, draw(st.booleans()), NOON, "portal") for purpose in sorted(said)),
        version=draw(st.integers(1, 9)),
        last_time=NOON,
    )


def register_of(known: list[Customer]) -> Register:
    """The register of these customers."""
    return Register(
        now=NOON,
        source="import x",
        customers={one.id: one for one in known},
        owners={email.lower(): one.id for one in known for email in one.emails},
        organizations=frozenset(),
        domains={},
    )


def read_all(file_format: FileFormat, text: str, size: int, limits: FileLimits = LIMITS) -> list[ReadRow | RefusedRow]:
    """Everything that a file holds, read in pieces of so many characters."""
    place, found = Place(), list[ReadRow | RefusedRow]()
    for start in range(0, len(text), size):
        rows, place = read_piece(
            file_format, place, text[start : start + size], last=start + size >= len(text), limits=limits
        )
        found += rows
    return found


@given(cell=CELLS | NAMES)
def test_no_exported_cell_begins_a_formula_and_each_comes_back(cell: str) -> None:
    """What could begin a formula (OWASP) gets a prefix, everything else none, and the way back is exact."""
    written = with_prefix(cell)
    assert not written.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert without_prefix(written) == cell


@pytest.mark.parametrize(
    ("cell", "written"),
    [("=1+1", "'=1+1"), ("+49", "'+49"), ("'=1", "''=1"), ("O'Neill", "O'Neill"), ("'quoted'", "'quoted'"), ("", "")],
)
def test_only_what_could_begin_a_formula_is_prefixed(cell: str, written: str) -> None:
    """An apostrophe of the name's own stays as it is."""
    assert with_prefix(cell) == written


@given(known=st.lists(customers(), max_size=6), file_format=st.sampled_from(FileFormat), size=st.integers(1, 400))
def test_what_is_exported_and_imported_changes_nothing(
    known: list[Customer], file_format: FileFormat, size: int
) -> None:
    """In either format, wherever the pieces end, with formulas, quotes and line breaks in the names."""
    text = header_text(file_format) + customers_text(file_format, known)
    register = register_of(known)
    for row in read_all(file_format, text, size):
        assert isinstance(row, tuple), row
        assert register.apply(*row, uuid4()) is None
    assert (register.unchanged, register.states) == (len(known), [])


@given(known=st.lists(customers(), max_size=4))
def test_an_import_into_nothing_can_be_repeated(known: list[Customer]) -> None:
    """Rows of people who are unknown register them once; again, within the same file, they change nothing."""
    known = [one for one in known if one.emails]
    text = header_text(FileFormat.CSV) + customers_text(FileFormat.CSV, known) * 2
    register = register_of([])
    for row in read_all(FileFormat.CSV, text, 1000):
        assert isinstance(row, tuple)
        register.apply(*row, uuid4())
    assert (len(register.registered), register.changed, register.unchanged) == (len(known), 0, len(known))


@given(rows=st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=6), size=st.integers(1, 50))
def test_rows_are_split_as_the_csv_module_splits_them(rows: list[list[str]], size: int) -> None:
    """Quoted line breaks and quotes belong to their cells, wherever the pieces end (RFC 4180)."""
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows(rows)
    found = read_all(FileFormat.CSV, "name,emails,language\r\n" + text.getvalue(), size)
    assert len(found) == len(rows)


def test_an_open_quote_costs_its_own_row_alone() -> None:
    """The rows behind it are read as if it were not there, whether the file ends or the limit comes first."""
    good = "B,b@example.com\nC,c@example.com\n"
    for limits in (LIMITS, FileLimits(longest_row=40)):
        found = read_all(FileFormat.CSV, f'name,emails\n"A,a@example.com\n{good}', 7, limits)
        assert isinstance(found[0], RefusedRow)
        assert found[0].line == 2
        rows = [row for row in found[1:] if isinstance(row, tuple)]
        assert [(line, row.name) for line, row in rows] == [(3, "B"), (4, "C")]


def test_a_line_without_end_is_refused_without_being_kept() -> None:
    """Its rest is dropped as it comes; the line behind it is read."""
    limits = FileLimits(longest_row=50)
    place, found = Place(), list[ReadRow | RefusedRow]()
    for piece in ["name,emails\n", "A" * 60, "A" * 60, 'A"', "A\nB,b@example.com\n"]:
        rows, place = read_piece(FileFormat.CSV, place, piece, last=False, limits=limits)
        found += rows
        assert len(place.carried) <= 60
    assert isinstance(found[0], RefusedRow)
    assert found[0].line == 2
    assert [(row[0], row[1].name) for row in found[1:] if isinstance(row, tuple)] == [(3, "B")]


def test_a_row_of_a_merged_customer_is_refused() -> None:
    """An export of before a merge does not bring the old name back."""
    into = Customer(id=uuid4(), name="A", version=1, last_time=NOON)
    gone = Customer(id=uuid4(), name="B", merged_into=into.id, version=2, last_time=NOON)
    refused = register_of([into, gone]).apply(5, CustomerRow(id=gone.id, name="B"), uuid4())
    assert refused is not None
    assert (refused.line, refused.field, str(into.id) in refused.reason) == (5, "id", True)


def test_a_file_adds_contacts_and_takes_none_away() -> None:
    """Addresses and phones of the row come behind those that are known; empty cells leave everything as it is."""
    known = Customer(id=UUID(int=1), name="Anna", emails=("a@example.com",), version=1, last_time=NOON)
    register = register_of([known])
    row = CustomerRow(emails=("b@example.com", "A@example.com"), phones=("+4930901820",))
    assert register.apply(2, row, uuid4()) is None
    assert register.apply(3, CustomerRow(id=known.id, emails=("c@example.com",)), uuid4()) is None
    after = register.customers[known.id]
    assert after.emails == ("a@example.com", "b@example.com", "c@example.com")
    assert (after.name, after.phones, after.version) == ("Anna", ("+4930901820",), 3)
    assert [state.version for state in register.states] == [2, 3]
