"""Broken records: each is refused with a reason code, and in words that tell its publisher what to do."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opora_contracts import ReasonCode, UndecodableEvent, decode

HEADERS: dict[str, bytes | None] = {
    "ce_specversion": b"1.0",
    "ce_id": b"1",
    "ce_source": b"/monitoring",
    "ce_type": b"ticket.submitted",
    "ce_time": b"2026-03-01T09:30:00Z",
    "ce_subject": b"alert-1",
    "content-type": b"application/json",
}
VALUE = b'{"title":"Disk full"}'
STRUCTURED = {
    "specversion": "1.0",
    "id": "1",
    "source": "/monitoring",
    "type": "ticket.submitted",
    "time": "2026-03-01T09:30:00Z",
    "subject": "alert-1",
    "data": {"title": "Disk full"},
}


def refusal(
    value: bytes | None = VALUE, key: bytes | None = b"k", headers: list[tuple[str, bytes | None]] | None = None
) -> UndecodableEvent:
    """The error that this record causes."""
    with pytest.raises(UndecodableEvent) as caught:
        decode(key, value, list(HEADERS.items()) if headers is None else headers)
    return caught.value


@pytest.mark.parametrize(
    ("name", "raw", "code", "words"),
    [
        ("ce_id", None, "bad_header", "header ce_id is null"),
        ("ce_type", b"\xffticket", "bad_header", "header ce_type is not UTF-8: byte 0 is 0xff"),
        ("ce_specversion", b"0.3", "bad_attribute", "header ce_specversion: expected 1.0, got '0.3'"),
        ("ce_id", b"", "bad_attribute", "header ce_id: must not be empty"),
        ("ce_id", b"x" * 201, "bad_attribute", "header ce_id: has 201 characters; at most 200"),
        ("ce_source", b"/a\nb", "bad_attribute", "header ce_source: contains U+000A at position 2"),
        ("ce_subject", "a\u202eb".encode(), "bad_attribute", "header ce_subject: contains U+202E"),
        ("ce_time", b"2026-03-01T09:30:00", "bad_attribute", "header ce_time: expected an RFC 3339 time with a zone"),
        ("ce_time", b"2026-02-30T09:30:00Z", "bad_attribute", "header ce_time: expected an RFC 3339"),
        ("ce_time", b"1969-12-31T23:59:59Z", "bad_attribute", "in the years 1970 to 2261"),
        ("ce_time", b"2262-01-01T00:00:00Z", "bad_attribute", "in the years 1970 to 2261"),
        ("ce_time", b"9999-12-31T23:59:59-23:00", "bad_attribute", "in the years 1970 to 2261"),
        ("ce_time", b"1772357400", "bad_attribute", "such as 2026-03-01T09:30:00Z"),
        ("ce_sequence", b"0", "bad_attribute", "header ce_sequence: expected a decimal number 1, 2, 3"),
        ("ce_sequence", b"-1", "bad_attribute", "got '-1'"),
        ("ce_sequence", "٣".encode(), "bad_attribute", "header ce_sequence"),
        ("ce_sequence", b"9" * 5000, "bad_attribute", "header ce_sequence"),
        (
            "ce_dataschema",
            b"urn:opora:schema:ticket.created:1",
            "bad_attribute",
            "names the schema of 'ticket.created'",
        ),
        ("ce_dataschema", b"urn:opora:schema:ticket.submitted:one", "bad_attribute", "expected a major version"),
        ("ce_dataschema", b"urn:opora:schema:ticket.submitted:0", "bad_attribute", "expected a major version"),
        ("ce_dataschema", b"urn:opora:schema:ticket.submitted:2", "unsupported_version", "version 2 is not known here"),
        ("content-type", b"application/xml", "bad_attribute", "content-type: expected application/json"),
        ("content-type", b"application/cloudevents-batch+json", "not_a_cloudevent", "with one event in the record"),
        ("content-type", b"application/cloudevents+avro", "not_a_cloudevent", "application/cloudevents+json"),
    ],
)
def test_a_bad_header_is_named(name: str, raw: bytes | None, code: str, words: str) -> None:
    """A header that breaks a rule is refused by name, with what was expected."""
    error = refusal(headers=list({**HEADERS, name: raw}.items()))
    assert (error.reason_code, words in error.detail) == (code, True), error.detail


@pytest.mark.parametrize("name", ["ce_id", "ce_source", "ce_type", "ce_time"])
def test_a_missing_attribute_is_named(name: str) -> None:
    """An attribute that must be there is asked for by the header's name."""
    error = refusal(headers=[one for one in HEADERS.items() if one[0] != name])
    assert error.reason_code is ReasonCode.MISSING_ATTRIBUTE
    assert error.detail.startswith(f"header {name} is missing; expected ")


