"""A part tree as a letter: who, when, what it says and what it brings."""

import hashlib
import html as entities
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from opora_intake.mail.addresses import Address, parse_address, parse_addresses
from opora_intake.mail.authentication import authenticated
from opora_intake.mail.letter import Attachment, Letter, Verdict
from opora_intake.mail.limits import MOST_HTML_CHARACTERS, MOST_TEXT_CHARACTERS
from opora_intake.mail.names import safe_name, sniffed_type
from opora_intake.mail.plain import text_of_html
from opora_intake.mail.quote import split_reply
from opora_intake.mail.sanitise import sanitise
from opora_intake.mail.signatures import signers_of
from opora_intake.mail.structure import Part
from opora_intake.mail.words import header_text, to_text

_MESSAGE_ID = re.compile(r"<([^<>\s]{1,500})>")
_MOST_REFERENCES = 100
_LONGEST_DATE = 100
_DELIVERED = ("delivered-to", "x-original-to", "envelope-to")
_TIDY = re.compile(r"\r\n?|\u2028|\u2029")


@dataclass(frozen=True, slots=True)
class _Body:
    """One stretch of what is to be read; HTML or text may be missing."""

    text: str | None
    html: str | None


def letter_of(root: Part, automatic: Verdict | None, headers: tuple[tuple[str, str], ...]) -> Letter:
    """The letter that the parts make. Never fails: what cannot be understood is left out or taken as text."""
    bodies, files = _contents(root)
    text = _text_of(bodies)
    attachments = [_attachment(part, number) for number, part in enumerate(files, 1)]
    attachments += _overlong(bodies)
    senders = parse_addresses(root.first("from") or b"") or parse_addresses(root.first("sender") or b"")
    ids = message_ids(root.first("message-id"))
    return Letter(
        sender=senders[0] if senders else None,
        to=_addresses(root, "to"),
        cc=_addresses(root, "cc"),
        reply_to=_addresses(root, "reply-to"),
        delivered_to=tuple(
            dict.fromkeys(
                address for name in _DELIVERED for value in root.all(name) if (address := parse_address(to_text(value)))
            )
        ),
        message_id=ids[0] if ids else None,
        in_reply_to=message_ids(root.first("in-reply-to")),
        references=message_ids(root.first("references"))[-_MOST_REFERENCES:],
        sent_at=_instant(root.first("date")),
        subject=header_text(root.first("subject") or b""),
        text=text,
        reply=split_reply(text).text,
        html=_html_of(bodies),
        attachments=tuple(attachments),
        automatic=automatic,
        authentication=authenticated(root.all("authentication-results")),
        signers=signers_of(root.all("dkim-signature"), senders[0].address.rpartition("@")[2]) if senders else (),
        headers=headers,
    )


def message_ids(value: bytes | None) -> tuple[str, ...]:
    """The Message-IDs of a header value without their angle brackets, in order (RFC 5322 §3.6.4)."""
    return () if value is None else tuple(_MESSAGE_ID.findall(to_text(value)))


def text_of(part: Part) -> str:
    """A text part's characters with plain line ends."""
    return _TIDY.sub("\n", to_text(part.content(), part.parameters.get("charset")))


def _addresses(root: Part, name: str) -> tuple[Address, ...]:
    return tuple(address for value in root.all(name) for address in parse_addresses(value))


def _instant(value: bytes | None) -> datetime | None:
    """The claimed time in UTC; None when it is none, or no time that a calendar has."""
    if value is None or len(value) > _LONGEST_DATE:
        return None
    try:
        claimed = parsedate_to_datetime(to_text(value))
        return claimed.replace(tzinfo=UTC) if claimed.tzinfo is None else claimed.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _contents(part: Part) -> tuple[list[_Body], list[Part]]:
    """What is to be read and what is to be kept as files; as deep as the letter may be nested."""
    if part.content_type == "multipart/alternative" and part.parts:
        return _alternative([_contents(child) for child in part.parts])
    if part.is_multipart:
        bodies: list[_Body] = []
        files: list[Part] = []
        for child in part.parts:
            more_bodies, more_files = _contents(child)
            bodies += more_bodies
            files += more_files
        return bodies, files
    disposition, parameters = part.disposition
    is_file = disposition == "attachment" or "filename" in parameters or "name" in part.parameters
    if part.content_type == "text/plain" and not is_file:
        return [_Body(text_of(part), None)], []
    if part.content_type == "text/html" and not is_file:
        return [_Body(None, text_of(part))], []
    return [], [part]


def _alternative(forms: list[tuple[list[_Body], list[Part]]]) -> tuple[list[_Body], list[Part]]:
    """One body of the forms that say the same: the first that is text, the last that is HTML (RFC 2046 §5.1.4)."""
    files = [file for _, more in forms for file in more]
    plain = next((bodies for bodies, _ in forms if any(body.text is not None for body in bodies)), [])
    rich = next((bodies for bodies, _ in reversed(forms) if any(body.html is not None for body in bodies)), [])
    if plain and rich and plain is not rich:
        html = "\n".join(_as_html(body) for body in rich)
        return [_Body("\n\n".join(_as_text(body) for body in plain), html)], files
    return (plain or rich), files


def _as_text(body: _Body) -> str:
    return body.text if body.text is not None else _text_of_html(body.html or "")


def _as_html(body: _Body) -> str:
    return body.html if body.html is not None else f"<pre>{entities.escape(body.text or '')}</pre>"


def _text_of(bodies: Iterable[_Body]) -> str:
    return "\n\n".join(filter(str.strip, _texts(bodies))).strip("\n")[:MOST_TEXT_CHARACTERS]


def _overlong(bodies: Iterable[_Body]) -> Iterator[Attachment]:
    """The bodies of which the letter's text holds only the beginning, as files."""
    total = 0
    for body in bodies:
        total += len(body.text or "")
        if body.text is not None and total > MOST_TEXT_CHARACTERS:
            yield _file("message.txt", "text/plain", body.text.encode())
        if body.html is not None and len(body.html) > MOST_HTML_CHARACTERS:
            yield _file("message.html", "text/html", body.html.encode())


def _texts(bodies: Iterable[_Body]) -> Iterator[str]:
    for body in bodies:
        text = _as_text(body)
        # A program that writes its text only as HTML often leaves an empty text beside it.
        yield text if text.strip() or body.html is None else _text_of_html(body.html)


def _text_of_html(html: str) -> str:
    return text_of_html(html[:MOST_HTML_CHARACTERS])


def _html_of(bodies: Iterable[_Body]) -> str | None:
    bodies = list(bodies)
    if all(body.html is None for body in bodies):
        return None
    return sanitise("\n".join(map(_as_html, bodies)))


def _attachment(part: Part, number: int) -> Attachment:
    disposition, parameters = part.disposition
    claimed = parameters.get("filename") or part.parameters.get("name") or ""
    content_id = message_ids(part.first("content-id"))
    file = _file(
        safe_name(claimed, f"attachment-{number}{_ENDINGS.get(part.content_type, '')}"),
        part.content_type,
        part.content(),
    )
    inline = disposition != "attachment" and bool(content_id)
    return replace(file, content_id=content_id[0] if content_id else None, inline=inline)


def _file(name: str, content_type: str, content: bytes) -> Attachment:
    digest = hashlib.sha256(content).hexdigest()
    return Attachment(name, content_type, sniffed_type(content), None, inline=False, sha256=digest, content=content)


_ENDINGS = {
    "message/rfc822": ".eml",
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/gif": ".gif",
    "application/pdf": ".pdf",
    "text/calendar": ".ics",
    "text/html": ".html",
    "text/plain": ".txt",
}
