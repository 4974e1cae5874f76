"""What an installation has settled about its cases: profiles, matrix, lists, fields. Data, changed over HTTP."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from opora_contracts.fact import ONE_LINE
from opora_contracts.vocabulary import Kind, Priority, Profile
from opora_intake.domain.commands import Command, Open
from opora_intake.domain.errors import UnlistedValue
from opora_intake.domain.fields import MOST_FIELDS, FieldDefinition
from opora_intake.domain.priority import DEFAULT_MATRIX, PriorityMatrix, matrix_text, matrix_with

MOST_LISTED = 500
"""Entries of a list of categories or components."""

MOST_HOURS = 8_760
"""A year: the longest silence and the longest window that can be set."""

Listed = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=ONE_LINE, strip_whitespace=True)]


class CaseSettings(BaseModel):
    """How cases are worked, as one document in versions."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    profiles: dict[Kind, Profile] = {}
    """The profile of each kind; a kind that is absent is worked under light."""
    priorities: dict[str, Priority] | None = None
    """impact/urgency → priority, such as {"high/low": "P2"}; an absent pair keeps the default. Null: the process'
    setting."""
    categories: Annotated[tuple[Listed, ...], Field(max_length=MOST_LISTED)] = ()
    """The categories that may be given; none: any."""
    components: Annotated[tuple[Listed, ...], Field(max_length=MOST_LISTED)] = ()
    """The components that may be given; none: any."""

    fields: Annotated[tuple[FieldDefinition, ...], Field(max_length=MOST_FIELDS)] = ()
    """Fields of the installation's own."""

    close_after_hours: dict[Kind, Annotated[int, Field(ge=1, le=MOST_HOURS)]] = {}
    """A ticket of the kind is closed when it is done and nothing has happened to it for so many hours; a kind that is
    absent is closed by people only."""
    reopen_within_hours: dict[Kind, Annotated[int, Field(ge=0, le=MOST_HOURS)]] = {}
    """A customer's reply reopens a closed ticket of the kind for so many hours after the closing; absent: never."""

    @field_validator("fields")
    @classmethod
    def _named_once(cls, fields: tuple[FieldDefinition, ...]) -> tuple[FieldDefinition, ...]:
        names = [definition.name for definition in fields]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two fields are called {', '.join(sorted(twice))}")
        return fields

    @field_validator("priorities")
    @classmethod
    def _names_pairs(cls, priorities: dict[str, Priority] | None) -> dict[str, Priority] | None:
        matrix_with(priorities or {})
        return priorities

    @field_validator("categories", "components")
    @classmethod
    def _each_once(cls, listed: Sequence[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(listed))


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRules:
    """What cases are decided by."""

    matrix: PriorityMatrix = field(default_factory=lambda: DEFAULT_MATRIX)
    profiles: Mapping[Kind, Profile] = field(default_factory=dict)
    categories: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    fields: tuple[FieldDefinition, ...] = ()
    close_after: Mapping[Kind, timedelta] = field(default_factory=dict)
    """The silence after which a ticket of the kind that is done is closed."""
    reopen_within: Mapping[Kind, timedelta] = field(default_factory=dict)
    """How long after the closing a customer's reply reopens a ticket of the kind."""

    def profile_of(self, kind: Kind) -> Profile:
        """The profile under which a cycle of this kind begins."""
        return self.profiles.get(kind, Profile.LIGHT)

    def check_lists(self, command: Command | Open) -> None:
        """Raises UnlistedValue when the command gives a category or component that the lists do not have."""
        for name, listed in (("category", self.categories), ("component", self.components)):
            value = getattr(command, name, None)
            if listed and value is not None and value not in listed:
                raise UnlistedValue(name, value, listed)


DEFAULT_RULES = CaseRules()
"""What holds where nobody has settled anything."""


def rules_of_settings(settings: CaseSettings, initial: PriorityMatrix) -> CaseRules:
    """The settings as cases are decided by; `initial` is the matrix for as long as nobody has given one."""
    return CaseRules(
        matrix=initial if settings.priorities is None else matrix_with(settings.priorities),
        profiles=settings.profiles,
        categories=settings.categories,
        components=settings.components,
        fields=settings.fields,
        close_after={kind: timedelta(hours=hours) for kind, hours in settings.close_after_hours.items()},
        reopen_within={kind: timedelta(hours=hours) for kind, hours in settings.reopen_within_hours.items()},
    )


def priorities_in_force(rules: CaseRules) -> dict[str, Priority]:
    """The matrix with all nine pairs, as settings write it."""
    return matrix_text(rules.matrix)