def test_a_subject_is_needed_where_nothing_stands_for_it() -> None:
    """Without subject, key and partition key nobody knows what the event is about."""
    error = refusal(key=None, headers=[one for one in HEADERS.items() if one[0] != "ce_subject"])
    assert error.reason_code is ReasonCode.MISSING_ATTRIBUTE
    assert (
        error.detail == "header ce_subject is missing; expected the publisher's id of the case that the event is about"
    )


def test_a_header_given_twice_is_refused() -> None:
    """Two values of one attribute are refused, also when the names differ in case."""
    error = refusal(headers=[*HEADERS.items(), ("CE_ID", b"2")])
    assert (error.reason_code, error.detail) == ("bad_header", "header ce_id is given twice; expected it once")


def test_a_record_that_is_no_cloudevent_is_told_how_to_become_one() -> None:
    """Without CloudEvents headers the error lists the ones to send."""
    error = refusal(headers=[("content-type", b"application/json")])
    assert error.reason_code is ReasonCode.NOT_A_CLOUDEVENT
    assert "ce_specversion (1.0), ce_id, ce_source, ce_type, ce_time and ce_subject" in error.detail


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (b"\xfe", "the record's key is not UTF-8: byte 0 is 0xfe"),
        (b"a\tb", "the record's key contains U+0009"),
        (b"k" * 201, "the record's key has 201 characters"),
    ],
)
def test_a_bad_key_is_refused(key: bytes, words: str) -> None:
    """A key that is not a short printable text is refused."""
    error = refusal(key=key)
    assert error.reason_code is ReasonCode.BAD_KEY
    assert words in error.detail


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "the record's value is null"),
        (b"", "the record's value is empty"),
        (b"[]", "is a JSON array; expected an object"),
        (b"null", "is a JSON null"),
        (b"7", "is a JSON number"),
        (b'"text"', "is a JSON string"),
        (b'{"title":', "is not JSON: Expecting value at line 1, column 10"),
        (b'{"title":"a"} x', "is not JSON: Extra data"),
        (b"\xef\xbb\xbf{}", "begins with a byte order mark"),
        (b'{"title":"\xff"}', "is not UTF-8: byte 10 is 0xff"),
        (b'{"title":"a","impact":NaN}', "holds NaN, which is not JSON"),
        (b'{"title":"a","x":-Infinity}', "holds -Infinity"),
        (b'{"title":"a","title":"b"}', "repeats the key 'title'"),
        (b'{"title":"a","x":[{"y":1,"y":1}]}', "repeats the key 'y'"),
        (b'{"title":"a","body":"x\\u0000"}', "holds the character U+0000"),
        (b'{"title":"a\x01"}', "is not JSON: Invalid control character"),
        (b'{"title":"\\ud800"}', "the data is not JSON"),
        (b'{"title":' + b"[" * 33 + b"]" * 33 + b"}", "nests deeper than 32 levels"),
        (b'{"title":' + b"[" * 500_000, "nests deeper than 32 levels"),
        (b'{"title":' + b'{"a":' * 200_000, "nests deeper than 32 levels"),
        (b'{"title":' + b"9" * 5000 + b"}", "holds a number that is too long"),
    ],
)
def test_bad_json_is_refused(value: bytes | None, words: str) -> None:
    """A value that is not one well-formed JSON object says where it is broken."""
    error = refusal(value)
    assert (error.reason_code, words in error.detail) == ("bad_json", True), error.detail


