"""The reply and the letter that it quotes, told apart line by line."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from opora_intake.mail.phrases import ANNOUNCED, CLOSER, DIVIDER, FROM_LINE, HEADER_LINE, OPENER, RULE, WRITER

_LOOKED_AT = 300
"""Of a line no more is compared with phrases: an attribution is shorter, and so no line costs more."""

_MOST_LINES_OF_AN_ATTRIBUTION = 4
_MOST_LINES_OF_A_HEADER = 7
_FEWEST_FIELDS_OF_A_HEADER = 2


@dataclass(frozen=True, slots=True)
class Reply:
    """What was written, and what it quotes; together every line of the letter's text."""

    text: str
    quoted: str


def split_reply(text: str, look: Callable[[int], None] = lambda _: None) -> Reply:
    """Tell the reply from what it quotes, in one pass with a window of a few lines: linear for every text.

    Nothing is lost: each line is in `text` or in `quoted`. A reply is never empty where the letter is not: what would
    be quotation only is kept whole, as are answers written between quoted lines, which say nothing without them.
    `look` is told the number of each line that is compared, so that a test can count.
    """
    lines = text.split("\n")
    for number in range(len(lines)):
        width = _announcement(lines, number, look)
        if width:
            return _cut(lines, number, number + width)
    return _cut_trailing(lines)


def _announcement(lines: Sequence[str], number: int, look: Callable[[int], None]) -> int:
    """How many lines from this one on announce a quotation; 0 when it does not."""
    look(number)
    line = lines[number][:_LOOKED_AT]
    if not line.strip() or line.lstrip().startswith(">"):
        return 0
    if DIVIDER.fullmatch(line) or ANNOUNCED.fullmatch(line):
        return 1
    if RULE.fullmatch(line):
        following = _next_written(lines, number + 1)
        return following - number if following < len(lines) and _is_header(lines, following, look) else 0
    if _is_header(lines, number, look):
        return 1
    return _attribution(lines, number, line, look)


def _is_header(lines: Sequence[str], number: int, look: Callable[[int], None]) -> bool:
    if not FROM_LINE.match(lines[number][:_LOOKED_AT]):
        return False
    fields = 0
    for other in range(number + 1, min(number + _MOST_LINES_OF_A_HEADER, len(lines))):
        look(other)
        fields += HEADER_LINE.match(lines[other][:_LOOKED_AT]) is not None
    return fields >= _FEWEST_FIELDS_OF_A_HEADER


def _attribution(lines: Sequence[str], number: int, line: str, look: Callable[[int], None]) -> int:
    quoted_below = lines[min(number + 1, len(lines) - 1)].lstrip().startswith(">")
    if quoted_below and WRITER.fullmatch(line):
        return 1
    if not OPENER.match(line):
        return 0
    joined = ""
    for width in range(1, _MOST_LINES_OF_AN_ATTRIBUTION + 1):
        if number + width > len(lines):
            return 0
        look(number + width - 1)
        part = lines[number + width - 1][:_LOOKED_AT]
        if not part.strip():
            return 0
        joined = f"{joined} {part.strip()}".strip()
        if joined.endswith(":"):
            return width if _closes(joined) else 0
    return 0


def _closes(joined: str) -> bool:
    ending = joined[-_LOOKED_AT:]
    return any(match.end() == len(ending) for match in CLOSER.finditer(ending))


def _cut(lines: Sequence[str], begin: int, end: int) -> Reply:
    """Divide at an announcement of the lines [begin, end)."""
    first = _next_written(lines, end)
    if first < len(lines) and lines[first].lstrip().startswith(">"):
        after = _end_of_quotation(lines, first)
        below = lines[after:]
        if _written(below):
            if _written(lines[:begin]) or any(line.lstrip().startswith(">") for line in below):
                return Reply("\n".join(lines).strip(), "")
            return Reply("\n".join(below).strip(), "\n".join(lines[:after]).strip())
    if not _written(lines[:begin]):
        return Reply("\n".join(lines).strip(), "")
    return Reply("\n".join(lines[:begin]).strip(), "\n".join(lines[begin:]).strip())


def _cut_trailing(lines: Sequence[str]) -> Reply:
    """Divide before the quotation at the end, which nothing announces."""
    begin = len(lines)
    while begin and (not lines[begin - 1].strip() or lines[begin - 1].lstrip().startswith(">")):
        begin -= 1
    kept, quoted = lines[:begin], lines[begin:]
    inside = any(line.lstrip().startswith(">") for line in kept)
    if inside or not _written(kept) or not _written(quoted):
        return Reply("\n".join(lines).strip(), "")
    return Reply("\n".join(kept).strip(), "\n".join(quoted).strip())


def _next_written(lines: Sequence[str], number: int) -> int:
    while number < len(lines) and not lines[number].strip():
        number += 1
    return number


def _end_of_quotation(lines: Sequence[str], number: int) -> int:
    while number < len(lines) and (not lines[number].strip() or lines[number].lstrip().startswith(">")):
        number += 1
    return number


def _written(lines: Sequence[str]) -> bool:
    return any(line.strip() for line in lines)
