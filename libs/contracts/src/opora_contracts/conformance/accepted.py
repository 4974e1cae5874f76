"""The cases that the platform takes: plain ones, repetitions, and what is unusual and allowed."""

from opora_contracts.conformance.build import (
    MINIMAL,
    TITLE,
    binary,
    filled,
    followed_by,
    nested,
    padded,
    structured,
)
from opora_contracts.conformance.case import Answer, Case, Compression, Expected, Standing, ticket
from opora_contracts.payload import MAX_DEPTH, MAX_VALUE_BYTES

_DEFAULTS = {
    "title": TITLE,
    "channel": "event",
    "kind": "incident",
    "impact": "medium",
    "urgency": "medium",
    "language": "en",
}
_FULL_SHOWN = {
    "title": TITLE,
    "channel": "chat",
    "kind": "complaint",
    "impact": "high",
    "urgency": "low",
    "language": "pt-BR",
    "product": "identity",
    "category": "sign-in",
}
_FULL = {
    **_FULL_SHOWN,
    "body": "Since 08:12 UTC every sign-in ends in a 502.\nThe status page shows nothing.",
    "requester_email": "maria.keller@conformance.example",
    "requester_name": "Maria Keller",
    "organization_id": None,
}
_SCHEMA = "urn:opora:schema:ticket.submitted:1"
_ACTOR = "system:conformance"
_TRACE = ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
_REPLY = "Still 502 at 08:40."
_NOTED = {"ticket_id": "018f3a52-9b3c-7c5e-9d8c-2f6a41b7e003", "message_id": "018f3a52-9b3c-7c5e-9d8c-2f6a41b7e004"}
_FACE = "\N{FACE WITH TEARS OF JOY}"
_RIGHT_TO_LEFT = "\u200f\u05e9\u05d2\u05d9\u05d0\u05d4 502\u200f"
_LONG_BODY = _FACE * 100_000
_ROOM_FOR_HEADERS = 2_048
"""The broker's limit is for the batch: so much is left for key, headers and the batch's own bytes."""

_ONE_TICKET = ticket(title=TITLE)
_NOTHING_MORE = Expected(answer=Answer.NOTHING_MORE)
_SKIPPED = Expected(answer=Answer.SKIPPED)

VALID = [
    Case(name, what, Standing.VALID, record, expected, before)
    for name, what, record, expected, before in (
        ("minimal-binary", "a title and nothing else, in binary mode", binary(), ticket(**_DEFAULTS), None),
        ("minimal-structured", "a title and nothing else, in structured mode", structured(), ticket(**_DEFAULTS), None),
        (
            "full-binary",
            "every field and attribute, in binary mode",
            binary(
                data=_FULL, further=(_TRACE,), partitionkey=str, dataschema=_SCHEMA, correlationid="o-17", actor=_ACTOR
            ),
            ticket(**_FULL_SHOWN),
            None,
        ),
        (
            "full-structured",
            "every field and attribute, in structured mode",
            structured(
                data=_FULL,
                members={"datacontenttype": "application/json", "traceparent": _TRACE[1].decode()},
                partitionkey=str,
                dataschema=_SCHEMA,
                correlationid="o-17",
                actor=_ACTOR,
            ),
            ticket(**_FULL_SHOWN),
            None,
        ),
        (
            "reply",
            "a reply to a ticket that the same source submitted under the same subject",
            binary(type="ticket.reply.submitted", data={"body": _REPLY}, id=followed_by(".reply")),
            Expected(answer=Answer.MESSAGE, message=_REPLY),
            binary(),
        ),
        ("same-event-twice", "the same event a second time", binary(), _NOTHING_MORE, binary()),
        (
            "same-id-other-data",
            "other data under a source and id that were used before",
            binary(data={"title": "Something else"}),
            _NOTHING_MORE,
            binary(),
        ),
        ("unknown-type", "a type that nobody knows", binary(type="ticket.teleported"), _SKIPPED, None),
        (
            "type-of-another-topic",
            "a fact of ours on the topic for requests, from a foreign source",
            binary(type="ticket.noted", data=_NOTED),
            _SKIPPED,
            None,
        ),
        (
            "unknown-field",
            "a field that the type does not have",
            binary(data={**MINIMAL, "severity": {"level": 9}}),
            _ONE_TICKET,
            None,
        ),
        (
            "further-headers",
            "headers of the publisher's own, with any bytes or none",
            binary(further=(("x-tenant", b"\xff\xfe"), ("x-empty", None), ("ce_priority", b"9"))),
            _ONE_TICKET,
            None,
        ),
        ("null-fields", "null for what is optional", binary(data={**MINIMAL, "product": None}), _ONE_TICKET, None),
        (
            "base64-data",
            "structured mode with data_base64",
            structured(data=None, members={"data_base64": "eyJ0aXRsZSI6ICJMb2dpbiBwYWdlIGFuc3dlcnMgNTAyIn0="}),
            _ONE_TICKET,
            None,
        ),
        (
            "own-dataschema",
            "a dataschema of the publisher's own",
            binary(dataschema="//conformance.example/schema"),
            _ONE_TICKET,
            None,
        ),
        (
            "json-subtype",
            "content-type application/vnd.example+json; charset=utf-8",
            binary(content_type="application/vnd.example+json; charset=utf-8"),
            _ONE_TICKET,
            None,
        ),
        *(
            (f"compressed-{one}", f"a batch compressed with {one}", binary(compression=one), _ONE_TICKET, None)
            for one in Compression
            if one is not Compression.NONE
        ),
    )
]

