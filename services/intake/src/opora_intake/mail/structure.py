"""The parts of a letter (RFC 5322, RFC 2046), found in its raw bytes in one pass that refuses what is too much.

The limits are counted while the parts are found, by the same lines that divide them: no second reader could count
otherwise. Nothing is decoded here, and nothing is copied but header fields.
"""

import quopri
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from opora_intake.mail.limits import (
    MOST_HEADER_BYTES,
    MOST_HEADERS_BYTES,
    MOST_LETTER_BYTES,
    MOST_NESTING,
    MOST_PARTS,
    Reason,
    Refused,
)
from opora_intake.mail.parameters import content_type_of, parse_parameters
from opora_intake.mail.words import decode_base64, to_text

_FIELD = re.compile(rb"([!-9;-~]{1,200})[ \t]*:[ \t]*")
_MBOX = re.compile(rb">?From ")
_LONGEST_BOUNDARY = 250
_ENCLOSED = frozenset({"message/rfc822", "message/global", "message/news"})
_ENCODED = frozenset({"base64", "quoted-printable"})


@dataclass(frozen=True, slots=True)
class Part:
    """A part with its header fields as they came, names in lower case, values unfolded."""

    fields: tuple[tuple[str, bytes], ...]
    content_type: str
    parameters: Mapping[str, str]
    encoding: str
    raw: memoryview
    """The body, not yet decoded; of a multipart, with all that is in it."""

    parts: tuple["Part", ...] = ()

    def first(self, name: str) -> bytes | None:
        """The value of the first field of the (lower-case) name."""
        return next((value for known, value in self.fields if known == name), None)

    def all(self, name: str) -> tuple[bytes, ...]:
        """The values of all fields of the (lower-case) name, in their order."""
        return tuple(value for known, value in self.fields if known == name)

    @property
    def is_multipart(self) -> bool:
        """Whether the part is one that holds others, and does hold some."""
        return bool(self.parts) and self.content_type.startswith("multipart/")

    @property
    def disposition(self) -> tuple[str, Mapping[str, str]]:
        """`inline`, `attachment` or nothing, with the parameters (RFC 2183)."""
        value = self.first("content-disposition")
        return ("", {}) if value is None else parse_parameters(to_text(value))

    def content(self) -> bytes:
        """The body with its transfer encoding undone; never fails. What is not encoded as it says is left as it is."""
        if self.encoding == "base64":
            return decode_base64(bytes(self.raw))
        if self.encoding == "quoted-printable":
            return quopri.decodestring(bytes(self.raw))
        return bytes(self.raw)


def split(raw: bytes) -> Part:
    """The letter as a tree of parts. Takes time and memory in proportion to its length; raises only Refused, as soon
    as a limit is passed.

    Reads what is damaged as most programs do: a missing last delimiter ends with the letter, a field without colon
    ends the header, a multipart without boundary is text.
    """
    if not raw:
        raise Refused(Reason.EMPTY)
    if len(raw) > MOST_LETTER_BYTES:
        raise Refused(Reason.TOO_LARGE)
    root = _Splitter(raw if b"\n" in raw else raw.replace(b"\r", b"\n")).split()
    if not root.fields:
        raise Refused(Reason.NO_HEADER)
    return root


def field_lines(block: bytes) -> tuple[tuple[str, bytes], ...]:
    """The header fields of a block of lines, as in a delivery report (RFC 3464 §2.1.2)."""
    return tuple(_Splitter(block).read_fields(0)[0])


@dataclass(slots=True)
class _Open:
    fields: tuple[tuple[str, bytes], ...]
    content_type: str
    parameters: Mapping[str, str]
    encoding: str
    start: int
    boundary: bytes | None = None
    parts: list[Part] = field(default_factory=list)


