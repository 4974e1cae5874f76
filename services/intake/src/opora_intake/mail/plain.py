"""The text of HTML, for letters that bring no other and for HTML that may not be shown, in one pass."""

import html as entities
import re

from opora_intake.mail.words import storable

_MOST_MARKS = 5
"""Deeper quotes are marked as this deep: the marks of a line never cost more than a line."""

_BEGIN = re.compile(r"<[a-zA-Z/!?]")
_NAME = re.compile(r"(/?)([a-zA-Z][a-zA-Z0-9]{0,20})")
_BLANKS = re.compile(r"[ \t\r\n\f\xa0]+")
_LONG_NUMBER = re.compile(r"&#[0-9]{8,};?|&#[xX][0-9a-fA-F]{8,};?")
_SKIPPED_NAMES = "script style title svg math template textarea select noscript iframe"
_SKIPPED = frozenset(_SKIPPED_NAMES.split())
_CLOSING = {name: re.compile(f"</{name}", re.IGNORECASE | re.ASCII) for name in _SKIPPED}
_BREAKS = frozenset({"br", "tr", "li", "dt", "dd", "hr"})
_BLOCK_NAMES = "p div h1 h2 h3 h4 h5 h6 ul ol dl table blockquote pre center section article header footer address form"
_BLOCKS = frozenset(_BLOCK_NAMES.split())
_APART = frozenset({"p", "h1", "h2", "h3", "blockquote"})
_CELLS = frozenset({"td", "th"})


def text_of_html(html: str) -> str:
    """The readable text, a line per block, quoted blocks marked with `> `. Never fails; takes time in proportion to the
    length: no character is looked at again after a tag, comment or entity that does not end.
    """
    writer = _Writer()
    position = 0
    while position < len(html):
        tag_or_comment = _BEGIN.search(html, position)
        if tag_or_comment is None:
            break
        begin = tag_or_comment.start()
        writer.write(html[position:begin])
        named = _NAME.match(html, begin + 1)
        if named:
            end = _end_of_tag(html, named.end())
            position = len(html) if end < 0 else end + 1
            tag = named[2].lower()
            writer.tag(tag, closing=bool(named[1]))
            if tag in _SKIPPED and not named[1]:
                closing = _CLOSING[tag].search(html, position)
                position = len(html) if closing is None else closing.start()
        elif html.startswith("<!--", begin):
            end = html.find("-->", begin + 4)
            position = len(html) if end < 0 else end + 3
        else:
            end = html.find(">", begin)
            position = len(html) if end < 0 else end + 1
    writer.write(html[position:])
    return writer.text()


def _end_of_tag(html: str, position: int) -> int:
    """Where the tag's `>` stands, not counting one in a quoted value; -1 when there is none.

    A quote that never closes is not looked for again: the tag ends at the next `>`.
    """
    first = html.find(">", position)
    while first >= 0:
        quote = _open_quote(html, position, first)
        if quote < 0:
            return first
        closing = html.find(html[quote], quote + 1)
        if closing < 0 or closing - quote > _LONGEST_VALUE:
            return first
        position = closing + 1
        first = html.find(">", position) if closing > first else first
    return first


def _open_quote(html: str, position: int, end: int) -> int:
    """The first quotation mark of [position, end) that begins a value; -1 when there is none."""
    begun = _VALUE.search(html, position, end)
    return begun.end() - 1 if begun else -1


_LONGEST_VALUE = 10_000
_VALUE = re.compile(r"=[ \t\r\n]{0,20}[\"']")


class _Writer:
    """Lines of text, as the tags between them ask for."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._words: list[str] = []
        self._quotes = 0
        self._preformatted = 0

    def write(self, text: str) -> None:
        """Add the text of one stretch without tags."""
        if not text:
            return
        # int() of Python refuses numbers of thousands of digits, and entities.unescape does not expect that.
        text = entities.unescape(_LONG_NUMBER.sub("\ufffd", text))
        if self._preformatted:
            first, *rest = text.replace("\r\n", "\n").split("\n")
            self._words.append(first)
            for line in rest:
                self._break()
                self._words.append(line)
        else:
            self._words.append(_BLANKS.sub(" ", text))

    def tag(self, name: str, *, closing: bool) -> None:
        """Let a tag have its effect on the lines."""
        if name in _BLOCKS:
            self._end_line()
            if name in _APART and not closing:
                self._blank_line()
        elif name in _BREAKS and not closing:
            if name == "br":
                self._break()
            else:
                self._end_line()
            if name == "li":
                self._words.append("- ")
        elif name in _CELLS and closing:
            self._words.append(" ")
        if name == "blockquote":
            self._quotes = max(0, self._quotes + (-1 if closing else 1))
        elif name == "pre":
            self._preformatted = max(0, self._preformatted + (-1 if closing else 1))

    def text(self) -> str:
        """Everything that was written, without blank lines around it."""
        self._end_line()
        return storable("\n".join(self._lines)).strip()

    def _break(self) -> None:
        joined = "".join(self._words)
        line = joined.rstrip() if self._preformatted else _BLANKS.sub(" ", joined).strip()
        self._words = []
        marks = "> " * min(self._quotes, _MOST_MARKS)
        self._lines.append(f"{marks}{line}".rstrip())

    def _end_line(self) -> None:
        if any(word.strip() for word in self._words):
            self._break()
        else:
            self._words = []

    def _blank_line(self) -> None:
        if self._lines and self._lines[-1].strip("> "):
            self._words = []
            self._break()
