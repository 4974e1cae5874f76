"""What the commands about tags, watchers and fields of an installation's own lead to."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from opora_contracts.tickets import PublishedField, TicketUpdated
from opora_contracts.vocabulary import Kind
from opora_intake.domain import commands
from opora_intake.domain.drafts import Draft, Moment
from opora_intake.domain.errors import BadField, NothingGiven, TooMany
from opora_intake.domain.fields import Given, published, read_value
from opora_intake.domain.rules import CaseRules
from opora_intake.domain.ticket import Ticket

MOST_TAGS = 30
MOST_WATCHERS = 50


def tag(ticket: Ticket, command: commands.TagTicket, time: datetime, _moment: Moment) -> list[Draft]:
    """The ticket has these tags too. Raises TooMany."""
    return _tagged(ticket, {*ticket.tags, *command.tags}, time)


def untag(ticket: Ticket, command: commands.Untag, time: datetime, _moment: Moment) -> list[Draft]:
    """The ticket has none of these tags."""
    return _tagged(ticket, set(ticket.tags) - {*command.tags}, time)


def _tagged(ticket: Ticket, tags: set[str], time: datetime) -> list[Draft]:
    if tags == set(ticket.tags):
        return []
    return [(TicketUpdated(ticket_id=ticket.id, tags=tags_of(tags)), time)]


def tags_of(tags: set[str]) -> tuple[str, ...]:
    """The tags in order. Raises TooMany."""
    if len(tags) > MOST_TAGS:
        raise TooMany("tags", MOST_TAGS)
    return tuple(sorted(tags))


def watch(ticket: Ticket, command: commands.Watch, time: datetime, _moment: Moment) -> list[Draft]:
    """These watch the ticket too, after those who do already. Raises TooMany."""
    return _watched(ticket, tuple(dict.fromkeys((*ticket.watchers, *command.watchers))), time)


def unwatch(ticket: Ticket, command: commands.Unwatch, time: datetime, _moment: Moment) -> list[Draft]:
    """None of these watches the ticket."""
    return _watched(ticket, tuple(each for each in ticket.watchers if each not in command.watchers), time)


def _watched(ticket: Ticket, watchers: tuple[str, ...], time: datetime) -> list[Draft]:
    if watchers == ticket.watchers:
        return []
    if len(watchers) > MOST_WATCHERS:
        raise TooMany("watchers", MOST_WATCHERS)
    return [(TicketUpdated(ticket_id=ticket.id, watchers=watchers), time)]


def set_fields(ticket: Ticket, command: commands.SetFields, time: datetime, moment: Moment) -> list[Draft]:
    """The ticket has these values. What is not published is told by its absence alone: the list may be empty."""
    changed = changed_fields(ticket, command, moment.rules)
    if not changed:
        return []
    return [(TicketUpdated(ticket_id=ticket.id, fields=published_of(changed, moment.rules)), time)]


def changed_fields(ticket: Ticket, command: commands.SetFields, rules: CaseRules) -> dict[str, Any]:
    """The values that the command changes, as they are kept; None for those that it takes away.

    Raises BadField or NothingGiven.
    """
    if not command.values:
        raise NothingGiven(("values",))
    read = read_fields(ticket.kind, command.values, rules)
    return {name: value for name, value in read.items() if ticket.fields.get(name) != value}


def read_fields(kind: Kind, given: Mapping[str, Given | None], rules: CaseRules) -> dict[str, Any]:
    """The given values as they are kept. Raises BadField for a field that tickets of this kind do not have."""
    known = {definition.name: definition for definition in rules.fields if definition.is_of(kind)}
    for name in given:
        if name not in known:
            raise BadField(name, f"is no field of this kind of ticket; there are {', '.join(known) or 'none'}")
    return {name: None if value is None else read_value(known[name], value) for name, value in given.items()}


def published_of(changed: Mapping[str, Any], rules: CaseRules) -> tuple[PublishedField, ...]:
    """What facts tell of changed fields."""
    return tuple(
        published(definition, changed[definition.name])
        for definition in rules.fields
        if definition.published and definition.name in changed
    )


def with_fields(ticket: Ticket, changed: Mapping[str, Any]) -> dict[str, Any]:
    """The ticket's fields after the change."""
    merged = {**ticket.fields, **changed}
    return {name: value for name, value in merged.items() if value is not None}


def missing_fields(ticket: Ticket, rules: CaseRules) -> Sequence[str]:
    """The fields that the ticket must have before it is resolved, and has not."""
    return [
        definition.name
        for definition in rules.fields
        if definition.required and definition.is_of(ticket.kind) and definition.name not in ticket.fields
    ]
