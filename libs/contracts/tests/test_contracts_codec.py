"""Events on the wire: what is written can be read, by us and by other SDKs, in both modes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary, from_structured, to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from opora_contracts import Event, Fact, UnknownEvent, decode, encode, encode_structured
from opora_contracts.codec import EncodedRecord
from opora_contracts.customers import CustomerRegistered
from opora_contracts.requests import TicketSubmitted
from opora_contracts.sla import SlaBreached
from opora_contracts.tickets import TicketAssigned, TicketPlanned, TicketUpdated
from opora_contracts.vocabulary import Channel, Evidence, Kind, Level, Metric, Priority

TICKET_ID = UUID("018f3a52-9b3c-7c5e-9d8c-2f6a41b7e003")
ASSIGNED: Event[Fact] = Event(
    id="018f3a52-9b3d-7c5e-9d8c-000000000001",
    source="/opora/intake",
    type="ticket.assigned",
    version=1,
    time=datetime(2026, 3, 1, 9, 30, 0, 120, tzinfo=UTC),
    subject=str(TICKET_ID),
    data=TicketAssigned(ticket_id=TICKET_ID, assignee="anna"),
    sequence=3,
    key=str(TICKET_ID),
    correlation_id="case-1",
    causation_id="cause-1",
    actor="agent:anna",
    import_id="import-2016",
    traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
)

attribute_texts = st.text(
    st.characters(exclude_categories=("Cc", "Cf", "Cs", "Cn", "Zl", "Zp")), min_size=1, max_size=200
)
one_line_texts = attribute_texts
body_texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=300)
instants = st.datetimes(
    datetime(1970, 1, 2),  # noqa: DTZ001  hypothesis takes bounds without a zone
    datetime(2261, 12, 30),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5.5))]),
)
counts = st.integers(0, 2**53)
facts: st.SearchStrategy[Fact] = st.one_of(
    st.builds(
        TicketSubmitted,
        title=one_line_texts,
        body=body_texts,
        requester_email=st.none() | one_line_texts,
        language=st.sampled_from(["en", "ru", "pt-BR"]),
        channel=st.sampled_from(Channel),
        kind=st.sampled_from(Kind),
        impact=st.sampled_from(Level),
        urgency=st.sampled_from(Level),
        organization_id=st.none() | st.uuids(),
    ),
    st.builds(
        SlaBreached,
        ticket_id=st.uuids(),
        metric=st.sampled_from(Metric),
        cycle=st.integers(1, 9),
        agreement_id=st.uuids(),
        agreement_version=st.integers(1, 9),
        due_at=instants,
        detected_at=instants,
        used_seconds=counts,
        target_seconds=counts,
        priority=st.sampled_from(Priority),
        evidence=st.sampled_from(Evidence),
    ),
    st.builds(CustomerRegistered, customer_id=st.uuids(), name=one_line_texts, email=st.none() | one_line_texts),
    st.builds(TicketUpdated, ticket_id=st.uuids(), joined_live=st.none() | st.booleans()),
)


@st.composite
def events(draw: st.DrawFn) -> Event[Fact]:
    """Any event that a producer may write."""
    data = draw(facts)
    return Event(
        id=draw(attribute_texts),
        source=draw(attribute_texts),
        type=data.event_type,
        version=1,
        time=draw(instants),
        subject=draw(attribute_texts),
        data=data,
        sequence=draw(st.none() | st.integers(1, 10**17)),
        key=draw(attribute_texts),
        correlation_id=draw(st.none() | attribute_texts),
        causation_id=draw(st.none() | attribute_texts),
        actor=draw(st.none() | attribute_texts),
        import_id=draw(st.none() | attribute_texts),
        traceparent=draw(st.none() | st.just(ASSIGNED.traceparent)),
    )


@given(events())
def test_an_event_reads_as_it_was_written(event: Event[Fact]) -> None:
    """Encoding and decoding gives the same event back, in binary and in structured mode."""
    for record in (encode(event), encode_structured(event)):
        assert decode(record.key, record.value, record.headers) == event


def test_binary_mode_is_headers_and_bare_data() -> None:
    """The record holds the attributes of the CloudEvents Kafka binding as headers, and the data without nulls."""
    record = encode(ASSIGNED)
    assert record.key == b"018f3a52-9b3c-7c5e-9d8c-2f6a41b7e003"
    assert record.value == b'{"ticket_id":"018f3a52-9b3c-7c5e-9d8c-2f6a41b7e003","assignee":"anna"}'
    assert dict(record.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"018f3a52-9b3d-7c5e-9d8c-000000000001",
        "ce_source": b"/opora/intake",
        "ce_type": b"ticket.assigned",
        "ce_time": b"2026-03-01T09:30:00.000120Z",
        "ce_subject": b"018f3a52-9b3c-7c5e-9d8c-2f6a41b7e003",
        "ce_dataschema": b"urn:opora:schema:ticket.assigned:1",
        "ce_sequence": b"3",
        "ce_partitionkey": b"018f3a52-9b3c-7c5e-9d8c-2f6a41b7e003",
        "ce_correlationid": b"case-1",
        "ce_causationid": b"cause-1",
        "ce_actor": b"agent:anna",
        "ce_importid": b"import-2016",
        "traceparent": b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "content-type": b"application/json",
    }


def test_null_and_absent_are_equal() -> None:
    """A field that is null in the record reads as one that is not there."""
    record = encode(ASSIGNED)
    explicit = record.value.replace(b"}", b',"group":null}')
    assert decode(record.key, explicit, record.headers) == ASSIGNED


def test_where_a_record_stood_is_kept() -> None:
    """Partition and offset are handed through to the event."""
    record = encode(ASSIGNED)
    event = decode(record.key, record.value, record.headers, partition=4, offset=99)
    assert (event.partition, event.offset) == (4, 99)


def test_header_names_are_compared_without_case() -> None:
    """Headers in capitals are read like headers in small letters."""
    record = encode(ASSIGNED)
    assert decode(record.key, record.value, [(name.upper(), raw) for name, raw in record.headers]) == ASSIGNED


def test_a_trace_may_come_as_extension() -> None:
    """The trace context is read from ce_traceparent too, and the plain header wins."""
    headers = [*_without("traceparent"), ("ce_traceparent", b"00-11111111111111111111111111111111-1111111111111111-00")]
    event = _decoded(headers)
    assert event.traceparent == "00-11111111111111111111111111111111-1111111111111111-00"
    assert _decoded([*headers, ("traceparent", (ASSIGNED.traceparent or "").encode())]) == ASSIGNED


@pytest.mark.parametrize("trace", [None, b"\xff\xfe", b"rubbish", b"00-" + b"0" * 32 + b"-00f067aa0ba902b7-01"])
def test_a_broken_trace_does_not_stop_an_event(trace: bytes | None) -> None:
    """A malformed traceparent is dropped and the event is read."""
    assert _decoded([*_without("traceparent"), ("traceparent", trace)]) == replace(ASSIGNED, traceparent=None)


def test_headers_of_others_may_hold_anything() -> None:
    """Headers and extensions that this library does not read are not looked at."""
    headers = [*encode(ASSIGNED).headers, ("x-raw", b"\xff"), ("x-raw", None), ("ce_comexample", b"\xff")]
    assert _decoded(headers) == ASSIGNED


@pytest.mark.parametrize(
    ("key", "partition_key", "subject", "expected_key", "expected_subject"),
    [
        (b"k", "p", "s", "k", "s"),
        (None, "p", "s", "p", "s"),
        (b"", "p", "s", "p", "s"),
        (None, None, "s", "s", "s"),
        (b"k", "p", None, "k", "k"),
        (None, "p", None, "p", "p"),
    ],
)
def test_a_foreign_record_may_lack_key_or_subject(
    key: bytes | None, partition_key: str | None, subject: str | None, expected_key: str, expected_subject: str
) -> None:
    """The key falls back to partitionkey and subject; the subject falls back to the key."""
    headers = _without("ce_subject", "ce_partitionkey")
    headers += [("ce_partitionkey", partition_key.encode())] if partition_key else []
    headers += [("ce_subject", subject.encode())] if subject else []
    event = decode(key, encode(ASSIGNED).value, headers)
    assert (event.key, event.subject) == (expected_key, expected_subject)


@pytest.mark.parametrize(
    "schema", [None, b"https://example.com/schemas/ticket.json", b"urn:opora:schema:ticket.assigned:1"]
)
def test_absent_and_foreign_schemas_mean_version_1(schema: bytes | None) -> None:
    """Without a dataschema of ours, an event is read as version 1 of its type."""
    headers = _without("ce_dataschema") + ([("ce_dataschema", schema)] if schema else [])
    assert _decoded(headers) == ASSIGNED


def test_times_are_read_in_utc() -> None:
    """A time with another offset is the same instant in UTC, in the attribute and in the data, cut to microseconds."""
    planned = replace(
        ASSIGNED,
        type="ticket.planned",
        data=TicketPlanned(ticket_id=TICKET_ID, planned_for=datetime(2026, 1, 1, tzinfo=UTC)),
    )
    record = encode(planned)
    headers = [
        (name, b"2026-03-01t12:30:00.123456789+03:00" if name == "ce_time" else raw) for name, raw in record.headers
    ]
    value = record.value.replace(b"2026-01-01T00:00:00Z", b"2026-01-01T02:00:00+02:00")
    event = decode(record.key, value, headers)
    assert event.time == datetime(2026, 3, 1, 9, 30, 0, 123456, tzinfo=UTC)
    assert isinstance(event, Event)
    assert event.data == planned.data
    assert event.data.planned_for.tzinfo is UTC  # type: ignore[attr-defined]


def test_an_unknown_type_is_not_an_error() -> None:
    """An event of a type nobody here knows keeps what a consumer needs to count and skip it; its value is not read."""
    headers = [(name, b"comet.sighted" if name == "ce_type" else raw) for name, raw in _without("ce_dataschema")]
    assert decode(b"k", b"\xff not JSON", headers, partition=1, offset=2) == UnknownEvent(
        id=ASSIGNED.id,
        source="/opora/intake",
        type="comet.sighted",
        version=1,
        time=ASSIGNED.time,
        subject=str(TICKET_ID),
        sequence=3,
        key="k",
        partition=1,
        offset=2,
    )


def test_unknown_fields_are_ignored_and_reported() -> None:
    """A field that this version does not declare changes nothing, and whoever asks is told its name."""
    record = encode(ASSIGNED)
    seen: list[tuple[type[Fact], tuple[str, ...]]] = []
    value = record.value.replace(b"}", b',"zeal":1,"colour":{"r":[1]}}')
    event = decode(record.key, value, record.headers, on_unknown_fields=lambda kind, names: seen.append((kind, names)))
    assert event == ASSIGNED
    assert seen == [(TicketAssigned, ("colour", "zeal"))]


def test_structured_data_may_be_base64() -> None:
    """The JSON format's data_base64 is read like data."""
    value = (
        b'{"specversion":"1.0","id":"1","source":"/x","type":"ticket.resumed","time":"2026-03-01T09:30:00Z",'
        b'"subject":"s","data_base64":"eyJ0aWNrZXRfaWQiOiIwMThmM2E1Mi05YjNjLTdjNWUtOWQ4Yy0yZjZhNDFiN2UwMDMifQ==",'
        b'"sequence":7,"actor":null}'
    )
    event = decode(None, value, [("Content-Type", b"application/cloudevents+json; charset=UTF-8")])
    assert isinstance(event, Event)
    assert (event.sequence, event.actor, event.data.model_dump()) == (7, None, {"ticket_id": TICKET_ID})


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"id": ""}, "id must not be empty"),
        ({"id": "x" * 201}, "id has 201 characters"),
        ({"actor": "agent:\u202eanna"}, r"actor contains U\+202E"),
        ({"time": ASSIGNED.time.replace(tzinfo=None)}, "RFC 3339"),
        ({"time": datetime(2262, 1, 1, tzinfo=UTC)}, "1970 to 2261"),
        ({"sequence": 0}, "1, 2, 3"),
        ({"version": 2}, "ticket.assigned version 2"),
        ({"type": "ticket.planned"}, "ticket.planned version 1"),
        ({"data": TicketAssigned(ticket_id=TICKET_ID, group="a\0b")}, r"U\+0000"),
    ],
)
def test_a_writer_cannot_poison_its_readers(change: dict[str, Any], complaint: str) -> None:
    """What could not be read is refused when it is written."""
    with pytest.raises(ValueError, match=complaint):
        encode(replace(ASSIGNED, **change))


