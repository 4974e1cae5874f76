"""Letters that nobody means well: a thousand drawn from one seed, and the classical ones in full size."""

import base64
import random
from collections.abc import Callable, Iterator

_HEAD = b"From: Eve <eve@example.net>\r\nTo: support@example.org\r\nSubject: hello\r\nMIME-Version: 1.0\r\n"
_JUNK = (
    *(b"\x00", b"\xff\xfe", b"=?utf-8?b?", b"?=", b"=?x?q?=FF?=", b"((((", b"<<<<", b'"', b"\\", b",,,", b"::", b"@@"),
    *(b"\r", b"\n", b"\r\n\r\n", b"--b", b"--b--", b"\r\n--b\r\n", b"\r\n--b--\r\n", b"Content-Type: multipart/mixed;"),
    *(b"boundary=b", b'boundary="', b"boundary*0=b", b"charset=idna", b"charset=utf-7", b"+2AA-", b"\xed\xa0\x80"),
    *(b"Content-Transfer-Encoding: base64", b"Content-Type: message/rfc822", b"\xe2\x80\xae", b"&#99999999999;"),
    *(b"<script>", b"</", b"<!--", b"<![CDATA[", b"<a href='", b"> > > >", b"On 1/1/2026 x wrote:", b"-----"),
    *(b"Date: 99 Foo 99999 99:99:99 +9999", b"Message-ID: <<>>", b"References: <a@b", b"name*9999*='''%ZZ"),
    *(b"Content-Type: text/html", b"Content-Type: text/plain; charset=punycode", b"Content-Disposition: attachment;"),
    *(b"filename=../../etc/passwd", b"Return-Path: <>", b"Status: 5.1.1", b"Final-Recipient: rfc822; a@b"),
)
_TYPES = (
    *(b"text/plain", b"text/html", b"multipart/mixed; boundary=b", b'multipart/alternative; boundary="b"', b"/", b""),
    *(b"message/rfc822", b"message/delivery-status", b"multipart/report; report-type=delivery-status; boundary=b"),
    *(b"text/plain; charset=utf-16", b"text/plain; charset=unicode_escape", b"image/png; name*0*=x''%41; name*1=b"),
    *(b"multipart/digest; boundary=b", b"multipart/mixed", b"text/html; charset=utf-7", b"application/x; name=\x00"),
)
_ENCODINGS = (b"7bit", b"base64", b"quoted-printable", b"x-uuencode", b"binary", b"base64;", b"=?utf-8?q?base64?=")


def hostile_letters(count: int, seed: int = 20261126) -> Iterator[bytes]:
    """So many letters, the same for the same seed on every machine."""
    for number in range(count):
        yield _KINDS[number % len(_KINDS)](random.Random(f"{seed}/{number}"))  # noqa: S311  drawn, not secret


def _noise(draw: random.Random) -> bytes:
    return draw.randbytes(draw.randrange(1, 3000))


def _pieces(draw: random.Random) -> bytes:
    return b"".join(draw.choice(_JUNK) + draw.choice((b"", b" ", b"\r\n")) for _ in range(draw.randrange(1, 200)))


def _headers(draw: random.Random) -> bytes:
    names = (b"From", b"To", b"Cc", b"Subject", b"Date", b"Message-ID", b"References", b"In-Reply-To", b"Content-Type")
    lines = [draw.choice(names) + b": " + b"".join(draw.choices(_JUNK, k=draw.randrange(12))) for _ in range(30)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + _pieces(draw)


def _nested(draw: random.Random) -> bytes:
    """Parts in parts, whose delimiters are mixed up, missing or the same."""

    def part(depth: int) -> bytes:
        kind, encoding = draw.choice(_TYPES), draw.choice(_ENCODINGS)
        head = b"Content-Type: " + kind + b"\r\nContent-Transfer-Encoding: " + encoding + b"\r\n\r\n"
        if depth and draw.random() < 0.7:
            inside = (b"\r\n--b\r\n" + part(depth - 1) for _ in range(draw.randrange(1, 3)))
            return head + b"".join(inside) + draw.choice((b"\r\n--b--\r\n", b"\r\n--b-", b""))
        return head + draw.choice((b"", base64.b64encode(draw.randbytes(90)), _pieces(draw)))

    return _HEAD + part(draw.randrange(1, 9))


def _markup(draw: random.Random) -> bytes:
    tags = (b"<div>", b"</p>", b"<b", b"<svg onload=x>", b"<img src=http://x>", b"<style>", b"<table>", b"<a href=//x>")
    text = b"".join(draw.choices((*tags, *_JUNK, b"text ", "слово ".encode()), k=draw.randrange(400)))
    return _HEAD + b"Content-Type: text/html; charset=" + draw.choice((b"utf-8", b"koi8-r", b"?")) + b"\r\n\r\n" + text


def _mutated(draw: random.Random) -> bytes:
    """A good letter in which some bytes are others."""
    letter = bytearray(
        _HEAD + b"Date: Mon, 2 Mar 2026 12:00:00 +0300\r\nContent-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\r\n"
        b"On Mon, 2 Mar 2026 Bob wrote:\r\n> hello\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
        b"Reporting-MTA: dns; x\r\n\r\nFinal-Recipient: rfc822; a@example.org\r\nAction: failed\r\nStatus: 5.1.1\r\n"
        b"--b\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: <1@example.org>\r\n\r\ntext\r\n--b--\r\n"
    )
    for _ in range(draw.randrange(1, 60)):
        letter[draw.randrange(len(letter))] = draw.randrange(256)
    return bytes(letter)


def _long(draw: random.Random) -> bytes:
    """One thing again and again."""
    name = draw.choice((b"To", b"Subject", b"References", b"Content-Type", b"X-Long"))
    unit, times = draw.choice(_JUNK) + draw.choice((b"", b" ")), draw.randrange(1, 3000)
    where = draw.random() < 0.5
    return _HEAD + (name + b": " + unit * times + b"\r\n\r\n" if where else b"\r\n" + unit * times * 4)


_KINDS: tuple[Callable[[random.Random], bytes], ...] = (_noise, _pieces, _headers, _nested, _markup, _mutated, _long)


def nested_messages(depth: int) -> bytes:
    """A letter in a letter in a letter."""
    return _HEAD + b"Content-Type: message/rfc822\r\n\r\n" * depth + b"Subject: inmost\r\n\r\ntext\r\n"


def nested_multiparts(depth: int) -> bytes:
    """Multiparts in multiparts, each with a delimiter of its own."""
    inside = (f'Content-Type: multipart/mixed; boundary="b{n}"\r\n\r\n--b{n}\r\n'.encode() for n in range(depth))
    return _HEAD + b"".join(inside) + b"\r\ntext\r\n"


def empty_parts(count: int) -> bytes:
    """Nothing but delimiters."""
    return _HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\n" * count + b"--b--\r\n"


def with_header(name: bytes, value: bytes) -> bytes:
    """A letter with one field more."""
    return _HEAD + name + b": " + value + b"\r\n\r\ntext\r\n"


def with_html(html: str) -> bytes:
    """A letter that is a page."""
    return _HEAD + b"Content-Type: text/html; charset=utf-8\r\n\r\n" + html.encode()


def with_text(text: str) -> bytes:
    """A letter that is a text."""
    return _HEAD + b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + text.encode()
