"""Whole letters: real ones, well-meant ones, and a thousand that are not."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opora_intake.mail.addresses import Address
from opora_intake.mail.letter import Attachment, Bounce, Letter, Reading, Unreadable
from opora_intake.mail.limits import MOST_HTML_CHARACTERS, MOST_TEXT_CHARACTERS, Reason
from opora_intake.mail.reading import read_letter
from opora_intake.mail.wire import PREFIX, BrokenFrame, frame_lengths, frame_of, reading_of
from services.intake.tests.hostile_letters import hostile_letters, with_html, with_text

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("OPORA_DATA", ROOT.parent / "shared" / "data")) / "mail"


def real_letters() -> list[Path]:
    """The public letters, in a fixed order."""
    return sorted(path for path in DATA.rglob("*") if path.is_file())


def texts_of(reading: object) -> Iterator[str]:
    """Every text in a reading, however deep."""
    if isinstance(reading, str):
        yield reading
    elif isinstance(reading, tuple | list):
        for one in reading:
            yield from texts_of(one)
    elif hasattr(reading, "__slots__"):
        for name in reading.__slots__:
            yield from texts_of(getattr(reading, name))


def expect_sound(reading: Reading) -> None:
    """The reading is one of the three, can be stored, and passes through the pipe unchanged."""
    assert isinstance(reading, Letter | Bounce | Unreadable)
    for text in texts_of(reading):
        assert "\x00" not in text
        assert text.encode() is not None
    sent = frame_of(reading)
    document, content = frame_lengths(sent[: PREFIX.size])
    described, files = sent[PREFIX.size : PREFIX.size + document], sent[PREFIX.size + document :]
    assert len(files) == content
    assert reading_of(described, files) == reading


def test_a_thousand_hostile_letters_end_as_something() -> None:
    """Each of 1,000 generated letters is a letter, a report or unreadable with a reason; none raises."""
    kinds: Counter[str] = Counter()
    for raw in hostile_letters(1_000):
        reading = read_letter(raw)
        expect_sound(reading)
        kinds[type(reading).__name__] += 1
    assert set(kinds) == {"Letter", "Bounce", "Unreadable"}
    assert kinds["Letter"] > 300


def test_the_generator_draws_the_same_letters_everywhere() -> None:
    """A letter that breaks something can be asked for again by its number."""
    first, again = (hashlib.sha256(b"".join(hostile_letters(70))).hexdigest() for _ in range(2))
    assert first == again


def test_real_letters_end_as_something() -> None:
    """152 public letters, many of them damaged: all but two are read, the reports among them as facts."""
    if not real_letters():
        pytest.skip(f"the public letters are not here: set OPORA_DATA to a folder that holds mail/ (looked in {DATA})")
    readings = {path.name: read_letter(path.read_bytes()) for path in real_letters()}
    for reading in readings.values():
        expect_sound(reading)
    assert len(readings) == 152
    unreadable = {name: reading.reason for name, reading in readings.items() if isinstance(reading, Unreadable)}
    assert unreadable == EXPECTED_UNREADABLE
    bounces = {name: len(reading.facts) for name, reading in readings.items() if isinstance(reading, Bounce)}
    assert bounces == EXPECTED_BOUNCES


# msg_19 begins with a line that is no field; sample_output_multipart is an empty file.
EXPECTED_UNREADABLE = {"msg_19.txt": Reason.NO_HEADER, "sample_output_multipart": Reason.EMPTY}
EXPECTED_BOUNCES = {
    "msg_16.txt": 1,
    "msg_25.txt": 1,
    "msg_43.txt": 11,
    "raw_email_with_mimepart_without_content_type.eml": 1,
    "multi_address_bounce1.eml": 5,
    "multi_address_bounce2.eml": 5,
    "multipart_report_multiple_status.eml": 1,
    "report_422.eml": 1,
    "report_530.eml": 1,
}

LETTER = (
    b"From: =?utf-8?b?0JDQvdC90LA=?= <ann@Example.org>\r\nTo: Support <support+abc@example.com>, bob@example.org\r\n"
    b"Cc: eve@example.org\r\nReply-To: ann.private@example.org\r\nDelivered-To: support@example.com\r\n"
    b"Message-ID: <1@example.org>\r\nIn-Reply-To: <0@example.com>\r\n"
    b"References: <a@example.com>\r\n <0@example.com>\r\n"
    b"Date: Mon, 2 Mar 2026 12:00:00 +0300 (MSK)\r\nSubject: =?utf-8?q?Re:_caf=C3=A9?=\r\n"
    b"X-Loop: me\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n"
    b"--m\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n"
    b"--a\r\nContent-Type: text/plain; charset=koi8-r\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    b"=D4=C5=D3=D4\r\n\r\nOn 2 Mar 2026 Bob <bob@example.org> wrote:\r\n> ok?\r\n"
    b"--a\r\nContent-Type: multipart/related; boundary=r\r\n\r\n"
    b"--r\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p onclick=x>\xd1\x82<img src='cid:i@x'></p>\r\n"
    b"--r\r\nContent-Type: image/png; name=i.png\r\nContent-ID: <i@x>\r\nContent-Disposition: inline\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n--r--\r\n--a--\r\n"
    b"--m\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename*=utf-8''%E2%80%AEgpj.exe\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\nTVqQAA==\r\n"
    b"--m\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nfooter\r\n--m--\r\n"
)


def test_a_letter_is_read_whole() -> None:
    """Who, when, what it says, what it quotes, what it brings, and what its header says of its writer."""
    letter = read_letter(LETTER)
    assert isinstance(letter, Letter)
    picture, program = letter.attachments
    assert (letter.sender, letter.reply_to) == (
        Address("Анна", "ann@example.org"),
        (Address("", "ann.private@example.org"),),
    )
    assert letter.to == (Address("Support", "support+abc@example.com"), Address("", "bob@example.org"))
    assert (letter.cc, letter.delivered_to) == ((Address("", "eve@example.org"),), ("support@example.com",))
    assert (letter.message_id, letter.in_reply_to) == ("1@example.org", ("0@example.com",))
    assert letter.references == ("a@example.com", "0@example.com")
    assert letter.sent_at == datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    assert letter.subject == "Re: café"
    assert letter.text == "тест\n\nOn 2 Mar 2026 Bob <bob@example.org> wrote:\n> ok?\n\nfooter"
    assert letter.html == '<p>т<img src="cid:i@x"></p>\n<pre>footer</pre>'
    assert letter.headers == (("x-loop", "me"),)
    digest = hashlib.sha256(b"\x89PNG\r\n\x1a\n").hexdigest()
    assert picture == Attachment("i.png", "image/png", "image/png", "i@x", True, digest, b"\x89PNG\r\n\x1a\n")  # noqa: FBT003
    assert (program.name, program.content_type) == ("gpj.exe", "application/pdf")
    assert program.sniffed_type == "application/vnd.microsoft.portable-executable"
    assert program.inline is False


@pytest.mark.parametrize(
    ("date", "instant"),
    [
        (b"Mon, 2 Mar 2026 12:00:00 -0000", datetime(2026, 3, 2, 12, 0, tzinfo=UTC)),
        (b"2 Mar 26 12:00 GMT", datetime(2026, 3, 2, 12, 0, tzinfo=UTC)),
        (b"yesterday", None),
        (b"Fri, 31 Dec 9999 23:00:00 -0800", None),
        (b"Mon, 2 Mar 99999 00:00:00 +0000", None),
        (b"Mon, 2 Mar 2026 12:00:00 +9999999999", None),
        (b"9" * 5000, None),
    ],
)
def test_a_claimed_time_is_an_instant_or_nothing(date: bytes, instant: datetime | None) -> None:
    """A date that no calendar has is no reason to lose the letter."""
    letter = read_letter(b"From: a@example.org\nDate: " + date + b"\n\ntext")
    assert isinstance(letter, Letter)
    assert letter.sent_at == instant


def test_half_a_megabyte_of_nested_blocks_is_shown_as_text() -> None:
    """Above 10,000 tags the HTML is not shown; its text is read."""
    letter = read_letter(with_html("<div>" * 50_000 + "text" + "</div>" * 50_000))
    assert isinstance(letter, Letter)
    assert (letter.html, letter.text) == (None, "text")


def test_what_is_too_long_to_show_is_kept_as_a_file() -> None:
    """The text has a limit, the message has not: all of it stands in an attachment."""
    long = "слово " * (MOST_TEXT_CHARACTERS // 5)
    letter = read_letter(with_text(long))
    assert isinstance(letter, Letter)
    assert letter.text == long[:MOST_TEXT_CHARACTERS]
    assert [(file.name, file.content) for file in letter.attachments] == [("message.txt", long.encode())]
    page = "<p>" + "x" * MOST_HTML_CHARACTERS
    letter = read_letter(with_html(page))
    assert isinstance(letter, Letter)
    assert [(file.name, file.content) for file in letter.attachments] == [("message.html", page.encode())]
    assert letter.html is None


@given(st.binary(max_size=300), st.integers(min_value=0, max_value=len(LETTER)))
def test_no_change_to_a_letter_breaks_the_reader(noise: bytes, place: int) -> None:
    """A good letter with any bytes put anywhere in it is still read as something sound."""
    expect_sound(read_letter(LETTER[:place] + noise + LETTER[place:]))
    expect_sound(read_letter(LETTER[:place] + noise + LETTER[place + len(noise) :]))


@given(st.binary(max_size=200), st.binary(max_size=20))
def test_what_is_no_reading_is_not_taken_for_one(text: bytes, content: bytes) -> None:
    """Intake believes the process that read a letter no further than the format goes."""
    with pytest.raises(BrokenFrame):
        reading_of(text, content)
    with pytest.raises(BrokenFrame):
        reading_of(b'{"kind": "Unreadable", "reason": ' + text + b"}", content)
