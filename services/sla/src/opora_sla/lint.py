"""What is possible in agreements and hardly meant: one that never applies, two that disagree, targets without sense.

What is impossible in an agreement of its own is refused when it is read. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations, pairwise, product
from math import prod

from opora_contracts.vocabulary import Channel, Kind, Priority
from opora_sla.agreement import AgreementDocument
from opora_sla.calendar.document import CalendarDocument, OpenHours
from opora_sla.calendar.lint import nights, unknown_calendar, with_the_built_in
from opora_sla.metrics import ResponseMetric

_WHOLE = {
    "kind": frozenset(kind.value for kind in Kind),
    "priority": frozenset(priority.value for priority in Priority),
    "channel": frozenset(channel.value for channel in Channel),
}
"""Dimensions of which every value is known; the others have values that no agreement names."""
_SOME_OTHER = "\0"
_TIMES = "valid"
_MOST_CELLS = 100_000
_WEEKS_OF_TEN_YEARS = 521
_WITHIN_RESOLUTION = {
    "update": "more time from one update to the next",
    "operational": "more time for one group",
}
Conditions = Mapping[str, frozenset[str]]
Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that should be looked at. `agreement` is its number in the given order, `place` the field in it."""

    agreement: int
    place: tuple[str | int, ...]
    words: str
    """What is the matter, and what to write instead."""
    is_note: bool = False
    """Whether it may well be meant."""


def findings(documents: Sequence[AgreementDocument], calendars: Sequence[CalendarDocument] = ()) -> list[Finding]:
    """What is to be said of agreements that are in force together, in their order; the later is the newer one.

    `calendars` are those that they may refer to, besides the one that every platform has.
    """
    known = with_the_built_in(calendars)
    found = [finding for number, document in enumerate(documents) for finding in _of_one(number, document, known)]
    found += _of_all(documents)
    return sorted(found, key=lambda finding: finding.agreement)


def _of_one(number: int, document: AgreementDocument, known: Mapping[str, CalendarDocument]) -> Iterator[Finding]:
    yield from _hours(number, document, known)
    yield from _without_clock(number, document)
    open_seconds = _open_seconds_a_week(document, known) * _WEEKS_OF_TEN_YEARS
    for place, promised in _promised(document):
        given = [(priority, promised.targets[priority]) for priority in Priority if priority in promised.targets]
        for priority, target in given:
            if target.total_seconds > open_seconds:
                words = "ten years have less working time than this: it is never due; write a smaller target"
                yield Finding(number, (*place, "targets", priority.value), words)
        for (urgent, less_time), (lesser, more_time) in pairwise(given):
            if less_time.total_seconds > more_time.total_seconds:
                words = f"{urgent.value} has more time than {lesser.value}; write at most as much"
                yield Finding(number, (*place, "targets", urgent.value), words)
        yield from _too_early(number, place, promised)
    yield from _never_missed(number, document)
    yield from _spelled_twice(number, document)
    first, resolution = document.metrics.first_response, document.metrics.resolution
    if first is None or resolution is None:
        return
    for priority, target in first.targets.items():
        done = resolution.targets.get(priority)
        if done is not None and target.total_seconds > done.total_seconds:
            words = "the first response may take longer than the resolution, which answers too; write a smaller target"
            yield Finding(number, ("metrics", "first_response", "targets", priority.value), words)


def _never_missed(number: int, document: AgreementDocument) -> Iterator[Finding]:
    """Targets within the resolution that are longer than it: whoever keeps just these is late all the same."""
    resolution = document.metrics.resolution
    for place, promised in _promised(document) if resolution else ():
        within = next((words for name, words in _WITHIN_RESOLUTION.items() if name in place), None)
        for priority, target in promised.targets.items() if within else ():
            done = resolution.targets.get(priority) if resolution else None
            if done is not None and target.total_seconds > done.total_seconds:
                words = f"{within} than the whole resolution may take; write a smaller target"
                yield Finding(number, (*place, "targets", priority.value), words)


def _spelled_twice(number: int, document: AgreementDocument) -> Iterator[Finding]:
    """Groups are found by their exact names: two that differ in the case of letters only are hardly two groups."""
    first: dict[str, str] = {}
    for group in document.metrics.operational or {}:
        other = first.setdefault(group.strip().casefold(), group)
        if other != group:
            words = f"is {other!r} in other letters: write the name as tickets are assigned to it, once"
            yield Finding(number, ("metrics", "operational", group), words)


def _too_early(number: int, place: Place, promised: ResponseMetric) -> Iterator[Finding]:
    """Warnings and steps of a ladder that would come before the clock has begun, whatever the priority."""
    longest = max(target.total_seconds for target in promised.targets.values())
    words = "no target is longer than this: it never comes; write a shorter time"
    for position, left in enumerate(promised.warn_before or ()):
        if left.total_seconds >= longest:
            yield Finding(number, (*place, "warn_before", position), words)
    for position, step in enumerate(promised.escalation.steps if promised.escalation else ()):
        if step.before_due is not None and step.before_due.total_seconds > longest:
            yield Finding(number, (*place, "escalation", "steps", position, "before_due"), words)


