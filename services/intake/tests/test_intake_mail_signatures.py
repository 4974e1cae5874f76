"""DKIM: whose signature of a letter is true, as the process finds out that reads letters."""

import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from opora_intake.channels.origin import nameserver
from opora_intake.mail.confined import Reader
from opora_intake.mail.letter import Letter
from opora_intake.mail.limits import MOST_SIGNATURES
from opora_intake.mail.reading import read_letter
from opora_intake.mail.signatures import Signer, signed_by, signers_of
from services.intake.tests.signed_letters import Signing

OURS = Signing("example.com")
LETTER = b"From: Anna <anna@example.com>\r\nTo: support@example.org\r\nSubject: Printer\r\n\r\nIt prints nothing.\r\n"


@pytest_asyncio.fixture
async def reader() -> AsyncIterator[Reader]:
    """A reader as intake has it."""
    async with Reader() as reader:
        yield reader


def keys(*signings: Signing) -> dict[str, str]:
    """The records of these keys by name."""
    return {signing.name: signing.record for signing in signings}


@pytest.mark.parametrize("form", [b"relaxed", b"simple"])
async def test_a_true_signature_is_found_so_and_a_changed_letter_is_not(reader: Reader, form: bytes) -> None:
    """In both forms of RFC 6376; a changed body, a changed From and another key are not what was signed."""
    signed = OURS.signed(LETTER, canonicalize=(form, form))
    assert await reader.signed_by(signed, keys(OURS)) == ("example.com",)
    for other in (signed.replace(b"nothing", b"money"), signed.replace(b"Anna <anna", b"Anna <eve")):
        assert await reader.signed_by(other, keys(OURS)) == ()
    stranger = {OURS.name: Signing("example.com", bits=1024).record}
    assert await reader.signed_by(signed, stranger) == ()
    assert await reader.signed_by(signed, {}) == ()


@pytest.mark.parametrize(
    "record", ["", "v=DKIM1; p=", "v=DKIM1; k=rsa; p=AAAA", "v=DKIM2; p=x", "\x00;;=", "v=DKIM1; k=ed25519; p=AAAA"]
)
def test_a_key_that_is_revoked_or_none_proves_nothing(record: str) -> None:
    """An empty p= is a key taken back (RFC 6376 §3.6.1)."""
    assert signed_by(OURS.signed(LETTER), {OURS.name: record}) == ()


def test_a_part_of_a_letter_proves_nothing() -> None:
    """With `l=` anybody could write on below what was signed."""
    signed = OURS.signed(LETTER, length=True)
    assert b"l=20" in signed
    assert signed_by(signed, keys(OURS)) == ()
    assert signed_by(signed + b"Send the money.\r\n", keys(OURS)) == ()


def test_weak_signatures_prove_nothing() -> None:
    """SHA-1 and keys of fewer than 1,024 bits (RFC 8301)."""
    assert signed_by(OURS.signed(LETTER, signature_algorithm=b"rsa-sha1"), keys(OURS)) == ()
    weak = Signing("example.com", bits=768)
    assert signed_by(weak.signed(LETTER), keys(weak)) == ()


@pytest.mark.parametrize(
    "second",
    [
        b"From: Eve <eve@example.com>\r\n",
        b"FROM:\r\n eve@example.com\r\n",
        # The library passes over a line that begins so, as mail folders have one before each letter.
        b"From : Eve <eve@example.com>\r\n",
        # For us the header ends with the second line, and the signed author is text.
        b"From : Eve <eve@example.com>\r\nFrom here on\r\n",
    ],
)
def test_a_second_author_takes_the_proof_away(second: bytes) -> None:
    """What is shown must be what was signed: programs differ in which From they take."""
    assert signed_by(second + OURS.signed(LETTER), keys(OURS)) == ()
    assert signed_by(OURS.signed(LETTER).replace(b"To: support", second + b"To: support"), keys(OURS)) == ()


