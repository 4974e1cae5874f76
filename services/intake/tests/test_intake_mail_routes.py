"""What becomes of a letter that was read: decided without a database."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opora_contracts.mail_threads import Claim, Thread
from opora_contracts.vocabulary import AuthorKind, Channel
from opora_intake.domain import Customer, Open, Ticket, open_ticket
from opora_intake.domain.commands import Note, Reply
from opora_intake.domain.letters import (
    Append,
    Begin,
    Known,
    LetterOutcome,
    Route,
    SetAside,
    begin,
    quarantine,
    route,
)
from opora_intake.mail.letter import Letter, Unreadable
from opora_intake.mail.limits import Reason
from opora_intake.mail.reading import read_letter

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
LETTER_ID = UUID("018f3a52-9a11-7e0c-8b21-5d1f0c7a9e04")
ANNA = Customer(id=uuid4(), name="Anna", emails=("Anna@example.com",), version=1, last_time=NOON)


def ticket(number: int = 1042) -> Ticket:
    opening = Open(title="The printer prints nothing")
    return open_ticket(opening, NOON, ticket_id=uuid4(), number=number, message_id=uuid4()).ticket


def letter(
    text: str = "It is back.", sender: str = "anna@example.com", envelope: str = "x@example.com", **fields: str
) -> Letter:
    named = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    raw = f"From: Anna Lee <{sender}>\r\nSubject: Printer\r\n{named}\r\n{text}\r\n".encode()
    reading = read_letter(raw, envelope_sender=envelope, instance="ours")
    assert isinstance(reading, Letter)
    return reading


def routed(one: Letter, known: Known | None = None, claim: Claim | None = None) -> Route:
    return route(one, Thread(claim, (), ()), known or Known(), letter_id=LETTER_ID)


def proven(sender: str = "anna@example.com", **fields: str) -> tuple[Route, Ticket]:
    known = Known(claimed=ticket(), participant=ANNA)
    assert known.claimed is not None
    return routed(letter(sender=sender, **fields), known, Claim(1042, ANNA.id)), known.claimed


def test_a_persons_letter_is_a_ticket_of_the_sender() -> None:
    """Subject, text and sender become title, body and requester, by e-mail; no note is needed."""
    decided = routed(letter())
    assert isinstance(decided, Begin)
    assert (decided.outcome, decided.note) == (LetterOutcome.OPENED, None)
    opening = decided.opening
    assert (opening.title, opening.body, opening.channel) == ("Printer", "It is back.", Channel.EMAIL)
    assert (opening.requester_email, opening.requester_name) == ("anna@example.com", "Anna Lee")


def test_a_proven_reply_is_the_customers() -> None:
    """With our token and the participant's address, whatever its letter case, the customer writes on the ticket."""
    decided, claimed = proven()
    assert isinstance(decided, Append)
    assert (decided.outcome, decided.ticket_id) == (LetterOutcome.REPLIED, claimed.id)
    assert isinstance(decided.command, Reply)
    assert (decided.command.author_kind, decided.command.author) == (AuthorKind.CUSTOMER, f"customer:{ANNA.id}")


def test_a_token_in_other_hands_opens_a_ticket_that_says_so() -> None:
    """A letter with Anna's token from another address is no reply of Anna's."""
    decided, claimed = proven(sender="mallory@example.net")
    assert isinstance(decided, Begin)
    assert decided.outcome is LetterOutcome.UNVERIFIED
    assert decided.opening.requester_email == "mallory@example.net"
    assert claimed.label in (decided.note or "")


@pytest.mark.parametrize("known", [Known(), Known(claimed=ticket()), Known(participant=ANNA)])
def test_a_token_of_what_does_not_exist_opens_a_ticket(known: Known) -> None:
    """A token that outlived its ticket or its participant proves nothing, and its letter is not lost."""
    decided = routed(letter(), known, Claim(1042, ANNA.id))
    assert isinstance(decided, Begin)
    assert decided.outcome is LetterOutcome.UNVERIFIED


def test_a_hint_opens_a_ticket_of_its_own() -> None:
    """A number in the subject lets agents see where it may belong, and nothing else."""
    decided = routed(letter(), Known(hinted=ticket(1007)))
    assert isinstance(decided, Begin)
    assert decided.outcome is LetterOutcome.UNVERIFIED
    assert "OP-1007" in (decided.note or "")


def test_a_refused_reply_becomes_a_ticket_of_the_same_customer() -> None:
    """A proven answer to a closed ticket is not lost, and not called unverified."""
    known = Known(claimed=ticket(), participant=ANNA)
    decided = begin(letter(), Thread(Claim(1042, ANNA.id), (), ()), known, letter_id=LETTER_ID, refused="It is closed")
    assert decided.outcome is LetterOutcome.OPENED
    assert decided.note == "Continues OP-1042, which took no reply: It is closed"


