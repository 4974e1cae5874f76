"""How many letters of one sender are followed within an hour: what ends a loop that nothing else has ended. Pure.

Two mail systems that answer each other need not bear a sign of it: a gateway may drop every header that says so. What
no sign ends, a number does (RFC 3834 §5).
"""

from dataclasses import dataclass
from datetime import timedelta

from opora_intake.domain.letters import Append, Begin, Route

WINDOW = timedelta(hours=1)
MOST_OPENED = 60
MOST_APPENDED = 30


@dataclass(frozen=True, slots=True)
class FloodRules:
    """Letters of one sender within an hour: how many open tickets, how many are added to one ticket."""

    most_opened: int = MOST_OPENED
    most_appended: int = MOST_APPENDED


@dataclass(frozen=True, slots=True)
class Recent:
    """What the sender's letters of the last hour became: tickets, messages on this ticket, and letters of a flood."""

    opened: int
    appended: int
    flooded: int


def flood(decided: Route, recent: Recent, rules: FloodRules) -> str | None:
    """Why the letter is set aside as one of a flood; None when it is followed as it was decided."""
    match decided:
        case Append() if recent.appended >= rules.most_appended:
            return f"More than {rules.most_appended} letters of its sender on this ticket within an hour"
        case Begin() if recent.opened >= rules.most_opened:
            return f"More than {rules.most_opened} tickets by letters of its sender within an hour"
        case _:
            return None


def is_told(recent: Recent) -> bool:
    """Whether somebody has been told of this flood within the hour: once is enough."""
    return recent.flooded > 0
