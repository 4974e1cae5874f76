"""A second, separate reading of ServiceNow's incident log for the referee, and a small log of our own.

Nothing here is shared with the converter that is judged by it.
"""

import csv
import gzip
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.oracle.sla_oracle import Row

WAITING = {
    "Awaiting User Info": "customer",
    "Awaiting Evidence": "customer",
    "Awaiting Vendor": "third_party",
    "Awaiting Problem": "change",
}
PRIORITIES = {"P1": "1 - Critical", "P2": "2 - High", "P3": "3 - Moderate", "P4": "4 - Low"}
_CODES = {word: code for code, word in PRIORITIES.items()}
_COLUMNS = (
    *("number", "incident_state", "opened_at", "sys_updated_at", "sys_mod_count", "contact_type", "category"),
    *("subcategory", "impact", "urgency", "priority", "assignment_group", "assigned_to"),
)


def incidents(path: Path) -> dict[str, list[dict[str, str]]]:
    """The rows of each incident, in the order of the file; lines that are too short are left out."""
    found: dict[str, list[dict[str, str]]] = defaultdict(list)
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["priority"] is not None:
                found[row["number"]].append(row)
    return dict(found)


def referee_rows(rows: list[dict[str, str]], zone: ZoneInfo) -> list[Row]:
    """What happened to one incident in the referee's words: only what was known when each row was written."""
    first = rows[0]
    opened_at = _utc(first["opened_at"], zone)
    told = [Row(opened_at, "created", priority=_CODES[first["priority"]])]
    story = _Story(priority=_CODES[first["priority"]])
    for written_at, row in sorted(((_utc(row["sys_updated_at"], zone), row) for row in rows), key=lambda pair: pair[0]):
        at = max(written_at, opened_at)
        for kind, values in story.read(row):
            told.append(Row(at, kind, **values))
    return told


@dataclass
class _Story:
    priority: str
    step: str = "open"
    waiting_on: str | None = None
    newest: int = 0

    def read(self, row: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
        state, modification = row["incident_state"], int(row["sys_mod_count"])
        works = state not in {"Resolved", "Closed", "-100"}
        if self.step != "open" and works and modification < self.newest:
            return  # written late: an older state of an incident that has ended
        self.newest = max(self.newest, modification)
        if self.step != "open" and works:
            self.step = "open"
            yield "reopened", {}
        priority = _CODES[row["priority"]]
        if self.step == "open" and priority != self.priority:
            self.priority = priority
            yield "assessed", {"priority": priority}
        wanted = WAITING.get(state) if works or state != "-100" else self.waiting_on
        if wanted != self.waiting_on:
            self.waiting_on = wanted
            yield ("held" if wanted else "resumed"), {"waiting_on": wanted}
        if state in {"Resolved", "Closed"} and self.step == "open":
            self.step = "resolved"
            yield "resolved", {}
        if state == "Closed" and self.step == "resolved":
            self.step = "closed"
            yield "closed", {}


def has_ended(told: list[Row]) -> bool:
    """Whether nothing of the incident is open at its last row: then the log's end is of no account."""
    return told[-1].kind == "closed"


def write_log(path: Path, *, tickets: int, seed: int) -> int:
    """A log of our own, the same for the same seed, with one line in it that is broken; returns that line's number."""
    chance = random.Random(seed)  # noqa: S311  a made-up log needs no secrets
    rows = [row for number in range(tickets) for row in _incident(f"INC{number:07}", chance)]
    lines = [",".join(_COLUMNS), *(",".join(row[column] for column in _COLUMNS) for row in rows)]
    broken = len(lines) // 2
    lines.insert(broken, "INC9999999,New,what is this")
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    return broken + 1


@dataclass
class _Desk:
    """One made-up incident while its rows are written."""

    number: str
    at: datetime
    opened: str = ""
    priority: str = "P3"
    rows: list[dict[str, str]] = field(default_factory=list)

    def write(self, state: str) -> None:
        words = {"impact": "2 - Medium", "urgency": "2 - Medium", "priority": PRIORITIES[self.priority]}
        values = {
            **words,
            "number": self.number,
            "incident_state": state,
            "opened_at": self.opened,
            "sys_updated_at": _written(self.at),
            "sys_mod_count": str(len(self.rows)),
            "contact_type": "Phone",
            "category": "Category 7",
        }
        self.rows.append({column: values.get(column, "?") for column in _COLUMNS})


def _incident(number: str, chance: random.Random) -> list[dict[str, str]]:
    """Weeks around both changes of the clocks, holds of every kind, changed priorities, reopenings, some left open."""
    start = datetime(2016, chance.choice([3, 10]), 20)  # noqa: DTZ001  the log's local times have no zone
    desk = _Desk(number, start + timedelta(minutes=chance.randrange(18 * 24 * 60)))
    desk.opened, desk.priority = _written(desk.at), chance.choice(list(PRIORITIES))
    desk.write("New")
    for _ in range(chance.randint(1, 5)):
        desk.at += timedelta(minutes=round(chance.expovariate(1 / 240)))
        if chance.random() < 0.2:
            desk.priority = chance.choice(list(PRIORITIES))
        desk.write(chance.choice(["Active", "Active", "Active", *WAITING]))
    for reopened in range(3):
        desk.at += timedelta(minutes=round(chance.expovariate(1 / 300)))
        if chance.random() < 0.1:
            break  # left as it is
        desk.write("Resolved")
        desk.at += timedelta(minutes=round(chance.expovariate(1 / 900)))
        if reopened == 2 or chance.random() < 0.75:
            desk.write("Closed")
            break
        desk.write("Active")
    return desk.rows


def _written(at: datetime) -> str:
    return f"{at.day}/{at.month}/{at.year} {at:%H:%M}"


def _utc(text: str, zone: ZoneInfo) -> datetime:
    day, month, rest = text.split("/")
    year, clock = rest.split(" ")
    hour, minute = clock.split(":")
    return datetime(int(year), int(month), int(day), int(hour), int(minute), tzinfo=zone).astimezone(UTC)
