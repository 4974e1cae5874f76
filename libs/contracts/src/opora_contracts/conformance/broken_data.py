"""The cases whose data is broken, too large, or asks for what cannot be done."""

from typing import Any

from opora_contracts.conformance.build import (
    MINIMAL,
    TITLE,
    as_json,
    binary,
    filled,
    followed_by,
    nested,
    structured,
)
from opora_contracts.conformance.case import Answer, Case, Compression, Expected, RecordOf, Standing, dead_letter
from opora_contracts.errors import ReasonCode
from opora_contracts.payload import MAX_DEPTH, MAX_VALUE_BYTES

REFUSED = "refused"
QUEUED = "queued"

_DEEP = 100_000
_TWO_MEGABYTES = 2_000_000
_REPLY = "ticket.reply.submitted"
_PAUSED = {
    "ticket_id": "018f3a52-9b3c-7c5e-9d8c-2f6a41b7e003",
    "metric": "resolution",
    "cycle": 1,
    "agreement_id": "018e9d10-4c2b-7a35-b1c7-93f0de6a2204",
    "agreement_version": 1,
    "paused_at": "2026-03-02T08:14:05Z",
    "waiting_on": "customer",
    "used_seconds": "90",
}


def _json(value: bytes | None, reason: str) -> tuple[RecordOf, Expected]:
    return binary(value=value), dead_letter(ReasonCode.BAD_JSON, reason)


def _data(reason: str, **fields: Any) -> tuple[RecordOf, Expected]:
    given = {name: value for name, value in {**MINIMAL, **fields}.items() if value is not ...}
    return binary(data=given), dead_letter(ReasonCode.WRONG_SCHEMA, reason)


def _structured_json(document: str, reason: str) -> tuple[RecordOf, Expected]:
    return structured(document=document), dead_letter(ReasonCode.BAD_JSON, reason)


_ONE_LINE = "data.title: must be one line of text without control or text-direction characters"
_EVENT = (
    '{"specversion": "1.0", "id": "%(id)s", "source": "%(source)s", "type": "%(type)s", "time": "%(time)s",'
    ' "subject": "%(subject)s", '
)
_TOO_LARGE = f"at most {MAX_VALUE_BYTES} are allowed"

