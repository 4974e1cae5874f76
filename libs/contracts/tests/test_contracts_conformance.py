"""The conformance kit's cases: each is what it says, and this library reads it as the table promises."""

import base64
import json
import re
from pathlib import Path

import pytest

from opora_contracts import Event, Fact, ReasonCode, UndecodableEvent, UnknownEvent, decode
from opora_contracts.attributes import escaped, reserved_source_problem
from opora_contracts.conformance import CASES, Answer, Case, Compression, Record, Run, Standing
from opora_contracts.conformance.__main__ import main
from opora_contracts.conformance.files import write_cases
from opora_contracts.conformance.table import REASONS, page
from opora_contracts.envelope import identity_of
from opora_contracts.requests import TicketSubmitted
from opora_contracts.topics import REQUESTS

RUN, NEXT_RUN = Run("a1"), Run("b2")
BY_NAME = {case.name: case for case in CASES}
ASKED_FOR = {
    "unknown-type",
    "newer-major",
    "reserved-source",
    "no-key",
    "two-megabytes",
    "depth-33",
    "number-in-quotes",
    "nan",
    "duplicate-key",
    "value-not-utf-8",
    "time-in-2262",
    "time-in-year-0",
    "bidi-controlled-title",
}


def read(record: Record) -> Event[Fact] | UnknownEvent:
    """What this library makes of a record."""
    return decode(record.key, record.value, record.headers)


@pytest.mark.parametrize("name", BY_NAME)
def test_each_case_is_read_as_the_table_promises(name: str) -> None:
    """A dead letter's code and reason are the library's own; what is taken carries the data; what is skipped is not
    a request.
    """
    case = BY_NAME[name]
    record = case.records(RUN)[-1]
    expected = case.expected
    if case.undecodable is not None:
        with pytest.raises(UndecodableEvent) as caught:
            read(record)
        assert caught.value.reason_code == case.undecodable
        assert expected.reason in str(caught.value)
        return
    event = read(record)
    if expected.answer is Answer.SKIPPED:
        assert isinstance(event, UnknownEvent) or type(event.data) not in REQUESTS.types
    elif isinstance(event, UnknownEvent):
        assert expected.reason_code == "reserved_source"
    else:
        assert (event.source, event.subject) == (record.source, record.subject)
        shown = {name: getattr(event.data, name) for name in expected.fields}
        assert shown == dict(expected.fields)


def test_the_table_holds_what_was_asked_for() -> None:
    """No kind of bad input that the platform must answer is missing, names are plain, and every sort is there."""
    assert BY_NAME.keys() >= ASKED_FOR
    assert len(BY_NAME) == len(CASES)
    assert [name for name in BY_NAME if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)] == []
    assert {case.standing for case in CASES} == set(Standing)
    assert {case.expected.answer for case in CASES} == set(Answer)
    assert {case.records(RUN)[-1].compression for case in CASES} == set(Compression)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_new_run_repeats_nothing(case: Case) -> None:
    """Two runs share no key, and no (source, id): the second is not taken for a repetition of the first, and does not
    wait behind its dead letters.
    """
    records, others = case.records(RUN), case.records(NEXT_RUN)
    for record, other in zip(records, others, strict=True):
        assert not record.key or record.key != other.key
        identity = identity_of(record.value, record.headers)
        assert None in identity or identity != identity_of(other.value, other.headers)
    assert len({record.key for record in records}) == 1


def test_a_repetition_is_one() -> None:
    """The two records of the same event are the same bytes, and those of one id share source and id."""
    first, second = BY_NAME["same-event-twice"].records(RUN)
    assert first == second
    first, second = BY_NAME["same-id-other-data"].records(RUN)
    assert identity_of(first.value, first.headers) == identity_of(second.value, second.headers)
    assert first.value != second.value


@pytest.mark.parametrize("name", ["value-of-1-mib", "value-over-1-mib", "two-megabytes"])
def test_sizes_are_exact(name: str) -> None:
    """The limit is met to the byte."""
    sizes = {"value-of-1-mib": 1_048_576, "value-over-1-mib": 1_048_577, "two-megabytes": 2_000_000}
    value = BY_NAME[name].records(RUN)[-1].value
    assert value is not None
    assert len(value) == sizes[name]


def test_the_files_hold_the_records(tmp_path: Path) -> None:
    """Whoever reads index.json and the files it names gets the records byte for byte, and what is expected of them."""
    assert main([str(tmp_path), "--run", RUN.name]) == 0
    index = json.loads((tmp_path / "index.json").read_text("utf-8"))
    assert (index["topic"], [entry["name"] for entry in index["cases"]]) == ("opora.requests", list(BY_NAME))
    for entry in index["cases"]:
        case = BY_NAME[entry["name"]]
        for files, record in zip(entry["records"], case.records(RUN), strict=True):
            document = json.loads((tmp_path / files["headers"]).read_text("utf-8"))
            headers = tuple((one["name"], bytes_of(one["value"])) for one in document["headers"])
            value = None if files["value"] is None else (tmp_path / files["value"]).read_bytes()
            read_back = (bytes_of(document["key"]), headers, value, files["compression"])
            assert read_back == (record.key, record.headers, record.value, record.compression)
        expected = entry["expected"]
        assert (expected["answer"], expected["reason_code"]) == (case.expected.answer, case.expected.reason_code)
        assert expected["tickets"] == case.tickets


