"""Authentication-Results: what mail servers found out, and when a proven reply needs their word."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opora_contracts.mail_threads import Claim, Thread
from opora_intake.domain import Customer, Open, open_ticket
from opora_intake.domain.letters import Append, Begin, Known, LetterOutcome, Route, route
from opora_intake.mail.authentication import Authenticated, authenticated, is_from
from opora_intake.mail.letter import Letter
from opora_intake.mail.reading import read_letter

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
LETTER_ID = UUID("018f3a52-9a11-7e0c-8b21-5d1f0c7a9e04")
ANNA = Customer(id=uuid4(), name="Anna", emails=("anna@example.com",), version=1, last_time=NOON)
OURS = frozenset({"mx.example.org"})


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("mx.example.org; none", Authenticated("mx.example.org", None, ())),
        (
            'MX.example.org 1; dmarc=PASS (x; y); dkim=pass header.d=A.de; spf=pass smtp.mailfrom="a@b.de"',
            Authenticated("mx.example.org", "pass", ("a.de", "b.de")),
        ),
        (
            "mx.example.org; spf=fail smtp.mailfrom=example.com; dkim=none; dmarc=fail header.from=example.com",
            Authenticated("mx.example.org", "fail", ()),
        ),
        ('mx.example.org; dkim=pass reason="a; dkim=pass header.d=x.com" header.d=example.com',
         Authenticated("mx.example.org", None, ("example.com",))),
        ("mx.example.org (a; dmarc=pass ((; )) still); spf=softfail smtp.mailfrom=x.com",
         Authenticated("mx.example.org", None, ())),
        ("", None),
        (";;;", None),
    ],
)  # fmt: skip
def test_fields_are_read_as_servers_write_them(value: str, told: Authenticated | None) -> None:
    """Results, quoted values, comments with anything in them, and letter case."""
    assert authenticated([value.encode()]) == (() if told is None else (told,))


@given(st.text(alphabet='()";= \\\tapdkimrcsv.@x', max_size=400))
def test_no_field_makes_reading_fail(value: str) -> None:
    """Whatever stands in it."""
    assert len(authenticated([value.encode()] * 30)) <= 20


@pytest.mark.parametrize(
    ("fields", "proven"),
    [
        (["mx.example.org; dmarc=pass header.from=example.com"], True),
        (["mx.example.org; dmarc=fail header.from=example.com; dkim=pass header.d=example.com"], False),
        (["mx.example.org; dkim=pass header.d=example.com"], True),
        (["mx.example.org; dkim=pass header.d=mail.example.com"], True),
        (["mx.example.org; spf=pass smtp.mailfrom=anna@example.com"], True),
        (["mx.example.org; dkim=pass header.d=com"], False),
        (["mx.example.org; dkim=pass header.d=notexample.com"], False),
        (["mx.example.org; dkim=fail header.d=example.com"], False),
        (["mx.example.org; dmarc=none; spf=pass smtp.mailfrom=example.com"], True),
        (["mx.mallory.net; dmarc=pass header.from=example.com"], False),
        (["mx.mallory.net; dmarc=pass", "mx.example.org; spf=none; dkim=none"], False),
        (["mx.example.org; dmarc=pass", "mx.example.org; dmarc=fail"], False),
        ([], False),
    ],
)
def test_only_our_servers_word_counts(fields: list[str], proven: bool) -> None:
    """DMARC first, else DKIM or SPF for the same domain, one above or one below; no word is no proof."""
    assert is_from("example.com", authenticated([field.encode() for field in fields]), OURS) is proven


def routed(*results: str, servers: frozenset[str] | None = OURS) -> Route:
    fields = "".join(f"Authentication-Results: {result}\r\n" for result in results)
    reading = read_letter(f"{fields}From: anna@example.com\r\nSubject: Re\r\n\r\nIt is back.\r\n".encode())
    assert isinstance(reading, Letter)
    ticket = open_ticket(Open(title="x"), NOON, ticket_id=uuid4(), number=1042, message_id=uuid4()).ticket
    known = Known(claimed=ticket, participant=ANNA)
    return route(reading, Thread(Claim(1042, ANNA.id), (), ()), known, letter_id=LETTER_ID, servers=servers)


def test_a_token_with_a_forged_address_opens_a_ticket_that_says_so() -> None:
    """Where our server looked and did not find the letter to be Anna's, it is no reply of hers, and sees nothing."""
    decided = routed("mx.example.org; dmarc=fail header.from=example.com")
    assert isinstance(decided, Begin)
    assert decided.outcome is LetterOutcome.UNVERIFIED
    assert "may be forged" in (decided.note or "")
    assert isinstance(routed(), Begin), "a letter that did not come by our server"


def test_a_token_with_a_proven_address_is_a_reply() -> None:
    """And where nobody's word is asked for, token and address are enough."""
    assert isinstance(routed("mx.example.org; dmarc=pass header.from=example.com"), Append)
    assert isinstance(routed(servers=None), Append)
