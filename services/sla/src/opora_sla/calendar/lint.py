"""What is possible in calendars and hardly meant. What is impossible in one is refused when it is read. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from opora_sla.calendar.document import ALWAYS_OPEN, CalendarDocument, OpenHours

Place = tuple[str | int, ...]
_BUILT_IN = CalendarDocument(name=ALWAYS_OPEN)


@dataclass(frozen=True, slots=True)
class CalendarFinding:
    """Something that should be looked at. `calendar` is its number in the given order, `place` the field in it."""

    calendar: int
    place: Place
    words: str
    """What is the matter, and what to write instead."""
    is_note: bool = False
    """Whether it may well be meant."""


def calendar_findings(
    calendars: Sequence[CalendarDocument], named: Collection[str] | None = None
) -> list[CalendarFinding]:
    """What is to be said of calendars that are kept together. `named`: those that agreements refer to, if known."""
    return [
        CalendarFinding(number, place, words, is_note)
        for number, calendar in enumerate(calendars)
        for place, words, is_note in _of_one(calendar, [each.name for each in calendars[:number]], named)
    ]


def with_the_built_in(calendars: Iterable[CalendarDocument]) -> dict[str, CalendarDocument]:
    """The calendars by name, and the one that every platform has; of two with one name the first."""
    known = {ALWAYS_OPEN: _BUILT_IN}
    for calendar in calendars:
        known.setdefault(calendar.name, calendar)
    return known


def unknown_calendar(name: str, known: Iterable[str]) -> str:
    """That there is no such calendar, and which one to write."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1)
    instead = repr(near[0]) if near else f"one of {', '.join(repr(each) for each in names[:10])}"
    return f"{name!r} is no calendar; write {instead}, or write that calendar first"


def nights(hours: OpenHours) -> Iterator[tuple[Place, str]]:
    """Stretches of the week that end on the next day."""
    for day, stretches in (hours.weekly_hours or {}).items():
        for position, (begins, ends) in enumerate(stretches):
            if ends < begins:
                words = f"is open from {begins} until {ends} of the next day; if that is a slip, swap them"
                yield ("weekly_hours", day, position), words


def _of_one(
    calendar: CalendarDocument, before: Sequence[str], named: Collection[str] | None
) -> Iterator[tuple[Place, str, bool]]:
    if calendar.name in before:
        yield ("name",), f"is the name of another calendar too: {calendar.name!r}; write another", False
    if calendar.name == ALWAYS_OPEN:
        yield ("name",), f"{ALWAYS_OPEN} is every platform's own calendar, open round the clock; write another", False
    elif named is not None and calendar.name not in named:
        yield ("name",), "no agreement refers to this calendar", True
    for place, words in nights(calendar):
        yield place, words, True
    for position, day in enumerate(calendar.holidays):
        if day in calendar.date_overrides:
            words = f"{day} has hours of its own under date_overrides, which count; leave one of them out"
            yield ("holidays", position), words, False
