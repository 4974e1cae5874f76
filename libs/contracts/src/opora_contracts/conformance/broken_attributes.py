"""The cases whose envelope is broken: no CloudEvent, attributes and headers against the rules, bad keys."""

from opora_contracts.conformance.build import (
    bare,
    binary,
    followed_by,
    key_ending,
    padded,
    structured,
)
from opora_contracts.conformance.case import Case, Expected, RecordOf, Standing, dead_letter
from opora_contracts.errors import ReasonCode

_NO_TIME = "expected an RFC 3339 time with a zone, in the years 1970 to 2261"
_RESERVED = "is reserved for the platform's own services"


def _bad_attribute(reason: str) -> Expected:
    return dead_letter(ReasonCode.BAD_ATTRIBUTE, reason)


def _missing(reason: str) -> Expected:
    return dead_letter(ReasonCode.MISSING_ATTRIBUTE, reason)


_ROWS: tuple[tuple[str, str, RecordOf, Expected], ...] = (
    (
        "newer-major",
        "a known type in a major version that is not known (dataschema …:2)",
        binary(dataschema="urn:opora:schema:ticket.submitted:2"),
        dead_letter(ReasonCode.UNSUPPORTED_VERSION, "ticket.submitted version 2 is not known here; known: 1"),
    ),
    (
        "dataschema-of-another-type",
        "a dataschema of ours that belongs to another type",
        binary(dataschema="urn:opora:schema:ticket.created:1"),
        _bad_attribute("header ce_dataschema: names the schema of 'ticket.created'"),
    ),
    (
        "reserved-source",
        "ce_source /opora/intake: a service of ours",
        binary(source="/opora/intake"),
        dead_letter("reserved_source", _RESERVED),
    ),
    (
        "reserved-source-in-capitals",
        "ce_source /OPORA/billing, in structured mode",
        structured(source="/OPORA/billing"),
        dead_letter("reserved_source", _RESERVED),
    ),
    (
        "reserved-source-unknown-type",
        "ce_source /opora/sla and a type that nobody knows",
        binary(source="/opora/sla", type="sla.teleported"),
        dead_letter("reserved_source", _RESERVED),
    ),
    (
        "no-cloudevent",
        "JSON without any CloudEvents header",
        bare(("content-type", b"application/json")),
        dead_letter(ReasonCode.NOT_A_CLOUDEVENT, "no ce_specversion header"),
    ),
    (
        "batch",
        "content-type application/cloudevents-batch+json",
        bare(("content-type", b"application/cloudevents-batch+json")),
        dead_letter(ReasonCode.NOT_A_CLOUDEVENT, "with one event in the record"),
    ),
    (
        "old-specversion",
        "CloudEvents 0.3",
        binary(specversion="0.3"),
        _bad_attribute("header ce_specversion: expected 1.0"),
    ),
    ("no-id", "no ce_id", binary(id=None), _missing("header ce_id is missing")),
    ("no-source", "no ce_source", binary(source=None), _missing("header ce_source is missing")),
    ("no-type", "no ce_type", binary(type=None), _missing("header ce_type is missing")),
    ("no-time", "no ce_time", binary(time=None), _missing("header ce_time is missing")),
    (
        "no-subject-and-no-key",
        "neither ce_subject nor key",
        binary(subject=None, key=None),
        _missing("header ce_subject is missing"),
    ),
    (
        "id-of-201-characters",
        "an id one character too long",
        binary(id=padded(201)),
        _bad_attribute("header ce_id: has 201 characters; at most 200"),
    ),
    ("empty-id", "an empty ce_id", binary(raw={"ce_id": b""}), _bad_attribute("header ce_id: must not be empty")),
    (
        "id-is-a-number",
        "a number as id, in structured mode",
        structured(members={"id": 7}),
        _bad_attribute("attribute id: expected a JSON string"),
    ),
    (
        "null-header",
        "a ce_source header that is null",
        binary(raw={"ce_source": None}),
        dead_letter(ReasonCode.BAD_HEADER, "header ce_source is null"),
    ),
    (
        "header-not-utf-8",
        "a ce_type header that is not UTF-8",
        binary(raw={"ce_type": b"ticket.\xff"}),
        dead_letter(ReasonCode.BAD_HEADER, "header ce_type is not UTF-8: byte 7 is 0xff"),
    ),
    (
        "header-twice",
        "two ce_id headers",
        binary(further=(("ce_id", b"another"),)),
        dead_letter(ReasonCode.BAD_HEADER, "header ce_id is given twice"),
    ),
    (
        "control-character-in-id",
        "a line break in ce_id",
        binary(id=followed_by("\n1")),
        _bad_attribute("header ce_id: contains U+000A"),
    ),
    (
        "bidi-controlled-subject",
        "a text-direction override in ce_subject",
        binary(subject=followed_by("\u202ecod.exe"), key=str.encode),
        _bad_attribute("header ce_subject: contains U+202E"),
    ),
    (
        "time-in-2262",
        "a time later than 64 bits of nanoseconds hold",
        binary(time="2262-01-01T00:00:00Z"),
        _bad_attribute(_NO_TIME),
    ),
    ("time-in-year-0", "a time in the year 0", binary(time="0000-01-01T00:00:00Z"), _bad_attribute(_NO_TIME)),
    ("time-without-zone", "a time without a zone", binary(time="2026-03-02T08:14:05"), _bad_attribute(_NO_TIME)),
    ("time-in-unix-seconds", "a time as a count of seconds", binary(time="1772439245"), _bad_attribute(_NO_TIME)),
    (
        "time-on-30-february",
        "a day that no calendar has",
        binary(time="2026-02-30T08:14:05Z"),
        _bad_attribute(_NO_TIME),
    ),
    ("time-at-24-hours", "midnight written as 24:00:00", binary(time="2026-03-02T24:00:00Z"), _bad_attribute(_NO_TIME)),
    (
        "leap-second",
        "a leap second",
        binary(time="2016-12-31T23:59:60Z"),
        _bad_attribute("a leap second cannot be stored"),
    ),
    (
        "sequence-in-words",
        "a ce_sequence that is no number",
        binary(sequence="one"),
        _bad_attribute("header ce_sequence: expected a decimal number"),
    ),
    (
        "xml",
        "content-type application/xml",
        binary(content_type="application/xml"),
        _bad_attribute("content-type: expected application/json"),
    ),
    (
        "key-not-utf-8",
        "a key that is not UTF-8",
        binary(key=key_ending(b"\xfe")),
        dead_letter(ReasonCode.BAD_KEY, "the record's key is not UTF-8"),
    ),
    (
        "key-with-nul",
        "U+0000 in the key",
        binary(key=key_ending(b"\0")),
        dead_letter(ReasonCode.BAD_KEY, "the record's key contains U+0000"),
    ),
    (
        "key-of-201-characters",
        "a key one character too long",
        binary(key=lambda identity: padded(201)(identity).encode()),
        dead_letter(ReasonCode.BAD_KEY, "the record's key has 201 characters; at most 200"),
    ),
    (
        "key-of-10000-characters",
        "a key longer than any index holds",
        binary(key=lambda identity: padded(10_000, "\N{FACE WITH TEARS OF JOY}")(identity).encode()),
        dead_letter(ReasonCode.BAD_KEY, "the record's key has 10000 characters; at most 200"),
    ),
    (
        "header-name-with-nul",
        "U+0000 in the name of a header, beside a missing id",
        binary(id=None, further=(("x\0y", b"1"),)),
        _missing("header ce_id is missing"),
    ),
)

BROKEN_ATTRIBUTES = [Case(name, what, Standing.BROKEN, record, expected) for name, what, record, expected in _ROWS]
