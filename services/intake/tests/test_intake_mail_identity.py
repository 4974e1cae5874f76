"""Which copies are one letter."""

import pytest

from opora_intake.mail.identity import identity_of

PLAIN = b"From: anna@example.com\r\nSubject: Printer\r\n%s\r\nIt is back.\r\n"
WITH_ID = PLAIN % b"Message-ID: <1@example.com>\r\n"


def test_copies_by_different_ways_are_one_letter() -> None:
    """Trace fields, folding, line ends and what a list adds make no other letter of it."""
    traced = b"Received: from a by b\r\n\tfor <x@y>; now\r\nDelivered-To: support@example.org\r\n" + WITH_ID
    for copy in (WITH_ID, traced, WITH_ID.replace(b"\r\n", b"\n"), WITH_ID + b"\r\n", b"X-Seen: yes\r\n" + WITH_ID):
        assert identity_of(copy) == (identity_of(WITH_ID)[0], "1@example.com")


def test_what_says_something_else_is_another_letter() -> None:
    """Another ID, another sender, another text: knowing a Message-ID lets nobody keep a letter out."""
    others = [
        WITH_ID.replace(b"<1@", b"<2@"),
        WITH_ID.replace(b"anna", b"mallory"),
        WITH_ID.replace(b"back", b"gone"),
        PLAIN % b"",
    ]
    assert len({identity_of(raw)[0] for raw in (WITH_ID, *others)}) == 5


def test_without_an_id_every_field_of_the_sender_counts() -> None:
    """The same words on two days are two letters; the same letter over two servers is one."""
    monday, tuesday = (
        PLAIN % b"Date: Mon, 2 Mar 2026 08:00:00 +0000\r\n",
        PLAIN % b"Date: Tue, 3 Mar 2026 08:00:00 +0000\r\n",
    )
    assert identity_of(monday)[0] != identity_of(tuesday)[0]
    assert identity_of(b"Received: by c\r\n" + monday)[0] == identity_of(monday)[0]
    assert identity_of(monday)[1] is None


@pytest.mark.parametrize(
    "raw", [b"", b"\r\n\r\n", b"\x00\xff", b":" * 9000, b"Message-ID: \xff\x00<\r\n\r\n", b"a" * 600_000]
)
def test_any_bytes_have_an_identity(raw: bytes) -> None:
    """Nothing that a sender can send raises, and no NUL reaches the database."""
    digest, message_id = identity_of(raw)
    assert len(digest) == 32
    assert "\x00" not in (message_id or "")
