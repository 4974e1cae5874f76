"""What a run leaves behind, line by line: what the driver tried, what the nemesis broke, what the processes used.

A run's directory holds `attempts.jsonl`, `faults.jsonl` and `samples.jsonl`, written as they happen, so that a run that
ends badly can still be judged (`opora chaos judge`).
"""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import IO, Literal, Self, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class Outcome(StrEnum):
    """What the driver knows of a write when it stops trying."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    """Answered with a reason: it had no effect, and never will."""
    UNKNOWN = "unknown"
    """The last answer was lost or never came: it had its effect once or not at all."""


Action = Literal[
    "create",
    "replies",
    "notes",
    "assign",
    "hold",
    "resume",
    "resolve",
    "close",
    "reopen",
    "submit",
    "submit_reply",
    "submit_broken",
]
"""A verb of intake's HTTP interface, or `submit…` for an event on `opora.requests`."""


class Attempt(_Line):
    """One write under one client key, with all its repetitions."""

    key: str
    """The Idempotency-Key, or the event's id."""
    actor: Literal["customer", "agent", "foreign"]
    action: Action
    ticket_id: str | None = None
    """None where it is not known yet: a foreign event, a creation that was never answered."""
    external: tuple[str, str] | None = None
    """(source, external id) of the ticket that a foreign event speaks of."""
    started_at: AwareDatetime
    ended_at: AwareDatetime
    outcome: Outcome
    sent: int = 1
    """How often it was put on the wire, repetitions and deliberate doubles included."""
    status: int | None = None
    """The last HTTP status, if there was one."""
    version: int | None = None
    """The ticket's version that the acknowledgement told."""


class Injected(_Line):
    """One fault as it really happened."""

    name: str
    """As the plan calls it, e.g. `kill`, `broker_down`, `smtp_4xx`."""
    target: str
    """A process (`sla-consume-2`), a server (`kafka`, `postgres`, `smtp`, `webhook`) or a link (`sla>kafka`)."""
    began_at: AwareDatetime
    ended_at: AwareDatetime
    """When it was healed: for a kill, when the process was ready again."""
    detail: str = ""
    came_to_nothing: bool = False
    """Whether another fault had taken away what this one needs; `detail` says what it met."""


class Sample(_Line):
    """What one process used at one moment."""

    process: str
    pid: int
    at: AwareDatetime
    resident_bytes: int
    database_connections: int
    tasks: int
    """Tasks of its event loop."""


Line = TypeVar("Line", bound=_Line)


class Journal:
    """Appends lines to a run's files, each flushed before `write` returns. Use as a context manager."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files: dict[str, IO[str]] = {}

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        for name in _FILES.values():
            self._files[name] = (self._directory / name).open("a")
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def write(self, line: Attempt | Injected | Sample) -> None:
        """Append one line."""
        file = self._files[_FILES[type(line)]]
        file.write(line.model_dump_json() + "\n")
        file.flush()


def read_lines(directory: Path, kind: type[Line]) -> list[Line]:
    """Every line of one kind, in the order in which it was written; an unfinished last line is left out."""
    return list(_read(directory / _FILES[kind], kind))


def _read(path: Path, kind: type[Line]) -> Iterator[Line]:
    if not path.exists():
        return
    with path.open() as file:
        for text in file:
            if text.endswith("\n"):
                yield kind.model_validate_json(text)


_FILES: dict[type[_Line], str] = {
    Attempt: "attempts.jsonl",
    Injected: "faults.jsonl",
    Sample: "samples.jsonl",
}
