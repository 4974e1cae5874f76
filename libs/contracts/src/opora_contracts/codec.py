"""Events as Kafka records: the CloudEvents 1.0 Kafka protocol binding, written in binary mode, read in both modes."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from opora_contracts.attributes import (
    TEXT_ATTRIBUTES,
    dataschema,
    refuse_attribute,
    sequence_from_text,
    shown,
    text_problem,
    valid_traceparent,
    version_from_dataschema,
)
from opora_contracts.envelope import JSON_CONTENT_TYPE, STRUCTURED_CONTENT_TYPE, Envelope, read_envelope
from opora_contracts.errors import ReasonCode, UndecodableEvent
from opora_contracts.event import Event
from opora_contracts.fact import Fact, fact_type, versions_of
from opora_contracts.instants import instant_from_text, instant_to_text
from opora_contracts.payload import MAX_VALUE_BYTES, read_fact, read_object, unknown_fields
from opora_contracts.upcast import newest

ReportUnknownFields = Callable[[type[Fact], tuple[str, ...]], None]


@dataclass(frozen=True, slots=True)
class EncodedRecord:
    """An event as Kafka takes it."""

    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownEvent:
    """A well-formed event of a type that this code does not know: to be counted and skipped, with its sequence."""

    id: str
    source: str
    type: str
    version: int
    time: datetime | None
    subject: str
    """Empty where the publisher named neither a subject nor a key."""
    sequence: int | None
    key: str
    partition: int | None
    offset: int | None


def encode(event: Event[Fact]) -> EncodedRecord:
    """The record of an event, in binary mode. Fields that are None are left out: absent and null are equal.

    Raises ValueError for an event that `decode` would refuse: a writer must not poison its readers.
    """
    data = event.data
    if (event.type, event.version) != (data.event_type, data.version):
        raise ValueError(
            f"the event says {event.type} version {event.version}, its data is {data.event_type} version {data.version}"
        )
    texts = (
        ("id", event.id),
        ("source", event.source),
        ("type", event.type),
        ("subject", event.subject),
        ("partitionkey", event.key or event.subject),
        ("correlationid", event.correlation_id),
        ("causationid", event.causation_id),
        ("actor", event.actor),
        ("importid", event.import_id),
    )
    headers = [("ce_specversion", b"1.0")]
    for name, text in texts:
        if text is None:
            continue
        if (problem := text_problem(text)) is not None:
            raise ValueError(f"{name} {problem}")
        headers.append((f"ce_{name}", text.encode()))
    headers.append(("ce_time", instant_to_text(event.time).encode()))
    headers.append(("ce_dataschema", dataschema(event.type, event.version).encode()))
    headers.append(("content-type", JSON_CONTENT_TYPE.encode()))
    if event.sequence is not None:
        headers.append(("ce_sequence", str(sequence_from_text(str(event.sequence))).encode()))
    if event.traceparent is not None:
        headers.append(("traceparent", event.traceparent.encode()))
    value = data.model_dump_json(exclude_none=True).encode()
    if len(value) > MAX_VALUE_BYTES or b"\\u0000" in value:
        read_object(value, "the data")
    return EncodedRecord(key=(event.key or event.subject).encode(), value=value, headers=tuple(headers))


def encode_structured(event: Event[Fact]) -> EncodedRecord:
    """The record of an event in structured mode: one JSON object. Raises ValueError as `encode` does."""
    record = encode(event)
    members: dict[str, Any] = {name.removeprefix("ce_"): raw.decode() for name, raw in record.headers}
    members["datacontenttype"] = members.pop("content-type")
    members["data"] = json.loads(record.value)
    return EncodedRecord(
        key=record.key,
        value=json.dumps(members, ensure_ascii=False).encode(),
        headers=(("content-type", STRUCTURED_CONTENT_TYPE.encode()),),
    )


def decode_structured(
    value: bytes, *, on_unknown_fields: ReportUnknownFields | None = None
) -> Event[Fact] | UnknownEvent:
    """The event in one structured JSON document, as in a file. Raises UndecodableEvent."""
    headers = (("content-type", STRUCTURED_CONTENT_TYPE.encode()),)
    return decode(None, value, headers, on_unknown_fields=on_unknown_fields)


def decode(
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[tuple[str, bytes | None]],
    *,
    partition: int | None = None,
    offset: int | None = None,
    on_unknown_fields: ReportUnknownFields | None = None,
) -> Event[Fact] | UnknownEvent:
    """The event in a record, raised to the newest version of its type; UnknownEvent for a type nobody here knows.

    A record without a key takes the `partitionkey` attribute, then the subject, as its key; one without a subject
    takes its key as the subject. `on_unknown_fields` is told of fields that were ignored.
    Raises UndecodableEvent, and nothing else, whatever the bytes are (what an upcaster raises is the upcaster's bug).
    """
    envelope = read_envelope(value, headers)
    attributes, label = envelope.attributes, envelope.label
    get = attributes.get
    _check(attributes, label)
    event_type = attributes["type"]
    version = _parsed(label, "dataschema", version_from_dataschema, get("dataschema"), event_type)
    time = _parsed(label, "time", instant_from_text, attributes["time"]) if "time" in attributes else None
    sequence = (
        _parsed(label, "sequence", sequence_from_text, attributes["sequence"]) if "sequence" in attributes else None
    )
    record_key = _read_key(key)
    subject = get("subject") or record_key or get("partitionkey") or ""
    event_key = record_key or get("partitionkey") or subject
    if not versions_of(event_type):
        return UnknownEvent(
            id=attributes["id"],
            source=attributes["source"],
            type=event_type,
            version=version,
            time=time,
            subject=subject,
            sequence=sequence,
            key=event_key,
            partition=partition,
            offset=offset,
        )
    if time is None:
        raise _missing(label, "time", "when it happened, in RFC 3339, such as 2026-03-01T09:30:00Z")
    if not subject:
        raise _missing(label, "subject", "the publisher's id of the case that the event is about")
    data = _read_data(envelope, event_type, version, on_unknown_fields)
    return Event(
        id=attributes["id"],
        source=attributes["source"],
        type=event_type,
        version=data.version,
        time=time,
        subject=subject,
        data=data,
        sequence=sequence,
        key=event_key,
        correlation_id=get("correlationid"),
        causation_id=get("causationid"),
        actor=get("actor"),
        import_id=get("importid"),
        traceparent=valid_traceparent(envelope.traceparent),
        partition=partition,
        offset=offset,
    )


def _read_data(
    envelope: Envelope, event_type: str, version: int, on_unknown_fields: ReportUnknownFields | None
) -> Fact:
    model = fact_type(event_type, version)
    if model is None:
        known = ", ".join(str(one) for one in versions_of(event_type))
        raise UndecodableEvent(
            ReasonCode.UNSUPPORTED_VERSION,
            f"{event_type} version {version} is not known here; known: {known}. "
            "Upgrade this consumer, or publish a known version beside the new one",
        )
    if not _is_json(envelope.content_type):
        raise refuse_attribute(
            "content-type", f"expected {JSON_CONTENT_TYPE} for the data, got {shown(envelope.content_type)}"
        )
    members = read_object(envelope.body, envelope.body_name)
    fact = read_fact(model, envelope.body or b"", members)
    if on_unknown_fields is not None and (unknown := unknown_fields(model, members)):
        on_unknown_fields(model, unknown)
    return newest(fact)


def _check(attributes: dict[str, str], label: str) -> None:
    if (specversion := attributes.get("specversion")) != "1.0":
        if specversion is None:
            raise _missing(label, "specversion", "1.0")
        raise refuse_attribute(f"{label}specversion", f"expected 1.0, got {shown(specversion)}")
    for name in TEXT_ATTRIBUTES:
        text = attributes.get(name)
        if text is not None and (problem := text_problem(text)) is not None:
            raise refuse_attribute(f"{label}{name}", problem)
    if "id" not in attributes:
        raise _missing(label, "id", "unique per source; the same id again is taken for a repetition")
    if "source" not in attributes:
        raise _missing(label, "source", "a URI that names the publisher, such as /monitoring/eu-1")
    if "type" not in attributes:
        raise _missing(label, "type", "such as ticket.submitted")


def _missing(label: str, name: str, expected: str) -> UndecodableEvent:
    return UndecodableEvent(ReasonCode.MISSING_ATTRIBUTE, f"{label}{name} is missing; expected {expected}")


def _parsed(label: str, name: str, parse: Callable[..., Any], *arguments: str | None) -> Any:
    try:
        return parse(*arguments)
    except ValueError as error:
        raise refuse_attribute(f"{label}{name}", str(error)) from None


def _is_json(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip()
    return media_type in {"application/json", "text/json"} or media_type.endswith("+json")


def _read_key(key: bytes | None) -> str | None:
    if not key:
        return None
    try:
        text = key.decode()
    except UnicodeDecodeError as error:
        raise UndecodableEvent(
            ReasonCode.BAD_KEY, f"the record's key is not UTF-8: byte {error.start} is 0x{key[error.start]:02x}"
        ) from None
    if (problem := text_problem(text)) is not None:
        raise UndecodableEvent(ReasonCode.BAD_KEY, f"the record's key {problem}")
    return text
