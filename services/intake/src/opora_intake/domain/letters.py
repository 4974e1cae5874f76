"""What becomes of a letter that was read: a ticket, a reply, a note, or nothing that anybody need look at. Pure.

The sender of a letter is never proven by the letter itself. A thread token proves that its sender got a letter which
went to one participant; only when From names that participant too does the letter speak as that customer. Everything
else opens a ticket of its own and is told nothing of any other ticket.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID

from opora_contracts.mail_threads import Claim, Thread
from opora_contracts.vocabulary import AuthorKind, Channel, Kind
from opora_intake.domain.commands import Note, Open, Reply
from opora_intake.domain.customer import Customer
from opora_intake.domain.ticket import Ticket
from opora_intake.mail.addresses import Address
from opora_intake.mail.authentication import is_from
from opora_intake.mail.letter import Automatic, Letter, Unreadable

_LONGEST_TITLE = 250
_LONGEST_NAME = 200
_LONGEST_ADDRESS = 200
_LONGEST_BODY = 100_000
_MOST_FILES_NAMED = 50
MOST_COPIED = 10
"""Copied people of one letter who become watchers."""
_UNSHOWN = re.compile(r"[\x00-\x1F\x7F-\x9F\u2028-\u202E\u2066-\u2069]+")
_ANSWERS = ("auto-submitted: auto-replied", "x-autoreply", "x-autorespond", "x-autoresponder", "precedence: auto")


class LetterOutcome(StrEnum):
    """What became of a letter."""

    OPENED = "opened"
    UNVERIFIED = "unverified"
    """A ticket of its own for a letter that claims to continue another one and cannot prove it."""
    REPLIED = "replied"
    NOTED = "noted"
    """A machine's letter in a proven thread: an internal note, which ends no wait and reopens nothing."""
    DELIVERY_REPORT = "delivery_report"
    SET_ASIDE = "set_aside"
    """A machine's answer, or a letter of our own that came back: kept, and nobody is bothered."""
    UNREADABLE = "unreadable"
    FLOOD = "flood"
    """One of too many of its sender within an hour: kept in quarantine, and somebody is told once."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """No ticket; the reason says which sign the letter bore."""

    reason: str


@dataclass(frozen=True, slots=True)
class Append:
    """Write to this ticket."""

    outcome: LetterOutcome
    ticket_id: UUID
    command: Reply | Note
    copied: tuple[Address, ...] = ()
    """Who got a copy of what a person wrote: they watch the ticket from here on."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Open a ticket, with a note for the agents where there is something that the customer did not write."""

    outcome: LetterOutcome
    opening: Open
    note: str | None = None
    copied: tuple[Address, ...] = ()
    """Who got a copy: they watch the ticket."""


Route: TypeAlias = SetAside | Append | Begin


@dataclass(frozen=True, slots=True)
class Known:
    """What the database knows of the thread that a letter claims: None for what does not exist."""

    claimed: Ticket | None = None
    participant: Customer | None = None
    """The participant whom the token proves, as who it is now."""
    hinted: Ticket | None = None


def route(
    letter: Letter, thread: Thread, known: Known, *, letter_id: UUID, servers: frozenset[str] | None = None
) -> Route:
    """What becomes of the letter (RFC 3834 for what machines wrote). Total: every letter has its route.

    `servers` are the mail servers (RFC 8601) of which one must have found that the letter is from the domain of its
    From, or it speaks for nobody; None where none is known and the token with the address is enough.
    """
    speaks = thread.claim is not None and _speaks_for(letter, known)
    forged = speaks and servers is not None and not _is_authentic(letter, servers)
    claimed = known.claimed if speaks and not forged else None
    verdict = letter.automatic
    if verdict is not None and verdict.kind is Automatic.OWN:
        return SetAside(f"our own letter came back ({verdict.evidence})")
    # A mailing list hands on what people write: with the proof of a token it is an answer like any other.
    if claimed is not None and (verdict is None or verdict.kind is Automatic.LIST):
        reply = Reply(
            body=_body(letter, letter.reply, letter_id),
            author_kind=AuthorKind.CUSTOMER,
            author=f"customer:{known.participant.id}" if known.participant else None,
            channel=Channel.EMAIL,
        )
        return Append(LetterOutcome.REPLIED, claimed.id, reply, copied(letter))
    if verdict is not None and claimed is not None:
        said = f"A machine answered in this thread ({verdict.evidence}).\n\n{letter.reply}"
        return Append(LetterOutcome.NOTED, claimed.id, Note(body=_body(letter, said, letter_id)))
    if verdict is not None and _is_an_answer(letter):
        return SetAside(f"a machine's answer ({verdict.evidence})")
    return begin(letter, thread, known, letter_id=letter_id, forged=forged)


def is_believed(letter: Letter, servers: frozenset[str] | None) -> bool:
    """Whether the letter's From may be taken for true as far as anybody was asked; `servers` as in `route`."""
    return servers is None or _is_authentic(letter, servers)


