"""E-mail over SMTP."""

import re
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from email.errors import HeaderParseError
from email.message import EmailMessage
from email.utils import parseaddr
from uuid import UUID

import aiosmtplib

from opora_chassis.database import Database
from opora_contracts import Fact
from opora_contracts.feedback import SurveyRequested
from opora_contracts.mail_addresses import address_digest, is_address_at_fault
from opora_contracts.mail_threads import Claim, reply_address
from opora_contracts.tickets import TicketCreated, TicketReplied
from opora_notify import rendering, store
from opora_notify.channels import UnsentError
from opora_notify.domain.delivery import Delayed, Delivered, Notification, Outcome, Refused, Withheld
from opora_notify.domain.envelopes import event_in
from opora_notify.domain.tickets import Ticket
from opora_notify.settings import NotifySettings
from opora_notify.sources import GoneError, NotAnsweredError, Sources
from opora_notify.store import Contact, undeliverable
from opora_notify.store.undeliverable import UndeliverableAddress

_IDLE_SECONDS = 10.0
"""A connection that was idle for longer is not trusted any more: servers close silent ones."""
_FAREWELL_SECONDS = 1.0
_FROM_ANYBODY = frozenset({"system:web-form", "system:mail"})
"""Who opens the tickets of web forms and of letters in intake."""
_PERMANENT = 500
_ENHANCED_STATUS = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?![0-9.])")
_TICKET_NUMBER = re.compile(r"[A-Z][A-Z0-9]*-([0-9]{1,9})")


class Mailbag:
    """The open SMTP connections that nobody uses right now; each carries one letter at a time."""

    def __init__(self, settings: NotifySettings) -> None:
        self._settings = settings
        self._idle: list[tuple[float, aiosmtplib.SMTP]] = []

    async def send(self, message: EmailMessage, recipient: str) -> None:
        """Hand a message to the server. Raises aiosmtplib's errors and OSError; then the connection is given up."""
        sender = parseaddr(self._settings.mail_from)[1]
        async with AsyncExitStack() as cleanup:
            connection = await self._connection()
            cleanup.callback(connection.close)
            await connection.send_message(message, sender=sender, recipients=[recipient])
            cleanup.pop_all()
        self._idle.append((time.monotonic(), connection))

    async def close(self) -> None:
        """Take leave of the server."""
        while self._idle:
            _, connection = self._idle.pop()
            with suppress(aiosmtplib.SMTPException, OSError):
                await connection.quit(timeout=_FAREWELL_SECONDS)
            connection.close()

    async def _connection(self) -> aiosmtplib.SMTP:
        while self._idle:
            since, connection = self._idle.pop()
            if connection.is_connected and time.monotonic() - since < _IDLE_SECONDS:
                return connection
            connection.close()
        settings = self._settings
        password = settings.smtp_password
        connection = aiosmtplib.SMTP(
            hostname=settings.smtp_host,
            port=settings.smtp_port,
            username=settings.smtp_user,
            password=None if password is None else password.get_secret_value(),
            use_tls=settings.smtp_tls == "tls",
            start_tls=settings.smtp_tls == "starttls",
            timeout=settings.send_timeout_seconds,
        )
        await connection.connect()
        return connection


async def send(
    notification: Notification, *, database: Database, sources: Sources, mailbag: Mailbag, settings: NotifySettings
) -> Outcome:
    """Write the letter of a notification and hand it to the mail server."""
    try:
        message, recipient = await _write(notification, database, sources, settings)
        await mailbag.send(message, recipient)
    except UnsentError as unsent:
        return unsent.outcome
    except aiosmtplib.SMTPRecipientsRefused as error:
        refusal = error.recipients[0]
        await _remember(database, notification, recipient, refusal.code, refusal.message)
        return _answered(refusal.code, refusal.message, recipient)
    except aiosmtplib.SMTPDataError as error:
        return _answered(error.code, error.message, recipient)
    except aiosmtplib.SMTPNotSupported as error:
        return Refused(f"the mail server cannot take this letter: {error}")
    except (aiosmtplib.SMTPException, OSError) as error:
        # Whatever else the server refuses (the sender, the password, the greeting) is our configuration and gets
        # repaired: no letter is lost to it.
        return Delayed(f"mail server: {type(error).__name__}: {error}")
    return Delivered()


