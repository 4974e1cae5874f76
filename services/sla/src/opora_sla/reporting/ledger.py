"""The pause ledger: each pause of each clock, with its evidence, and whether it came when little time was left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from opora_contracts.vocabulary import Priority, WaitingOn
from opora_sla.agreement import Agreement
from opora_sla.calendar import working_seconds
from opora_sla.domain import CaseFact, Clock, ClockKey, Clocks, Step, StepName
from opora_sla.reporting.standing import Standing, standing_at, standings


class Pause(NamedTuple):
    """A stretch in which a clock stood still for one reason."""

    key: ClockKey
    waiting_on: WaitingOn
    from_at: datetime
    to_at: datetime | None
    """None while it lasts."""
    working_seconds: int
    """Working time that it did not count, until its end or the judgement."""
    priority: Priority
    group: str | None
    assignee: str | None
    target_seconds: int
    remaining_seconds: int
    """Of the target, when it began; 0 after a breach."""
    breached_before: bool
    """Whether the clock was breached when it began."""
    shortly_before: bool
    """Whether it began with no more than so much of the target left, and saved the clock from a breach near by."""
    hold_event: str
    """The id of the event that put the ticket on hold."""
    hold_sequence: int
    """The same event's place among the facts of its ticket: who did it stands there."""
    began_by: str
    """The id of the event that began it: the hold, or the one that started or reopened the clock while on hold."""
    ended_by: str | None
    """The id of the event that ended it, or gave it another reason; None while it lasts."""
    party: str | None = None
    """Whose clock it is: a group's, or None for the support side as a whole."""


def pauses(clocks: Clocks, facts: Sequence[CaseFact], agreement: Agreement, shortly_before_seconds: int) -> list[Pause]:
    """Every pause of the clocks of a fold, by their beginning. A hold with another reason begins another pause.

    `clocks` must be the fold of `facts` with intervals. What remains is working time: a pause that begins with at most
    `shortly_before_seconds` left is one that began within so much working time before the due date.
    """
    # Of what happened in one instant only the last counts: nobody was waited for in between.
    standing = list({each.at: each for each in standings(facts)}.values())
    found = [
        pause
        for clock in clocks.clocks
        for pause in _of_clock(clock, clocks, standing, agreement, shortly_before_seconds)
    ]
    return sorted(found, key=lambda pause: (pause.from_at, pause.key))


class _Rest(NamedTuple):
    """A whole stretch in which a clock stood still, for however many reasons."""

    began: Step
    to_at: datetime | None
    ended_by: str | None
    breached_before: bool


def _of_clock(
    clock: Clock, clocks: Clocks, standing: Sequence[Standing], agreement: Agreement, shortly_before_seconds: int
) -> Iterator[Pause]:
    terms = agreement.terms_of(clock.key.metric, clock.party)
    targets: Mapping[Priority, int] = terms.targets_seconds if terms else {}
    for rest in _rests(clock, clocks):
        for begun_at, begun_by, then, end_at, ended_by in _reasons(rest, standing):
            # A wait that ended in the instant of its beginning is none.
            if then.hold is None or then.waiting_on is None or end_at == begun_at:
                continue
            target_seconds = rest.began.target_seconds
            if not rest.breached_before:
                target_seconds = targets.get(then.priority, target_seconds)
            remaining_seconds = 0 if rest.breached_before else max(0, target_seconds - rest.began.used_seconds)
            yield Pause(
                key=clock.key,
                waiting_on=then.waiting_on,
                from_at=begun_at,
                to_at=end_at,
                working_seconds=round(working_seconds(agreement.calendar, begun_at, end_at or clocks.judged_at)),
                priority=then.priority,
                group=then.group,
                assignee=then.assignee,
                target_seconds=target_seconds,
                remaining_seconds=remaining_seconds,
                breached_before=rest.breached_before,
                shortly_before=not rest.breached_before and remaining_seconds <= shortly_before_seconds,
                hold_event=then.hold.event_id,
                hold_sequence=then.hold.sequence,
                began_by=begun_by,
                ended_by=ended_by,
                party=clock.party,
            )


def _rests(clock: Clock, clocks: Clocks) -> Iterator[_Rest]:
    began: Step | None = None
    breached = breached_before = False
    for step in (step for step in clocks.steps if (step.key.metric, step.key.cycle) == clock.key):
        match step.key.name:
            case StepName.PAUSED:
                began, breached_before = step, breached
            case StepName.RESUMED | StepName.CANCELLED if began is not None:
                yield _Rest(began, step.at, step.cause, breached_before)
                began = None
            case StepName.BREACHED:
                breached = True
    if began is not None:
        # Stopped while it stood still, or standing still yet.
        # While it stands still the last interval may be the one before, when it is judged in the pause's first instant.
        ended_by = clock.intervals[-1].ended_by if clock.stopped_at and clock.intervals else None
        yield _Rest(began, clock.stopped_at, ended_by, breached_before)


def _reasons(
    rest: _Rest, standing: Sequence[Standing]
) -> Iterator[tuple[datetime, str, Standing, datetime | None, str | None]]:
    """A rest cut where the ticket waits for somebody else: beginning, by which event, how it stood, end, by which."""
    at, began_by, then = rest.began.at, rest.began.cause or "", standing_at(standing, rest.began.at)
    for later in standing:
        within = at < later.at and (rest.to_at is None or later.at < rest.to_at)
        if within and later.waiting_on is not then.waiting_on and later.hold is not None:
            yield at, began_by, then, later.at, later.hold.event_id
            at, began_by, then = later.at, later.hold.event_id, later
    yield at, began_by, then, rest.to_at, rest.ended_by
