"""Reports about deliveries (RFC 3464 and the text-only ones of common servers) as facts, never as tickets."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from opora_intake.mail.addresses import parse_address
from opora_intake.mail.classify import is_from_daemon
from opora_intake.mail.dialects import DIALECTS, Dialect
from opora_intake.mail.letter import Bounce, DeliveryFact, Outcome
from opora_intake.mail.parse import message_ids, text_of
from opora_intake.mail.plain import text_of_html
from opora_intake.mail.structure import Part, field_lines
from opora_intake.mail.words import header_text, one_line, to_text

_MOST_FACTS = 500
_LONGEST_DIAGNOSTIC = 500
_LOOKED_AT_CHARACTERS = 100_000
_LOOKED_AT_LINE = 400
_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")
_REPLY_CODE = re.compile(r"(?<![\d.\[])([45])\d\d(?![\d.\]])")
_ORIGINAL_ID = re.compile(r"^[ \t>]{0,9}Message-ID:\s{0,9}<([^<>\s]{1,500})>", re.IGNORECASE | re.MULTILINE)
_RETURNED_ADDRESS = re.compile(r"(?<![\w.+-])[\w.-]{1,64}\+[A-Za-z2-7]{49}@[A-Za-z0-9.-]{1,255}", re.ASCII)
_MOST_RETURNED = 10
_BLANK_LINE = re.compile(rb"\r?\n[ \t]*\r?\n")
_REPORT_TYPES = frozenset({"message/delivery-status", "message/global-delivery-status"})
_RETURNED = frozenset({"message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers"})
_OUTCOMES = {
    "failed": Outcome.FAILED,
    "delayed": Outcome.DELAYED,
    "delivered": Outcome.DELIVERED,
    "relayed": Outcome.DELIVERED,
    "expanded": Outcome.DELIVERED,
}


def bounce_of(root: Part, *, envelope_sender: str | None) -> Bounce | None:
    """The delivery report that the letter is; None for any other letter. Never fails.

    A report by RFC 3464 is one wherever it comes from. Text counts as a report only from a mail server (null sender
    or a daemon's address): a person who quotes one wants help with it.
    """
    parts = list(_own_parts(root))
    bounce = _bounce_of(root, parts, envelope_sender=envelope_sender)
    return None if bounce is None else replace(bounce, returned_addresses=_returned_addresses(parts))


def _bounce_of(root: Part, parts: list[Part], *, envelope_sender: str | None) -> Bounce | None:
    reports = [part for part in parts if part.content_type in _REPORT_TYPES]
    declared = root.parameters.get("report-type", "").lower() == "delivery-status"
    if reports and (declared or root.content_type == "multipart/report" or is_from_daemon(root, envelope_sender)):
        facts = [fact for part in reports for fact in _reported(part)]
        return Bounce(_distinct(facts), _returned_id(parts), "dsn")
    if not is_from_daemon(root, envelope_sender):
        return None
    return _in_words(root, parts) or (_damaged(root) if declared else None)


def _damaged(root: Part) -> Bounce:
    """A report whose parts cannot be told apart, as when its boundary was lost: its blocks still can be read."""
    original = _ORIGINAL_ID.search(text_of(root)[:_LOOKED_AT_CHARACTERS])
    return Bounce(_distinct(list(_reported(root))), original[1] if original else None, "dsn")


def _own_parts(part: Part) -> Iterator[Part]:
    """The part and those in it, without the insides of enclosed letters."""
    yield part
    if part.content_type.startswith("multipart/"):
        for child in part.parts:
            yield from _own_parts(child)


def _reported(part: Part) -> Iterator[DeliveryFact]:
    """The per-recipient blocks of a report (RFC 3464 §2.3); the first block is about the whole."""
    for block in _BLANK_LINE.split(part.content()):
        fields = {name: header_text(value) for name, value in reversed(field_lines(block.lstrip(b"\r\n")))}
        recipient = _typed_address(fields.get("original-recipient")) or _typed_address(fields.get("final-recipient"))
        if recipient:
            yield _fact_of(recipient, fields)


def _fact_of(recipient: str, fields: Mapping[str, str]) -> DeliveryFact:
    diagnostic = fields.get("diagnostic-code", "").partition(";")[2].strip()
    found = _STATUS.search(fields.get("status", ""))
    if found is None or found[0].endswith(".0.0"):  # Exim writes 5.0.0 whatever the other server gave as the reason
        found = _STATUS.search(diagnostic) or found
    outcome = _OUTCOMES.get(fields.get("action", "").split(" ")[0].lower(), Outcome.FAILED)
    status = found[0] if found else {Outcome.FAILED: "5.0.0", Outcome.DELAYED: "4.0.0"}.get(outcome, "2.0.0")
    return _fact(recipient, outcome, status, diagnostic)


def _fact(recipient: str, outcome: Outcome, status: str, diagnostic: str) -> DeliveryFact:
    permanent = outcome is Outcome.FAILED and status.startswith("5")
    return DeliveryFact(recipient, outcome, status, permanent, one_line(diagnostic)[:_LONGEST_DIAGNOSTIC])


def _typed_address(value: str | None) -> str | None:
    """The address of `rfc822; user@example.org`."""
    return parse_address((value or "").rpartition(";")[2])


def _returned_id(parts: list[Part]) -> str | None:
    """The Message-ID of the letter that the report returns, or of its header (RFC 6522 §3)."""
    for part in parts:
        if part.content_type not in _RETURNED:
            continue
        enclosed = part.parts[0].first("message-id") if part.parts else None
        ids = message_ids(enclosed) or message_ids(dict(field_lines(part.content())).get("message-id"))
        if ids:
            return ids[0]
    return None


def _returned_addresses(parts: list[Part]) -> tuple[str, ...]:
    """Where answers to the returned letter would have gone to, as far as that can be a thread's token."""
    texts = (
        to_text(part.content()[:_LOOKED_AT_CHARACTERS])
        for part in parts
        if not part.parts or part.content_type in _RETURNED
    )
    found = (address for text in texts for address in _RETURNED_ADDRESS.findall(text))
    return tuple(dict.fromkeys(found))[:_MOST_RETURNED]


def _in_words(root: Part, parts: list[Part]) -> Bounce | None:
    texts = [text_of(part) for part in parts if part.content_type == "text/plain"]
    pages = [text_of(part)[:_LOOKED_AT_CHARACTERS] for part in parts if part.content_type == "text/html"]
    text = "\n".join(texts or map(text_of_html, pages))[:_LOOKED_AT_CHARACTERS].replace("\u2019", "'")
    # Programs break lines where they like, within phrases too.
    known = " ".join(text.lower().split())
    dialect = next((one for one in DIALECTS if any(words in known for words in one.opening)), None)
    failed = root.first("x-failed-recipients")
    if dialect is None and failed is None:
        return None
    said, returned = _divided(text, dialect.original if dialect else ())
    delayed = dialect is not None and any(words in " ".join(said.lower().split()) for words in dialect.delayed)
    outcome = Outcome.DELAYED if delayed else Outcome.FAILED
    facts = list(_said(said, dialect, outcome)) if dialect else []
    if not facts:
        named = filter(None, map(parse_address, to_text(failed or b"").split(",")))
        facts = [_fact(recipient, outcome, _status(said, outcome), "") for recipient in named]
    original = _ORIGINAL_ID.search(returned) or _ORIGINAL_ID.search(said)
    original_id = original[1] if original else _returned_id(parts)
    return Bounce(_distinct(facts), original_id, dialect.name if dialect else "other")


def _divided(text: str, dividers: tuple[str, ...]) -> tuple[str, str]:
    """What the server says, and the letter that it returns."""
    lower = text.lower()
    places = [place for divider in dividers if (place := lower.find(divider)) >= 0]
    end = min(places, default=len(text))
    return text[:end], text[end:]


def _said(text: str, dialect: Dialect, outcome: Outcome) -> Iterator[DeliveryFact]:
    """A fact per recipient, from all that follows its name: some servers name one twice, for people and for experts."""
    about: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.split("\n"):
        match = dialect.recipient.match(line[:_LOOKED_AT_LINE])
        address = parse_address(match[1]) if match else None
        if match is None or address is None:
            lines.append(line)
        else:
            lines = about.setdefault(address, [])
            lines.append(line[match.end() :])
    for recipient, said in about.items():
        whole = one_line(" ".join(said).strip(" :"))
        yield _fact(recipient, outcome, _status(whole, outcome), whole)


def _status(said: str, outcome: Outcome) -> str:
    """The status code that a text names, else the class of its SMTP reply, else what the outcome means."""
    named = _STATUS.search(said)
    if named:
        return named[0]
    reply = _REPLY_CODE.search(said)
    if reply:
        return f"{reply[1]}.0.0"
    return "4.0.0" if outcome is Outcome.DELAYED else "5.0.0"


def _distinct(facts: list[DeliveryFact]) -> tuple[DeliveryFact, ...]:
    """One fact per recipient; the first that has a diagnostic, because servers repeat themselves."""
    found: dict[str, DeliveryFact] = {}
    for fact in facts:
        known = found.get(fact.recipient)
        if known is None or (fact.diagnostic and not known.diagnostic):
            found[fact.recipient] = fact
    return tuple(found.values())[:_MOST_FACTS]
