"""The two ways in which a Kafka record carries a CloudEvent, read into one: attributes as text, data as bytes."""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from opora_contracts.attributes import TEXT_ATTRIBUTES, refuse_attribute, shown, text_problem
from opora_contracts.errors import ReasonCode, UndecodableEvent
from opora_contracts.payload import read_object

JSON_CONTENT_TYPE = "application/json"
STRUCTURED_CONTENT_TYPE = "application/cloudevents+json"

_READ_ATTRIBUTES = ("specversion", *TEXT_ATTRIBUTES, "time", "dataschema", "sequence")
_ATTRIBUTE_OF_HEADER = {**{f"ce_{name}": name for name in _READ_ATTRIBUTES}, "content-type": "datacontenttype"}
_IDENTIFYING_HEADERS = ("content-type", "ce_source", "ce_id")
_TRACE_HEADERS = frozenset({"traceparent", "ce_traceparent"})


@dataclass(frozen=True, slots=True)
class Envelope:
    """A record taken apart, nothing judged yet but its form."""

    attributes: dict[str, str]
    """Those that this library reads, by their CloudEvents name."""
    content_type: str
    """The media type of the data, in lower case."""
    traceparent: str | None
    body: bytes | None
    label: str
    """What to put before an attribute's name, so that publishers find what they wrote."""
    body_name: str


def read_envelope(value: bytes | None, headers: Sequence[tuple[str, bytes | None]]) -> Envelope:
    """Take a record apart: structured mode when content-type says so, binary mode when there is a ce_specversion.

    Header names are compared without case; headers that this library does not read may hold anything.
    Raises UndecodableEvent.
    """
    attributes, traceparent = _read_headers(headers)
    content_type = attributes.pop("datacontenttype", JSON_CONTENT_TYPE).lower()
    if content_type.startswith("application/cloudevents"):
        members = _structured_members(content_type, value)
        attributes, traceparent = _read_members(members)
        return Envelope(
            attributes=attributes,
            content_type=attributes.pop("datacontenttype", JSON_CONTENT_TYPE).lower(),
            traceparent=traceparent,
            body=_structured_body(members),
            label="attribute ",
            body_name="attribute data",
        )
    if "specversion" not in attributes:
        raise UndecodableEvent(
            ReasonCode.NOT_A_CLOUDEVENT,
            "no ce_specversion header. Expected CloudEvents 1.0: headers ce_specversion (1.0), ce_id, ce_source, "
            "ce_type, ce_time and ce_subject with the data as JSON in the value, "
            f"or the whole event in the value and content-type {STRUCTURED_CONTENT_TYPE}",
        )
    return Envelope(attributes, content_type, traceparent, value, "header ce_", "the record's value")


def identity_of(value: bytes | None, headers: Sequence[tuple[str, bytes | None]]) -> tuple[str | None, str | None]:
    """(source, id) of a record, whatever else is wrong with it; None for one that cannot be read. Never raises.

    What is given is short and printable: it can be stored, searched and shown.
    """
    found = {name: [raw for header, raw in headers if header.lower() == name] for name in _IDENTIFYING_HEADERS}
    content_type, source, event_id = (_only_text(values) for values in found.values())
    if (content_type or "").lower().startswith(STRUCTURED_CONTENT_TYPE):
        try:
            members = read_object(value, "the structured event")
        except UndecodableEvent:
            members = {}
        source, event_id = (_usable(members.get(name)) for name in ("source", "id"))
    return source, event_id


def _only_text(values: Sequence[bytes | None]) -> str | None:
    raw = values[0] if len(values) == 1 else None
    return None if raw is None else _usable(raw.decode("utf-8", "replace"))


def _usable(text: Any) -> str | None:
    return text if isinstance(text, str) and "\ufffd" not in text and text_problem(text) is None else None


def _read_headers(headers: Sequence[tuple[str, bytes | None]]) -> tuple[dict[str, str], str | None]:
    attributes: dict[str, str] = {}
    traceparent: str | None = None
    for header, raw in headers:
        lower = header.lower()
        name = _ATTRIBUTE_OF_HEADER.get(lower)
        if name is None:
            if raw is not None and lower in _TRACE_HEADERS and (traceparent is None or lower == "traceparent"):
                traceparent = raw.decode("ascii", "replace")
            continue
        if raw is None:
            raise UndecodableEvent(ReasonCode.BAD_HEADER, f"header {lower} is null; give it a value or leave it out")
        if name in attributes:
            raise UndecodableEvent(ReasonCode.BAD_HEADER, f"header {lower} is given twice; expected it once")
        try:
            attributes[name] = raw.decode()
        except UnicodeDecodeError as error:
            raise UndecodableEvent(
                ReasonCode.BAD_HEADER,
                f"header {lower} is not UTF-8: byte {error.start} is 0x{raw[error.start]:02x}; expected text",
            ) from None
    return attributes, traceparent


def _structured_members(content_type: str, value: bytes | None) -> dict[str, Any]:
    if content_type.partition(";")[0].strip() != STRUCTURED_CONTENT_TYPE:
        raise UndecodableEvent(
            ReasonCode.NOT_A_CLOUDEVENT,
            f"content-type {shown(content_type)} cannot be read; "
            f"expected {STRUCTURED_CONTENT_TYPE}, with one event in the record",
        )
    return read_object(value, "the structured event")


def _read_members(members: dict[str, Any]) -> tuple[dict[str, str], str | None]:
    attributes: dict[str, str] = {}
    for name in (*_READ_ATTRIBUTES, "datacontenttype"):
        value = members.get(name)
        if value is None:  # the JSON format equates null with absent
            continue
        if name == "sequence" and type(value) is int:
            value = str(value)
        if not isinstance(value, str):
            raise refuse_attribute(f"attribute {name}", "expected a JSON string")
        attributes[name] = value
    traceparent = members.get("traceparent")
    return attributes, traceparent if isinstance(traceparent, str) else None


def _structured_body(members: dict[str, Any]) -> bytes | None:
    encoded = members.get("data_base64")
    if encoded is None:
        if members.get("data") is None:
            return None
        try:
            return json.dumps(members["data"], allow_nan=False).encode()
        except ValueError:
            raise UndecodableEvent(ReasonCode.BAD_JSON, "the data holds a number that is out of range") from None
    if "data" in members:
        raise refuse_attribute("attribute data_base64", "expected either data or data_base64, got both")
    try:
        return base64.b64decode(encoded, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise refuse_attribute("attribute data_base64", "expected a string in base64") from None