@pytest.mark.parametrize("structured", [False, True])
def test_events_of_the_cloudevents_sdk_are_read(structured: bool) -> None:
    """A request published with the cloudevents SDK and its defaults is read in both modes, once with no subject."""
    foreign = CloudEvent(
        {
            "id": "alert-7781-1",
            "source": "/monitoring",
            "type": "ticket.submitted",
            "time": datetime(2026, 3, 1, 9, 30, tzinfo=UTC),
            "datacontenttype": "application/json",
            "partitionkey": "alert-7781",
        },
        {"title": "Диск заполнен", "impact": "high"},
    )
    message = (to_structured if structured else to_binary)(foreign, JSONFormat())
    key = message.key.encode() if isinstance(message.key, str) else message.key
    event = decode(key, message.value, list(message.headers.items()))
    assert isinstance(event, Event)
    assert event.data == TicketSubmitted(title="Диск заполнен", impact=Level.HIGH)
    assert (event.id, event.source, event.subject, event.key) == (
        "alert-7781-1",
        "/monitoring",
        "alert-7781",
        "alert-7781",
    )
    assert event.time == datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize("structured", [False, True])
def test_the_cloudevents_sdk_reads_ours(structured: bool) -> None:
    """The cloudevents SDK reads our records in both modes, and what it writes again reads as the same event."""
    record = (encode_structured if structured else encode)(ASSIGNED)
    message = KafkaMessage(headers=dict(record.headers), key=record.key, value=record.value)
    foreign = (from_structured if structured else from_binary)(message, JSONFormat())
    assert foreign.get_type() == "ticket.assigned"
    assert foreign.get_time() == ASSIGNED.time
    assert foreign.get_data() == {"ticket_id": str(TICKET_ID), "assignee": "anna"}
    again = to_binary(foreign, JSONFormat())
    event = decode(record.key, again.value, list(again.headers.items()))
    assert event == (ASSIGNED if structured else replace(ASSIGNED, traceparent=None))


def _without(*names: str) -> list[tuple[str, bytes | None]]:
    return [(name, raw) for name, raw in encode(ASSIGNED).headers if name not in names]


def _decoded(headers: list[tuple[str, bytes | None]]) -> Event[Fact]:
    record: EncodedRecord = encode(ASSIGNED)
    event = decode(record.key, record.value, headers)
    assert isinstance(event, Event)
    return event