async def _write(
    notification: Notification, database: Database, sources: Sources, settings: NotifySettings
) -> tuple[EmailMessage, str]:
    """The letter and the address that it goes to. Raises UnsentError when something is missing."""
    contact = await _contact(database, notification, settings.default_language)
    if contact.email is None:
        raise UnsentError(Withheld(f"{notification.recipient} has no mail address"))
    await _require_deliverable(database, contact.email)
    ticket = await _ticket(database, notification.ticket_id)
    event = event_in(notification.event)
    fact = event.data
    # Anybody may have written that and named this address: nothing of it is sent there, or strangers wrote by us.
    is_unproven = isinstance(fact, TicketCreated) and event.actor in _FROM_ANYBODY
    name, ticket = ("", replace(ticket, title="")) if is_unproven else (contact.name, ticket)
    quoted = await _quoted(fact, sources)
    language = _language(notification, fact, ticket, contact, settings.default_language)
    values = {
        "name": name,
        "ticket": ticket,
        "fact": fact,
        "event_type": notification.event_type,
        **quoted,
    }
    try:
        message = rendering.compose(
            rendering.write_letter(notification.template, language, contact.time_zone, values),
            notification,
            sender=settings.mail_from,
            to_name=name,
            to_address=contact.email,
            domain=settings.message_id_domain,
            reply_to=_reply_to(notification, ticket, settings),
            instance=settings.intake_mail_instance,
        )
    except (ValueError, HeaderParseError) as error:
        raise UnsentError(Refused(f"the letter cannot be written: {error}")) from error
    return message, contact.email


def _reply_to(notification: Notification, ticket: Ticket, settings: NotifySettings) -> str | None:
    """Where an answer goes to; a customer's who takes part proves the ticket and who answers, nobody else's does."""
    mailbox, keys = settings.mail_reply_to, settings.token_keys
    number = _TICKET_NUMBER.fullmatch(ticket.number)
    kind, _, identifier = notification.recipient.partition(":")
    takes_part = notification.recipient in {f"customer:{ticket.requester_id}", *ticket.watchers}
    if mailbox is None or keys is None or number is None or kind != "customer" or not takes_part:
        return mailbox
    return reply_address(keys, Claim(int(number[1]), UUID(identifier)), mailbox)


async def _require_deliverable(database: Database, address: str) -> None:
    """Raise UnsentError for an address to which letters come back for good."""
    digest = address_digest(address)
    mark = await undeliverable.find_mark(database, digest)
    if mark is not None:
        raise UnsentError(
            Withheld(
                f"letters to the address come back ({mark.status}): give another one, or clear it with"
                f" DELETE /v1/undeliverable/{digest}"
            )
        )


async def _remember(database: Database, notification: Notification, address: str, code: int, text: str) -> None:
    """Write to an address no more of which the mail server says that it does not exist (RFC 5321 with RFC 2034)."""
    status = _ENHANCED_STATUS.match(text.strip())
    if code < _PERMANENT or status is None or not is_address_at_fault(status[1]):
        return
    async with database.transaction() as tx:
        mark = UndeliverableAddress(
            address_digest(address), notification.recipient, status[1], source="refusal", since=tx.now
        )
        await undeliverable.mark_addresses(tx, [mark])


def _answered(code: int, text: str, recipient: str) -> Outcome:
    # Servers repeat the address, and reasons are published.
    shown = re.sub(re.escape(recipient), "the recipient", text, flags=re.IGNORECASE)
    reason = f"the mail server answered {code}: {shown}"
    return Refused(reason) if code >= _PERMANENT else Delayed(reason)


async def _contact(database: Database, notification: Notification, language: str) -> Contact:
    kind, _, identifier = notification.recipient.partition(":")
    if notification.address is not None:
        return Contact(name="", email=notification.address, language=language, time_zone="UTC")
    if kind == "customer":
        customer = await store.find_customer(database, UUID(identifier))
        if customer is None:
            raise UnsentError(Delayed("the customer is not known yet: opora.customers is behind"))
        return customer
    if kind == "agent":
        agent = await store.find_agent(database, identifier)
        if agent is None:
            raise UnsentError(Delayed(f"no address for agent {identifier}: put one with PUT /v1/agents/{identifier}"))
        return Contact(agent.name, agent.email, agent.language, agent.time_zone)
    raise UnsentError(Withheld(f"nobody can be reached as {notification.recipient}"))


async def _ticket(database: Database, ticket_id: UUID | None) -> Ticket:
    tickets = {} if ticket_id is None else await store.find_tickets(database, {ticket_id})
    if ticket_id not in tickets:
        raise UnsentError(Delayed("the ticket is not known yet: opora.tickets is behind"))
    return tickets[ticket_id]


async def _quoted(fact: Fact, sources: Sources) -> dict[str, object]:
    """What the letter needs that the event does not carry."""
    try:
        if isinstance(fact, TicketReplied):
            return {"body": await sources.message_body(fact.message_id)}
        if isinstance(fact, SurveyRequested):
            return {"links": await sources.survey_links(fact.survey_id)}
    except NotAnsweredError as error:
        raise UnsentError(Delayed(str(error))) from error
    except GoneError as error:
        raise UnsentError(Withheld(str(error))) from error
    return {}


def _language(notification: Notification, fact: Fact, ticket: Ticket, contact: Contact, default: str) -> str:
    """A requester reads the language of the request, everybody else their own."""
    if isinstance(fact, SurveyRequested):
        return rendering.spoken(fact.language, default)
    if notification.recipient == f"customer:{ticket.requester_id}":
        return rendering.spoken(ticket.language, default)
    return rendering.spoken(contact.language, default)