def test_brackets_inside_strings_do_not_nest() -> None:
    """A long text full of brackets and escaped quotes is not deep."""
    body = '[{"' * 10_000
    event = decode(b"k", json.dumps({"title": "a", "body": body}).encode(), list(HEADERS.items()))
    assert event.data.body == body  # type: ignore[union-attr]


def test_unclosed_strings_are_refused_in_linear_time() -> None:
    """A megabyte of escaped quotes after many brackets is refused, not searched over and over."""
    assert refusal(b"[" * 20 + b"{" * 13 + b'"' + b'\\"' * 500_000).reason_code is ReasonCode.BAD_JSON


def test_a_large_value_is_refused() -> None:
    """More than one MiB is refused with its size."""
    error = refusal(b'{"title":"a","body":"' + b"x" * 1_048_576 + b'"}')
    assert (error.reason_code, "has 1048599 bytes; at most 1048576" in error.detail) == ("too_large", True)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "data.title: required, but absent"),
        ({"title": 3}, "data.title: Input should be a valid string"),
        ({"title": ""}, "data.title: String should have at least 1 character"),
        ({"title": "x" * 251}, "data.title: String should have at most 250 characters"),
        ({"title": "a\nb"}, "data.title: must be one line of text"),
        ({"title": "a\u202eb"}, "data.title: must be one line of text"),
        ({"title": "a", "impact": "hihg"}, "data.impact: Input should be 'high', 'medium' or 'low'"),
        ({"title": "a", "language": "english"}, "data.language: must be a language tag such as en"),
        ({"title": "a", "organization_id": 5}, "data.organization_id:"),
        ({"tittle": "a"}, "not fields of this type: 'tittle'"),
    ],
)
def test_wrong_data_names_field_and_rule(data: dict[str, Any], words: str) -> None:
    """Data that breaks the type's rules says which field, which rule, and which fields were misspelt."""
    error = refusal(json.dumps(data).encode())
    assert (error.reason_code, words in error.detail) == ("wrong_schema", True), error.detail
    assert error.detail.startswith("not a valid ticket.submitted version 1: ")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("used_seconds", '"90"'),
        ("used_seconds", "90.0"),
        ("used_seconds", "true"),
        ("used_seconds", "-1"),
        ("paused_at", '"1772357400"'),
        ("paused_at", "1772357400"),
        ("paused_at", '"2026-03-01T09:30:00"'),
        ("paused_at", '"2262-01-01T00:00:00Z"'),
    ],
)
def test_numbers_and_times_are_strict(field: str, value: str) -> None:
    """Numbers in quotes, fractions for counts, and times that are not RFC 3339 with a zone are refused."""
    members = {
        "ticket_id": '"018f3a52-9b3c-7c5e-9d8c-2f6a41b7e003"',
        "metric": '"resolution"',
        "cycle": "1",
        "agreement_id": '"018e9d10-4c2b-7a35-b1c7-93f0de6a2204"',
        "agreement_version": "1",
        "paused_at": '"2026-03-01T09:30:00Z"',
        "waiting_on": '"customer"',
        "used_seconds": "90",
    }
    headers: list[tuple[str, bytes | None]] = list({**HEADERS, "ce_type": b"sla.paused"}.items())

    def document() -> bytes:
        return ("{" + ",".join(f'"{name}":{text}' for name, text in members.items()) + "}").encode()

    decode(b"k", document(), headers)
    members[field] = value
    error = refusal(document(), headers=headers)
    assert (error.reason_code, f"data.{field}: " in error.detail) == ("wrong_schema", True), error.detail


