"""Fields of an installation's own: what each may hold, and what of them is published."""

from collections.abc import Mapping, Sequence
from datetime import date
from enum import StrEnum
from math import isfinite
from typing import Annotated, Any, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, StringConstraints
from pydantic import model_validator as validated

from opora_contracts.fact import ONE_LINE
from opora_contracts.tickets import PublishedField
from opora_contracts.vocabulary import Kind
from opora_intake.domain.errors import BadField

MOST_FIELDS = 100
MOST_CHOICES = 200
_GREATEST = 1e300
"""No number of JSON beyond it is one to reckon with; greater integers are no floating-point number at all."""
LONGEST_TEXT = 10_000
LONGEST_PUBLISHED = 200

Given: TypeAlias = StrictBool | StrictInt | StrictFloat | StrictStr | tuple[StrictStr, ...]
"""A value as callers write it."""
FieldName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Line = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=ONE_LINE, strip_whitespace=True)]


class FieldType(StrEnum):
    """What a field holds."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    CHOICE = "choice"
    MULTI_CHOICE = "multi_choice"


class FieldDefinition(BaseModel):
    """One field of an installation's own."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: FieldName
    label: Line
    """What people read."""
    type: FieldType
    kinds: tuple[Kind, ...] = ()
    """Which kinds of tickets have it; none: all."""
    required: bool = False
    """Whether a ticket must have it before it is resolved. It may be opened without: no letter is refused for it."""
    published: bool = False
    """Whether its value stands in the ticket's facts, where every consumer reads it."""
    choices: Annotated[tuple[Line, ...], Field(max_length=MOST_CHOICES)] = ()
    """What may be chosen; for choice and multi_choice, and needed there."""
    max_length: Annotated[int, Field(ge=1, le=LONGEST_TEXT)] = LONGEST_PUBLISHED
    """The longest text, in characters."""
    minimum: float | None = None
    """The least number."""
    maximum: float | None = None
    """The greatest number."""

    @validated(mode="after")
    def _means_something(self) -> Self:
        is_choice = self.type in {FieldType.CHOICE, FieldType.MULTI_CHOICE}
        if is_choice != bool(self.choices):
            raise ValueError(f"{self.name}: choices are for choice and multi_choice, and needed there")
        if self.type is not FieldType.NUMBER and (self.minimum is not None or self.maximum is not None):
            raise ValueError(f"{self.name}: minimum and maximum are for numbers")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"{self.name}: the minimum lies above the maximum")
        if self.published and self.type is FieldType.TEXT and self.max_length > LONGEST_PUBLISHED:
            raise ValueError(f"{self.name}: a published text has at most {LONGEST_PUBLISHED} characters")
        return self

    def is_of(self, kind: Kind) -> bool:
        """Whether tickets of this kind have the field."""
        return not self.kinds or kind in self.kinds


def read_value(definition: FieldDefinition, given: Given) -> Any:
    """The value as it is kept, a JSON value. Raises BadField."""
    match definition.type, given:
        case FieldType.BOOLEAN, bool():
            return given
        case FieldType.NUMBER, int() | float() if not isinstance(given, bool):
            return _number(definition, given)
        case FieldType.TEXT, str() if given.strip():
            if len(given) > definition.max_length:
                raise BadField(definition.name, f"has at most {definition.max_length} characters")
            return given
        case FieldType.DATE, str():
            return _day(definition, given)
        case FieldType.CHOICE, str():
            return _chosen(definition, (given,))[0]
        case FieldType.MULTI_CHOICE, tuple() | list() if given:
            return _chosen(definition, given)
    raise BadField(definition.name, f"takes {_WANTED[definition.type]}, or null to have none")


_WANTED: Mapping[FieldType, str] = {
    FieldType.TEXT: "a text that is not blank",
    FieldType.NUMBER: "a number",
    FieldType.BOOLEAN: "true or false",
    FieldType.DATE: "a day such as 2026-03-02",
    FieldType.CHOICE: "one of its choices",
    FieldType.MULTI_CHOICE: "a list of some of its choices",
}


def _number(definition: FieldDefinition, given: float) -> float:
    low, high = definition.minimum, definition.maximum
    if (
        abs(given) > _GREATEST
        or not isfinite(given)
        or (low is not None and given < low)
        or (high is not None and given > high)
    ):
        bounds = " and ".join(
            text for text in (low is not None and f"at least {low:g}", high is not None and f"at most {high:g}") if text
        )
        raise BadField(definition.name, f"must be {bounds or 'finite'}")
    return given


def _day(definition: FieldDefinition, given: str) -> str:
    try:
        return date.fromisoformat(given).isoformat()
    except ValueError as error:
        raise BadField(definition.name, f"takes {_WANTED[FieldType.DATE]}") from error


def _chosen(definition: FieldDefinition, given: Sequence[str]) -> list[str]:
    if unknown := [choice for choice in given if choice not in definition.choices]:
        raise BadField(definition.name, f"has no choice {unknown[0][:100]!r}; choose of {_some(definition.choices)}")
    return [choice for choice in definition.choices if choice in given]


def _some(choices: Sequence[str]) -> str:
    return ", ".join(choices[:20]) + (" …" if choices[20:] else "")


def published(definition: FieldDefinition, value: Any) -> PublishedField:
    """The field as facts tell it; None: it has no value any more."""
    match definition.type:
        case _ if value is None:
            return PublishedField(name=definition.name)
        case FieldType.NUMBER:
            return PublishedField(name=definition.name, number=value)
        case FieldType.BOOLEAN:
            return PublishedField(name=definition.name, flag=value)
        case FieldType.DATE:
            return PublishedField(name=definition.name, day=date.fromisoformat(value))
        case FieldType.MULTI_CHOICE:
            return PublishedField(name=definition.name, choices=tuple(value))
        case _:
            return PublishedField(name=definition.name, text=value)
