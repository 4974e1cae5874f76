"""The base of every event's data, and the catalogue of event types that the models build by being defined."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StringConstraints,
)

from opora_contracts.instants import validate_instant


class PersonalData(NamedTuple):
    """Marks a field that tells who a person is, so that sealing such fields is one change in one place."""

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Carry the mark into the committed schema, where the gate sees that it is never dropped."""
        return {**handler(core_schema), "x-personal": True}


type_key = tuple[str, int]
"""An event type's name and major version."""

Personal = PersonalData()
"""`Annotated[str, Personal]` in a contract: the field holds personal data."""

ONE_LINE = r"^[^\x00-\x1F\x7F-\x9F\u2028-\u202E\u2066-\u2069]*$"
"""No control characters, line breaks or direction overrides: what people see is what is stored."""
LANGUAGE_TAG = r"^[a-z]{2,3}(-[A-Z]{2})?$"

Title = Annotated[str, StringConstraints(min_length=1, max_length=250, pattern=ONE_LINE)]
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=200)]
BodyText = Annotated[str, StringConstraints(max_length=100_000)]
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Language = Annotated[str, StringConstraints(pattern=LANGUAGE_TAG)]
Instant = Annotated[AwareDatetime, BeforeValidator(validate_instant)]
"""Read as aware UTC; refused without a zone and outside the years 1970 to 2261."""
Seconds = Annotated[int, Field(ge=0)]

_catalogue: dict[type_key, type[Fact]] = {}
_versions: dict[str, list[int]] = {}


class Fact(BaseModel):
    """The data of one event type, in one major version. Immutable; a producer cannot add an undeclared field.

    A subclass names its type and version, which enters it into the catalogue:

        class TicketCreated(Fact, event_type="ticket.created"): ...
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    event_type: ClassVar[str] = ""
    version: ClassVar[int] = 1

    def __init_subclass__(cls, *, event_type: str = "", version: int = 1, **kwargs: Any) -> None:
        """Enter the model into the catalogue when it names an event type; a name and version can be used once."""
        super().__init_subclass__(**kwargs)
        if not event_type:
            return
        cls.event_type, cls.version = event_type, version
        known = _catalogue.setdefault((event_type, version), cls)
        if known.__qualname__ != cls.__qualname__:
            raise TypeError(f"{event_type} version {version} is already the type of {known.__qualname__}")
        _versions[event_type] = sorted({*_versions.get(event_type, ()), version})


def catalogue() -> dict[type_key, type[Fact]]:
    """Every event type in every version, by (name, version)."""
    import opora_contracts  # noqa: F401  the package's import defines every family

    return dict(_catalogue)


def fact_type(event_type: str, version: int) -> type[Fact] | None:
    """The model of one event type in one major version, or None when this code does not know it."""
    return _catalogue.get((event_type, version))


def versions_of(event_type: str) -> list[int]:
    """The major versions known of a type, ascending; empty for a type that this code does not know."""
    return _versions.get(event_type, [])
