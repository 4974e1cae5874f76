"""Reading along: the answer to a deed is found wherever the segments end. Hand-written conversations."""

import struct
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from opora_cli.chaos.links.dialogue import Dialogue, KafkaDialogue, PostgresDialogue, SmtpDialogue

Turn = tuple[str, bytes]
"""`up` or `down`, and what is said."""


def said(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack(">i", len(body) + 4) + body


def opening(body: bytes) -> bytes:
    """Before the connection has begun, PostgreSQL's messages have no kind."""
    return struct.pack(">i", len(body) + 4) + body


def asked(api: int, correlation_id: int, rest: bytes = b"client") -> bytes:
    body = struct.pack(">hhi", api, 9, correlation_id) + rest
    return struct.pack(">i", len(body)) + body


def answered(correlation_id: int, rest: bytes = b"answer") -> bytes:
    body = struct.pack(">i", correlation_id) + rest
    return struct.pack(">i", len(body)) + body


READY = said(b"Z", b"I")
SSL_REQUEST = opening(struct.pack(">i", 80_877_103))
STARTUP = opening(struct.pack(">i", 196_608) + b"user\0sla\0\0")
WELCOME = said(b"R", bytes(4)) + said(b"S", b"a\0b\0") + READY
COMMITTED = said(b"C", b"COMMIT\0") + READY

POSTGRES: list[Turn] = [
    ("up", SSL_REQUEST),
    ("down", b"N"),
    ("up", STARTUP),
    ("down", WELCOME),
    ("up", said(b"Q", b"BEGIN;\0")),
    ("down", said(b"C", b"BEGIN\0") + READY),
    ("up", said(b"Q", b"select 'COMMIT', '" + b"x" * 600 + b"'\0")),
    ("down", said(b"T", b"..") + said(b"D", b"Z" * 700) + said(b"C", b"SELECT 1\0") + READY),
    ("up", said(b"Q", b"commit ;\0")),
    ("down", COMMITTED),
    ("up", said(b"P", b"s1\0COMMIT\0\0\0") + said(b"P", b"s2\0ROLLBACK\0\0\0") + said(b"S")),
    ("down", said(b"1") + said(b"1") + READY),
    ("up", said(b"B", b"\0s2\0") + said(b"E", b"\0") + said(b"S")),
    ("down", said(b"2") + said(b"C", b"ROLLBACK\0") + READY),
    ("up", said(b"B", b"\0s1\0" + b"y" * 300) + said(b"E", b"\0") + said(b"S") + said(b"Q", b"COMMIT\0")),
    ("down", said(b"2") + COMMITTED + said(b"N", b"no transaction") + COMMITTED),
]
KAFKA: list[Turn] = [
    ("up", asked(18, 1) + asked(3, 2)),
    ("down", answered(1) + answered(2)),
    ("up", asked(0, 3, b"records" * 500) + asked(1, 4) + asked(0, 5)),
    ("down", answered(3) + answered(4, b"fetched" * 300) + answered(5)),
]
SMTP: list[Turn] = [
    ("down", b"220 letterbox\r\n"),
    ("up", b"EHLO notify\r\n"),
    ("down", b"250-letterbox\r\n250 SMTPUTF8\r\n"),
    ("up", b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"),
    ("down", b"250 OK\r\n250 OK\r\n354 Go on\r\n"),
    ("up", b"Subject: DATA\r\n\r\n354\r\n..\r\n.dot\r\n.\nDATA\r\n.\r\n"),
    ("down", b"250-Taken\r\n250 Taken\r\n"),
    ("up", b"DATA\r\n"),
    ("down", b"503 RCPT first\r\n"),
    ("up", b"RSET\r\nDATA\r\n"),
    ("down", b"250 OK\r\n354 Go on\r\n"),
    ("up", b".\r\n"),
    ("down", b"451 Not now\r\n"),
    ("up", b"QUIT\r\n"),
    ("down", b"221 Bye\r\n"),
]
CONVERSATIONS: dict[str, tuple[Callable[[], Dialogue], list[Turn], list[list[int]]]] = {
    "postgres": (PostgresDialogue, POSTGRES, [[], [], [], [], [0], [], [], [0, 5 + 5 + 7 + 6]]),
    "kafka": (KafkaDialogue, KAFKA, [[], [0, 14 + 8 + 2_100]]),
    "smtp": (SmtpDialogue, SMTP, [[], [], [], [11], [], [], [0], []]),
}


@pytest.mark.parametrize("protocol", CONVERSATIONS)
def test_the_answers_to_deeds_are_found(protocol: str) -> None:
    """In each thing that the server says: where the answers to deeds begin."""
    make, turns, expected = CONVERSATIONS[protocol]
    dialogue, found = make(), []
    for direction, data in turns:
        if direction == "up":
            dialogue.up(data)
        else:
            found.append(dialogue.down(data))
    assert found == expected


def slices(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    ends = sorted({0, len(data), *(cut % len(data) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(ends)]


@pytest.mark.parametrize("protocol", CONVERSATIONS)
@given(cuts=st.lists(st.integers(0, 10_000), max_size=40))
def test_segments_may_end_anywhere(protocol: str, cuts: list[int]) -> None:
    """However the conversation is cut into segments, as many deeds are found, each within the same turn."""
    make, turns, expected = CONVERSATIONS[protocol]
    dialogue, found = make(), []
    for direction, data in turns:
        if direction == "up":
            for part in slices(data, cuts):
                dialogue.up(part)
        else:
            found.append(sum(len(dialogue.down(part)) for part in slices(data, cuts)))
    assert found == [len(answers) for answers in expected]


def test_an_encrypted_conversation_is_left_alone() -> None:
    """After the server has agreed to encrypt, nothing is read into what it says."""
    dialogue = PostgresDialogue()
    dialogue.up(SSL_REQUEST)
    assert dialogue.down(b"S") == []
    dialogue.up(STARTUP + said(b"Q", b"COMMIT\0"))
    assert dialogue.down(WELCOME + COMMITTED) == []


@example(data=[(True, bytes(20)), (False, bytes(20))])
@given(data=st.lists(st.tuples(st.booleans(), st.binary(max_size=60)), max_size=20))
@pytest.mark.parametrize("make", [PostgresDialogue, KafkaDialogue, SmtpDialogue])
def test_no_bytes_stop_the_reading(make: Callable[[], Dialogue], data: list[tuple[bool, bytes]]) -> None:
    """Whatever passes, reading along neither fails nor hangs."""
    dialogue = make()
    for is_up, chunk in data:
        if is_up:
            dialogue.up(chunk)
        else:
            dialogue.down(chunk)
