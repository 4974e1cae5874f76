"""An independent, slow referee for the resolution metric: it lives through a ticket minute by minute.

It shares nothing with the service but the agreement's JSON and the rules in words. All times must be whole minutes
(aware), as in the real logs. Nothing here is clever on purpose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
TEN_YEARS = timedelta(days=3_653)
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Row(NamedTuple):
    """One line of a ticket's log: created, assessed, held, resumed, resolved, closed or reopened."""

    at: datetime
    kind: str
    priority: str | None = None
    waiting_on: str | None = None


@dataclass(frozen=True)
class _Hours:
    """The calendar part of an agreement."""

    time_zone: str
    weekly: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] | None
    holidays: frozenset[str]


@dataclass
class _State:
    """One clock, the ticket's latest with this or an earlier cycle."""

    used: int = 0
    target: int | None = None
    live: bool = False
    outcome: str | None = None
    due_at: datetime | None = None
    missed_target: int | None = None
    used_when_cancelled: int | None = None


@dataclass
class _Ticket:
    priority: str = ""
    waiting_on: str | None = None


def judge(rows: Sequence[Row], agreement: dict[str, Any], end_of_log: datetime) -> dict[str, Any] | None:
    """How the ticket's last resolution clock stands at `end_of_log`: due_at, outcome, used_seconds, target_seconds.

    `rows` are in the order of the log, which is the order of time, the first one `created`. None when the ticket never
    had a priority with a target.
    """
    pauses = set(agreement["metrics"]["resolution"].get("pauses", ["customer"]))
    hours, ticket = _hours(agreement), _Ticket()
    clocks: list[_State] = []
    waiting_rows = list(rows)
    minute = rows[0].at.astimezone(UTC)
    end_of_log = max(end_of_log.astimezone(UTC), rows[-1].at.astimezone(UTC))
    while True:
        while waiting_rows and waiting_rows[0].at <= minute:
            _happen(waiting_rows.pop(0), minute, ticket, clocks, agreement)
        if minute >= end_of_log:
            break
        _live_one_minute(clocks[-1], hours, minute, paused=ticket.waiting_on in pauses)
        minute += MINUTE
    spoken = [state for state in clocks if state.outcome]
    if not spoken:
        return None
    last = spoken[-1]
    if last.outcome == "open":
        last.due_at = _foreseen(last, hours, minute, paused=ticket.waiting_on in pauses)
    return {
        "due_at": last.due_at,
        "outcome": last.outcome,
        "used_seconds": last.used_when_cancelled if last.outcome == "cancelled" else last.used,
        "target_seconds": last.missed_target or last.target,
    }


def _happen(row: Row, minute: datetime, ticket: _Ticket, clocks: list[_State], agreement: dict[str, Any]) -> None:
    metric = agreement["metrics"]["resolution"]
    if row.kind in {"held", "resumed"}:
        ticket.waiting_on = row.waiting_on
    if row.kind in {"created", "assessed"}:
        ticket.priority = row.priority or ticket.priority
    if row.kind == "created" or (row.kind == "reopened" and not clocks[-1].live):
        clocks.append(_State(live=True))
    state = clocks[-1]
    target = metric["targets"].get(ticket.priority)
    _aim(state, None if target is None else _seconds(target))
    if row.kind == "closed" or (row.kind == "resolved" and metric.get("until", "resolved") == "resolved"):
        paused = ticket.waiting_on in metric.get("pauses", ["customer"])
        _stop(state, _hours(agreement), minute, paused=paused)


def _aim(state: _State, target: int | None) -> None:
    if not state.live or state.outcome == "breached":
        return
    if target is not None:
        state.outcome, state.target = "open", target
    elif state.outcome == "open":
        state.outcome, state.used_when_cancelled = "cancelled", state.used


def _stop(state: _State, hours: _Hours, minute: datetime, *, paused: bool) -> None:
    if not state.live:
        return
    state.live = False
    if state.outcome == "open" and state.target is not None:
        # The last look before the clock is taken away: a fact of this very minute may have cut the target.
        if state.used > state.target:
            state.outcome, state.due_at, state.missed_target = "breached", minute, state.target
        else:
            state.outcome, state.due_at = "met", _foreseen(state, hours, minute, paused=paused)


def _live_one_minute(state: _State, hours: _Hours, minute: datetime, *, paused: bool) -> None:
    if not state.live:
        return
    counts = not paused and _is_open(hours, minute)
    would_use = state.used + 60 if counts else state.used
    if state.outcome == "open" and state.target is not None and would_use > state.target:
        left = max(0, state.target - state.used)
        state.outcome, state.due_at = "breached", minute + timedelta(seconds=left)
        state.missed_target = state.target
    state.used = would_use


def _foreseen(state: _State, hours: _Hours, minute: datetime, *, paused: bool) -> datetime | None:
    """When the clock would be breached if nothing happened any more."""
    if state.target is None:
        return None
    if state.used > state.target:
        return minute
    if paused:
        return None
    ahead, limit = replace(state, outcome="open", live=True), minute + TEN_YEARS
    while minute <= limit:
        if minute.hour == minute.minute == 0 and not any(_open_minutes(hours, minute)):
            minute += DAY
            continue
        _live_one_minute(ahead, hours, minute, paused=False)
        if ahead.outcome == "breached":
            return ahead.due_at
        minute += MINUTE
    return None


def _seconds(target: dict[str, float]) -> int:
    units = {"days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}
    return round(sum(amount * units[unit] for unit, amount in target.items()))


def _hours(agreement: dict[str, Any]) -> _Hours:
    weekly = agreement.get("weekly_hours")
    return _Hours(
        time_zone=agreement.get("time_zone", "UTC"),
        weekly=None
        if weekly is None
        else tuple((day, tuple((opens, closes) for opens, closes in weekly[day])) for day in weekly),
        holidays=frozenset(agreement.get("holidays", ())),
    )


def _is_open(hours: _Hours, minute: datetime) -> bool:
    return _open_minutes(hours, minute.replace(hour=0, minute=0))[minute.hour * 60 + minute.minute]


@lru_cache(maxsize=5_000)
def _open_minutes(hours: _Hours, utc_midnight: datetime) -> tuple[bool, ...]:
    """For each minute of a UTC day, whether the wall clock over there shows an open time."""
    zone = ZoneInfo(hours.time_zone)
    return tuple(_wall_is_open(hours, (utc_midnight + count * MINUTE).astimezone(zone)) for count in range(1_440))


def _wall_is_open(hours: _Hours, wall: datetime) -> bool:
    if wall.date().isoformat() in hours.holidays:
        return False
    if hours.weekly is None:
        return True
    shown = f"{wall.hour:02}:{wall.minute:02}"
    stretches = dict(hours.weekly).get(WEEKDAYS[wall.weekday()], ())
    return any(opens <= shown < closes for opens, closes in stretches)