@pytest.mark.parametrize(
    "sign",
    [
        {"Auto_Submitted": "auto-replied"},
        {"X_Autoreply": "yes"},
        {"Precedence": "auto_reply"},
        {"X_Opora_Instance": "ours"},
    ],
)
def test_what_machines_answer_is_set_aside(sign: dict[str, str]) -> None:
    """An absence note, an automatic answer or our own letter opens no ticket; the reason names the sign."""
    decided = routed(letter(**sign))
    assert isinstance(decided, SetAside)
    assert next(iter(sign)).replace("_", "-").lower() in decided.reason


def test_an_answer_of_the_null_sender_is_set_aside() -> None:
    """An absence note without Auto-Submitted is known by the empty MAIL FROM and the letter that it answers."""
    assert isinstance(routed(letter(envelope="", In_Reply_To="<1@example.org>")), SetAside)


@pytest.mark.parametrize(
    "sign",
    [
        {"Auto_Submitted": "auto-generated"},
        {"List_Id": "<users.example.org>"},
        {"X_Auto_Response_Suppress": "All"},
        {"List_Id": "<users.example.org>", "X_Autoreply": "no"},
    ],
)
def test_what_machines_begin_is_a_ticket_without_requester(sign: dict[str, str]) -> None:
    """An alarm of monitoring opens a ticket, and there is nobody whom anything would answer."""
    decided = routed(letter(**sign))
    assert isinstance(decided, Begin)
    assert decided.opening.requester_email is None
    assert "anna@example.com" in (decided.note or "")


def test_a_machine_in_a_proven_thread_writes_a_note() -> None:
    """An absence note with our token neither ends a wait nor reopens: it is internal."""
    decided, claimed = proven(Auto_Submitted="auto-replied")
    assert isinstance(decided, Append)
    assert (decided.outcome, decided.ticket_id) == (LetterOutcome.NOTED, claimed.id)
    assert isinstance(decided.command, Note)


def test_a_list_hands_on_a_proven_reply() -> None:
    """What a customer answers through a mailing list is the customer's reply."""
    decided, _ = proven(List_Id="<team.example.com>")
    assert isinstance(decided, Append)
    assert decided.outcome is LetterOutcome.REPLIED


def test_whatever_a_letter_holds_fits_into_a_ticket() -> None:
    """Long and missing subjects, names, addresses and texts are brought to what a ticket takes."""
    one = replace(letter(text="x" * 200_000), subject="a\u202eb\n" + "c" * 400)
    decided = routed(one)
    assert isinstance(decided, Begin)
    assert decided.opening.title.startswith("a b c")
    assert len(decided.opening.title) == 250
    assert len(decided.opening.body) == 100_000
    assert str(LETTER_ID) in decided.opening.body[-100:]
    bare = routed(replace(letter(), subject=" \u202e ", sender=None))
    assert isinstance(bare, Begin)
    assert (bare.opening.title, bare.opening.requester_email) == ("(no subject)", None)


def test_files_are_named_in_the_message() -> None:
    """Whoever reads the ticket sees which files came and in which letter they are."""
    multipart = {"MIME_Version": "1.0", "Content_Type": 'multipart/mixed; boundary="b"'}
    text = '--b\r\n\r\nSee there.\r\n--b\r\nContent-Type: text/csv; name="log.csv"\r\n\r\n1,2\r\n--b--'
    decided = routed(letter(text=text, **multipart))
    assert isinstance(decided, Begin)
    assert decided.opening.body.startswith("See there.")
    assert decided.opening.body.endswith(f"[Files of letter {LETTER_ID}: log.csv (text/csv, 3 bytes)]")


def test_an_unreadable_letter_is_a_ticket_that_leads_to_it() -> None:
    """The ticket says that it cannot be read, its note why and where the bytes are; nobody is believed or answered."""
    decided = quarantine(
        Unreadable(Reason.TOO_DEEP), letter_id=LETTER_ID, envelope_from="a@example.com", envelope_to=["s@example.org"]
    )
    assert decided.opening.title == "A letter that cannot be read"
    assert decided.opening.requester_email is None
    assert "nested more than 20 deep" in (decided.note or "")
    assert f"/v1/letters/{LETTER_ID}/raw" in (decided.note or "")


@given(
    subject=st.text(max_size=400), name=st.text(max_size=300), text=st.text(max_size=400), names_a_ticket=st.booleans()
)
def test_every_letter_has_a_ticket_that_can_be_opened(subject: str, name: str, text: str, names_a_ticket: bool) -> None:
    """Whatever the reader lets through, no rule of the domain or of the contracts refuses it."""
    read = letter("x")
    assert read.sender is not None
    odd = replace(read, subject=subject, text=text, reply=text, sender=replace(read.sender, name=name))
    decided = routed(odd, Known(hinted=ticket()))
    assert isinstance(decided, Begin)
    opened = open_ticket(decided.opening, NOON, ticket_id=uuid4(), number=1, message_id=uuid4())
    assert opened.ticket.channel is Channel.EMAIL
