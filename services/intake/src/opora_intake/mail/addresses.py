"""Addresses of a header field (RFC 5322 §3.4, RFC 6532), read in one pass whatever is nested in it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from opora_intake.mail.words import decode_words, one_line, to_text

MOST_LOCAL_OCTETS = 64
MOST_DOMAIN_OCTETS = 255
_PLAUSIBLE = re.compile(r"[^@\s<>(),;:\"\[\]\\]+@[^@\s<>(),;:\"\\]+")
_PIECE = re.compile(r'[^"(),:;<>\\]+|.', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox; `name` is empty where none was given, the domain is in lower case."""

    name: str
    address: str


def parse_addresses(value: bytes) -> tuple[Address, ...]:
    """The mailboxes of a header value in their order, groups dissolved; what is no mailbox is left out.

    Never fails; reads each character once, and keeps the depth of comments as a number, so that no nesting costs more
    than its length.
    """
    return tuple(address for words, angle in _mailboxes(to_text(value)) if (address := _address(words, angle)))


def parse_address(text: str) -> str | None:
    """A bare address as `local@domain`, its domain in lower case; None when it is none."""
    local, at, domain = text.strip().strip("<>").rpartition("@")
    domain = domain.rstrip(".").lower()
    address = f"{local.strip()}@{domain}"
    if not at or not _PLAUSIBLE.fullmatch(address):
        return None
    if len(local.encode()) > MOST_LOCAL_OCTETS or len(domain.encode()) > MOST_DOMAIN_OCTETS:
        return None
    return address


def _mailboxes(text: str) -> Iterator[tuple[str, str | None]]:
    """The display words and what stood in angle brackets, per mailbox."""
    words: list[str] = []
    angle: list[str] | None = None
    target = words
    for piece, divides in _pieces(text):
        if not divides or (piece == ":" and target is not words):
            target.append(piece)
        elif piece == "<":
            target = angle = []
        elif piece == ">":
            target = words
        elif piece == ":":
            words.clear()
        else:
            yield "".join(words), None if angle is None else "".join(angle)
            words, angle = [], None
            target = words
    yield "".join(words), None if angle is None else "".join(angle)


def _pieces(text: str) -> Iterator[tuple[str, bool]]:
    """The text without comments, quotation marks and backslashes; True with a character that divides."""
    comments = 0
    quoted = escaped = False
    for piece in _PIECE.findall(text):
        if escaped or piece == "\\":
            if escaped and not comments:
                yield piece, False
            escaped = not escaped
        elif comments:
            comments += (piece == "(") - (piece == ")")
        elif piece == '"':
            quoted = not quoted
        elif piece == "(" and not quoted:
            comments = 1
        else:
            yield piece, not quoted and piece in "<>:,;"


def _address(words: str, angle: str | None) -> Address | None:
    # A route (`<@a,@b:user@host>`, RFC 5322 §4.4) is obsolete: what stands after it counts.
    if angle is None:
        # `Ann Lee ann@example.org`: some programs forget the brackets.
        *named, angle = [word for word in words.split() if "@" in word] or [""]
        if named:
            return None
        words = words.replace(angle, " ", 1)
    address = parse_address(angle.rpartition(":")[2])
    return None if address is None else Address(one_line(decode_words(words)), address)