def begin(
    letter: Letter,
    thread: Thread,
    known: Known,
    *,
    letter_id: UUID,
    refused: str | None = None,
    forged: bool = False,
) -> Begin:
    """A ticket of its own. `refused` says why a proven reply could not be added to its ticket; `forged`, that its From
    is the participant's and no mail server of ours found it to be true.

    A machine's letter has no requester, so that nobody acknowledges it or asks it for a rating (RFC 3834 §2).
    """
    sender, verdict = letter.sender, letter.automatic
    is_reachable = sender is not None and verdict is None and len(sender.address) <= _LONGEST_ADDRESS
    continued = known.claimed if refused is not None else None
    opening = Open(
        kind=continued.kind if continued is not None else Kind.INCIDENT,
        group=continued.group if continued is not None else None,
        title=_title(letter.subject),
        body=_body(letter, letter.text, letter_id),
        requester_email=sender.address if sender is not None and is_reachable else None,
        requester_name=(sender.name[:_LONGEST_NAME] or None) if sender is not None and is_reachable else None,
        channel=Channel.EMAIL,
    )
    notes: list[str] = []
    if verdict is not None:
        notes.append(f"Written by a machine ({verdict.evidence}): no requester, no acknowledgement.")
    if not is_reachable:
        notes.append(f"From: {sender.address if sender is not None else 'no address that can be answered'}")
    outcome = LetterOutcome.OPENED
    if refused is not None and known.claimed is not None:
        notes.append(f"Continues {known.claimed.label}, which took no reply: {refused}")
    elif thread.claim is not None:
        outcome = LetterOutcome.UNVERIFIED
        notes.append(_unproven(thread.claim, known, forged=forged))
    elif known.hinted is not None:
        outcome = LetterOutcome.UNVERIFIED
        notes.append(f"Unverified: it names {known.hinted.label} and brings no proof that its sender takes part there.")
    return Begin(outcome, opening, "\n".join(notes)[:_LONGEST_BODY] or None, copied(letter))


def copied(letter: Letter) -> tuple[Address, ...]:
    """Whom the writer of a letter has copied in, at most `MOST_COPIED`; nobody for what a machine wrote.

    They are told what comes later and get nothing of what was before. Our own addresses are still among them.
    """
    if letter.automatic is not None:
        return ()
    sender = letter.sender.address.casefold() if letter.sender is not None else ""
    others = {
        address.address.casefold(): address
        for address in letter.cc
        if address.address.casefold() != sender and len(address.address) <= _LONGEST_ADDRESS
    }
    return tuple(others.values())[:MOST_COPIED]


def quarantine(
    reading: Unreadable | str, *, letter_id: UUID, envelope_from: str | None, envelope_to: Sequence[str]
) -> Begin:
    """A visible ticket for a letter that cannot be read or handled. Nobody is written to: no address is believed."""
    title = f"A letter that cannot be {'handled' if isinstance(reading, str) else 'read'}"
    note = (
        f"{reading}\n\nThe raw letter: GET /v1/letters/{letter_id}/raw. Open it with care.\n"
        f"Envelope: from {envelope_from or 'nobody'} to {', '.join(envelope_to)}"
    )
    opening = Open(title=title, channel=Channel.EMAIL)
    return Begin(LetterOutcome.UNREADABLE, opening, _UNSHOWN_BUT_LINES.sub(" ", note)[:_LONGEST_BODY])


def _speaks_for(letter: Letter, known: Known) -> bool:
    """Whether From names the participant whom the token proves (what is called alignment)."""
    participant, sender = known.participant, letter.sender
    if known.claimed is None or participant is None or sender is None:
        return False
    return participant.has_address(sender.address)


def _is_authentic(letter: Letter, servers: frozenset[str]) -> bool:
    domain = letter.sender.address.rpartition("@")[2] if letter.sender is not None else ""
    return is_from(domain, letter.authentication, servers)


def _unproven(claim: Claim, known: Known, *, forged: bool) -> str:
    if known.claimed is None:
        return f"Unverified: its token is ours, but there is no ticket with the number {claim.ticket_number}."
    if known.participant is None:
        return f"Unverified: its token belongs to {known.claimed.label} and to nobody who is known."
    if forged:
        return (
            f"Unverified: it brings the token of {known.claimed.label} and its participant's address, and it was"
            " not found to come from there (DMARC, DKIM, SPF). The address may be forged."
        )
    return (
        f"Unverified: its token belongs to {known.claimed.label} and another participant than the address in From."
        " Somebody may have passed a letter on."
    )


def _is_an_answer(letter: Letter) -> bool:
    """Whether a machine answered a letter, and did not begin by itself as monitoring does (RFC 3834 §5.2)."""
    verdict = letter.automatic
    if verdict is None:
        return False
    if verdict.kind is Automatic.RECEIPT:
        return True
    signs = [f"{name}: {value.lower()}" for name, value in letter.headers] + [verdict.evidence.lower()]
    return any(sign.startswith(_ANSWERS) and not sign.endswith(": no") for sign in signs) or (
        verdict.kind is Automatic.NULL_SENDER and bool(letter.in_reply_to)
    )


def _title(subject: str) -> str:
    title = " ".join(_UNSHOWN.sub(" ", subject).split())
    return title[:_LONGEST_TITLE].strip() or "(no subject)"


def _body(letter: Letter, text: str, letter_id: UUID) -> str:
    """The text as a message takes it, with the names of the files that came, and what was left out."""
    files = [f"{file.name} ({file.content_type}, {len(file.content)} bytes)" for file in letter.attachments]
    more = [f"and {len(files) - _MOST_FILES_NAMED} more"] if len(files) > _MOST_FILES_NAMED else []
    named = "; ".join([*files[:_MOST_FILES_NAMED], *more])
    ending = f"\n\n[Files of letter {letter_id}: {named}]" if files else ""
    room = _LONGEST_BODY - len(ending)
    if len(text) > room:
        ending = f"\n\n[The rest is in letter {letter_id}.]{ending}"
        text = text[: _LONGEST_BODY - len(ending)]
    return text + ending


_UNSHOWN_BUT_LINES = re.compile(r"[\x00-\x09\x0B-\x1F\x7F-\x9F\u2028-\u202E\u2066-\u2069]")
