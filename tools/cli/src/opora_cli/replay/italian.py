"""The Italian software company's help desk log (4TU, 2010–2014): rows → entries.

Every row is one completed activity of one ticket at `Complete Timestamp`. What becomes of it:

* **Times** are `YYYY/MM/DD HH:MM:SS.mmm` without a zone: local times of the agreement's `time_zone`.
* A ticket **starts with its first activity**, whatever that is, with the values of that row.
* **Priority** is `seriousness_2` (the column `seriousness` is constant). Its values were anonymised to `Value 1` …
  `Value 4`, so that their order is unknown; the number is kept: `Value n` → P*n*, with an impact and urgency of that
  place in Opora's matrix. A change on a later row is a new assessment from that row's time on.
* `Insert ticket` = received. `Assign seriousness` = assessed. `Take in charge ticket` = assigned to its `workgroup`
  and `Resource`, and assessed. `Create SW anomaly` = diagnosed (the cause is a fault of the software).
  `Require upgrade` and `Schedule intervention` = planned. `Wait` = on hold for the customer, until the next activity
  that is work on the ticket.
* `Resolve ticket` = resolved, `Closed` = closed. A second `Resolve ticket` without anything in between says that the
  ticket had been **reopened**; since nothing says when, it is reopened and resolved at that instant. Any other work
  after `Resolve ticket` or `Closed` reopens it at that work's time.
* `Resolve SW anomaly`, `VERIFIED`, `RESOLVED`, `INVALID` and `DUPLICATE` are states of the fault's own record, not of
  the ticket: they make no entry and end no wait. Any other word makes the line malformed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from opora_cli.replay.entries import Entry, Format, LineError
from opora_cli.replay.journal import Journal

_INSERT, _ASSIGN_SERIOUSNESS, _TAKE_IN_CHARGE = "Insert ticket", "Assign seriousness", "Take in charge ticket"
_ANOMALY, _WAIT, _RESOLVE, _CLOSED = "Create SW anomaly", "Wait", "Resolve ticket", "Closed"
_PLANNING = frozenset({"Require upgrade", "Schedule intervention"})
_OF_THE_ANOMALY = frozenset({"Resolve SW anomaly", "VERIFIED", "RESOLVED", "INVALID", "DUPLICATE"})
_ACTIVITIES = frozenset({_INSERT, _ASSIGN_SERIOUSNESS, _TAKE_IN_CHARGE, _ANOMALY, _WAIT, _RESOLVE, _CLOSED})
_KNOWN = _ACTIVITIES | _PLANNING | _OF_THE_ANOMALY
_ASSESSMENTS = {
    "Value 1": ("P1", "high", "high"),
    "Value 2": ("P2", "high", "medium"),
    "Value 3": ("P3", "medium", "medium"),
    "Value 4": ("P4", "medium", "low"),
}
_COLUMNS = (
    "Case ID",
    "Activity",
    "Resource",
    "Complete Timestamp",
    "product",
    "seriousness_2",
    "service_type",
    "workgroup",
)


@dataclass(frozen=True, slots=True)
class ActivityRow:
    """One row of the log, with the columns that are used."""

    source_id: str
    at: datetime
    activity: str
    resource: str
    workgroup: str
    product: str
    service_type: str
    priority: str
    impact: str
    urgency: str


def italian_format(time_zone: ZoneInfo) -> Format[ActivityRow]:
    """The format of the log whose local times are of this zone."""
    return Format(
        name="italian",
        columns=_COLUMNS,
        source_id_column="Case ID",
        read_row=_row_reader(time_zone),
        convert=convert_ticket,
    )


def convert_ticket(rows: Sequence[ActivityRow]) -> list[Entry]:
    """The entries of one ticket from its activities in time order; at least a creation."""
    first = rows[0]
    journal = Journal(first.source_id)
    journal.create(
        first.at,
        title=f"{first.source_id}: {first.service_type}",
        channel="other",
        kind="incident",
        impact=first.impact,
        urgency=first.urgency,
        priority=first.priority,
        category=first.service_type,
        product=first.product,
    )
    for row in rows:
        if row.activity not in _OF_THE_ANOMALY:
            _follow(journal, row)
    return journal.entries


def _follow(journal: Journal, row: ActivityRow) -> None:
    """Add what this activity changes."""
    if row.activity == _CLOSED:
        journal.close(row.at)
        return
    journal.reopen(row.at)
    journal.assess(
        row.at,
        impact=row.impact,
        urgency=row.urgency,
        priority=row.priority,
        category=row.service_type,
        working=row.activity in {_ASSIGN_SERIOUSNESS, _TAKE_IN_CHARGE},
    )
    if row.activity == _WAIT:
        journal.hold(row.at, "customer")
        return
    if row.activity == _RESOLVE:
        journal.resolve(row.at)
        return
    journal.resume(row.at)
    if row.activity == _TAKE_IN_CHARGE:
        journal.assign(row.at, group=row.workgroup, assignee=row.resource)
    elif row.activity == _ANOMALY:
        journal.diagnose(row.at, "a fault of the software")
    elif row.activity in _PLANNING:
        journal.plan(row.at)


def _row_reader(time_zone: ZoneInfo) -> Callable[[dict[str, str]], ActivityRow]:
    def read(values: dict[str, str]) -> ActivityRow:
        source_id = values["Case ID"].strip()
        if not source_id:
            raise LineError("Case ID is empty; expected the ticket's name")
        activity = values["Activity"].strip()
        if activity not in _KNOWN:
            raise LineError(f"Activity {activity!r} is unknown; expected one of {', '.join(sorted(_KNOWN))}")
        assessment = _ASSESSMENTS.get(values["seriousness_2"].strip())
        if assessment is None:
            raise LineError(
                f"seriousness_2 {values['seriousness_2']!r} is unknown; expected one of {', '.join(_ASSESSMENTS)}"
            )
        priority, impact, urgency = assessment
        return ActivityRow(
            source_id=source_id,
            at=_instant(values["Complete Timestamp"], time_zone),
            activity=activity,
            resource=f"Resource {values['Resource'].strip()}",
            workgroup=f"Workgroup {values['workgroup'].strip()}",
            product=f"Product {values['product'].strip()}",
            service_type=f"Service type {values['service_type'].strip()}",
            priority=priority,
            impact=impact,
            urgency=urgency,
        )

    return read


def _instant(text: str, time_zone: ZoneInfo) -> datetime:
    try:
        local = datetime.strptime(text.strip(), "%Y/%m/%d %H:%M:%S.%f").replace(tzinfo=time_zone)
        return local.astimezone(UTC)
    except (ValueError, OverflowError):
        raise LineError(f"Complete Timestamp {text!r} is not a time; expected YYYY/MM/DD HH:MM:SS.mmm") from None
