"""Macros: several commands to a ticket as one. All are carried out, or none."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from opora_contracts.fact import Identifier, ShortText
from opora_intake.domain.commands import ACTIONS, Command
from opora_intake.domain.errors import BadValue, RuleBroken, VersionConflict
from opora_intake.domain.history import problem_text
from opora_intake.domain.lifecycle import decide
from opora_intake.domain.rules import CaseRules
from opora_intake.domain.ticket import Decision, Ticket

MOST_OPERATIONS = 20
MOST_MACROS = 500

MacroName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,59}$")]
"""As it stands in a path: a to z, digits, `-`, `_`; at most 60 characters."""

PLACEHOLDERS = ("number", "title", "requester_name")
_PLACEHOLDER = re.compile(r"\{\{\s*([^{}|]*?)\s*(?:\|([^{}|]*))?\}\}")
_TEXTS: Mapping[str, str] = {"reply": "body", "note": "body", "resolve": "resolution", "close": "note"}
"""The text of a command in which placeholders stand."""
_NEEDED = frozenset({"reply", "note"})
_NOT_OF_A_MACRO = frozenset({"expected_version", "occurred_at", "author", "author_kind", "channel"})
"""Who runs the macro is the author, and it happens now."""


class Operation(BaseModel):
    """One command of a macro."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    action: Identifier
    """The verb of a command to one ticket: assign, hold, reply, note, tag, resolve and others."""
    data: dict[str, Any] = {}
    """The fields of the command. In the texts of reply, note, resolve and close stand `{{number}}`, `{{title}}` and
    `{{requester_name}}`, with what stands in for a missing one behind a bar: `{{requester_name|customer}}`."""

    @model_validator(mode="after")
    def _can_be_asked(self) -> "Operation":
        if self.action not in ACTIONS:
            raise ValueError(f"there is no action {self.action}: use one of {', '.join(ACTIONS)}")
        if foreign := sorted(_NOT_OF_A_MACRO & self.data.keys()):
            raise ValueError(f"an operation of a macro gives no {', '.join(foreign)}: leave it out")
        try:
            command = ACTIONS[self.action].model_validate(self.data)
        except ValidationError as error:
            raise ValueError(f"{self.action}: {problem_text(error)}") from error
        text = getattr(command, _TEXTS.get(self.action, ""), None)
        if self.action in _NEEDED and not (text or "").strip():
            raise ValueError(f"{self.action} needs a body that says something")
        unknown = {name for name, _ in _PLACEHOLDER.findall(text or "")} - set(PLACEHOLDERS)
        if unknown:
            known = ", ".join(f"{{{{{name}}}}}" for name in PLACEHOLDERS)
            raise ValueError(f"there is no placeholder {{{{{min(unknown)}}}}}: use {known}")
        return self


class MacroDraft(BaseModel):
    """What a macro does, and for what."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    description: ShortText
    """When to use it, for people."""
    operations: Annotated[tuple[Operation, ...], Field(min_length=1, max_length=MOST_OPERATIONS)]
    """In the order in which they are carried out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Macro:
    """A macro as it is kept."""

    name: str
    description: str
    operations: tuple[Operation, ...]
    version: int
    changed_at: datetime
    changed_by: str


@dataclass
class OperationRefused(RuleBroken):
    """An operation of a macro is refused, so nothing of the macro was done."""

    position: int
    """From 1."""
    action: str
    refusal: RuleBroken

    def __str__(self) -> str:
        return f"Nothing was done: operation {self.position}, {self.action}, is refused: {self.refusal}"


def check_operations(operations: Sequence[Operation], rules: CaseRules) -> None:
    """Raises OperationRefused for a category or component that the settings do not list."""
    for position, operation in enumerate(operations, 1):
        try:
            rules.check_lists(ACTIONS[operation.action].model_validate(operation.data))
        except RuleBroken as refusal:
            raise OperationRefused(position, operation.action, refusal) from refusal


def commands_of(operations: Sequence[Operation], ticket: Ticket, requester_name: str | None) -> list[Command]:
    """The operations for this ticket, its texts filled in as the ticket is before the first of them.

    What is filled in is not looked through for placeholders again. Raises OperationRefused when there is nothing to
    fill in, or the text becomes too long.
    """
    values = {"number": ticket.label, "title": ticket.title, "requester_name": requester_name}
    commands: list[Command] = []
    for position, operation in enumerate(operations, 1):
        data = dict(operation.data)
        field = _TEXTS.get(operation.action, "")
        try:
            if data.get(field):
                data[field] = _filled(data[field], values)
            commands.append(_command(operation.action, data))
        except RuleBroken as refusal:
            raise OperationRefused(position, operation.action, refusal) from refusal
    return commands


def decide_all(
    ticket: Ticket,
    commands: Sequence[Command],
    now: datetime,
    *,
    message_ids: Sequence[UUID],
    actor: str | None,
    rules: CaseRules,
    expected_version: int | None = None,
) -> list[Decision]:
    """What the commands lead to, each on what the one before left. `message_ids` has one for each.

    Raises VersionConflict when the ticket is not at `expected_version`, OperationRefused with the reason of the first
    command that is not possible.
    """
    if expected_version not in {None, ticket.version}:
        raise VersionConflict(expected_version or 0, ticket.version)
    decisions: list[Decision] = []
    for position, (command, message_id) in enumerate(zip(commands, message_ids, strict=True), 1):
        try:
            decision = decide(ticket, command, now, message_id=message_id, actor=actor, rules=rules)
        except RuleBroken as refusal:
            raise OperationRefused(position, command.action, refusal) from refusal
        decisions.append(decision)
        ticket = decision.ticket
    return decisions


def _filled(text: str, values: Mapping[str, str | None]) -> str:
    def value_of(found: re.Match[str]) -> str:
        value = values[found[1]] or found[2]
        if value is None:
            raise BadValue(f"The ticket has no {found[1]}: give what stands in for it, {{{{{found[1]}|…}}}}")
        return value

    return _PLACEHOLDER.sub(value_of, text)


def _command(action: str, data: Mapping[str, Any]) -> Command:
    try:
        return ACTIONS[action].model_validate(data)
    except ValidationError as error:
        raise BadValue(problem_text(error)) from error
