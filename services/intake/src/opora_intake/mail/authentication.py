"""What receiving servers found out about a letter's origin (RFC 8601), as they wrote it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from opora_intake.mail.words import to_text

_MOST_FIELDS = 20
_LONGEST_FIELD = 4000
_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"?|[();]|[^"();]+', re.DOTALL)
_RESULT = re.compile(r"^\s*([a-z0-9-]{1,40})\s*(?:/\s*[0-9]{1,4}\s*)?=\s*([a-z]{1,20})", re.IGNORECASE)
_REASON = re.compile(r'\breason\s*=\s*(?:"(?:[^"\\]|\\.)*"?|[^\s;]+)', re.IGNORECASE | re.DOTALL)
OURSELVES = ""
"""The server of what intake found out itself: no field can bear this name."""

_PROPERTY = re.compile(r"\b(header\.d|header\.i|smtp\.mailfrom)\s*=\s*\"?([^\s;\"]{1,320})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Authenticated:
    """What one server says. Nobody should believe a name that its own servers do not take out of strangers' letters."""

    server: str
    """The authserv-id, in lower case."""
    dmarc: str | None
    """The result of DMARC (RFC 7489), in lower case; None where it was not looked at."""
    passed: tuple[str, ...]
    """The domains for which DKIM or SPF passed, in lower case."""


def authenticated(fields: Sequence[bytes]) -> tuple[Authenticated, ...]:
    """What Authentication-Results fields say, the newest first. Linear in their length; raises for no input."""
    return tuple(
        told for value in fields[:_MOST_FIELDS] if (told := _told(to_text(value)[:_LONGEST_FIELD])) is not None
    )


def is_from(domain: str, told: Sequence[Authenticated], servers: frozenset[str]) -> bool:
    """Whether one of these servers found the letter to be from the domain.

    DMARC decides where it was looked at; else DKIM or SPF must have passed for the domain, for one above it or one
    below it (RFC 7489 §3.1, relaxed). Without a word of these servers the answer is no.
    """
    believed = [each for each in told if each.server in servers]
    verdicts = {each.dmarc for each in believed} - {None, "none"}
    if verdicts:
        return verdicts == {"pass"}
    return any(is_aligned(domain.lower(), passed) for each in believed for passed in each.passed)


def is_aligned(domain: str, other: str) -> bool:
    """Whether one is the other or above it (RFC 7489 §3.1, relaxed); both in lower case."""
    shorter, longer = sorted((domain, other), key=len)
    # A name without a dot is a whole registry: nobody in it speaks for the others.
    return shorter == longer or ("." in shorter and longer.endswith(f".{shorter}"))


def _told(value: str) -> Authenticated | None:
    server, *results = _clauses(value)
    name = server.split()[0].lower() if server.split() else ""
    if not name:
        return None
    dmarc: str | None = None
    passed: list[str] = []
    for given in results:
        # A reason may quote what the sender wrote.
        clause = _REASON.sub("", given)
        result = _RESULT.match(clause)
        if result is None:
            continue
        method, outcome = result[1].lower(), result[2].lower()
        if method == "dmarc":
            dmarc = dmarc or outcome
        elif method in {"dkim", "spf"} and outcome == "pass":
            # An address stands for its domain.
            passed += [
                domain.rpartition("@")[2].lower().rstrip(".")
                for where, domain in _PROPERTY.findall(clause)
                if (where.lower() == "smtp.mailfrom") == (method == "spf")
            ]
    return Authenticated(name, dmarc, tuple(passed))


def _clauses(value: str) -> Iterator[str]:
    """The parts between semicolons, without comments, in which anything may stand (RFC 5322 §3.2.2)."""
    depth, clause = 0, list[str]()
    for piece in _PIECE.findall(value):
        if piece == "(":
            depth += 1
        elif piece == ")":
            depth = max(0, depth - 1)
        elif depth == 0 and piece == ";":
            yield "".join(clause)
            clause.clear()
        elif depth == 0:
            clause.append(piece)
    yield "".join(clause)
