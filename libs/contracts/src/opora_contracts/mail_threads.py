"""Which ticket a letter belongs to: proven by a token of our own, or only hinted at. notify makes it, intake reads it.

A token is bound to one ticket and one participant. It stands in the reply address (`support+TOKEN@example.org`) and
in the Message-ID of every letter that goes out, so that an answer brings it back by one way or the other. What a sender
can know or guess (a ticket's number, a Message-ID) proves nothing.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

_PURPOSE = b"opora mail thread 1\n"
_MAC_BYTES = 10
"""80 bits: a guess costs a letter, and 2^80 letters are not sent."""

_CLAIM_BYTES = 4 + 16
_TOKEN = re.compile(r"[a-z2-7]{49}")
_ADDRESSED = re.compile(r"\+([a-z2-7]{49})$", re.IGNORECASE)
_IDENTIFIED = re.compile(r"^([a-z2-7]{49})\.[^@]{0,64}@(.{1,255})$", re.IGNORECASE)
_NUMBERED = re.compile(r"\[?\b([A-Z][A-Z0-9]{0,9})-([0-9]{1,10})\b\]?")
TOKEN_CHARACTERS = 49
_MOST_LOCAL_OCTETS = 64
LONGEST_MAILBOX = _MOST_LOCAL_OCTETS - 1 - TOKEN_CHARACTERS
"""Octets that are left for `support` in `support+TOKEN` (RFC 5321 §4.5.3.1.1): 14."""

_FEWEST_SECRET_BYTES = 32
_MOST_TICKET_NUMBER = 2**32 - 1


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """The secrets by name, a name being one of a–z and 2–7; new tokens are made with the `current` one.

    Rotation: add a key, make it current, and take the old one out when answers to its letters no longer come.
    Raises ValueError for a secret of less than 32 bytes, a name that is none, or a current key that is not there.
    """

    current: str
    secrets: Mapping[str, bytes] = field(repr=False)

    def __post_init__(self) -> None:
        if self.current not in self.secrets:
            raise ValueError(f"there is no secret for the current key {self.current!r}")
        for name, secret in self.secrets.items():
            if not re.fullmatch("[a-z2-7]", name):
                raise ValueError(f"{name!r} is no name of a key: one character of a–z and 2–7")
            if len(secret) < _FEWEST_SECRET_BYTES:
                raise ValueError(f"the secret of key {name!r} has less than {_FEWEST_SECRET_BYTES} bytes")


def token_keys(secrets: Mapping[str, str], current: str | None) -> TokenKeys | None:
    """The keys as settings name them; None for none. Raises ValueError where it is not clear which one is current."""
    if not secrets:
        return None
    if current is None and len(secrets) > 1:
        raise ValueError("intake_mail_token_key must name one of intake_mail_token_keys")
    return TokenKeys(current or next(iter(secrets)), {name: secret.encode() for name, secret in secrets.items()})


@dataclass(frozen=True, slots=True)
class Claim:
    """What a token says: this participant answers in this ticket."""

    ticket_number: int
    participant_id: UUID


@dataclass(frozen=True, slots=True)
class Thread:
    """Where a letter belongs: `claim` is proven; the rest may only make an *unverified* follow-up."""

    claim: Claim | None
    message_ids: tuple[str, ...]
    ticket_numbers: tuple[int, ...]


def sealed(keys: TokenKeys, subject: Claim | str) -> tuple[str, Claim] | None:
    """The one function that makes and verifies tokens; every path calls it.

    For a claim: its token under the current key, with the claim. For a text: the token in its one spelling with the
    claim that it proves, or None for every text that no key of `keys` sealed. Compares in constant time. Letter case
    does not count, because servers change it. Raises ValueError for a ticket number that does not fit into 32 bits.
    """
    if isinstance(subject, Claim):
        if not 0 <= subject.ticket_number <= _MOST_TICKET_NUMBER:
            raise ValueError(f"ticket number {subject.ticket_number} does not fit into a token")
        name, mac = keys.current, None
        packed = subject.ticket_number.to_bytes(4, "big") + subject.participant_id.bytes
    else:
        token = subject.lower()
        if not _TOKEN.fullmatch(token) or token[0] not in keys.secrets:
            return None
        name, content = token[0], base64.b32decode(token[1:].upper())
        packed, mac = content[:_CLAIM_BYTES], content[_CLAIM_BYTES:]
    expected = hmac.new(keys.secrets[name], _PURPOSE + name.encode() + packed, hashlib.sha256).digest()[:_MAC_BYTES]
    if mac is not None and not hmac.compare_digest(mac, expected):
        return None
    claim = Claim(int.from_bytes(packed[:4], "big"), UUID(bytes=packed[4:]))
    return name + base64.b32encode(packed + expected).decode("ascii").lower(), claim


def reply_address(keys: TokenKeys, claim: Claim, mailbox: str) -> str:
    """The address to answer to, `support+TOKEN@example.org` for the mailbox `support@example.org`.

    Raises ValueError when the mailbox' local part is longer than 14 octets, or is none.
    """
    local, at, domain = mailbox.rpartition("@")
    if not at or not local or not domain or len(local.encode()) > LONGEST_MAILBOX:
        raise ValueError(f"{mailbox!r} needs a local part of 1 to {LONGEST_MAILBOX} octets to carry a token")
    return f"{local}+{_token(keys, claim)}@{domain}"


def message_id(keys: TokenKeys, claim: Claim, unique: str, domain: str) -> str:
    """The Message-ID, without angle brackets, of a letter that goes out: the same for the same letter.

    `unique` tells the ticket's letters apart, as the notification's id does: 1 to 64 of letters, digits and dashes.
    """
    if not re.fullmatch(r"[A-Za-z0-9-]{1,64}", unique):
        raise ValueError(f"{unique!r} cannot stand in a Message-ID")
    return f"{_token(keys, claim)}.{unique}@{domain}"


def thread_of(
    keys: TokenKeys, *, recipients: Iterable[str], message_ids: Iterable[str], subject: str, prefix: str = "OP"
) -> Thread:
    """Where a letter belongs by its recipients (To, Cc, envelope), In-Reply-To with References, and subject.

    A token counts in the address before one in a Message-ID: the address is what the answer was sent to.
    """
    ids = tuple(dict.fromkeys(message_ids))
    claim = None
    for token in (*_tokens_of_addresses(recipients), *_tokens_of_ids(ids)):
        opened = sealed(keys, token)
        if opened is not None:
            claim = opened[1]
            break
    numbers = tuple(int(number) for named, number in _NUMBERED.findall(subject) if named == prefix)
    return Thread(claim, ids, tuple(dict.fromkeys(numbers)))


def _token(keys: TokenKeys, claim: Claim) -> str:
    made = sealed(keys, claim)
    assert made is not None  # noqa: S101  a claim always has its token
    return made[0]


def _tokens_of_addresses(addresses: Iterable[str]) -> Iterable[str]:
    for address in addresses:
        found = _ADDRESSED.search(address.rpartition("@")[0])
        if found:
            yield found[1]


def _tokens_of_ids(ids: Iterable[str]) -> Iterable[str]:
    for identifier in ids:
        found = _IDENTIFIED.match(identifier)
        if found:
            yield found[1]
