"""Why a command is refused. Every error carries what the caller needs to do better."""

from dataclasses import dataclass
from datetime import datetime

from opora_contracts.vocabulary import Step

_MOST_SHOWN = 20


class RuleBroken(Exception):  # noqa: N818  a refusal is an answer, not a fault
    """A command broke a rule of the domain; nothing was changed."""


class BadValue(RuleBroken):
    """What was given cannot be, or is too little or too much; the message says of what."""


@dataclass
class TransitionRefused(RuleBroken):
    """The action is not possible where the ticket stands; `allowed` lists those that are."""

    step: Step
    attempted: str
    allowed: tuple[str, ...]
    hint: str = ""

    def __str__(self) -> str:
        reason = f"Cannot {self.attempted} a ticket that is {self.step.value}"
        return f"{reason}: {self.hint}" if self.hint else f"{reason}; allowed are {', '.join(self.allowed)}"


@dataclass
class VersionConflict(RuleBroken):
    """Somebody changed the ticket after the caller had read it."""

    expected: int
    actual: int
    what: str = "ticket is"

    def __str__(self) -> str:
        return f"The {self.what} at version {self.actual}, not {self.expected}: read again and decide anew"


@dataclass
class ImpossibleTime(RuleBroken):
    """`occurred_at` lies outside of what can be true."""

    occurred_at: datetime
    earliest: datetime
    latest: datetime

    def __str__(self) -> str:
        return (
            f"The occurred_at {self.occurred_at.isoformat()} must lie between"
            f" {self.earliest.isoformat()} and {self.latest.isoformat()}"
        )


@dataclass
class NothingGiven(RuleBroken):
    """A change names no field."""

    fields: tuple[str, ...]

    def __str__(self) -> str:
        return f"Name at least one of {', '.join(self.fields)}"


@dataclass
class RecordMissing(BadValue):
    """Under the profile strict a step needs its record."""

    attempted: str
    fields: tuple[str, ...]

    def __str__(self) -> str:
        return f"The profile of this ticket is strict: {self.attempted} it with {', '.join(self.fields)}"


@dataclass
class LinkRefused(RuleBroken):
    """Two tickets cannot be put together in this way."""

    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass
class TooMany(BadValue):
    """A ticket, or what else is named, takes no more of these."""

    what: str
    most: int
    of: str = "A ticket"

    def __str__(self) -> str:
        return f"{self.of} has at most {self.most} {self.what}: take others away first"


@dataclass
class BadField(BadValue):
    """A field of the installation's own is not there or does not take the value."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"The field {self.name} {self.reason} (GET /v1/settings)"


@dataclass
class FieldsMissing(BadValue):
    """A ticket cannot be resolved before its required fields have values."""

    fields: tuple[str, ...]

    def __str__(self) -> str:
        return f"Before this ticket is resolved it needs {', '.join(self.fields)}: set them by PATCH …/fields"


@dataclass
class UnlistedValue(BadValue):
    """A field has a value that the settings do not list."""

    field: str
    value: str
    listed: tuple[str, ...]

    def __str__(self) -> str:
        shown = ", ".join(self.listed[:_MOST_SHOWN])
        more = f" and {len(self.listed) - _MOST_SHOWN} more" if len(self.listed) > _MOST_SHOWN else ""
        return f"The {self.field} {self.value!r} is not listed; listed are {shown}{more} (GET /v1/settings)"
