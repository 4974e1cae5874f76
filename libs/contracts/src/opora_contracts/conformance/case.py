"""A case of the conformance kit: records as a foreign publisher could send them, and how the platform must answer."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from opora_contracts.errors import ReasonCode

SOURCE = "//conformance.example/"
_RUN_NAME = re.compile(r"[a-z0-9]{1,32}")


class Standing(StrEnum):
    """What sort of input a case is."""

    VALID = "valid"
    BORDERLINE = "borderline"
    """At the edge of what is allowed, or unusual and allowed."""
    BROKEN = "broken"


class Answer(StrEnum):
    """What becomes of a record."""

    TICKET = "ticket"
    """One ticket is opened."""
    MESSAGE = "message"
    """One message is added to the ticket."""
    NOTHING_MORE = "nothing more"
    """A repetition: what it asks for has happened, and happens no second time."""
    SKIPPED = "skipped"
    """It is passed over and counted."""
    DEAD_LETTER = "dead letter"
    """It is put aside with a reason, and its key is parked."""
    REFUSED_BY_BROKER = "refused by the broker"
    """It never stands on the topic; where the broker's limit is higher, it becomes a dead letter."""


class Compression(StrEnum):
    """How a producer compresses the batch in which a record travels."""

    NONE = "none"
    GZIP = "gzip"
    SNAPPY = "snappy"
    LZ4 = "lz4"
    ZSTD = "zstd"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the cases. Its name makes sources, ids and keys unique: the same run twice is a repetition.

    Raises ValueError for a name that is not 1 to 32 small letters and digits.
    """

    name: str

    def __post_init__(self) -> None:
        if _RUN_NAME.fullmatch(self.name) is None:
            raise ValueError(f"{self.name!r} cannot name a run: 1 to 32 letters a-z and digits")

    @property
    def source(self) -> str:
        """The `ce_source` of the run's events, but for the cases that are about sources."""
        return SOURCE + self.name

    def identity(self, case: str) -> str:
        """The id, the subject and the key of a case's event, but for the cases that are about these."""
        return f"{case}.{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A record as it is published on opora.requests."""

    key: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    value: bytes | None
    source: str
    """With `subject`: where a ticket would stand, if the record opened one."""
    subject: str
    compression: Compression = Compression.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The answer that the contract promises."""

    answer: Answer
    fields: Mapping[str, Any] = field(default_factory=dict)
    """What the ticket shows, by the names of intake's API."""
    message: str | None = None
    """The text of the message that is added."""
    reason_code: str | None = None
    """Of the dead letter."""
    reason: str = ""
    """A part of the dead letter's reason."""


RecordOf = Callable[[Run, str], Record]
"""Makes a record for a run; the text is unique to the case and the run: the event's id, subject and key."""


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table."""

    name: str
    what: str
    """The input, in words."""
    standing: Standing
    record: RecordOf
    """The record under test."""
    expected: Expected
    before: RecordOf | None = None
    """What is published first, with the same key."""
    opened_before: bool = True
    """Whether `before`, if any, opens a ticket; else it becomes a dead letter."""

    def records(self, run: Run) -> Sequence[Record]:
        """What is published, in order; the last one is the record under test."""
        identity = run.identity(self.name)
        makers = (self.record,) if self.before is None else (self.before, self.record)
        return [make(run, identity) for make in makers]

    @property
    def tickets(self) -> int:
        """How many tickets stand under the source and subject of the record in the end."""
        if self.before is not None:
            return int(self.opened_before)
        return int(self.expected.answer is Answer.TICKET)

    @property
    def undecodable(self) -> ReasonCode | None:
        """The code with which `opora_contracts.decode` refuses the record under test; None when it reads it."""
        codes = {str(code): code for code in ReasonCode}
        return codes.get(self.expected.reason_code or "")


def ticket(**fields: Any) -> Expected:
    """One ticket that shows these fields."""
    return Expected(answer=Answer.TICKET, fields=fields)


def dead_letter(reason_code: str, reason: str) -> Expected:
    """A dead letter with this code, whose reason holds this phrase."""
    return Expected(answer=Answer.DEAD_LETTER, reason_code=reason_code, reason=reason)
