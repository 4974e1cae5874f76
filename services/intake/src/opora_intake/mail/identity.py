"""When two copies are one letter, said without reading the letter: header fields and body are told apart, no more.

A mail server that lost our answer sends the letter again, and a copy may come by another way (an alias, a second
channel). Such copies differ in the trace fields that each server adds in front, and in line ends.
"""

import hashlib
import re

_LONGEST_ID = 500
_MOST_HEADER_BYTES = 256 * 1024
_END_OF_HEADERS = re.compile(rb"\n\r?\n")
_FIELD = re.compile(rb"([!-9;-~]{1,100})[ \t]{0,10}:(.*)", re.DOTALL)
_TRACE = frozenset(
    {
        b"received", b"return-path", b"delivered-to", b"x-original-to", b"envelope-to", b"delivery-date",
        b"received-spf", b"authentication-results", b"arc-authentication-results", b"arc-message-signature",
        b"arc-seal",
    }
)  # fmt: skip
"""What servers on the way write; everything else is the sender's."""


def identity_of(raw: bytes) -> tuple[bytes, str | None]:
    """A digest that copies of one letter share, and the letter's Message-ID where it has one.

    With a Message-ID (RFC 5322 §3.6.4) it covers the ID, From and the body; without, every field that is not a trace
    field (RFC 5321 §4.4) and the body. The ID alone is not enough: whoever knows one could keep a letter out. Linear in
    the letter's length; raises for no input.
    """
    end = _END_OF_HEADERS.search(raw[:_MOST_HEADER_BYTES])
    header, body = (
        (raw[: end.start()], raw[end.end() :]) if end else (raw[:_MOST_HEADER_BYTES], raw[_MOST_HEADER_BYTES:])
    )
    fields = _fields(header)
    message_id = next((value.strip(b"<> \t") for name, value in fields if name == b"message-id"), b"")[:_LONGEST_ID]
    if message_id:
        told = [(name, value) for name, value in fields if name in {b"message-id", b"from"}]
    else:
        told = [(name, value) for name, value in fields if name not in _TRACE]
    digest = hashlib.sha256()
    for name, value in told:
        digest.update(name + b":" + value + b"\n")
    digest.update(b"\n" + body.replace(b"\r\n", b"\n").rstrip(b"\n"))
    return digest.digest(), _shown(message_id)


def _fields(header: bytes) -> list[tuple[bytes, bytes]]:
    """Names in lower case and unfolded values, in order; a line that is no field stands with an empty name."""
    unfolded = re.sub(rb"\r?\n[ \t]+", b" ", header)
    found = ((_FIELD.fullmatch(line), line) for line in unfolded.split(b"\n"))
    return [(match[1].lower(), match[2].strip()) if match else (b"", line.strip()) for match, line in found]


def _shown(message_id: bytes) -> str | None:
    text = message_id.decode("utf-8", "replace").replace("\x00", "")
    return text or None