BORDERLINE = [
    Case(name, what, Standing.BORDERLINE, record, expected)
    for name, what, record, expected in (
        ("no-key", "a record without key; the subject stands for it", binary(key=None), _ONE_TICKET),
        ("empty-key", "a record with an empty key; the subject stands for it", binary(key=b""), _ONE_TICKET),
        (
            "no-subject",
            "no ce_subject; the record's key stands for it",
            binary(subject=None, key=str.encode),
            _ONE_TICKET,
        ),
        ("no-content-type", "no content-type; JSON is meant", binary(content_type=None), _ONE_TICKET),
        ("capital-headers", "header names in capital letters", binary(header_name=str.upper), _ONE_TICKET),
        (
            "broken-trace",
            "a malformed traceparent; the trace is dropped",
            binary(further=(("traceparent", b"00-0"),)),
            _ONE_TICKET,
        ),
        (
            "title-of-250-characters",
            "a title as long as may be, of 4-byte characters",
            binary(data={"title": _FACE * 250}),
            ticket(title=_FACE * 250),
        ),
        (
            "right-to-left-title",
            "a Hebrew title between right-to-left marks (U+200F)",
            binary(data={"title": _RIGHT_TO_LEFT}),
            ticket(title=_RIGHT_TO_LEFT),
        ),
        (
            "body-of-100000-characters",
            "a body as long as may be, of 4-byte characters",
            binary(data={**MINIMAL, "body": _LONG_BODY}),
            _ONE_TICKET,
        ),
        (
            "control-characters-in-body",
            "line breaks, a bell and a text-direction override in the body",
            binary(data={**MINIMAL, "body": "a\r\nb\u0007c\u202ed"}),
            _ONE_TICKET,
        ),
        (
            "brackets-in-text",
            "a body full of brackets and quotes",
            binary(data={**MINIMAL, "body": '[{"' * 10_000}),
            _ONE_TICKET,
        ),
        (
            "attributes-of-200-characters",
            "id, source, subject and key as long as may be",
            binary(id=padded(200), source=padded(200, prefix="//conformance.example/"), subject=padded(200)),
            _ONE_TICKET,
        ),
        (
            "attributes-of-4-byte-characters",
            "the same, of 4-byte characters",
            binary(
                id=padded(200, _FACE), source=padded(200, _FACE, "//conformance.example/"), subject=padded(200, _FACE)
            ),
            _ONE_TICKET,
        ),
        ("time-1970", "the first instant that a time may be", binary(time="1970-01-01T00:00:00Z"), _ONE_TICKET),
        (
            "time-2261",
            "the last instant that a time may be, in nanoseconds",
            binary(time="2261-12-31T23:59:59.999999999Z"),
            _ONE_TICKET,
        ),
        ("time-with-offset", "a time with an offset", binary(time="2026-03-02T13:44:05.5+05:30"), _ONE_TICKET),
        ("time-in-small-letters", "a time with t and z", binary(time="2026-03-02t08:14:05z"), _ONE_TICKET),
        ("depth-32", "JSON that nests as deep as may be", binary(value=nested(MAX_DEPTH)), _ONE_TICKET),
        (
            "value-of-1-mib",
            "a value of 1 MiB, compressed with gzip",
            binary(value=filled(MAX_VALUE_BYTES), compression=Compression.GZIP),
            _ONE_TICKET,
        ),
        (
            "value-under-the-brokers-limit",
            "2 KiB less than 1 MiB, uncompressed: a broker's usual limit is for the whole batch",
            binary(value=filled(MAX_VALUE_BYTES - _ROOM_FOR_HEADERS)),
            _ONE_TICKET,
        ),
    )
]
