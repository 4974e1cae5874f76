"""Rules as data: which event tells whom, by which channel, with which template."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from opora_contracts import Event, Fact
from opora_contracts.feedback import FeedbackFact
from opora_contracts.topics import FEEDBACK, SLA, TICKETS
from opora_contracts.vocabulary import MessageChannel
from opora_notify.domain.tickets import Ticket

EVENT_TYPES = frozenset(fact.event_type for topic in (TICKETS, SLA, FEEDBACK) for fact in topic.types)
"""The types that can lead to a message. Customers' own records never do: they would carry personal data away."""
_ADDRESS_PREFIX = "address:"
_LONGEST_REFERENCE = 200
_NOT_IN_ADDRESS = frozenset(' ,;<>"()[]\\')
Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[a-z0-9_.-]+$")]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class Audience(StrEnum):
    """Whom a rule can name, beside `address:<mail address>`."""

    REQUESTER = "requester"
    WATCHERS = "watchers"
    """Those who watch the ticket, but its requester."""
    ASSIGNEE = "assignee"
    LEAD = "lead"
    GROUP = "group"
    ESCALATION = "escalation"
    """Those whom the step of an agreement's ladder names (`tell` of sla.escalated)."""
    WEBHOOKS = "webhooks"


class Rule(BaseModel):
    """One rule. `event_type` may hold `*`; every condition must hold: the field's value is one of those listed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    event_type: Pattern
    conditions: dict[Name, Annotated[tuple[str, ...], Field(min_length=1)]] = {}
    audience: Annotated[tuple[Annotated[str, StringConstraints(max_length=260)], ...], Field(min_length=1)]
    channels: Annotated[tuple[MessageChannel, ...], Field(min_length=1)]
    template: Name
    enabled: bool = True

    @model_validator(mode="after")
    def _is_meant(self) -> Self:
        known = {*Audience}
        for one in self.audience:
            if one not in known and not (one.startswith(_ADDRESS_PREFIX) and is_mail_address(mail_address_in(one))):
                raise ValueError(f"audience {one!r} is none of {', '.join(Audience)}, address:<mail address>")
        wanted = {MessageChannel.WEBHOOK if one == Audience.WEBHOOKS else MessageChannel.EMAIL for one in self.audience}
        if wanted != set(self.channels):
            raise ValueError("people are reached by the channel email, webhooks by the channel webhook")
        if not takes_any(self.event_type):
            raise ValueError(f"no event has the type {self.event_type!r}; known are {', '.join(sorted(EVENT_TYPES))}")
        return self


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A webhook endpoint that takes messages, and the types (or patterns) that it asked for."""

    endpoint_id: UUID
    event_types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Directory:
    """Who works where: from the address book."""

    leads: Mapping[str, str] = field(default_factory=dict)
    """Agent id of the lead by group."""
    on_call: Mapping[str, str] = field(default_factory=dict)
    """Agent id of who is on call by group; where nobody is, the lead."""
    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Agent ids by group."""
    endpoints: tuple[Endpoint, ...] = ()


@dataclass(frozen=True, slots=True)
class Draft:
    """A message that should exist: one per channel and recipient of an event."""

    rule: str
    template: str
    channel: MessageChannel
    recipient: str
    """`customer:<id>`, `agent:<id>`, `lead:<group>`, `webhook:<id>` or `address:<digest>`: never an address."""
    address: str | None = None
    """Where the rule itself gives the address."""
    withheld: str | None = None
    """Why it must not be sent; None sends it."""


def plan(
    event: Event[Any],
    rules: Sequence[Rule],
    ticket: Ticket | None,
    directory: Directory,
    *,
    now: datetime,
    stale_after: timedelta,
) -> list[Draft]:
    """The messages that an event leads to; the first rule wins where two reach one recipient by one channel.

    An event older than `stale_after` sends nothing, so that a service that is built late floods nobody.
    """
    drafts: dict[tuple[MessageChannel, str], Draft] = {}
    stale = "the event is older than messages may be" if now - event.time > stale_after else None
    for rule in rules:
        if not matches(rule, event, ticket):
            continue
        for draft in _drafts(rule, event, ticket, directory, stale):
            drafts.setdefault((draft.channel, draft.recipient), draft)
    return list(drafts.values())


def matches(rule: Rule, event: Event[Any], ticket: Ticket | None) -> bool:
    """Whether the rule speaks of this event. A field that neither the fact nor the ticket has fulfils no condition."""
    return (
        rule.enabled
        and fnmatchcase(event.type, rule.event_type)
        and all(_value(name, event.data, ticket) in allowed for name, allowed in rule.conditions.items())
    )


def takes(endpoint: Endpoint, event_type: str) -> bool:
    """Whether the endpoint asked for events of this type."""
    return any(fnmatchcase(event_type, pattern) for pattern in endpoint.event_types)


def takes_any(pattern: str) -> bool:
    """Whether any event that can lead to a message has such a type."""
    return any(fnmatchcase(event_type, pattern) for event_type in EVENT_TYPES)


def is_mail_address(text: str) -> bool:
    """Whether a text can be a mail address: one @, a dot-free or dotted domain, nothing that could end a header."""
    local, at, domain = text.rpartition("@")
    return bool(at and local and domain) and text.isprintable() and not set(text) & _NOT_IN_ADDRESS and "@" not in local


def mail_address_in(audience: str) -> str:
    """The address of an audience `address:<mail address>`."""
    return audience.removeprefix(_ADDRESS_PREFIX)


def _drafts(
    rule: Rule, event: Event[Any], ticket: Ticket | None, directory: Directory, stale: str | None
) -> Iterator[Draft]:
    for audience in rule.audience:
        channel = MessageChannel.WEBHOOK if audience == Audience.WEBHOOKS else MessageChannel.EMAIL
        for recipient, reason in _recipients(audience, event, ticket, directory):
            # Whoever did it knows it already. A customer's own act is confirmed to the customer all the same.
            if recipient == event.actor and recipient.startswith("agent:"):
                continue
            address = mail_address_in(audience) if recipient.startswith(_ADDRESS_PREFIX) else None
            yield Draft(rule.name, rule.template, channel, recipient, address, stale or reason)


def _recipients(
    audience: str, event: Event[Any], ticket: Ticket | None, directory: Directory
) -> list[tuple[str, str | None]]:
    """Recipients, each with the reason why it cannot be told, if there is one."""
    if audience == Audience.WEBHOOKS:
        return [(f"webhook:{one.endpoint_id}", None) for one in directory.endpoints if takes(one, event.type)]
    if audience.startswith(_ADDRESS_PREFIX):
        return [(f"{_ADDRESS_PREFIX}{sha256(audience.encode()).hexdigest()[:16]}", None)]
    if audience == Audience.REQUESTER:
        requester = _requester(event.data, ticket)
        return [(f"customer:{requester}", None)] if requester else []
    if audience == Audience.WATCHERS:
        requester = f"customer:{_requester(event.data, ticket)}"
        return [(one, None) for one in (ticket.watchers if ticket else ()) if one != requester]
    told = getattr(event.data, "tell", ()) if audience == Audience.ESCALATION else (audience,)
    group, assignee = _value("group", event.data, ticket) or "", _value("assignee", event.data, ticket)
    return [recipient for one in told for recipient in _agents(one, group, assignee, directory)]


def _agents(told: str, group: str, assignee: str | None, directory: Directory) -> list[tuple[str, str | None]]:
    """The agents behind `assignee`, `group`, `lead`, `on_call` of this group, or of one that `told` names itself."""
    whom, _, name = told.partition(":")
    group = name or group
    if whom in {"lead", "on_call"} and group and group not in directory.leads:
        return [(f"lead:{group}"[:_LONGEST_REFERENCE], "the group has no lead: name one with PUT /v1/groups/{name}")]
    agents: Mapping[str, Sequence[str | None]] = {
        "agent": [name],
        "assignee": [assignee],
        "lead": [directory.leads.get(group)],
        "on_call": [directory.on_call.get(group) or directory.leads.get(group)],
        "group": directory.members.get(group, ()),
    }
    return [(f"agent:{one}", None) for one in agents.get(whom, ()) if one]


def _value(name: str, fact: Fact, ticket: Ticket | None) -> str | None:
    """A field of the fact; where the fact does not say, of the ticket."""
    value = getattr(fact, name, None) if name in type(fact).model_fields else None
    if value is None and ticket is not None:
        value = getattr(ticket, name, None)
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else str(value)


def _requester(fact: Fact, ticket: Ticket | None) -> str | None:
    if isinstance(fact, FeedbackFact):
        return str(fact.customer_id)
    return _value("requester_id", fact, ticket)
