"""What another version of an agreement changes for a ticket."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from opora_contracts.vocabulary import Outcome
from opora_sla.domain.state import Clock, ClockKey, Clocks, Told

_NEVER = datetime.max.replace(tzinfo=UTC)


class Effect(StrEnum):
    """What becomes of one clock."""

    NEWLY_BREACHED = "newly_breached"
    RELIEVED = "relieved"
    """It was breached and is not any more."""
    DUE_EARLIER = "due_earlier"
    DUE_LATER = "due_later"
    """Or never: a clock that is paused compares by its target."""
    BEGUN = "begun"
    """Only the new version measures it."""
    DROPPED = "dropped"
    """Only the former version measured it."""


class Change(NamedTuple):
    """One clock before and after; None where the version has no such clock."""

    key: ClockKey
    effect: Effect
    before: Clock | None
    after: Clock | None


def changes(before: Clocks, after: Clocks) -> list[Change]:
    """The clocks that differ, in the order of their keys. One that ended in time under both is not listed."""
    return list(_changes(before, after))


def effects(told: Mapping[ClockKey, Told], after: Clocks) -> list[tuple[ClockKey, Effect]]:
    """The same for what the world was told, without the clocks."""
    standing = {clock.key: clock for clock in after.clocks}
    return [
        (key, effect)
        for key in sorted(told.keys() | standing.keys())
        if (effect := _effect(told.get(key), standing.get(key))) is not None
    ]


def _changes(before: Clocks, after: Clocks) -> Iterator[Change]:
    former, standing = ({clock.key: clock for clock in clocks.clocks} for clocks in (before, after))
    for key in sorted(former.keys() | standing.keys()):
        old, new = former.get(key), standing.get(key)
        effect = _effect(old, new)
        if effect is not None:
            yield Change(key, effect, old, new)


def _effect(old: Clock | Told | None, new: Clock | None) -> Effect | None:
    was = None if old is None or old.outcome is Outcome.CANCELLED else old
    becomes = None if new is None or new.outcome is Outcome.CANCELLED else new
    if was is None or becomes is None:
        if becomes is not None:
            return Effect.NEWLY_BREACHED if becomes.outcome is Outcome.BREACHED else Effect.BEGUN
        return Effect.DROPPED if was is not None else None
    if (was.outcome is Outcome.BREACHED) != (becomes.outcome is Outcome.BREACHED):
        return Effect.NEWLY_BREACHED if becomes.outcome is Outcome.BREACHED else Effect.RELIEVED
    if not becomes.open:
        return None
    return _shift((was.due_at, was.target_seconds), (becomes.due_at, becomes.target_seconds))


def _shift(was: tuple[datetime | None, int], becomes: tuple[datetime | None, int]) -> Effect | None:
    then, now = ((due_at or _NEVER, target) for due_at, target in (was, becomes))
    if then == now:
        return None
    return Effect.DUE_EARLIER if now < then else Effect.DUE_LATER
