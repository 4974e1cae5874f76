"""Bytes to text: charsets as letters name them, and encoded words (RFC 2047), in linear time."""

import binascii
import codecs
import re
from collections.abc import Iterator

_WORD = re.compile(r"=\?([^?\s]{1,64})\?([bBqQ])\?([^?\r\n]*)\?=")
_BLANK = re.compile(r"[ \t\r\n]*")
_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))
_LANGUAGE = re.compile(r"\*.*", re.DOTALL)

_MEANT = {
    "ascii": "utf-8",
    "latin-1": "cp1252",
    "iso8859-1": "cp1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
}
"""What programs write who name these: the wider charset that holds the named one."""

_NO_CHARSETS = frozenset({"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined", "mbcs", "oem"})
"""Codecs of Python that no letter means; punycode takes quadratic time besides."""

_UNWANTED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def to_text(data: bytes, charset: str | None = None) -> str:
    """The text of the bytes; never fails. A charset that is missing, unknown or wrong is replaced by UTF-8, where the
    bytes are that, and by Windows-1252 elsewhere. The text can be stored: no NUL, no other control character than tab
    and line ends, no lone surrogate.
    """
    for name in dict.fromkeys((_known(charset), "utf-8")):
        if name is None:
            continue
        try:
            return storable(data.decode(name))
        except (UnicodeError, LookupError, ValueError):
            continue
    return storable(data.decode("cp1252", "replace"))


def storable(text: str) -> str:
    """The text without what PostgreSQL or UTF-8 cannot hold, and without control characters."""
    return _UNWANTED.sub("", text)


def one_line(text: str) -> str:
    """The text on one line, without characters that turn the direction of what stands around it."""
    return " ".join(_BIDI.sub("", storable(text)).split())


def header_text(value: bytes) -> str:
    """A header value as text on one line, its encoded words decoded."""
    return one_line(decode_words(to_text(value)))


def decode_words(text: str) -> str:
    """The text with its encoded words decoded; never fails, and reads each character a bounded number of times.

    White space between two encoded words disappears (RFC 2047 §6.2). Neighbours of one charset are put together before
    they are decoded, because many programs divide a character between two of them.
    """
    if "=?" not in text:
        return text
    return "".join(_pieces(text))


def decode_base64(data: bytes) -> bytes:
    """The decoded bytes, up to the padding; what is not of the alphabet is skipped. Never fails (RFC 2045 §6.8)."""
    clean = data.partition(b"=")[0].translate(None, _NOT_BASE64)
    clean = clean[: len(clean) - 1] if len(clean) % 4 == 1 else clean
    return binascii.a2b_base64(clean + b"=" * (-len(clean) % 4))


def _known(charset: str | None) -> str | None:
    """Python's name of the charset; None when there is no such charset."""
    if not charset or len(charset) > 64:  # noqa: PLR2004
        return None
    try:
        name = codecs.lookup(charset.strip().strip("'\"")).name
    except (LookupError, ValueError, UnicodeError):
        return None
    return None if name.replace("_", "-") in _NO_CHARSETS else _MEANT.get(name, name)


def _pieces(text: str) -> Iterator[str]:
    position = 0
    charset = ""
    gathered: list[bytes] = []
    for word in _WORD.finditer(text):
        blank = _BLANK.match(text, position)
        beside = bool(gathered) and blank is not None and blank.end() >= word.start()
        named = _LANGUAGE.sub("", word[1]).lower()
        if gathered and (not beside or named != charset):
            yield to_text(b"".join(gathered), charset)
            gathered = []
        if not beside:
            yield text[position : word.start()]
        gathered.append(_decoded(word[2], word[3]))
        charset, position = named, word.end()
    if gathered:
        yield to_text(b"".join(gathered), charset)
    yield text[position:]


def _decoded(encoding: str, encoded: str) -> bytes:
    data = encoded.encode("utf-8", "replace")
    return decode_base64(data) if encoding in "bB" else binascii.a2b_qp(data, header=True)
