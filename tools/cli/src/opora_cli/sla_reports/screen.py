"""Why a ticket is late, on one screen of 24 lines and 100 columns."""

from collections.abc import Mapping, Sequence
from typing import Any

from opora_cli.simulation.tables import duration
from opora_cli.sla_reports.tables import moment

WIDTH = 100
_GRAVITY = {"breached": 0, "open": 1, "met": 2, "cancelled": 3}
_MOST_CLOCKS = 6
_LEAST_LINES = 5
"""A heading, the first interval, what is left out, the last one, and the end: less says nothing."""

Json = Mapping[str, Any]


def screenful(explained: Json, *, lines: int | None = 24) -> list[str]:
    """A title; a line per clock, the gravest first; below it, as far as there is room, its intervals.

    `lines` of 24 or more are kept to; None is as many as it takes. Of intervals that do not fit, the first and the last
    are told, and how much of the time lies between.
    """
    clocks = sorted(explained["clocks"], key=lambda clock: (_GRAVITY[clock["outcome"]], clock["due_at"] or "~"))
    shown = clocks if lines is None else clocks[:_MOST_CLOCKS]
    agreement = explained["agreement"]
    title = f"{explained['number']}  judged at {moment(explained['judged_at'])} UTC  under "
    title += _cut(f"{agreement['name']}, version {agreement['version']}", WIDTH - len(title))
    told = [title]
    left = None if lines is None else lines - 1 - len(shown) - (len(clocks) > len(shown))
    for clock in shown:
        told.append(_verdict(clock))
        block = _block(clock["intervals"], left)
        told += block
        left = None if left is None else left - len(block)
    if len(clocks) > len(shown):
        told.append(f"{len(clocks) - len(shown)} more clocks: --all shows them")
    return told


def _verdict(clock: Json) -> str:
    used = f"{duration(clock['used_seconds'])} of {duration(clock['target_seconds'])} used"
    if clock["state"] != "stopped":
        used += " so far"
    due = f"due {moment(clock['due_at'])}" if clock["due_at"] else "no due date"
    state = "" if clock["state"] == "stopped" else f", {clock['state']}"
    outcome = f"{clock['outcome'].upper()}{state}"
    whose = f" of {clock['party'].replace('_', ' ')}" if clock.get("party") else ""
    return _cut(f"{clock['metric']} {clock['cycle']}{whose} {clock['priority']}: {outcome}; {due}; {used}", WIDTH)


def _block(intervals: Sequence[Json], left: int | None) -> list[str]:
    """A clock's intervals on at most so many lines."""
    if not intervals:
        return []
    rows = [_row(interval) for interval in intervals]
    end = intervals[-1]["ended_by"]
    ending = [] if end is None else [_line("", moment(intervals[-1]["to_at"])[5:], "", "ended by", end)]
    if left is not None and left < min(_LEAST_LINES, 1 + len(rows) + len(ending)):
        return []
    room = len(rows) if left is None else left - 1 - len(ending)
    if len(rows) > room:
        last = (room - 1) // 2
        first = room - 1 - last
        between = intervals[first : len(intervals) - last]
        rows = [*rows[:first], _left_out(between), *rows[len(rows) - last :]]
    return [_line("from", "to", "counted (or not)", "waited for", "began by event"), *rows, *ending]


def _row(interval: Json) -> str:
    working = duration(interval["working_seconds"])
    whom = ", ".join(each.replace("_", " ") for each in interval["waited_for"]) or "us"
    return _line(
        moment(interval["from_at"])[5:],
        moment(interval["to_at"])[5:] if interval["ended_by"] else "now",
        working if interval["counted"] else f"({working})",
        whom,
        interval["began_by"],
    )


def _left_out(intervals: Sequence[Json]) -> str:
    sums = [
        duration(sum(each["working_seconds"] for each in intervals if each["counted"] is counted))
        for counted in (True, False)
    ]
    whom = dict.fromkeys(each.replace("_", " ") for interval in intervals for each in interval["waited_for"])
    waited = f"; waited for {', '.join(whom)}" if whom else ""
    return _cut(f"  … {len(intervals)} more: {sums[0]} counted, {sums[1]} not{waited}; --all shows them", WIDTH)


def _line(from_at: str, to_at: str, working: str, whom: str, event: str) -> str:
    """36 columns are left for the event, as many as a UUID has."""
    return _cut(f"  {from_at:<14} {to_at:<14} {_cut(working, 17):>17}  {_cut(whom, 12):<12} {event}", WIDTH)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
