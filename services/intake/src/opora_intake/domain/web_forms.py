"""Web forms as data: what a visitor is asked, and what becomes of what they send. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from opora_contracts.fact import ShortText
from opora_contracts.vocabulary import Channel, Kind
from opora_intake.domain.commands import Open, Tag
from opora_intake.domain.contacts import LONGEST_ADDRESS, checked_email
from opora_intake.domain.errors import BadField, RuleBroken
from opora_intake.domain.fields import FieldDefinition, FieldName, FieldType, Line, read_value
from opora_intake.domain.rules import CaseRules

MOST_FORMS = 100
MOST_ASKED = 30
LONGEST_SUBJECT = 250
LONGEST_MESSAGE = 10_000
LONGEST_NAME = 200
WINDOW = timedelta(hours=1)
KEPT = timedelta(days=2)
"""So long a submission is known by its token: longer than a token is taken."""

FormName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Origin = Annotated[str, StringConstraints(pattern=r"^https?://[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:[0-9]{1,5})?$")]
"""Scheme, host and port as browsers send it (RFC 6454), such as https://www.example.org."""

_UNSHOWN = re.compile(r"[\x00-\x09\x0B-\x1F\x7F-\x9F\u2028-\u202E\u2066-\u2069]")


class FormLanguage(StrEnum):
    """The languages in which a form's page speaks."""

    ENGLISH = "en"
    RUSSIAN = "ru"


class Demand(StrEnum):
    """Whether something is asked for."""

    NO = "no"
    OPTIONAL = "optional"
    REQUIRED = "required"


class AskedField(BaseModel):
    """A field of the installation's own that the form asks for."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: FieldName
    required: bool = False


class WebFormRules(BaseModel):
    """What a form asks, who may embed it, how much it takes, and what its tickets are."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    title: Line
    """The heading of its page."""
    introduction: Annotated[str, StringConstraints(max_length=2_000)] = ""
    """What stands above the fields; text alone."""
    language: FormLanguage = FormLanguage.ENGLISH
    """In which the page speaks; the tickets have it too."""
    asks_name: Demand = Demand.OPTIONAL
    fields: Annotated[tuple[AskedField, ...], Field(max_length=MOST_ASKED)] = ()
    """Fields of the installation's own, in this order after subject and message. One that the settings no longer have
    is left out."""
    origins: Annotated[tuple[Origin, ...], Field(max_length=20)] = ()
    """Sites whose pages may show the form in a frame or send to it by script."""
    kind: Kind = Kind.INCIDENT
    product: ShortText | None = None
    category: ShortText | None = None
    component: ShortText | None = None
    group: ShortText | None = None
    tags: Annotated[tuple[Tag, ...], Field(max_length=30)] = ()
    minimum_seconds: Annotated[int, Field(ge=0, le=600)] = 3
    """Whoever sends earlier than so long after the page was made is no person."""
    most_an_hour: Annotated[int, Field(ge=1, le=10_000)] = 200
    """Submissions of this form within an hour."""
    is_open: bool = True
    """A closed form is not there."""

    @field_validator("fields")
    @classmethod
    def _asked_once(cls, fields: tuple[AskedField, ...]) -> tuple[AskedField, ...]:
        names = [asked.name for asked in fields]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"asked twice: {', '.join(sorted(twice))}")
        return fields


@dataclass(frozen=True, slots=True, kw_only=True)
class WebForm:
    """A form as it is kept."""

    name: str
    rules: WebFormRules
    secret: bytes = field(repr=False)
    version: int
    changed_at: datetime
    changed_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a visitor sent. Nothing of it is believed."""

    token: str = ""
    email: str = ""
    name: str = ""
    subject: str = ""
    message: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    website: str = ""
    """Asked of nobody: what fills it is a program."""


class Mistake(StrEnum):
    """What is wrong with one field; the page has the words for it."""

    REQUIRED = "required"
    TOO_LONG = "too_long"
    ADDRESS = "address"
    NUMBER = "number"
    DAY = "day"
    CHOICE = "choice"
    UNKNOWN = "unknown"
    NOT_EMPTY = "not_empty"


@dataclass
class Mistaken(RuleBroken):
    """What was sent cannot be a request: the mistakes by field, own fields as `fields.<name>`."""

    mistakes: Mapping[str, Mistake]

    def __str__(self) -> str:
        return "Correct what is said of " + ", ".join(f"{name} ({mistake})" for name, mistake in self.mistakes.items())


@dataclass
class Flooded(RuleBroken):
    """More was sent within an hour than is taken."""

    by: str

    def __str__(self) -> str:
        return f"Too much was sent by this {self.by} within an hour: send it again later"


@dataclass(frozen=True, slots=True)
class FormLimits:
    """What the installation takes within an hour, beside the limit of each form."""

    most_of_address: int = 5
    most_of_all: int = 1_000


@dataclass(frozen=True, slots=True)
class Recent:
    """What came within the last hour: by all forms, by this one, with this address."""

    of_all: int
    of_form: int
    of_address: int


def check_flood(recent: Recent, form: WebForm, limits: FormLimits) -> None:
    """Raises Flooded when another submission would be one too many."""
    if recent.of_address >= limits.most_of_address:
        raise Flooded("address")
    if recent.of_form >= form.rules.most_an_hour:
        raise Flooded("form")
    if recent.of_all >= limits.most_of_all:
        raise Flooded("site")


def asked_fields(form: WebForm, rules: CaseRules) -> Sequence[tuple[AskedField, FieldDefinition]]:
    """The own fields that the form asks for, as they are defined now."""
    known = {definition.name: definition for definition in rules.fields if definition.is_of(form.rules.kind)}
    return [(asked, known[asked.name]) for asked in form.rules.fields if asked.name in known]


def check_asked(draft: WebFormRules, rules: CaseRules) -> None:
    """Raises BadField for a field that is none of the form's kind, UnlistedValue for what the lists do not have."""
    known = {definition.name for definition in rules.fields if definition.is_of(draft.kind)}
    for asked in draft.fields:
        if asked.name not in known:
            raise BadField(asked.name, f"is no field of this kind of ticket; there are {', '.join(known) or 'none'}")
    rules.check_lists(Open(title=draft.title, category=draft.category, component=draft.component))


