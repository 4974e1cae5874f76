"""How a ticket stood from each of its facts on: whom it waited for, in which step, with whom. In the fold's order."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from opora_contracts.vocabulary import Priority, Step, WaitingOn
from opora_sla.domain import CaseFact

_STEPS: Mapping[str, Step] = {
    "diagnosed": Step.DIAGNOSED,
    "planned": Step.PLANNED,
    "resolved": Step.RESOLVED,
    "verified": Step.VERIFIED,
    "closed": Step.CLOSED,
    "reopened": Step.RECEIVED,
}


class Standing(NamedTuple):
    """A ticket from `at` on, until its next standing."""

    at: datetime
    step: Step
    """The one that was reached."""
    waiting_on: WaitingOn | None
    """None while it waits for nobody but the support side."""
    hold: CaseFact | None
    """The fact that put it on hold."""
    priority: Priority
    group: str | None
    assignee: str | None


def standings(facts: Sequence[CaseFact]) -> list[Standing]:
    """One per fact, in the order of time. `facts` may come in any order and must contain `created`.

    As the fold has it, nothing is before the creation. An assessment takes a ticket on only from its first step, and a
    second hold replaces the first one.
    """
    ordered = sorted(facts, key=lambda fact: (fact.kind != "created", fact.at, fact.sequence))
    if not ordered or ordered[0].kind != "created":
        raise ValueError("a ticket's facts begin with ticket.created; without it there is no standing")
    first = ordered[0]
    standing = Standing(first.at, Step.RECEIVED, None, None, first.priority or Priority.P5, first.group, first.assignee)
    found = [standing]
    for fact in ordered[1:]:
        standing = _after(standing, fact)._replace(at=max(standing.at, fact.at))
        found.append(standing)
    return found


def standing_at(found: Sequence[Standing], at: datetime) -> Standing:
    """The one that holds at an instant, all facts of that instant included; before the creation, the first."""
    return found[max(0, bisect_right(found, at, key=lambda standing: standing.at) - 1)]


def waits_between(found: Sequence[Standing], from_at: datetime, to_at: datetime) -> list[WaitingOn]:
    """Whom the ticket was on hold for at any time in [from, to), each once, in the order of their first wait."""
    later = {standing.at: standing for standing in found if from_at < standing.at < to_at}
    within = [standing_at(found, from_at), *later.values()]
    return list(dict.fromkeys(each.waiting_on for each in within if each.waiting_on is not None))


def _after(standing: Standing, fact: CaseFact) -> Standing:
    match fact.kind:
        case "held":
            return standing._replace(waiting_on=fact.waiting_on, hold=fact)
        case "resumed":
            return standing._replace(waiting_on=None, hold=None)
        case "assigned":
            return standing._replace(group=fact.group, assignee=fact.assignee)
        case "assessed":
            step = Step.ASSESSED if standing.step is Step.RECEIVED else standing.step
            return standing._replace(step=step, priority=fact.priority or standing.priority)
        case kind:
            return standing._replace(step=_STEPS.get(kind, standing.step))
