"""What comes of a letter: a letter read, facts about deliveries, or the reason why it cannot be read."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from opora_intake.mail.addresses import Address
from opora_intake.mail.authentication import Authenticated
from opora_intake.mail.limits import EXPLANATIONS, Reason
from opora_intake.mail.signatures import Signer


class Automatic(StrEnum):
    """What kind of machine wrote a letter. Nobody answers one automatically (RFC 3834 §2)."""

    OWN = "own"
    """This installation wrote it (X-Opora-Instance): it went round in a circle."""

    LOOP = "loop"
    NULL_SENDER = "null_sender"
    AUTO_SUBMITTED = "auto_submitted"
    RECEIPT = "receipt"
    RESPONDER = "responder"
    PRECEDENCE = "precedence"
    LIST = "list"


@dataclass(frozen=True, slots=True)
class Verdict:
    """That a letter is automatic, and the header field or other sign that says so."""

    kind: Automatic
    evidence: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of a letter. `name` is safe to show and to store; `content_type` is what the sender claims."""

    name: str
    content_type: str
    sniffed_type: str | None
    content_id: str | None
    inline: bool
    sha256: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter as it was read. Every text in it can be stored and is no longer than its limit.

    `text` is the whole message, `reply` what of it was newly written; `html` has been sanitised, and is None where the
    letter brings none or only its text may be shown. Nothing here is proven: a sender writes what he likes.
    """

    sender: Address | None
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    reply_to: tuple[Address, ...]
    delivered_to: tuple[str, ...]
    """Where it was delivered, by the last servers' own fields (Delivered-To, X-Original-To, Envelope-To)."""

    message_id: str | None
    in_reply_to: tuple[str, ...]
    references: tuple[str, ...]
    sent_at: datetime | None
    subject: str
    text: str
    reply: str
    html: str | None
    attachments: tuple[Attachment, ...]
    automatic: Verdict | None
    authentication: tuple[Authenticated, ...]
    """What servers on its way say of its origin; the sender may have written it himself."""
    signers: tuple[Signer, ...]
    """Who says that he signed it for the domain of its From (DKIM); nothing of it has been checked."""
    headers: tuple[tuple[str, str], ...]
    """The fields that the classification looked at, names in lower case."""


class Outcome(StrEnum):
    """What became of a delivery."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"


@dataclass(frozen=True, slots=True)
class DeliveryFact:
    """What a mail server says about one recipient (RFC 3464 §2.3), with its status code (RFC 3463)."""

    recipient: str
    outcome: Outcome
    status: str
    permanent: bool
    """Whether writing to the address again is of no use: a failure of class 5."""

    diagnostic: str


@dataclass(frozen=True, slots=True)
class Bounce:
    """A report about deliveries: never a ticket. `facts` is empty where a report names no recipient."""

    facts: tuple[DeliveryFact, ...]
    original_message_id: str | None
    reported_by: str
    """`dsn` for a report by RFC 3464, else the mail server whose wording it is."""
    returned_addresses: tuple[str, ...] = ()
    """Addresses with something after a `+` in what the report returns: among them the token of a letter of ours."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The letter goes to quarantine; `detail` is for whoever looks at it there."""

    reason: Reason
    detail: str = ""

    def __str__(self) -> str:
        return EXPLANATIONS[self.reason] + (f": {self.detail}" if self.detail else "")


Reading: TypeAlias = Letter | Bounce | Unreadable
