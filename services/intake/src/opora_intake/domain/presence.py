"""Who has a ticket open or writes on it at this moment."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from opora_intake.domain.errors import RuleBroken

LEASE = timedelta(seconds=30)
"""Who does not say it again within this time is gone. Real time."""
MOST_PRESENT = 50
"""People on one ticket."""


class Doing(StrEnum):
    """What somebody does with a ticket."""

    VIEWING = "viewing"
    EDITING = "editing"


@dataclass(frozen=True, slots=True)
class Present:
    """Somebody who is on a ticket."""

    actor: str
    doing: Doing
    since: datetime
    """When they began to do that."""
    until: datetime
    """Until then without being said again."""


@dataclass
class TooManyPresent(RuleBroken):
    """A ticket on which more people are than can be told."""

    def __str__(self) -> str:
        return f"{MOST_PRESENT} people are on this ticket, the most that are told of: try again later"