def test_at_most_five_fields_are_listed() -> None:
    """A document full of mistakes gets five of them and the count of the rest."""
    wrong = dict.fromkeys(("title", "body", "language", "channel", "kind", "impact", "urgency"), 1)
    error = refusal(json.dumps(wrong).encode())
    assert error.detail.count("data.") == 5
    assert "; and 2 more" in error.detail


def test_errors_do_not_repeat_the_data() -> None:
    """A refused message is not quoted: it may be personal."""
    error = refusal(json.dumps({"title": ["secret-1"], "body": 7, "impact": "secret-2"}).encode())
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"id": None}, "missing_attribute", "attribute id is missing"),
        ({"id": 7}, "bad_attribute", "attribute id: expected a JSON string"),
        ({"id": "\ud800"}, "bad_attribute", "attribute id: contains U+D800"),
        ({"sequence": True}, "bad_attribute", "attribute sequence: expected a JSON string"),
        ({"specversion": None}, "missing_attribute", "attribute specversion is missing; expected 1.0"),
        ({"time": "yesterday"}, "bad_attribute", "attribute time: expected an RFC 3339"),
        ({"data": None}, "bad_json", "attribute data is null"),
        ({"data": [1]}, "bad_json", "attribute data is a JSON array"),
        ({"data_base64": "e30="}, "bad_attribute", "either data or data_base64, got both"),
        ({"data": ..., "data_base64": "%%%"}, "bad_attribute", "attribute data_base64: expected a string in base64"),
        ({"data": ..., "data_base64": 7}, "bad_attribute", "attribute data_base64: expected a string in base64"),
        ({"data": ..., "data_base64": "/w=="}, "bad_json", "attribute data is not UTF-8"),
        ({"datacontenttype": "text/plain"}, "bad_attribute", "expected application/json for the data"),
    ],
)
def test_structured_events_are_checked_alike(change: dict[str, Any], code: str, words: str) -> None:
    """A structured event is refused for the same reasons, in the words of its own attributes."""
    members = {name: value for name, value in {**STRUCTURED, **change}.items() if value is not ...}
    error = refusal(json.dumps(members).encode(), headers=[("content-type", b"application/cloudevents+json")])
    assert (error.reason_code, words in error.detail) == (code, True), error.detail


def test_a_number_out_of_range_is_refused_in_structured_data() -> None:
    """1e999 is valid JSON that no reader can hold."""
    value = json.dumps(STRUCTURED).replace('"Disk full"', "1e999").encode()
    error = refusal(value, headers=[("content-type", b"application/cloudevents+json")])
    assert (error.reason_code, error.detail) == ("bad_json", "the data holds a number that is out of range")


names = st.sampled_from([*HEADERS, "ce_sequence", "ce_dataschema", "ce_actor", "traceparent", "CE_ID", "x"])
good_values = st.sampled_from([raw for raw in HEADERS.values() if raw is not None])
structured_headers = st.just([("content-type", b"application/cloudevents+json")])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(
    st.none() | st.binary(max_size=20),
    st.none() | st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()),
    st.lists(st.tuples(names, st.none() | st.binary(max_size=30) | good_values), max_size=12)
    | st.lists(st.tuples(names, st.none() | st.binary(max_size=9)), max_size=2).map(
        lambda extra: [*((name, raw) for name, raw in HEADERS.items() if name not in dict(extra)), *extra]
    )
    | structured_headers,
)
def test_nothing_but_undecodable_event_is_raised(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]]
) -> None:
    """Whatever stands on the topic, decoding gives an event or UndecodableEvent."""
    with suppress(UndecodableEvent):
        decode(key, value, headers)


@given(
    st.dictionaries(st.sampled_from([*STRUCTURED, "sequence", "data_base64", "dataschema"]), json_values, max_size=3)
)
def test_no_structured_event_surprises(change: dict[str, Any]) -> None:
    """A structured event with any values in its attributes gives an event or UndecodableEvent."""
    with suppress(UndecodableEvent):
        decode(None, json.dumps({**STRUCTURED, **change}).encode(), [("content-type", b"application/cloudevents+json")])
