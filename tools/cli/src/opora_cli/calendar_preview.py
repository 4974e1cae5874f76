"""`opora sla calendar preview`: what a calendar in a file means, date by date, without a platform."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from opora_chassis.clock import host_now
from opora_cli.console import AsJson, print_json, say
from opora_cli.errors import PROBLEMS_FOUND, UNUSABLE_INPUT, CommandError

if TYPE_CHECKING:
    from opora_sla.calendar.document import CalendarDocument
    from opora_sla.calendar.preview import PreviewedDay

_MOST_DAYS = 400


def preview(
    file: Annotated[Path, typer.Argument(metavar="FILE.yaml|json", help="A calendar, or calendars and agreements.")],
    *,
    name: Annotated[str | None, typer.Option(help="Only the calendar of this name.")] = None,
    first: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="The first date; today by default.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=_MOST_DAYS)] = 365,
    as_json: AsJson = False,
) -> None:
    """Print the dates of the next year that a calendar closes or changes, and the open hours of each month.

    A file holds a calendar as the API takes it, or `calendars` and `agreements`: of these, calendars are shown. Public
    holidays are those that this installation knows; a feed is read by the platform alone.

    JSON: [{"name", "time_zone", "from", "days", "differing": [{"date", "by", "holiday", "open": [[from, to]],
    "open_seconds"}], "open_seconds_by_month"}].

    Exit codes: 0 shown; 1 something in the file is wrong; 2 the file cannot be read or holds no such calendar.
    """
    from opora_cli.agreement_files import read_file
    from opora_sla.calendar.document import CalendarDocument

    read = read_file(file, bare=CalendarDocument)
    if read.problems:
        raise CommandError("\n".join(str(problem) for problem in read.problems), exit_code=PROBLEMS_FOUND)
    documents = [written.document for written in read.calendars if name in (None, written.document.name)]
    if not documents:
        held = ", ".join(repr(written.document.name) for written in read.calendars) or "none"
        raise CommandError(f"{file} holds no such calendar; it holds {held}", exit_code=UNUSABLE_INPUT)
    shown = [_shown(document, first.date() if first else _today(document), days) for document in documents]
    if as_json:
        print_json(shown)
        return
    for one in shown:
        for line in _lines(one):
            print(line)
    for document in documents:
        if document.feed:
            say(f"{document.name}: {document.feed} was not read")


def _today(document: "CalendarDocument") -> date:
    return host_now().astimezone(ZoneInfo(document.time_zone)).date()


def _shown(document: "CalendarDocument", first: date, days: int) -> dict[str, Any]:
    from opora_sla.calendar.document import FIRST_YEAR, LAST_YEAR, Closures
    from opora_sla.calendar.preview import preview as previewed
    from opora_sla.calendar.preview import seconds_by_month

    if not FIRST_YEAR <= first.year <= LAST_YEAR:
        words = f"--from {first}: write a date from {FIRST_YEAR} to {LAST_YEAR}"
        raise CommandError(words, exit_code=UNUSABLE_INPUT)
    names = document.public_holidays(first.year)
    dates = previewed(document, Closures(frozenset(names)), first, days)
    return {
        "name": document.name,
        "time_zone": document.time_zone,
        "from": first.isoformat(),
        "days": days,
        "differing": [_differing(each, names) for each in dates if each.differs_by],
        "open_seconds_by_month": seconds_by_month(dates),
    }


def _differing(each: "PreviewedDay", names: Mapping[date, str]) -> dict[str, Any]:
    return {
        "date": each.date.isoformat(),
        "by": each.differs_by,
        "holiday": names.get(each.date),
        "open": [[begins.isoformat(), ends.isoformat()] for begins, ends in each.open],
        "open_seconds": each.open_seconds,
    }


def _lines(shown: Mapping[str, Any]) -> Iterator[str]:
    yield f"{shown['name']} ({shown['time_zone']}), {shown['days']} days from {shown['from']}"
    for each in shown["differing"]:
        weekday = f"{date.fromisoformat(each['date']):%a}"
        holiday = f": {each['holiday']}" if each["by"] == "holidays_of" else ""
        yield f"  {each['date']} {weekday}  {_hours(each['open']):<13}  {each['by']}{holiday}"
    for month, seconds in shown["open_seconds_by_month"].items():
        yield f"  {month}  {seconds / 3_600:8.2f} h open"


def _hours(stretches: Sequence[Sequence[str]]) -> str:
    return (
        " ".join(f"{begins[11:16]}-{'24:00' if begins[:10] < ends[:10] else ends[11:16]}" for begins, ends in stretches)
        or "closed"
    )