def opening_of(form: WebForm, given: Given, rules: CaseRules) -> Open:
    """The request that was sent, as every channel opens one. Raises Mistaken with all that is wrong at once."""
    mistakes: dict[str, Mistake] = {}
    texts = {
        "requester_email": _text("email", given.email, LONGEST_ADDRESS, mistakes, required=True),
        "requester_name": _text(
            "name", given.name, LONGEST_NAME, mistakes, required=form.rules.asks_name is Demand.REQUIRED
        ),
        "title": _text("subject", given.subject, LONGEST_SUBJECT, mistakes, required=True),
        "body": _text("message", given.message, LONGEST_MESSAGE, mistakes, required=True, lines=True),
    }
    if form.rules.asks_name is Demand.NO:
        texts["requester_name"] = ""
    if texts["requester_email"]:
        try:
            texts["requester_email"] = checked_email(texts["requester_email"])
        except ValueError:
            mistakes.setdefault("email", Mistake.ADDRESS)
    fields = _own(form, given.fields, rules, mistakes)
    if given.website.strip():
        mistakes["website"] = Mistake.NOT_EMPTY
    if not mistakes:
        try:
            return Open(
                **{name: text for name, text in texts.items() if text},
                fields=fields,
                channel=Channel.WEB,
                kind=form.rules.kind,
                language=form.rules.language.value,
                product=form.rules.product,
                category=_still_listed(form.rules.category, rules.categories),
                component=_still_listed(form.rules.component, rules.components),
                group=form.rules.group,
                tags=form.rules.tags,
            )
        except ValidationError as error:  # an address that no command takes
            mistakes |= {_SENT_AS.get(str(each["loc"][0]), "email"): Mistake.ADDRESS for each in error.errors()}
    raise Mistaken(mistakes)


_SENT_AS = {"requester_email": "email", "requester_name": "name", "title": "subject", "body": "message"}


def _text(
    name: str, given: str, longest: int, mistakes: dict[str, Mistake], *, required: bool, lines: bool = False
) -> str:
    """The text without what nobody sees; in one line unless it may have several."""
    text = _UNSHOWN.sub(" ", given.replace("\r\n", "\n").replace("\r", "\n").replace("\t", "    "))
    text = text.encode("utf-8", "replace").decode()
    text = text.strip() if lines else " ".join(text.split())
    if required and not text:
        mistakes[name] = Mistake.REQUIRED
    elif len(text) > longest:
        mistakes[name] = Mistake.TOO_LONG
    return text


def _own(form: WebForm, given: Mapping[str, Any], rules: CaseRules, mistakes: dict[str, Mistake]) -> dict[str, Any]:
    asked = {each.name: (each, definition) for each, definition in asked_fields(form, rules)}
    mistakes |= {f"fields.{name[:40]}": Mistake.UNKNOWN for name in given if name not in asked}
    values: dict[str, Any] = {}
    for name, (field_asked, definition) in asked.items():
        value = _typed(definition, given.get(name))
        # A box that was not ticked is not sent at all; where it is required it must be ticked.
        if value is None or (field_asked.required and value is False):
            if field_asked.required:
                mistakes[f"fields.{name}"] = Mistake.REQUIRED
            continue
        try:
            values[name] = read_value(definition, value)
        except BadField:
            mistakes[f"fields.{name}"] = _MISTAKES[definition.type]
    return values


_MISTAKES = {
    FieldType.TEXT: Mistake.TOO_LONG,
    FieldType.NUMBER: Mistake.NUMBER,
    FieldType.BOOLEAN: Mistake.CHOICE,
    FieldType.DATE: Mistake.DAY,
    FieldType.CHOICE: Mistake.CHOICE,
    FieldType.MULTI_CHOICE: Mistake.CHOICE,
}


_NO_VALUE = object()
"""Of no field's type."""


def _typed(definition: FieldDefinition, given: Any) -> Any:
    """What a page sends as text, as the field's type; None where nothing was given."""
    if isinstance(given, str):
        text = _UNSHOWN.sub(" ", given.replace("\r\n", "\n")).encode("utf-8", "replace").decode().strip()
        if not text:
            return None
        return _READ.get(definition.type, str)(text)
    if isinstance(given, list | tuple):
        return (tuple(given) or None) if all(isinstance(each, str) for each in given) else _NO_VALUE
    return given


def _number(text: str) -> float | str:
    """A number as people write it, with a comma too; what is none is left as it is."""
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        return text
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _flag(text: str) -> bool | str:
    """What a ticked box sends; anything else is left as it is."""
    return {"true": True, "false": False}.get(text, text)


_READ: Mapping[FieldType, Callable[[str], Any]] = {
    FieldType.NUMBER: _number,
    FieldType.BOOLEAN: _flag,
    FieldType.MULTI_CHOICE: lambda text: (text,),
}
"""How texts are read; those of other types are values as they are."""


def _still_listed(value: str | None, listed: Sequence[str]) -> str | None:
    """What the form says, unless the lists have changed since: no request is refused for that."""
    return value if not listed or value in listed else None
