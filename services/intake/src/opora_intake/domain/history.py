"""Entries of an import of history: which are new, and what they ask for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from opora_contracts.fact import Identifier, Instant, ShortText
from opora_intake.domain.commands import ACTIONS, Command, Open
from opora_intake.domain.errors import RuleBroken

MAX_ENTRIES = 2_000


class HistoryEntry(BaseModel):
    """One thing that happened to one case of the foreign log."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    source_id: ShortText
    """The log's name of the case."""
    ordinal: Annotated[int, Field(ge=1, le=2_000_000_000)]
    """1, 2, 3 … per source_id: an entry whose ordinal was applied is skipped."""
    at: Instant
    """When it happened."""
    action: Identifier
    """`create`, or the verb of a command."""
    data: dict[str, Any] = {}
    """The fields of the command."""
    actor: Identifier | None = None
    """Who did it; absent: whoever imports."""


@dataclass
class OrdinalGap(RuleBroken):
    """An entry of this case is missing; nothing of the request was applied."""

    source_id: str
    expected: int
    given: int

    def __str__(self) -> str:
        return f"{self.source_id} goes on with ordinal {self.expected}, not {self.given}"


@dataclass
class BadEntry(RuleBroken):
    """The entry asks for nothing that can be understood."""

    reason: str

    def __str__(self) -> str:
        return self.reason


def fresh_entries(entries: Sequence[HistoryEntry], applied: Mapping[str, int]) -> list[tuple[int, HistoryEntry]]:
    """Those entries, with their index, that were not applied before. Raises OrdinalGap."""
    reached = dict(applied)
    fresh: list[tuple[int, HistoryEntry]] = []
    for index, entry in enumerate(entries):
        expected = reached.get(entry.source_id, 0) + 1
        if entry.ordinal > expected:
            raise OrdinalGap(entry.source_id, expected, entry.ordinal)
        if entry.ordinal == expected:
            reached[entry.source_id] = expected
            fresh.append((index, entry))
    return fresh


def command_of(entry: HistoryEntry) -> Command:
    """What the entry asks for. Raises BadEntry."""
    command_type: type[Command] | None = Open if entry.action == Open.action else ACTIONS.get(entry.action)
    if command_type is None:
        raise BadEntry(f"Unknown action {entry.action}: use one of {', '.join((Open.action, *ACTIONS))}")
    try:
        return command_type.model_validate(entry.data)
    except ValidationError as error:
        raise BadEntry(problem_text(error)) from error


def problem_text(error: ValidationError) -> str:
    """What is wrong with which field, in one line."""
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or 'data'}: {problem['msg']}" for problem in error.errors()
    )
