"""Why a clock stands as it does: its intervals, with the events that made them, in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from opora_contracts.vocabulary import Outcome
from opora_sla.domain.facts import CaseFact
from opora_sla.domain.state import Clock, Clocks, Interval

_PHRASES = {
    "created": "the creation",
    "resolved": "the resolution",
    "closed": "the closing",
    "reopened": "the reopening",
    "resumed": "the end of the wait",
}
_HOUR_SECONDS = 3_600
_MINUTE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class ExplainedInterval:
    """An interval with its sentence."""

    interval: Interval
    words: str


@dataclass(frozen=True, slots=True)
class ExplainedClock:
    """A clock with a sentence on its outcome and its intervals in order."""

    clock: Clock
    words: str
    intervals: tuple[ExplainedInterval, ...]


def explain(clocks: Clocks, facts: Sequence[CaseFact]) -> tuple[ExplainedClock, ...]:
    """Each clock of the fold in words. `facts` are those that were folded."""
    by_event = {fact.event_id: fact for fact in facts}
    return tuple(
        ExplainedClock(
            clock,
            _outcome(clock),
            tuple(ExplainedInterval(interval, words) for interval, words in _intervals(clock, by_event)),
        )
        for clock in clocks.clocks
    )


def duration_in_words(seconds: int) -> str:
    """Hours, minutes and seconds, leaving out what is zero: 1 h 30 min."""
    hours, rest = divmod(seconds, _HOUR_SECONDS)
    minutes, left = divmod(rest, _MINUTE_SECONDS)
    parts = [f"{amount} {unit}" for amount, unit in ((hours, "h"), (minutes, "min"), (left, "s")) if amount]
    return " ".join(parts) or "0 s"


def _outcome(clock: Clock) -> str:
    used, target = duration_in_words(clock.used_seconds), duration_in_words(clock.target_seconds)
    budget = f"{used} of {target} working time used"
    due = f"{clock.due_at:%Y-%m-%d %H:%M:%S} UTC" if clock.due_at else None
    match clock.outcome:
        case Outcome.MET:
            return f"Met: {budget} when it stopped."
        case Outcome.CANCELLED:
            return f"Cancelled: {budget} when it ended without an outcome."
        case Outcome.BREACHED:
            return f"Breached: it was due at {due}; {budget} {'so far' if clock.open else 'in the end'}."
        case Outcome.OPEN if due and clock.running:
            return f"Running: {budget}; due at {due}."
        case Outcome.OPEN if clock.running:
            return f"Running: {budget}; the calendar does not open long enough for it to be due."
        case _:
            return f"Paused: {budget}."


def _intervals(clock: Clock, by_event: Mapping[str, CaseFact]) -> Iterator[tuple[Interval, str]]:
    """Each interval with its sentence. One that no event ended, and that is not the last, ended with a pause's cap."""
    after_cap = False
    for place, interval in enumerate(clock.intervals, start=1):
        at_cap = interval.ended_by is None and place < len(clock.intervals)
        began = "From there, still waiting," if after_cap else f"From {_event(interval.began_by, by_event)}"
        if at_cap:
            ended = "until the pause had taken all it may"
        else:
            ended = f"until {_event(interval.ended_by, by_event)}" if interval.ended_by else "until now"
        working = duration_in_words(interval.working_seconds)
        count = (
            f"{working} of working time counted"
            if interval.counted
            else f"paused, {working} of working time not counted"
        )
        yield interval, f"{began} {ended}: {count}."
        after_cap = at_cap


def _event(event_id: str, by_event: Mapping[str, CaseFact]) -> str:
    fact = by_event.get(event_id)
    if fact is None:
        return "an event that is not kept"
    match fact.kind:
        case "held":
            return f"the hold for {(fact.waiting_on or 'somebody').replace('_', ' ')}"
        case "assessed":
            return f"the assessment as {fact.priority}"
        case "replied":
            return f"the {fact.author_kind}'s reply"
        case "assigned":
            return f"the assignment to {fact.group or fact.assignee or 'nobody'}"
        case kind:
            return _PHRASES.get(kind, f"ticket.{kind}")
