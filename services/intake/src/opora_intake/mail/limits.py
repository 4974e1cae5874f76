"""What a letter may be, in numbers, and how one is refused that is more. docs/mail.md shows every number."""

from dataclasses import dataclass
from enum import StrEnum

MOST_LETTER_BYTES = 25 * 1024 * 1024
MOST_PARTS = 200
"""Delimiter lines that begin a part, counted in the raw letter."""

MOST_NESTING = 20
"""Multiparts and enclosed letters around a part."""

MOST_HEADER_BYTES = 8 * 1024
"""One header field with its continuation lines and line ends."""

MOST_HEADERS_BYTES = 256 * 1024
"""All header fields of the letter, of its parts and of the letters enclosed in it."""

MOST_TAGS = 10_000
"""Of HTML that has more, only the text is shown."""

MOST_ESCAPES = 50_000
"""`<`, `>`, `&` and U+0080 to U+00BF, at which html5ever stops to look whether one is to be escaped: its time grows
with the square of their number in one text."""

MOST_HTML_CHARACTERS = 2_000_000
MOST_TEXT_CHARACTERS = 1_000_000
"""A body that is longer becomes an attachment as it is; the text is made of its beginning."""

MOST_SIGNATURES = 5
"""Keys that are asked for to prove one letter."""

MOST_CPU_SECONDS = 5
MOST_MEMORY_BYTES = 512 * 1024 * 1024
MOST_WALL_SECONDS = 10.0


class Reason(StrEnum):
    """Why a letter cannot be read."""

    EMPTY = "empty"
    NO_HEADER = "no_header"
    TOO_LARGE = "too_large"
    TOO_MANY_PARTS = "too_many_parts"
    TOO_DEEP = "too_deep"
    HEADER_TOO_LONG = "header_too_long"
    HEADERS_TOO_LONG = "headers_too_long"
    TOO_SLOW = "too_slow"
    TOO_MUCH_MEMORY = "too_much_memory"
    READER_BROKE = "reader_broke"


EXPLANATIONS = {
    Reason.EMPTY: "The letter holds not one byte",
    Reason.NO_HEADER: "The letter has no header field",
    Reason.TOO_LARGE: f"The letter is larger than {MOST_LETTER_BYTES // 1024**2} MB",
    Reason.TOO_MANY_PARTS: f"The letter has more than {MOST_PARTS} parts",
    Reason.TOO_DEEP: f"Parts of the letter are nested more than {MOST_NESTING} deep",
    Reason.HEADER_TOO_LONG: f"A header field is longer than {MOST_HEADER_BYTES // 1024} KB",
    Reason.HEADERS_TOO_LONG: f"The header fields are longer than {MOST_HEADERS_BYTES // 1024} KB in all",
    Reason.TOO_SLOW: f"Reading took more than {MOST_CPU_SECONDS} s of a processor or {MOST_WALL_SECONDS:.0f} s in all",
    Reason.TOO_MUCH_MEMORY: f"Reading needed more than {MOST_MEMORY_BYTES // 1024**2} MB of memory",
    Reason.READER_BROKE: "Reading the letter broke the process that read it",
}
"""A sentence for whoever looks at the quarantine."""


@dataclass
class Refused(Exception):  # noqa: N818  a refusal is an answer, not a fault
    """The letter is more than a letter may be; nothing of it was interpreted further."""

    reason: Reason

    def __str__(self) -> str:
        return EXPLANATIONS[self.reason]
