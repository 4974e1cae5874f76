"""Words, addresses and names: what headers say, whatever they hold."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opora_intake.mail.addresses import Address, parse_address, parse_addresses
from opora_intake.mail.names import safe_name, sniffed_type
from opora_intake.mail.words import decode_base64, decode_words, header_text, one_line, to_text
from services.intake.tests.mail_cost import expect_linear


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("=?utf-8?B?0YLQtdGB0YI=?=", "тест"),
        ("=?UTF-8?q?caf=C3=A9_noir?= au lait", "café noir au lait"),
        ("=?utf-8?b?0Q==?= =?utf-8?b?gg==?=", "т"),
        ("a =?utf-8?q?b?= =?iso-8859-1?q?=E9?= c", "a bé c"),
        ("=?iso-8859-1?q?=93x=94?=", "“x”"),
        ("=?utf-8*en?q?x?=", "x"),
        ("=?nothing?q?=E9?=", "é"),
        ("=?utf-8?b?!!!?=", ""),
        ("=?utf-8?q?open", "=?utf-8?q?open"),
        ("=?=?=?=?", "=?=?=?=?"),
        ("=?iso-2022-jp?B?GyRCJF4bKEI=?=", "ま"),
    ],
)
def test_encoded_words_are_decoded(written: str, expected: str) -> None:
    """RFC 2047, and characters that a program divided between two words."""
    assert decode_words(written) == expected


@pytest.mark.parametrize(
    "charset", ["idna", "punycode", "unicode_escape", "rot13", "hex", "zlib", "\x00", "x" * 99, ""]
)
def test_what_is_no_charset_of_letters_is_not_used(charset: str) -> None:
    """Python's codecs for other purposes are not reachable from a letter."""
    assert to_text(b"\\u0041 a-b", charset) == "\\u0041 a-b"


@given(st.binary(max_size=200), st.sampled_from([None, "utf-8", "utf-7", "utf-16", "gb2312", "iso-2022-kr", "hz", "?"]))
def test_every_text_can_be_stored(data: bytes, charset: str | None) -> None:
    """Whatever the bytes and the charset: UTF-8 without NUL, which PostgreSQL would refuse."""
    text = to_text(data, charset)
    assert "\x00" not in text
    assert text.encode() is not None


@given(st.text(alphabet="=?utf-8bqQB a_\r\n\tЯ", max_size=200))
def test_no_text_breaks_words(text: str) -> None:
    """Fragments of encoded words are decoded or left; on one line nothing turns or breaks it."""
    line = one_line(decode_words(text))
    assert line == " ".join(line.split())


def test_words_and_addresses_are_linear() -> None:
    """Twenty thousand words, comments in comments, quotes without end: four times as many cost four times the steps."""
    expect_linear(lambda size: lambda: decode_words("=?utf-8?b?0YI=?= " * size), 5_000)
    expect_linear(lambda size: lambda: decode_words("=?a?b" * size), 5_000)
    for unit in (b"(", b"((a)", b'"', b"<", b"a@b,", b":", b"\\", b"(\\"):
        expect_linear(lambda size, unit=unit: lambda: parse_addresses(unit * size), 1_000)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a@example.org", [("", "a@example.org")]),
        ("Ann <a@Example.ORG>, b@example.org", [("Ann", "a@example.org"), ("", "b@example.org")]),
        ('"Doe, Ann" (office (2)) <a@example.org>', [("Doe, Ann", "a@example.org")]),
        ('"a \\"b\\"" <a@example.org>', [('a "b"', "a@example.org")]),
        ("=?utf-8?b?0JDQvdC90LA=?= <a@example.org>", [("Анна", "a@example.org")]),
        ("Friends: a@example.org, B <b@example.org>;, c@example.org", ["a", "b", "c"]),
        ("undisclosed-recipients:;", []),
        ("<@relay,@other:a@example.org>", [("", "a@example.org")]),
        ("Ann", []),
        ("Ann Lee ann@example.org", [("Ann Lee", "ann@example.org")]),
        ("ann@example.org bob@example.org", []),
        ("a@b@c <>", []),
        ("Jöhn <jdöe@mächine.example>", [("Jöhn", "jdöe@mächine.example")]),
        ("a@example.org (Ann)", [("", "a@example.org")]),
        ("A \u202egro.elpmaxe@b <a@example.org>", [("A gro.elpmaxe@b", "a@example.org")]),
    ],
)
def test_addresses_are_read(value: str, expected: list[tuple[str, str] | str]) -> None:
    """Names, comments, groups, routes; what is no address is left out."""
    found = parse_addresses(value.encode())
    if expected and isinstance(expected[0], str):
        assert [address.address[0] for address in found] == expected
    else:
        assert found == tuple(Address(*pair) for pair in expected)


def test_an_address_is_no_longer_than_smtp_allows() -> None:
    """64 octets before the @, 255 after it (RFC 5321 §4.5.3.1)."""
    assert parse_address("a" * 64 + "@example.org")
    assert parse_address("a" * 65 + "@example.org") is None
    assert parse_address("a@" + "b" * 256) is None


@given(st.binary(max_size=200))
def test_no_bytes_break_addresses(value: bytes) -> None:
    """Whatever stands there, each address found is one, and reads the same again."""
    for found in parse_addresses(value):
        assert parse_address(found.address) == found.address
    assert isinstance(header_text(value), str)


@pytest.mark.parametrize(
    ("claimed", "name"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("C:\\temp\\a.exe", "C_temp_a.exe"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("a\u200b\u0000b\r\n.txt", "ab .txt"),
        ("ｆｕｌｌ／ｗｉｄｔｈ．ｔｘｔ", "full_width.txt"),
        ("...", "attachment-1"),
        ("", "attachment-1"),
        ("con.txt", "_con.txt"),
        ("x" * 300 + ".docx", "x" * 115 + ".docx"),
        ("счёт.pdf", "счёт.pdf"),
    ],
)
def test_a_name_is_made_harmless(claimed: str, name: str) -> None:
    """No path, no hidden or turning character, no name of a device, at most 120 characters with the ending."""
    assert safe_name(claimed, "attachment-1") == name


@given(st.text(max_size=300))
def test_every_name_is_harmless(claimed: str) -> None:
    """Whatever was claimed: short, without separators and control characters, and the same when made safe again."""
    name = safe_name(claimed, "attachment-1")
    assert 0 < len(name) <= 121
    assert not set(name) & set('/\\:*?"<>|\x00\r\n')
    assert all(unicodedata.category(character) not in {"Cc", "Cf", "Cs"} for character in name)
    assert not name.startswith(".")
    assert safe_name(name, "attachment-1") == name


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"%PDF-1.7", "application/pdf"),
        (b"MZ\x90", "application/vnd.microsoft.portable-executable"),
        (b"  <!DOCTYPE html>", "text/html"),
        (b"<?xml version='1.0'?><svg onload=x>", "image/svg+xml"),
        (b"RIFF....WEBP", "image/webp"),
        (b"just text", None),
        (b"", None),
    ],
)
def test_the_first_bytes_say_what_a_file_is(content: bytes, kind: str | None) -> None:
    """A program that is called picture.png is seen to be a program."""
    assert sniffed_type(content) == kind


@given(st.binary(max_size=200))
def test_base64_never_fails(data: bytes) -> None:
    """Any bytes decode to something no longer than they are."""
    assert len(decode_base64(data)) <= len(data)