def _without_clock(number: int, document: AgreementDocument) -> Iterator[Finding]:
    for position, priority in enumerate(document.conditions.priority or ()):
        if not any(priority in promised.targets for _, promised in _promised(document)):
            words = (
                f"no metric has a target for {priority.value}: such a ticket has no clock; write one, or leave it out"
            )
            yield Finding(number, ("conditions", "priority", position), words)


def _promised(document: AgreementDocument) -> Iterator[tuple[Place, ResponseMetric]]:
    for metric, group, promised in document.metrics.written():
        yield ("metrics", metric.value, *([] if group is None else [group])), promised


def _hours(number: int, document: AgreementDocument, known: Mapping[str, CalendarDocument]) -> Iterator[Finding]:
    if document.calendar is None:
        yield from (Finding(number, place, words, is_note=True) for place, words in nights(document))
    elif document.calendar not in known:
        yield Finding(number, ("calendar",), unknown_calendar(document.calendar, known))


def _open_seconds_a_week(document: AgreementDocument, known: Mapping[str, CalendarDocument]) -> int:
    hours: OpenHours = document if document.calendar is None else known.get(document.calendar, OpenHours())
    return 60 * sum(closes - opens for stretches in hours.working_time().hours() for opens, closes in stretches)


def _of_all(documents: Sequence[AgreementDocument]) -> Iterator[Finding]:
    order = [(document.rank, len(document.conditions.given()), number) for number, document in enumerate(documents)]
    conditions = _with_times(documents)
    never = {number: _why_never(number, conditions, order) for number in range(len(documents))}
    for number, better in never.items():
        if not better:
            continue
        names = " and ".join(f"{documents[one].name!r}" for one in better)
        words = f"never applies: {names} will be chosen for every ticket of its conditions; write a higher rank here"
        yield Finding(number, ("conditions",), words)
    for one, other in combinations(range(len(documents)), 2):
        alike = order[one][:2] == order[other][:2] and not never[one] and not never[other]
        if alike and _overlap(conditions[one], conditions[other]):
            words = (
                f"contradicts {documents[one].name!r}: tickets of both conditions get whichever was written last;"
                " write a rank that differs"
            )
            yield Finding(other, ("rank",), words)
    named: dict[str, int] = {}
    for number, document in enumerate(documents):
        if named.setdefault(document.name, number) != number:
            yield Finding(number, ("name",), f"is the name of another agreement too: {document.name!r}; write another")


def _with_times(documents: Sequence[AgreementDocument]) -> list[Conditions]:
    """The conditions of each, and when it is valid: as if the stretches between all dates were one more dimension."""
    dates = sorted({date for each in documents for date in (each.valid_from, each.valid_until) if date is not None})
    if not dates:
        return [document.conditions.given() for document in documents]
    stretches = [(None, dates[0]), *pairwise(dates), (dates[-1], None)]
    return [
        document.conditions.given()
        | {_TIMES: frozenset(str(place) for place, one in enumerate(stretches) if _covers(document, *one))}
        for document in documents
    ]


def _covers(document: AgreementDocument, begins: datetime | None, ends: datetime | None) -> bool:
    """Whether the agreement is valid in a stretch between two neighbouring dates; None is without end."""
    from_at, until_at = document.valid_from, document.valid_until
    return (from_at is None or (begins is not None and from_at <= begins)) and (
        until_at is None or (ends is not None and ends <= until_at)
    )


def _overlap(one: Conditions, other: Conditions) -> bool:
    return all(one[name] & other[name] for name in one.keys() & other.keys())


def _why_never(number: int, conditions: Sequence[Conditions], order: Sequence[tuple[int, int, int]]) -> list[int]:
    """Which agreements come before this one for every ticket that it is for; none when it applies to some ticket."""
    mine = conditions[number]
    before = [
        other for other in range(len(conditions)) if order[other] > order[number] and _overlap(conditions[other], mine)
    ]
    for other in before:
        if all(name in mine and mine[name] <= allowed for name, allowed in conditions[other].items()):
            return [other]
    names = sorted({name for other in before for name in conditions[other]})
    values = [_values(name, mine, [conditions[other] for other in before]) for name in names]
    if not names or prod(len(each) for each in values) > _MOST_CELLS:
        return []
    needed: set[int] = set()
    for cell in product(*values):
        ticket = dict(zip(names, cell, strict=True))
        chosen = next((other for other in before if all(ticket[n] in a for n, a in conditions[other].items())), None)
        if chosen is None:
            return []
        needed.add(chosen)
    return sorted(needed)


def _values(name: str, mine: Conditions, others: Sequence[Conditions]) -> list[str]:
    """The values of a dimension by which tickets of these conditions can differ."""
    if name in mine:
        return sorted(mine[name])
    if name in _WHOLE:
        return sorted(_WHOLE[name])
    return [*sorted({value for other in others for value in other.get(name, ())}), _SOME_OTHER]