def bytes_of(shown: dict[str, str] | None) -> bytes | None:
    """The exact bytes that a file shows."""
    return None if shown is None else base64.b64decode(shown["base64"])


def test_nothing_in_the_files_hides(tmp_path: Path) -> None:
    """Text for people has no control or text-direction character, whatever the record holds."""
    write_cases(tmp_path, RUN)
    shown = "".join(path.read_text("utf-8") for path in tmp_path.glob("*.json"))
    assert not set(shown) & {"\u202e", "\u2066", "\x1b", "\0", "\ufeff"}


@pytest.mark.parametrize("name", ["", "A", "a-b", "x" * 33, "a b"])
def test_a_run_needs_a_plain_name(name: str, tmp_path: Path) -> None:
    """A name that could not stand in a source, an id and a file is refused."""
    with pytest.raises(ValueError, match="cannot name a run"):
        Run(name)
    with pytest.raises(SystemExit) as stopped:
        main([str(tmp_path), "--run", name])
    assert stopped.value.code == 2


def test_the_page_shows_every_case_and_every_code() -> None:
    """The documentation's table is complete: a row per case with its answer, and a meaning for each reason code."""
    shown = page("")
    codes = {case.expected.reason_code for case in CASES} - {None}
    assert REASONS.keys() >= {*codes, *map(str, ReasonCode)}
    for case in CASES:
        assert len(re.findall(rf"^\| `{case.name}` \|", shown, re.MULTILINE)) == 1
    assert "| `nan` | NaN as a number | dead letter `bad_json`: holds NaN, which is not JSON |" in shown


@pytest.mark.parametrize(
    ("source", "is_reserved"),
    [
        ("/opora", True),
        ("/opora/intake", True),
        ("/Opora/anything/at/all", True),
        ("/operator", False),
        ("/oporaclub", False),
        ("//opora/intake", False),
        ("opora/intake", False),
        ("/monitoring/opora/", False),
    ],
)
def test_sources_of_ours_are_reserved(source: str, is_reserved: bool) -> None:
    """What stands below /opora, in any letter case, is ours; what only resembles it is anybody's."""
    problem = reserved_source_problem(source)
    assert (problem is not None) == is_reserved
    assert problem is None or "use a URI that names your system" in problem


STRUCTURED = ("content-type", b"application/cloudevents+json")


@pytest.mark.parametrize(
    ("value", "headers", "identity"),
    [
        (b"", [("ce_id", b"7"), ("CE_Source", b"/a")], ("/a", "7")),
        (b"{", [("ce_id", b"7"), ("ce_source", b"\xff")], (None, "7")),
        (None, [("ce_id", b"7"), ("ce_id", b"8"), ("ce_source", None)], (None, None)),
        (b"", [("ce_id", b"x" * 201), ("ce_source", b"/a\n")], (None, None)),
        (b"", [("ce_id", b""), ("ce_source", b"")], (None, None)),
        (b'{"id": "7", "source": "/a"}', [STRUCTURED, ("ce_id", b"8")], ("/a", "7")),
        (b'{"id": 7, "source": "\\u0000"}', [STRUCTURED], (None, None)),
        (b'{"id": 7, "source": "/a"}', [STRUCTURED], ("/a", None)),
        (b"{", [STRUCTURED], (None, None)),
        (None, [STRUCTURED], (None, None)),
        (b"{}", [], (None, None)),
    ],
)
def test_an_event_is_recognised_as_far_as_it_can_be_read(
    value: bytes | None, headers: list[tuple[str, bytes | None]], identity: tuple[str | None, str | None]
) -> None:
    """Source and id are found in either mode however broken the rest is, and only in a form that can be stored."""
    assert identity_of(value, headers) == identity


def test_escapes_show_what_would_hide() -> None:
    """Control and text-direction characters become escapes; letters of any script stay."""
    assert escaped("a\u202eb\n\x1b[31mж\0") == "a\\u202eb\\n\\x1b[31mж\\x00"


@pytest.mark.parametrize(
    "time", ["2026-03-01T24:00:00Z", "2016-12-31T23:59:60Z", "2026-03-01T09:30:60+01:00", "2026-03-01T09:60:00Z"]
)
def test_times_that_readers_would_take_differently_are_refused(time: str) -> None:
    """24:00 and leap seconds are written by some and read by few, and newer Pythons would read the first."""
    headers = [
        (name, time.encode() if name == "ce_time" else value)
        for name, value in BY_NAME["minimal-binary"].records(RUN)[0].headers
    ]
    with pytest.raises(UndecodableEvent) as caught:
        decode(b"k", b'{"title":"a"}', headers)
    assert caught.value.reason_code == ReasonCode.BAD_ATTRIBUTE


def test_a_minimal_case_is_an_ordinary_request() -> None:
    """The plain case is read as the model that intake handles."""
    event = read(BY_NAME["minimal-binary"].records(RUN)[0])
    assert isinstance(event, Event)
    assert event.data == TicketSubmitted(title="Login page answers 502")
