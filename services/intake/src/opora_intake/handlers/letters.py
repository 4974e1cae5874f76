"""Letters: kept first, acknowledged then, read later; and what is done about each once it was read."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from opora_chassis.database import Transaction
from opora_chassis.identifiers import new_id
from opora_contracts.mail_threads import Thread, TokenKeys, thread_of
from opora_contracts.vocabulary import Channel, Step
from opora_intake.domain import RuleBroken, Ticket
from opora_intake.domain.commands import Note, Open, Watch
from opora_intake.domain.details import MOST_WATCHERS
from opora_intake.domain.errors import TransitionRefused
from opora_intake.domain.floods import WINDOW, FloodRules, flood, is_told
from opora_intake.domain.letters import (
    Append,
    Begin,
    Known,
    LetterOutcome,
    Route,
    SetAside,
    begin,
    is_believed,
    quarantine,
    route,
)
from opora_intake.handlers.attachments import Brought, attach_letter_files
from opora_intake.handlers.case_settings import RulesInForce
from opora_intake.handlers.customers import Asked, gather_circle
from opora_intake.handlers.links import continue_ticket, follow_on
from opora_intake.handlers.tickets import command_ticket, create_tickets, locked_ticket
from opora_intake.handlers.undeliverable import hear_from, mark_returned
from opora_intake.mail.addresses import Address
from opora_intake.mail.identity import identity_of
from opora_intake.mail.letter import Bounce, Letter, Reading, Unreadable
from opora_intake.store import customers as customer_store
from opora_intake.store import letters as store
from opora_intake.store import tickets as ticket_store
from opora_intake.store.letters import Delivered, KeptLetter

_SELF = "system:mail"
_MOST_HINTS = 3
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class LetterRules:
    """What letters are judged by: the keys of our tokens, the rules of cases, and whose word on a sender counts."""

    keys: TokenKeys
    case: RulesInForce
    is_ours: Callable[[str], bool]
    """Whether letters to an address come to us: such an address never watches a ticket."""
    servers: frozenset[str] | None = None
    """See `domain.letters.route`."""
    floods: FloodRules = field(default_factory=FloodRules)


async def take_in(
    tx: Transaction, raw: bytes, *, channel: str, envelope_from: str | None, envelope_to: Sequence[str]
) -> UUID:
    """Keep a letter as it came; the id of the letter, or of the one of which it is a copy.

    Nothing of it is interpreted. Once the transaction has committed the letter may be acknowledged.
    """
    identity, message_id = identity_of(raw)
    kept = await store.keep_letter(
        tx,
        new_id(),
        raw,
        channel=channel,
        envelope_from=envelope_from,
        envelope_to=envelope_to,
        sha256=hashlib.sha256(raw).digest(),
        identity=identity,
        message_id=message_id,
    )
    known = kept or await store.letter_by_identity(tx, identity)
    assert known is not None  # noqa: S101  letters are never deleted while they may come again
    return known


async def handle_letter(
    tx: Transaction,
    claimed: KeptLetter,
    reading: Reading | str,
    rules: LetterRules,
    brought: Brought | None = None,
) -> LetterOutcome | None:
    """Do what is to be done about a letter, once; None when another worker has it or had it.

    `reading` is the reason as text when the letter could be read but not handled. Ticket, facts, note, the files that
    came (kept already) and the letter's outcome become durable together.
    """
    letter = await store.lock_letter(tx, claimed.id)
    if letter is None or letter.state != "received" or letter.attempts != claimed.attempts:
        return None
    reason: str | None
    match reading:
        case Bounce():
            await _report(tx, letter, reading, rules)
            outcome, reason, ticket_id = LetterOutcome.DELIVERY_REPORT, reading.reported_by, None
        case Unreadable() | str():
            unread = quarantine(
                reading, letter_id=letter.id, envelope_from=letter.envelope_from, envelope_to=letter.envelope_to
            )
            outcome, _, ticket_id = await _follow(tx, unread, rules)
            reason = str(reading)
        case Letter():
            outcome, reason, ticket_id = await _answer(tx, letter, reading, rules)
    if brought is not None and ticket_id is not None and outcome is not LetterOutcome.FLOOD:
        is_reply = outcome in (LetterOutcome.REPLIED, LetterOutcome.NOTED)
        await attach_letter_files(tx, ticket_id, letter.id, brought, is_reply=is_reply)
    state = "quarantined" if outcome in (LetterOutcome.UNREADABLE, LetterOutcome.FLOOD) else "handled"
    await store.save_outcome(
        tx,
        letter.id,
        state=state,
        outcome=outcome,
        reason=reason,
        ticket_id=ticket_id,
        sender=_sender_of(reading) if isinstance(reading, Letter) else None,
    )
    return outcome


async def _answer(
    tx: Transaction, kept: KeptLetter, letter: Letter, rules: LetterRules
) -> tuple[LetterOutcome, str | None, UUID | None]:
    recipients = (*kept.envelope_to, *(address.address for address in (*letter.to, *letter.cc)), *letter.delivered_to)
    thread = thread_of(
        rules.keys,
        recipients=recipients,
        message_ids=(*letter.in_reply_to, *letter.references),
        subject=letter.subject,
    )
    known = await _known(tx, thread)
    decided = route(letter, thread, known, letter_id=kept.id, servers=rules.servers)
    sender = _sender_of(letter)
    if sender is not None and not isinstance(decided, SetAside):
        ticket_id = decided.ticket_id if isinstance(decided, Append) else None
        recent = await store.recent_of_sender(tx, sender, ticket_id, tx.now - WINDOW)
        reason = flood(decided, recent, rules.floods)
        if reason is not None:
            told = ticket_id if is_told(recent) else await _tell_of_flood(tx, ticket_id, sender, reason, rules)
            return LetterOutcome.FLOOD, reason, told
        if is_believed(letter, rules.servers):
            await hear_from(tx, sender, _SELF)
    try:
        return await _follow(tx, decided, rules)
    except RuleBroken as refusal:
        # Raised before anything is written. What was proven stays true, so the sender stays the customer.
        if not isinstance(decided, Append):
            raise
        begun = begin(letter, thread, known, letter_id=kept.id, refused=str(refusal))
        outcome, note, ticket_id = await _follow(tx, begun, rules)
        is_closed = isinstance(refusal, TransitionRefused) and refusal.step is Step.CLOSED
        if ticket_id is not None and known.claimed is not None and is_closed:
            await continue_ticket(tx, known.claimed, await locked_ticket(tx, ticket_id), _SELF)
        return outcome, note, ticket_id


def _sender_of(letter: Letter) -> str | None:
    """By which letters are counted: the address that From names, whoever wrote it."""
    return None if letter.sender is None else letter.sender.address.lower()


async def _tell_of_flood(
    tx: Transaction, ticket_id: UUID | None, sender: str, reason: str, rules: LetterRules
) -> UUID | None:
    """Say it once: by a note on the ticket, or by a ticket without requester, which nothing answers."""
    note = Note(
        body=f"{reason}. Further letters of {sender} are kept and not followed:"
        " GET /v1/letters?outcome=flood. Two mail systems may be answering each other."
    )
    if ticket_id is None:
        opening = Open(title="Too many letters of one sender", channel=Channel.EMAIL)
        (ticket,) = await create_tickets(tx, [Asked(opening, _SELF)], rules=rules.case)
        if isinstance(ticket, RuleBroken):
            raise ticket
        ticket_id = ticket.id
    await command_ticket(tx, ticket_id, note, _SELF, rules.case)
    return ticket_id


async def _known(tx: Transaction, thread: Thread) -> Known:
    """What exists of what the letter claims; a hint counts when it names a ticket that exists.

    A thread goes on where its ticket was merged into, or in the newest ticket of the same person that continues it.
    """
    if thread.claim is not None:
        named = await ticket_store.find_ticket(tx, thread.claim.ticket_number)
        # A participant who was merged meanwhile speaks as the one who it is now.
        survivors = await customer_store.survivors_of(tx, [thread.claim.participant_id])
        customers = await customer_store.customers_by_id(tx, survivors.values())
        participant = next(iter(customers.values()), None)
        claimed = None if named is None else await follow_on(tx, named.id, participant.id if participant else None)
        return Known(claimed=claimed, participant=participant)
    for number in thread.ticket_numbers[:_MOST_HINTS]:
        hinted = await ticket_store.find_ticket(tx, number)
        if hinted is not None:
            return Known(hinted=hinted)
    return Known()


async def _follow(tx: Transaction, decided: Route, rules: LetterRules) -> tuple[LetterOutcome, str | None, UUID | None]:
    """Carry it out through the commands that every channel uses. Raises RuleBroken before anything is written."""
    match decided:
        case SetAside(reason):
            return LetterOutcome.SET_ASIDE, reason, None
        case Append(outcome, ticket_id, command, copied):
            decision = await command_ticket(tx, ticket_id, command, _SELF, rules.case)
            await _let_watch(tx, decision.ticket, copied, rules)
            return outcome, None, ticket_id
        case Begin(outcome, opening, note, copied):
            (ticket,) = await create_tickets(tx, [Asked(opening, _SELF)], rules=rules.case)
            if isinstance(ticket, RuleBroken):
                raise ticket
            if note is not None:
                ticket = (await command_ticket(tx, ticket.id, Note(body=note), _SELF, rules.case)).ticket
            await _let_watch(tx, ticket, copied, rules)
            return outcome, note, ticket.id


async def _let_watch(tx: Transaction, ticket: Ticket, copied: Sequence[Address], rules: LetterRules) -> None:
    """Those who were copied in watch the ticket, as long as it takes watchers; an unknown person is registered.

    Nothing of it is refused: what is written stays written.
    """
    others = [person for person in copied if not rules.is_ours(person.address)]
    room = MOST_WATCHERS - len(ticket.watchers)
    if not others or room <= 0:
        return
    asked = [
        Asked(Open(title=ticket.title, requester_email=person.address, requester_name=name), _SELF)
        for person in others[:room]
        for name in [person.name[:_LONGEST_NAME] or None]
    ]
    circle = await gather_circle(tx, asked)
    people = {circle.by_email[person.address.lower()].id for person in others[:room]} - {ticket.requester_id}
    if watchers := tuple(f"customer:{person}" for person in sorted(people)):
        await command_ticket(tx, ticket.id, Watch(watchers=watchers), _SELF, rules.case)


async def _report(tx: Transaction, letter: KeptLetter, bounce: Bounce, rules: LetterRules) -> None:
    """Keep what the report says; what it says of whoever a letter of ours was written to, it may say of the address.

    Anybody can write a report. That one was returned to us which we wrote is proven by its token.
    """
    await store.add_deliveries(
        tx,
        [
            Delivered(
                id=new_id(),
                recipient=fact.recipient,
                outcome=fact.outcome.value,
                status=fact.status,
                permanent=fact.permanent,
                diagnostic=fact.diagnostic,
                original_message_id=bounce.original_message_id,
                letter_id=letter.id,
                reported_at=tx.now,
            )
            for fact in bounce.facts
        ],
    )
    thread = thread_of(
        rules.keys, recipients=(*bounce.returned_addresses, *letter.envelope_to), message_ids=(), subject=""
    )
    if thread.claim is not None:
        await mark_returned(tx, thread.claim.participant_id, bounce.facts, letter.id, _SELF)
