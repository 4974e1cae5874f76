"""Header values with parameters: Content-Type and Content-Disposition (RFC 2045, 2183, 2231)."""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote_to_bytes

from opora_intake.mail.words import decode_words, to_text

_NAME = re.compile(r"[;\s]*([^=;\s]*)\s*(=?)\s*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"?', re.DOTALL)
_BARE = re.compile(r"[^;\s]*")
_SECTION = re.compile(r"([^*]+)\*(?:([0-9]{1,3})(\*)?)?")
_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,60}/[a-z0-9!#$&^_.+-]{1,100}")


def parse_parameters(value: str) -> tuple[str, Mapping[str, str]]:
    """The value before the first semicolon, in lower case, and the parameters by lower-case name.

    Of two parameters of one name the first counts. RFC 2231 sections are put together and decoded, and so are encoded
    words, which RFC 2047 forbids here and most programs write. Reads each character a bounded number of times.
    """
    kind, _, rest = value.partition(";")
    plain: dict[str, str] = {}
    sections: dict[str, dict[int, tuple[str, bool]]] = {}
    for name, given in _pairs(rest):
        section = _SECTION.fullmatch(name)
        if section is None:
            plain.setdefault(name, decode_words(given))
            continue
        number, starred = section[2], section[3] or section[2] is None
        sections.setdefault(section[1], {}).setdefault(int(number or 0), (given, bool(starred)))
    return kind.strip().lower(), plain | {name: _joined(found) for name, found in sections.items()}


def content_type_of(value: str | None, default: str = "text/plain") -> tuple[str, Mapping[str, str]]:
    """The media type and its parameters; `default` where there is none, text/plain where it is no media type."""
    if value is None:
        return default, {}
    kind, parameters = parse_parameters(value)
    return kind if _TYPE.fullmatch(kind) else "text/plain", parameters


def _pairs(rest: str) -> Iterator[tuple[str, str]]:
    position = 0
    while position < len(rest):
        name = _NAME.match(rest, position)
        if name is None or name.end() == position:
            return
        position = name.end()
        if not name[2]:
            continue
        quoted = _QUOTED.match(rest, position)
        if quoted:
            given, position = re.sub(r"\\(.)", r"\1", quoted[1]), quoted.end()
        else:
            bare = _BARE.match(rest, position)
            given, position = (bare[0], bare.end()) if bare else ("", position)
        if name[1]:
            yield name[1].lower(), given


def _joined(sections: Mapping[int, tuple[str, bool]]) -> str:
    first, starred = sections.get(0, ("", False))
    charset = None
    if starred and first.count("'") >= 2:  # noqa: PLR2004  charset'language'text
        charset, _, first = first.split("'", 2)
    encoded = b""
    for number in sorted(sections):
        text, percent = (first, starred) if number == 0 else sections[number]
        encoded += unquote_to_bytes(text) if percent else text.encode("utf-8", "replace")
    return to_text(encoded, charset)
