"""Events in files: one structured CloudEvent, an array of them, or one after the other (JSON lines), each judged.

Nothing is interpreted twice: a document is cut into the very bytes of its events, and `decode_structured` judges each.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from opora_contracts.attributes import reserved_source_problem, shown
from opora_contracts.codec import UnknownEvent, decode_structured
from opora_contracts.errors import UndecodableEvent
from opora_contracts.event import Event
from opora_contracts.fact import Fact
from opora_contracts.publishing import is_open
from opora_contracts.topics import Topic, topic_of

UNKNOWN_TYPE = "unknown_type"
RESERVED_SOURCE = "reserved_source"

_WHITESPACE = " \t\r\n"
_LINE_NUMBER = re.compile(r"\bat line (\d+)\b")
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Document:
    """The bytes of one event in a file."""

    where: str
    """`event 3`, or empty for the only one."""
    line: int
    """The line of the file on which it begins."""
    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether Opora would take an event, and if not, exactly why."""

    where: str
    line: int
    event: Event[Fact] | None = None
    """What was read, when it is valid."""
    type: str | None = None
    version: int | None = None
    topic: Topic | None = None
    reason: str | None = None
    """A code of `ReasonCode`, `unknown_type` or `reserved_source`; None when it is valid."""
    detail: str = ""
    ignored_fields: tuple[str, ...] = ()
    """Fields that the type does not have: readers pass over them."""

    @property
    def valid(self) -> bool:
        """Whether Opora would take it."""
        return self.reason is None


def judge(raw: bytes) -> list[Verdict]:
    """A verdict for each event of a file, in order; empty for a file that holds nothing but white space."""
    return [_judged(document) for document in documents(raw)]


def documents(raw: bytes) -> list[Document]:
    """The events of a file. What cannot be cut apart is one document, so that its reader says what is wrong with it."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return [Document("", 1, raw)]
    if not text.strip(_WHITESPACE):
        return []
    is_array = text.lstrip(_WHITESPACE).startswith("[")
    try:
        spans = list(_elements(text) if is_array else _values(text))
    except (ValueError, RecursionError):
        spans, is_array = ([] if is_array else _lines(text)), False
    if not is_array and len(spans) <= 1:
        return [Document("", 1, raw)]
    found: list[Document] = []
    line, counted_to = 1, 0
    for number, (begin, end) in enumerate(spans, start=1):
        line += text.count("\n", counted_to, begin)
        counted_to = begin
        found.append(Document(f"event {number}", line, text[begin:end].encode()))
    return found


def _judged(document: Document) -> Verdict:
    ignored: list[str] = []
    where, line = document.where, document.line
    try:
        event = decode_structured(document.raw, on_unknown_fields=lambda _, names: ignored.extend(names))
    except UndecodableEvent as error:
        detail = _LINE_NUMBER.sub(lambda found: f"at line {int(found[1]) + line - 1}", error.detail)
        return Verdict(where=where, line=line, reason=error.reason_code, detail=detail)
    if isinstance(event, UnknownEvent):
        detail = f"no event type is called {shown(event.type)}; `opora contracts list` names them all"
        return Verdict(where=where, line=line, type=event.type, reason=UNKNOWN_TYPE, detail=detail)
    topic = topic_of(event.data)
    if is_open(topic) and (problem := reserved_source_problem(event.source)) is not None:
        return Verdict(
            where=where,
            line=line,
            type=event.type,
            version=event.version,
            topic=topic,
            reason=RESERVED_SOURCE,
            detail=f"attribute {problem}",
        )
    return Verdict(
        where=where,
        line=line,
        event=event,
        type=event.type,
        version=event.version,
        topic=topic,
        ignored_fields=tuple(ignored),
    )


def _values(text: str) -> Iterator[tuple[int, int]]:
    """JSON values, one after the other, with white space between them. Raises ValueError or RecursionError."""
    position = _skipped(text, 0)
    while position < len(text):
        _, end = _DECODER.raw_decode(text, position)
        yield position, end
        position = _skipped(text, end)


def _elements(text: str) -> Iterator[tuple[int, int]]:
    """The elements of one JSON array. Raises ValueError or RecursionError."""
    position = _skipped(text, _skipped(text, 0) + 1)
    if text[position : position + 1] == "]":
        _require_end(text, position + 1)
        return
    while True:
        _, end = _DECODER.raw_decode(text, position)
        yield position, end
        position = _skipped(text, end)
        if text[position : position + 1] == "]":
            _require_end(text, position + 1)
            return
        if text[position : position + 1] != ",":
            raise ValueError("expected , or ]")
        position = _skipped(text, position + 1)


def _lines(text: str) -> list[tuple[int, int]]:
    """Each line that is not blank, where one of them is an event by itself; else none."""
    spans, position = [], 0
    for line in text.split("\n"):
        if line.strip(_WHITESPACE):
            spans.append((position, position + len(line)))
        position += len(line) + 1
    return spans if any(_is_object(text[begin:end]) for begin, end in spans) else []


def _is_object(line: str) -> bool:
    try:
        return isinstance(_DECODER.decode(line), dict)
    except (ValueError, RecursionError):
        return False


def _require_end(text: str, position: int) -> None:
    if _skipped(text, position) != len(text):
        raise ValueError("something follows the array")


def _skipped(text: str, position: int) -> int:
    while position < len(text) and text[position] in _WHITESPACE:
        position += 1
    return position
