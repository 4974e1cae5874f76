"""Histories from a log file, read as `opora replay` reads it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from opora_cli.replay.entries import Entry, Format, MalformedLine, UnreadableLogError, convert_file
from opora_cli.replay.facts import ticket_facts
from opora_cli.replay.italian import italian_format
from opora_cli.replay.run import RefusedEntry
from opora_cli.replay.servicenow import IncidentRow, servicenow_format
from opora_sla.agreement import dimensions_of
from opora_sla.simulation import History

_RECORDED = {"true": True, "false": False}


@dataclass(slots=True)
class Log:
    """A log that was read, to be gone through once."""

    format_name: str
    judged_at: datetime
    """The time of its last entry: until then it is complete."""
    rows: int
    malformed: list[MalformedLine]
    refused: list[RefusedEntry] = field(default_factory=list)
    """Entries that intake would not have taken, known once the histories were gone through."""
    _entries: dict[str, list[Entry]] = field(default_factory=dict)
    _recorded: dict[str, bool] = field(default_factory=dict)

    @property
    def tickets(self) -> int:
        """How many tickets are still to be gone through."""
        return len(self._entries)

    def histories(self) -> Iterator[History]:
        """Each ticket in the order in which the file names them first; its entries are let go of."""
        for source_id in list(self._entries):
            told = ticket_facts(self._entries.pop(source_id), self.format_name)
            if told.refused is not None:
                self.refused.append(told.refused)
            if told.created is not None:
                yield History(source_id, dimensions_of(told.created), told.facts, self._recorded.get(source_id))


def read_log(
    format_name: str,
    path: Path,
    time_zone: ZoneInfo,
    *,
    limit: int | None = None,
    on_row: Callable[[int], None] | None = None,
) -> Log:
    """Read the file, whose local times are of that zone; with `limit`, only its first so many tickets.

    Raises UnreadableLogError when it is not the log that was named, or holds no ticket.
    """
    recorded: dict[str, tuple[datetime, bool]] = {}
    log_format: Format[Any] = italian_format(time_zone)
    if format_name == "servicenow":
        log_format = _noting_what_is_recorded(servicenow_format(time_zone), recorded)
    converted = convert_file(path, log_format, limit=limit, on_row=on_row)
    if not converted.entries:
        raise UnreadableLogError(f"{path} holds no ticket that could be read")
    entries: dict[str, list[Entry]] = {source_id: [] for source_id in converted.source_ids}
    for entry in converted.entries:
        entries[entry.source_id].append(entry)
    return Log(
        format_name=format_name,
        judged_at=converted.entries[-1].at,
        rows=converted.rows,
        malformed=converted.malformed,
        _entries=entries,
        _recorded={source_id: made for source_id, (_, made) in recorded.items()},
    )


def _noting_what_is_recorded(
    log_format: Format[IncidentRow], recorded: dict[str, tuple[datetime, bool]]
) -> Format[IncidentRow]:
    """The same format; beside it, what each incident's latest row says in `made_sla`, where the log has that column."""

    def read_row(values: dict[str, str]) -> IncidentRow:
        row = log_format.read_row(values)
        made = _RECORDED.get(values.get("made_sla", "").strip().lower())
        known = recorded.get(row.source_id)
        if made is not None and (known is None or row.at >= known[0]):
            recorded[row.source_id] = (row.at, made)
        return row

    return replace(log_format, read_row=read_row, optional_columns=("made_sla",))
