"""Names and types of attachments: what is claimed, made harmless, and what the first bytes say."""

import re
import unicodedata

_LONGEST_NAME = 120
_LONGEST_ENDING = 20
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
"""Control characters and those that turn or hide text: `invoice\\u202efdp.exe` reads like `invoiceexe.pdf`."""

_SEPARATORS = re.compile(r'[/\\:*?"<>|\x00-\x1f]+')
_DOS = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"PK\x03\x04", "application/zip"),
    (b"PK\x05\x06", "application/zip"),
    (b"\x1f\x8b", "application/gzip"),
    (b"BZh", "application/x-bzip2"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (b"MZ", "application/vnd.microsoft.portable-executable"),
    (b"\x7fELF", "application/x-elf"),
    (b"#!", "text/x-shellscript"),
    (b"{\\rtf", "application/rtf"),
)
_MARKUP = (
    (
        re.compile(rb"\s*(?:<\?xml[^>]{0,200}>\s*)?(?:<!--.{0,300}?-->\s*)?<svg[\s>]", re.IGNORECASE | re.DOTALL),
        "image/svg+xml",
    ),
    (re.compile(rb"\s*(?:<!doctype html|<html|<head|<body|<script)[\s>]", re.IGNORECASE), "text/html"),
    (re.compile(rb"\s*<\?xml\s", re.IGNORECASE), "application/xml"),
)


def safe_name(name: str, default: str) -> str:
    """A file name of at most 120 characters: NFKC, without control, hidden or direction characters, without path.

    Its ending stays, however long it is. `default` where nothing is left. Making it safe again changes nothing.
    """
    shown = unicodedata.normalize("NFKC", _visible(name))
    clean = _SEPARATORS.sub("_", " ".join(_visible(shown).split())).strip(". ")
    if len(clean) > _LONGEST_NAME:
        stem, dot, ending = clean.rpartition(".")
        ending = f"{dot}{ending}" if stem and len(ending) <= _LONGEST_ENDING else ""
        clean = (clean[: _LONGEST_NAME - len(ending)].rstrip(". ") + ending).strip(". ")
    if not clean.strip("_. "):
        return default
    return f"_{clean}" if _DOS.fullmatch(clean) else clean


def sniffed_type(content: bytes) -> str | None:
    """The media type that the first bytes speak of; None when they say nothing. A claim is not believed without it."""
    for signature, kind in _SIGNATURES:
        if content.startswith(signature):
            return kind
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    head = content[:1000]
    return next((kind for markup, kind in _MARKUP if markup.match(head)), None)


def _visible(text: str) -> str:
    # A tab or a line end divides words also in a name.
    return "".join(
        " " if character in "\t\r\n" else character
        for character in text
        if character in "\t\r\n" or unicodedata.category(character) not in _HIDDEN
    )
