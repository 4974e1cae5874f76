"""Reports as CSV (RFC 4180), which a spreadsheet opens without running anything."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from typing import Any

_STARTS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_PERCENTILES = ("n", "p50", "p90", "p95", "p99")

COMPLIANCE_COLUMNS = (
    "key",
    "name",
    "metric",
    "n",
    "met",
    "breached",
    "open",
    "cancelled",
    "compliance",
    "compliance_low",
    "compliance_high",
    *(f"used_seconds_{percentile}" for percentile in _PERCENTILES),
    *(f"used_share_{percentile}" for percentile in _PERCENTILES),
)
BREACH_COLUMNS = ("metric", "cause", "n", "largest_in", "spent_seconds", "share")
TIME_COLUMNS = (
    "key",
    "n",
    *(f"elapsed_seconds_{percentile}" for percentile in _PERCENTILES[1:]),
    *(f"handled_seconds_{percentile}" for percentile in _PERCENTILES[1:]),
    "handled_seconds_sum",
)
PAUSE_COLUMNS = (
    "ticket_id",
    "number",
    "metric",
    "cycle",
    "waiting_on",
    "from_at",
    "to_at",
    "working_seconds",
    "priority",
    "group",
    "assignee",
    "target_seconds",
    "remaining_seconds",
    "breached_before",
    "shortly_before",
    "hold_event",
    "hold_sequence",
    "began_by",
    "ended_by",
    "party",
)


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """A heading and a line per row, each ended by CR LF. An object in a row gives a column for each of its fields.

    Text that a spreadsheet would take for a formula (it begins with = + - @, a tab or a line break) gets an apostrophe
    before it. Nothing is an empty cell; booleans are true and false.
    """
    text = StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        flat = _flat(row)
        writer.writerow([_cell(flat.get(column)) for column in columns])
    return text.getvalue()


def _flat(row: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        flat |= _flat(value, f"{prefix}{name}_") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def _cell(value: Any) -> Any:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str() if value.startswith(_STARTS_A_FORMULA):
            return f"'{value}"
    return value