class _Splitter:
    """One pass over a letter: the chain of parts that are open, and what has been counted."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._view = memoryview(raw)
        self._header_bytes = 0
        self._begun = 0
        self._chain: list[_Open] = []

    def split(self) -> Part:
        position = self._open(0, "text/plain")
        for start, end, token in self._dashes(position):
            if not any(opened.boundary for opened in self._chain):
                break
            depth, last = self._named(token)
            if depth is None or start < position:
                continue
            while len(self._chain) > depth + 1:
                self._close(self._before(start))
            if last:
                self._chain[-1].boundary = None
                continue
            self._begun += 1
            if self._begun > MOST_PARTS:
                raise Refused(Reason.TOO_MANY_PARTS)
            digest = self._chain[-1].content_type == "multipart/digest"
            position = self._open(end, "message/rfc822" if digest else "text/plain")
        while len(self._chain) > 1:
            self._close(len(self._raw))
        return self._part(self._chain[0], len(self._raw))

    def read_fields(self, position: int) -> tuple[list[tuple[str, bytes]], int]:
        """The fields from the position on, and where the body begins."""
        raw = self._raw
        found: list[tuple[str, bytearray]] = []
        begin = position
        field_bytes = 0
        while position < len(raw):
            end = raw.find(b"\n", position) + 1 or len(raw)
            line = raw[position : min(end, position + MOST_HEADER_BYTES + 1)].rstrip(b"\r\n")
            if not line:
                position = end
                break
            named = _FIELD.match(line)
            if line[:1] in b" \t" and found:
                field_bytes += end - position
                found[-1][1].extend(line)
            elif line.startswith(b"--") and self._named(line[2:].rstrip())[0] is not None:
                break
            elif named:
                field_bytes = end - position
                found.append((named[1].decode("ascii").lower(), bytearray(line[named.end() :])))
            elif found or not _MBOX.match(line):
                break
            if field_bytes > MOST_HEADER_BYTES:
                raise Refused(Reason.HEADER_TOO_LONG)
            if self._header_bytes + end - begin > MOST_HEADERS_BYTES:
                raise Refused(Reason.HEADERS_TOO_LONG)
            position = end
        self._header_bytes += position - begin
        return [(name, bytes(value).strip()) for name, value in found], position

    def _open(self, position: int, default_type: str) -> int:
        """Open the part that begins here, and the letters that it encloses; returns where the innermost body begins."""
        while True:
            found, position = self.read_fields(position)
            by_name = dict(reversed(found))
            given = by_name.get("content-type")
            kind, parameters = content_type_of(None if given is None else to_text(given), default_type)
            encoding = to_text(by_name.get("content-transfer-encoding", b"")).strip(' ";').lower()
            opened = _Open(tuple(found), kind, parameters, encoding, position)
            if len(self._chain) > MOST_NESTING:
                raise Refused(Reason.TOO_DEEP)
            self._chain.append(opened)
            if kind.startswith("multipart/"):
                boundary = parameters.get("boundary", "").rstrip().encode("utf-8", "replace")
                opened.boundary = boundary if 0 < len(boundary) <= _LONGEST_BOUNDARY else None
            if kind not in _ENCLOSED or encoding in _ENCODED:
                return position
            default_type = "text/plain"

    def _dashes(self, position: int) -> Iterator[tuple[int, int, bytes]]:
        """Each line that begins with two dashes: where it begins, where the next one does, and what follows them."""
        raw = self._raw
        # A body may begin with a delimiter, so its own line counts too.
        at = position - 1 if position and raw[position - 1 : position] == b"\n" else raw.find(b"\n", position)
        while at >= 0:
            if raw[at + 1 : at + 3] != b"--":
                at = raw.find(b"\n--", at)
                if at < 0:
                    return
            end = raw.find(b"\n", at + 1)
            end = end if end >= 0 else len(raw)
            yield at + 1, min(end + 1, len(raw)), raw[at + 3 : min(end, at + 10 + _LONGEST_BOUNDARY)].rstrip()
            at = end if end < len(raw) else -1

    def _named(self, token: bytes) -> tuple[int | None, bool]:
        """Which open multipart the delimiter belongs to, innermost first, and whether it is its last."""
        for depth in range(len(self._chain) - 1, -1, -1):
            boundary = self._chain[depth].boundary
            if boundary is not None and token.startswith(boundary) and token[len(boundary) :] in (b"", b"--"):
                return depth, len(token) > len(boundary)
        return None, False

    def _before(self, delimiter: int) -> int:
        """The end of what stands before a delimiter, to which the line break before it belongs (RFC 2046 §5.1.1)."""
        end = delimiter - 1
        return end - 1 if self._raw[end - 1 : end] == b"\r" else end

    def _close(self, end: int) -> None:
        closed = self._chain.pop()
        self._chain[-1].parts.append(self._part(closed, end))

    def _part(self, opened: _Open, end: int) -> Part:
        body = self._view[opened.start : max(opened.start, end)]
        kind, parts = opened.content_type, tuple(opened.parts)
        if kind.startswith("multipart/") and not parts:
            kind = "text/plain"
        return Part(opened.fields, kind, opened.parameters, opened.encoding, body, parts)
