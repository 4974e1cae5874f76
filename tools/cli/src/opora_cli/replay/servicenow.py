"""ServiceNow's incident event log (the UCI "incident management process" data set): rows → entries.

Every row is a snapshot of one incident, written at `sys_updated_at`. What becomes of it:

* **Times** are `D/M/YYYY HH:MM` without a zone: local times of the agreement's `time_zone`.
* **No future value is used.** `resolved_at`, `closed_at`, `resolved_by`, `closed_code` and `made_sla` hold, on every
  row, what was known at the very end; no code here reads them. A state takes effect at its own `sys_updated_at`.
* The ticket is **created at `opened_at`**, with the impact, urgency, category and channel of its first row.
  Five incidents have a first row that is dated before `opened_at`: such a row takes effect at `opened_at`.
* **States**: `New` = received; `Active` = assessed, being worked on; `Awaiting User Info` and `Awaiting Evidence` = on
  hold for the customer; `Awaiting Vendor` = on hold for a third party; `Awaiting Problem` = on hold for a change (the
  cure of the underlying problem); `Resolved` = resolved; `Closed` = closed. `-100` is ServiceNow's mark for a missing
  value: the state before it goes on. Any other word makes the line malformed.
* An open state after `Resolved` or `Closed` is a **reopening**, unless the row is stale: one whose `sys_mod_count` is
  lower than one already seen although its time is later (one incident of the full file). A stale row is left out.
* A repeated `Resolved` or `Closed`, and every row that changes nothing that Opora keeps, makes no entry.
* **Priority** is the log's `priority` (1 - Critical … 4 - Low → P1 … P4), with its impact and urgency; a change on a
  later row is a new assessment from that row's time on.
* `assignment_group` and `assigned_to` are an assignment at the time of the row that first shows them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from opora_cli.replay.entries import Entry, Format, LineError
from opora_cli.replay.journal import Journal

_MISSING = "?"
_NEW, _RESOLVED, _CLOSED, _UNSAID = "New", "Resolved", "Closed", "-100"
_WAITING_ON = {
    "Awaiting User Info": "customer",
    "Awaiting Evidence": "customer",
    "Awaiting Vendor": "third_party",
    "Awaiting Problem": "change",
}
_STATES = frozenset({_NEW, "Active", _RESOLVED, _CLOSED, _UNSAID, *_WAITING_ON})
_LEVELS = {"1 - High": "high", "2 - Medium": "medium", "3 - Low": "low"}
_PRIORITIES = {"1 - Critical": "P1", "2 - High": "P2", "3 - Moderate": "P3", "4 - Low": "P4", "5 - Planning": "P5"}
_CHANNELS = {"Phone": "phone", "IVR": "phone", "Self service": "web", "Email": "email"}
_COLUMNS = (
    "number",
    "incident_state",
    "opened_at",
    "sys_updated_at",
    "sys_mod_count",
    "contact_type",
    "category",
    "subcategory",
    "impact",
    "urgency",
    "priority",
    "assignment_group",
    "assigned_to",
)


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """One row of the log, with the columns that are used."""

    source_id: str
    at: datetime
    opened_at: datetime
    state: str
    modification: int
    channel: str
    category: str | None
    subcategory: str | None
    impact: str
    urgency: str
    priority: str
    group: str | None
    assignee: str | None

    @property
    def is_open(self) -> bool:
        """Whether the row shows the incident neither resolved nor closed."""
        return self.state not in {_RESOLVED, _CLOSED, _UNSAID}


def servicenow_format(time_zone: ZoneInfo) -> Format[IncidentRow]:
    """The format of the log whose local times are of this zone."""
    return Format(
        name="servicenow",
        columns=_COLUMNS,
        source_id_column="number",
        read_row=_row_reader(time_zone),
        convert=convert_incident,
    )


def convert_incident(rows: Sequence[IncidentRow]) -> list[Entry]:
    """The entries of one incident from its rows in time order; at least a creation."""
    first = rows[0]
    journal = Journal(first.source_id)
    journal.create(
        first.opened_at,
        title=_title(first),
        channel=first.channel,
        kind="incident",
        impact=first.impact,
        urgency=first.urgency,
        priority=first.priority,
        category=first.category,
    )
    newest_modification = 0
    for row in rows:
        stale = journal.is_done and row.is_open and row.modification < newest_modification
        if not stale:
            newest_modification = max(newest_modification, row.modification) if row.at >= row.opened_at else 0
            _follow(journal, row, max(row.at, row.opened_at))
    return journal.entries


def _follow(journal: Journal, row: IncidentRow, at: datetime) -> None:
    """Add what this row changes; the order within a row is the order in which a desk would do it."""
    if journal.is_done and row.is_open:
        journal.reopen(at)
    journal.assess(
        at,
        impact=row.impact,
        urgency=row.urgency,
        priority=row.priority,
        category=row.category,
        working=row.is_open and row.state != _NEW,
    )
    journal.assign(at, group=row.group, assignee=row.assignee)
    if row.state in _WAITING_ON:
        journal.hold(at, _WAITING_ON[row.state])
    elif row.is_open:
        journal.resume(at)
    elif row.state == _RESOLVED:
        journal.resolve(at)
    elif row.state == _CLOSED:
        journal.close(at)


def _title(row: IncidentRow) -> str:
    topic = " / ".join(part for part in (row.category, row.subcategory) if part)
    return f"{row.source_id}: {topic}" if topic else row.source_id


def _row_reader(time_zone: ZoneInfo) -> Callable[[dict[str, str]], IncidentRow]:
    def read(values: dict[str, str]) -> IncidentRow:
        source_id = values["number"].strip()
        if source_id in {"", _MISSING}:
            raise LineError("number is empty; expected the incident's number")
        state = values["incident_state"]
        if state not in _STATES:
            raise LineError(f"incident_state {state!r} is unknown; expected one of {', '.join(sorted(_STATES))}")
        return IncidentRow(
            source_id=source_id,
            at=_instant("sys_updated_at", values, time_zone),
            opened_at=_instant("opened_at", values, time_zone),
            state=state,
            modification=_count("sys_mod_count", values),
            channel=_CHANNELS.get(values["contact_type"], "other"),
            category=_known(values["category"]),
            subcategory=_known(values["subcategory"]),
            impact=_mapped("impact", values, _LEVELS),
            urgency=_mapped("urgency", values, _LEVELS),
            priority=_mapped("priority", values, _PRIORITIES),
            group=_known(values["assignment_group"]),
            assignee=_known(values["assigned_to"]),
        )

    return read


def _known(value: str) -> str | None:
    text = value.strip()
    return None if text in {"", _MISSING} else text


def _mapped(column: str, values: dict[str, str], words: dict[str, str]) -> str:
    word = words.get(values[column].strip())
    if word is None:
        raise LineError(f"{column} {values[column]!r} is unknown; expected one of {', '.join(words)}")
    return word


def _count(column: str, values: dict[str, str]) -> int:
    try:
        return int(values[column])
    except ValueError:
        raise LineError(f"{column} {values[column]!r} is not a number") from None


def _instant(column: str, values: dict[str, str], time_zone: ZoneInfo) -> datetime:
    text = values[column]
    try:
        date, _, time = text.strip().partition(" ")
        day, month, year = date.split("/")
        hour, minute = time.split(":")
        local = datetime(int(year), int(month), int(day), int(hour), int(minute), tzinfo=time_zone)
        return local.astimezone(UTC)
    except (ValueError, OverflowError):
        raise LineError(f"{column} {text!r} is not a time; expected D/M/YYYY HH:MM") from None