def test_each_signature_counts_for_its_own_domain() -> None:
    """A list signs besides the author; a broken signature takes nothing from a true one."""
    listed = Signing("lists.example", selector="a")
    both = listed.signed(OURS.signed(LETTER))
    assert signed_by(both, keys(OURS, listed)) == ("lists.example", "example.com")
    assert signed_by(both, keys(OURS)) == ("example.com",)


def test_only_who_signs_for_the_domain_of_the_author_is_asked_for_a_key() -> None:
    """Its own domain or one above or below, each once, at most five; never a name that the DNS does not have."""
    letter = read_letter(Signing("lists.example").signed(OURS.signed(LETTER)))
    assert isinstance(letter, Letter)
    assert letter.signers == (Signer("example.com", "mail"),)
    fields = [
        b"v=1; d=Example.COM; s=A; b=x",
        b"d=example.com;s=a",
        b"d=other.example; s=a",
        b"d=example.com; s=a b",
        b"d=mail.example.com; s = b",
        b"d=example.com; s=../../x",
        b"d=example.com; s=" + b"x" * 300,
        b"s=only",
        b"",
        b"\xff\xfe",
    ]
    assert signers_of(fields, "example.com") == (
        Signer("example.com", "a"),
        Signer("example.com", "ab"),
        Signer("mail.example.com", "b"),
    )
    assert len(signers_of([b"d=example.com; s=x%d" % n for n in range(15)], "example.com")) == MOST_SIGNATURES


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_no_signature_breaks_its_reader(value: bytes, record: bytes) -> None:
    """Whatever stands in the field and in the DNS."""
    raw = b"DKIM-Signature: " + value.replace(b"\r", b"").replace(b"\n", b"") + b"\r\n" + LETTER
    assert signed_by(raw, {OURS.name: record.decode("latin-1")}) == ()
    signers_of([value], "example.com")


async def test_a_signature_that_takes_too_long_proves_nothing_and_blocks_nobody(reader: Reader) -> None:
    """Blanks take the library time with their square: the limits of reading end it, and the next letter is read."""
    bomb = OURS.signed(LETTER).replace(b"It prints", b" " * 2_000_000 + b"It prints")
    assert await reader.signed_by(bomb, keys(OURS)) == ()
    assert await reader.signed_by(OURS.signed(LETTER), keys(OURS)) == ("example.com",)


async def test_what_no_process_of_ours_would_say_proves_nothing() -> None:
    """The process has read a stranger's letter: its answer is believed as far as its form goes."""
    answer = 'b\'{"kind": "Signed", "domains": 7}\''
    lying = (
        f"import sys; from opora_intake.mail.wire import frame, PREFIX; o = sys.stdout.buffer; o.write(frame({{}})); \
o.flush(); sys.stdin.buffer.read(8); a = {answer}; o.write(PREFIX.pack(len(a), 0) + a); o.flush()"
    )
    async with Reader(command=(sys.executable, "-P", "-c", lying)) as reader:
        assert await reader.signed_by(LETTER, {}) == ()


@pytest.mark.parametrize(
    ("entry", "address", "port"),
    [
        ("192.0.2.53", "192.0.2.53", 53),
        ("192.0.2.53:5353", "192.0.2.53", 5353),
        ("2001:db8::53", "2001:db8::53", 53),
        ("[2001:db8::53]:5353", "2001:db8::53", 5353),
    ],
)
def test_dns_servers_are_named_by_address_and_port(entry: str, address: str, port: int) -> None:
    """Both families, with and without a port."""
    assert nameserver(entry) == (address, port)


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "dns.example.org",
        "192.0.2",
        "192.0.2.53:",
        "192.0.2.53:0",
        "192.0.2.53:65536",
        "2001:db8::53]:1",
        "1.2.3.4:5:6",
    ],
)
def test_what_is_no_dns_server_is_refused(entry: str) -> None:
    """With what to write instead."""
    with pytest.raises(ValueError, match="write its address"):
        nameserver(entry)
