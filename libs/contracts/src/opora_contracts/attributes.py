"""The rules of CloudEvents context attributes, in headers and in structured JSON, on writing and on reading."""

import re

from opora_contracts.errors import ReasonCode, UndecodableEvent

MAX_ATTRIBUTE_CHARACTERS = 200
TEXT_ATTRIBUTES = (
    "id",
    "source",
    "type",
    "subject",
    "partitionkey",
    "correlationid",
    "causationid",
    "actor",
    "importid",
)
SCHEMA_URN = "urn:opora:schema:"
RESERVED_SOURCE = "/opora"
"""What stands here and below it is the `source` of the platform's own services, in any letter case."""

_SHOWN_CHARACTERS = 60
_MAX_SEQUENCE_DIGITS = 18
_UNPRINTABLE = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ud800-\\udfff\\ufeff\\ufffe\\uffff]"
)
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")


def shown(text: str) -> str:
    """The start of a value as safe ASCII in quotes, for messages."""
    return ascii(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "...")


def escaped(text: str) -> str:
    """The text with every control and text-direction character written as an escape, so that it hides nothing."""
    return _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)


def text_problem(text: str) -> str | None:
    """What forbids this text as an attribute's value or a key, or None when nothing does."""
    if text and len(text) <= MAX_ATTRIBUTE_CHARACTERS and text.isascii() and text.isprintable():
        return None  # nearly every text, at a tenth of the cost of the search below
    if not text:
        return "must not be empty; leave it out instead"
    if len(text) > MAX_ATTRIBUTE_CHARACTERS:
        return f"has {len(text)} characters; at most {MAX_ATTRIBUTE_CHARACTERS} are allowed"
    if (bad := _UNPRINTABLE.search(text)) is not None:
        return (
            f"contains U+{ord(bad[0]):04X} at position {bad.start()}; "
            "control and text-direction characters are not allowed"
        )
    return None


def reserved_source_problem(source: str) -> str | None:
    """Why a foreign publisher may not use this `source`, or None when it may."""
    if not f"{source.lower()}/".startswith(f"{RESERVED_SOURCE}/"):
        return None
    return (
        f"source {shown(source)} is reserved for the platform's own services; "
        "use a URI that names your system, such as //monitoring.example"
    )


def sequence_from_text(text: str) -> int:
    """A sequence number 1, 2, 3 … Raises ValueError saying what was expected."""
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_SEQUENCE_DIGITS and int(text) > 0):
        raise ValueError(f"expected a decimal number 1, 2, 3 … counting the subject's events, got {shown(text)}")
    return int(text)


def dataschema(event_type: str, version: int) -> str:
    """The `dataschema` attribute, and the JSON Schema's `$id`, of a type in a major version."""
    return f"{SCHEMA_URN}{event_type}:{version}"


def version_from_dataschema(text: str | None, event_type: str) -> int:
    """The major version that a `dataschema` names: 1 when it is absent or another publisher's own URI.

    Raises ValueError for one of our schemas that belongs to another type or has no version.
    """
    if text is None or not text.startswith(SCHEMA_URN):
        return 1
    named_type, _, version = text[len(SCHEMA_URN) :].rpartition(":")
    if named_type != event_type:
        raise ValueError(
            f"names the schema of {shown(named_type or version)}, but the event's type is {shown(event_type)}; "
            f"expected {dataschema(event_type, 1)} (or another version of it)"
        )
    if not (version.isascii() and version.isdigit() and len(version) <= 4 and int(version) > 0):  # noqa: PLR2004
        raise ValueError(f"ends in {shown(version)}; expected a major version, as in {dataschema(event_type, 1)}")
    return int(version)


def valid_traceparent(text: str | None) -> str | None:
    """The W3C trace context, or None when it is malformed: a broken trace must not stop an event."""
    return text if text is not None and _TRACEPARENT.fullmatch(text) else None


def refuse_attribute(name: str, problem: str) -> UndecodableEvent:
    """The error for a context attribute that breaks a rule; `name` as the publisher wrote it."""
    return UndecodableEvent(ReasonCode.BAD_ATTRIBUTE, f"{name}: {problem}")