_ROWS: tuple[tuple[str, str, tuple[RecordOf, Expected]], ...] = (
    ("null-value", "a null value (a tombstone)", _json(None, "the record's value is null")),
    ("empty-value", "an empty value", _json(b"", "the record's value is empty")),
    ("array", "a JSON array", _json(b"[1]", "is a JSON array; expected an object")),
    ("truncated-json", "JSON cut off in the middle", _json(b'{"title": "Login', "is not JSON")),
    ("byte-order-mark", "JSON behind a byte order mark", _json(b"\xef\xbb\xbf{}", "begins with a byte order mark")),
    ("value-not-utf-8", "a value that is not UTF-8", _json(b'{"title": "\xff"}', "is not UTF-8: byte 11 is 0xff")),
    ("nan", "NaN as a number", _json(b'{"title": "a", "x": NaN}', "holds NaN, which is not JSON")),
    ("infinity", "-Infinity as a number", _json(b'{"title": "a", "x": -Infinity}', "holds -Infinity")),
    ("duplicate-key", "a key twice", _json(b'{"title": "a", "title": "b"}', "repeats the key 'title'")),
    (
        "nested-duplicate-key",
        "a key twice, further down",
        _json(b'{"title": "a", "x": [{"y": 1, "y": 1}]}', "repeats the key 'y'"),
    ),
    (
        "depth-33",
        "JSON that nests one level too deep",
        _json(nested(MAX_DEPTH + 1), f"nests deeper than {MAX_DEPTH} levels"),
    ),
    (
        "depth-100000",
        "JSON that nests 100,000 levels deep",
        _json(nested(_DEEP), f"nests deeper than {MAX_DEPTH} levels"),
    ),
    ("nul-in-text", "U+0000 in a text", _json(b'{"title": "a", "body": "x\\u0000"}', "holds the character U+0000")),
    (
        "raw-control-character",
        "a control character in a JSON string as it is",
        _json(b'{"title": "a\x01"}', "Invalid control character"),
    ),
    ("lone-surrogate", "half of a surrogate pair", _json(b'{"title": "\\ud800"}', "the data is not JSON")),
    (
        "number-of-5000-digits",
        "a number of 5,000 digits",
        _json(b'{"title": "a", "x": ' + b"9" * 5_000 + b"}", "holds a number that is too long"),
    ),
    ("no-title", "no title", _data("data.title: required, but absent", title=...)),
    (
        "misspelt-title",
        "a misspelt required field",
        _data("not fields of this type: 'tittle'", title=..., tittle=TITLE),
    ),
    (
        "number-as-title",
        "a number where a text is expected",
        _data("data.title: Input should be a valid string", title=502),
    ),
    ("empty-title", "an empty title", _data("data.title: String should have at least 1 character", title="")),
    (
        "title-of-251-characters",
        "a title one character too long",
        _data("data.title: String should have at most 250 characters", title="x" * 251),
    ),
    ("bidi-controlled-title", "a text-direction override in the title", _data(_ONE_LINE, title="invoice\u202efdp.exe")),
    ("isolated-title", "a text-direction isolate in the title", _data(_ONE_LINE, title="invoice\u2066fdp.exe")),
    ("line-break-in-title", "a line break in the title", _data(_ONE_LINE, title="Login\npage")),
    ("escape-in-title", "a terminal escape in the title", _data(_ONE_LINE, title="\u001b[31mLogin")),
    (
        "unknown-word",
        "a word that the closed list does not have",
        _data("data.impact: Input should be 'high', 'medium' or 'low'", impact="huge"),
    ),
    (
        "word-in-capitals",
        "a word of the closed list in capital letters",
        _data("data.impact: Input should be 'high', 'medium' or 'low'", impact="HIGH"),
    ),
    (
        "language-in-words",
        "a language by its name",
        _data("data.language: must be a language tag such as en", language="English"),
    ),
    (
        "organization-not-a-uuid",
        "an organization_id that is no UUID",
        _data("data.organization_id: ", organization_id="7"),
    ),
    ("null-title", "null for a required field", _data("data.title: Input should be a valid string", title=None)),
    (
        "number-in-quotes",
        "a number in quotes where a number is expected",
        (
            binary(type="sla.paused", data=_PAUSED),
            dead_letter(ReasonCode.WRONG_SCHEMA, "data.used_seconds: Input should be a valid integer"),
        ),
    ),
    (
        "structured-not-json",
        "a structured event that is not JSON",
        _structured_json("{", "the structured event is not JSON"),
    ),
    (
        "structured-duplicate-attribute",
        "an attribute twice in a structured event",
        _structured_json(_EVENT + '"id": "another", "data": {"title": "a"}}', "repeats the key 'id'"),
    ),
    (
        "structured-without-data",
        "a structured event without data",
        (structured(data=None), dead_letter(ReasonCode.BAD_JSON, "attribute data is null")),
    ),
    (
        "number-out-of-range",
        "1e999 in a structured event",
        _structured_json(_EVENT + '"data": {"title": "a", "x": 1e999}}', "holds a number that is out of range"),
    ),
    (
        "data-given-twice",
        "both data and data_base64",
        (
            structured(members={"data_base64": "e30="}),
            dead_letter(ReasonCode.BAD_ATTRIBUTE, "either data or data_base64, got both"),
        ),
    ),
    (
        "base64-broken",
        "data_base64 that is not base64",
        (
            structured(data=None, members={"data_base64": "%%%"}),
            dead_letter(ReasonCode.BAD_ATTRIBUTE, "attribute data_base64: expected a string in base64"),
        ),
    ),
    (
        "text-plain",
        "datacontenttype text/plain",
        (
            structured(members={"datacontenttype": "text/plain"}),
            dead_letter(ReasonCode.BAD_ATTRIBUTE, "expected application/json for the data"),
        ),
    ),
    (
        "value-over-1-mib",
        "a value one byte over 1 MiB, compressed with gzip",
        (
            binary(value=filled(MAX_VALUE_BYTES + 1), compression=Compression.GZIP),
            dead_letter(ReasonCode.TOO_LARGE, _TOO_LARGE),
        ),
    ),
    (
        "two-megabytes-compressed",
        "2 MB of JSON, compressed with gzip to a few kilobytes",
        (
            binary(value=filled(_TWO_MEGABYTES), compression=Compression.GZIP),
            dead_letter(ReasonCode.TOO_LARGE, _TOO_LARGE),
        ),
    ),
    (
        "two-megabytes",
        "2 MB of JSON, uncompressed",
        (
            binary(value=filled(_TWO_MEGABYTES)),
            Expected(answer=Answer.REFUSED_BY_BROKER, reason_code=ReasonCode.TOO_LARGE, reason=_TOO_LARGE),
        ),
    ),
    (
        "reply-to-nothing",
        "a reply under a subject that opened no ticket",
        (
            binary(type=_REPLY, data={"body": "Hello?"}),
            dead_letter(REFUSED, "has submitted no ticket under the subject"),
        ),
    ),
    (
        "reply-to-unknown-number",
        "a reply to a ticket number that there is not",
        (
            binary(type=_REPLY, data={"body": "Hello?", "ticket_number": "OP-999999999999999999"}),
            dead_letter(REFUSED, "There is no ticket OP-999999999999999999"),
        ),
    ),
    (
        "unknown-organization",
        "an organization_id that there is not",
        (
            binary(data={**MINIMAL, "organization_id": "00000000-0000-4000-8000-000000000000"}),
            dead_letter(REFUSED, "Nothing that exists is named by organization_id"),
        ),
    ),
    (
        "no-mail-address",
        "a requester_email that is no address",
        (binary(data={**MINIMAL, "requester_email": "nobody"}), dead_letter(REFUSED, "requester_email")),
    ),
)

BROKEN_DATA = [
    *(Case(name, what, Standing.BROKEN, record, expected) for name, what, (record, expected) in _ROWS),
    Case(
        "second-submission",
        "a second ticket.submitted, with an id of its own, for a source and subject that have a ticket",
        Standing.BROKEN,
        binary(id=followed_by(".again")),
        dead_letter(REFUSED, "send a reply instead"),
        before=binary(),
    ),
    Case(
        "behind-a-dead-letter",
        "a good event whose key is parked by an earlier one",
        Standing.BROKEN,
        binary(),
        dead_letter(QUEUED, "an earlier event of this key waits among the dead letters"),
        before=binary(value=as_json({}), id=followed_by(".first")),
        opened_before=False,
    ),
]
