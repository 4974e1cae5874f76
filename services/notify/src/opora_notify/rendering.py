"""Letters from templates: a subject, a text and an HTML part in the recipient's language."""

from base64 import encodebytes
from binascii import b2a_qp
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address, HeaderRegistry
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from functools import cache, lru_cache
from importlib.resources import files
from secrets import token_hex
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from opora_contracts.tickets import TicketCreated
from opora_notify.domain.delivery import Notification

LANGUAGES = ("en", "ru")
_FORMATS = {"en": "%d %b %Y, %H:%M", "ru": "%d.%m.%Y, %H:%M"}
_UNITS = {"en": ("d", "h", "min"), "ru": ("д", "ч", "мин")}
_templates = Environment(
    loader=PackageLoader("opora_notify"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)


class _OneTypePerHeader(HeaderRegistry):
    """Python's registry makes a class whenever a header is set or read, which costs more than reading the header."""

    @cache  # noqa: B019  the registry lives as long as the process, and knows the headers of letters only
    def __getitem__(self, name: str) -> type:
        """What stands for headers of this name."""
        made: type = super().__getitem__(name)
        return made


_POLICY = SMTP.clone(header_factory=_OneTypePerHeader())
_BOUNDARY = f"={token_hex(16)}="
"""Between the parts of a letter (RFC 2046, section 5.1.1)."""
_HEADERS_KEPT = 64
_LINE_CHARACTERS = 78
"""What a line should not be longer than (RFC 5322, section 2.1.1)."""


@dataclass(frozen=True, slots=True)
class Letter:
    """What a recipient reads."""

    subject: str
    text: str
    html: str


@cache
def template_names() -> frozenset[str]:
    """The templates that a mail can be written with: those that every language has."""
    folder = files("opora_notify").joinpath("templates")
    per_language = [
        {
            entry.name.removesuffix(".txt")
            for entry in folder.joinpath(language).iterdir()
            if entry.name.endswith(".txt")
        }
        for language in LANGUAGES
    ]
    return frozenset(set.intersection(*per_language))


def spoken(language: str, default: str = "en") -> str:
    """The language of the templates for a tag such as `ru-RU`."""
    short = language.lower()[:2]
    return short if short in LANGUAGES else default


def write_letter(template: str, language: str, time_zone: str, values: dict[str, Any]) -> Letter:
    """Fill a template. Text that came from outside cannot break out of the subject's line or into the HTML."""
    context = {
        **values,
        "language": language,
        "moment": lambda at: moment(at, time_zone, language),
        "duration": lambda seconds: duration(seconds, language),
    }
    rendered = _templates.get_template(f"{language}/{template}.txt").render(context)
    subject, _, text = rendered.partition("\n")
    html = _templates.get_template(f"{language}/{template}.html").render(context)
    return Letter(subject=one_line(subject), text=text.strip() + "\n", html=html)


def compose(
    letter: Letter,
    notification: Notification,
    *,
    sender: str,
    to_name: str,
    to_address: str,
    domain: str,
    reply_to: str | None = None,
    instance: str | None = None,
) -> EmailMessage:
    """The message as it travels. Raises ValueError for an address that cannot stand in a header.

    Its id is the same however often it is sent, until somebody asks for a resend: mailboxes drop a second message of
    one id. All messages of a ticket hang on one reference, so mail programs show them as a thread.
    """
    message = EmailMessage(policy=_POLICY)
    message["From"] = _from(sender)
    message["To"] = Address(one_line(to_name), addr_spec=to_address)
    message["Subject"] = letter.subject
    message["Date"] = format_datetime(notification.created_at)
    message["Message-ID"] = message_id(notification, domain)
    if notification.ticket_id is not None:
        message["In-Reply-To"] = thread_id(notification.ticket_id, domain)
        message["References"] = thread_id(notification.ticket_id, domain)
    if reply_to is not None:
        message["Reply-To"] = Address(addr_spec=reply_to)
    message["Auto-Submitted"] = _header(
        "Auto-Submitted", "auto-replied" if _acknowledges(notification) else "auto-generated"
    )
    if instance is not None:
        message["X-Opora-Instance"] = _header("X-Opora-Instance", instance)
    message["MIME-Version"] = _header("MIME-Version", "1.0")
    boundary = _BOUNDARY
    while boundary in letter.text or boundary in letter.html:
        boundary = f"={token_hex(16)}="
    message["Content-Type"] = _header("Content-Type", f'multipart/alternative; boundary="{boundary}"')
    message.attach(_part("plain", letter.text))
    message.attach(_part("html", letter.html))
    return message


def _acknowledges(notification: Notification) -> bool:
    """Whether the letter answers one of its recipient's, with nobody in between (RFC 3834 §5)."""
    return notification.event_type == TicketCreated.event_type and notification.recipient.startswith("customer:")


def _part(subtype: str, text: str) -> EmailMessage:
    """A text as it may stand in a letter (RFC 2045): as it is, or else in the shorter of the two encodings."""
    raw = text.encode()
    if raw.isascii() and all(len(line) <= _LINE_CHARACTERS for line in raw.splitlines()):
        encoding, encoded = "7bit", raw
    else:
        candidates = {"quoted-printable": b2a_qp(raw), "base64": encodebytes(raw)}
        encoding, encoded = min(candidates.items(), key=lambda candidate: len(candidate[1]))
    part = EmailMessage(policy=_POLICY)
    part["Content-Type"] = _header("Content-Type", f'text/{subtype}; charset="utf-8"')
    part["Content-Transfer-Encoding"] = _header("Content-Transfer-Encoding", encoding)
    part.set_payload(encoded.decode("ascii"))
    return part


@lru_cache(maxsize=_HEADERS_KEPT)
def _header(name: str, value: str) -> Any:
    """A header that many letters share: reading one costs as much as filling a template."""
    return _POLICY.header_factory(name, value)


@lru_cache(maxsize=_HEADERS_KEPT)
def _from(sender: str) -> Any:
    name, address = parseaddr(sender)
    return _POLICY.header_factory("From", Address(one_line(name), addr_spec=address))


def message_id(notification: Notification, domain: str) -> str:
    """The Message-ID of a notification."""
    suffix = f".{notification.resends}" if notification.resends else ""
    return f"<{notification.notification_id}{suffix}@{domain}>"


def thread_id(ticket_id: UUID, domain: str) -> str:
    """The reference that all messages about a ticket share."""
    return f"<ticket.{ticket_id}@{domain}>"


def one_line(text: str) -> str:
    """Text without line ends and control characters, so that it cannot begin a header of its own."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def moment(at: datetime, time_zone: str, language: str) -> str:
    """An instant as the recipient's clock shows it, with the zone's name."""
    try:
        zone = ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        zone = ZoneInfo("UTC")
    return f"{at.astimezone(zone).strftime(_FORMATS[language])} ({zone.key})"


def duration(seconds: int, language: str) -> str:
    """A length of time in days, hours and minutes; under a minute it is 0 min."""
    minutes = seconds // 60
    day, hour, minute = _UNITS[language]
    parts = [(minutes // 1440, day), (minutes // 60 % 24, hour), (minutes % 60, minute)]
    return " ".join(f"{value} {unit}" for value, unit in parts if value) or f"0 {minute}"
