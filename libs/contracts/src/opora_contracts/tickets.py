"""A ticket's life, published by intake on `opora.tickets`, keyed by ticket id, numbered 1, 2, 3 … per ticket."""

from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from opora_contracts.fact import Fact, Identifier, Instant, Language, ShortText, Title
from opora_contracts.vocabulary import (
    AuthorKind,
    Channel,
    Kind,
    Level,
    Priority,
    Profile,
    Relation,
    ResolutionCode,
    WaitingOn,
)

Cycle = Annotated[int, Field(ge=1)]


Tag = Annotated[str, StringConstraints(min_length=1, max_length=50)]


class PublishedField(BaseModel):
    """A field of the installation's own with its value: the member of its type. None of them: it has no value."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: Identifier
    text: ShortText | None = None
    """A text, or what was chosen."""
    number: float | None = None
    flag: bool | None = None
    day: date | None = None
    choices: tuple[ShortText, ...] | None = None
    """What was chosen, where several may be."""


class TicketFact(Fact):
    """What every fact of a ticket says."""

    ticket_id: UUID


class TicketCreated(TicketFact, event_type="ticket.created"):
    """A request was received and has a ticket. The event's time is when the customer asked."""

    number: Identifier
    """The name that people use: OP-1042."""
    title: Title
    channel: Channel
    kind: Kind
    impact: Level
    urgency: Level
    priority: Priority
    language: Language = "en"
    requester_id: UUID | None = None
    organization_id: UUID | None = None
    tier: Identifier | None = None
    """The organisation's service tier at that moment."""
    product: ShortText | None = None
    category: ShortText | None = None
    group: ShortText | None = None
    assignee: Identifier | None = None
    external_source: ShortText | None = None
    """The foreign system or import that knows the ticket under `external_id`."""
    external_id: ShortText | None = None
    component: ShortText | None = None
    """The part of the product."""
    tags: tuple[Tag, ...] | None = None
    fields: tuple[PublishedField, ...] | None = None
    """Fields of the installation's own, as far as they are published."""
    profile: Profile | None = None
    """Under which profile the first cycle is worked; absent means light."""


class TicketAssessed(TicketFact, event_type="ticket.assessed"):
    """Impact and urgency were judged, and so the priority; may happen again at any open step."""

    impact: Level
    urgency: Level
    priority: Priority
    category: ShortText | None = None
    kind: Kind | None = None
    profile: Profile | None = None
    """The profile of the cycle from here on, when another kind changed it."""


class TicketAssigned(TicketFact, event_type="ticket.assigned"):
    """The ticket belongs to this group and person from now on; null means nobody."""

    group: ShortText | None = None
    assignee: Identifier | None = None


class TicketDiagnosed(TicketFact, event_type="ticket.diagnosed"):
    """The cause is known."""

    cause: ShortText | None = None


class TicketPlanned(TicketFact, event_type="ticket.planned"):
    """It is decided what will be done, and when if a time was named."""

    planned_for: Instant | None = None


class TicketResolved(TicketFact, event_type="ticket.resolved"):
    """The support side holds the request for done."""

    cycle: Cycle
    resolution_code: ResolutionCode
    requester_id: UUID | None = None
    assignee: Identifier | None = None
    group: ShortText | None = None


class TicketVerified(TicketFact, event_type="ticket.verified"):
    """The resolution was confirmed."""

    cycle: Cycle
    verified_by: AuthorKind


class TicketClosed(TicketFact, event_type="ticket.closed"):
    """The case is over."""

    cycle: Cycle
    resolution_code: ResolutionCode
    requester_id: UUID | None = None
    organization_id: UUID | None = None
    language: Language = "en"
    assignee: Identifier | None = None
    group: ShortText | None = None
    product: ShortText | None = None
    category: ShortText | None = None


class TicketReopened(TicketFact, event_type="ticket.reopened"):
    """Work goes on: a new cycle begins."""

    cycle: Cycle
    """The number of the cycle that begins; the first of a ticket is 1."""
    reason: ShortText | None = None
    profile: Profile | None = None
    """Under which profile the cycle is worked; absent means light."""


class TicketHeld(TicketFact, event_type="ticket.held"):
    """Work waits for somebody else. A second hold replaces the first one's reason."""

    waiting_on: WaitingOn


class TicketResumed(TicketFact, event_type="ticket.resumed"):
    """The wait is over."""


class TicketReplied(TicketFact, event_type="ticket.replied"):
    """A public message was added; its text stays with intake."""

    message_id: UUID
    author_kind: AuthorKind
    author: Identifier | None = None
    channel: Channel


class TicketNoted(TicketFact, event_type="ticket.noted"):
    """An internal note was added; the customer never sees it."""

    message_id: UUID
    author: Identifier | None = None


class TicketUpdated(TicketFact, event_type="ticket.updated"):
    """Fields were changed; a field that is absent stayed as it was."""

    title: Title | None = None
    kind: Kind | None = None
    product: ShortText | None = None
    category: ShortText | None = None
    joined_live: bool | None = None
    """True once, on a ticket of a closed import: from this fact on it is judged by live time."""
    component: ShortText | None = None
    tags: tuple[Tag, ...] | None = None
    """All tags that the ticket has now."""
    watchers: tuple[Identifier, ...] | None = None
    """All who watch the ticket now: `agent:` or `customer:` and the id."""
    fields: tuple[PublishedField, ...] | None = None
    """Fields of the installation's own that changed, as far as they are published; an empty list: only others did."""
    profile: Profile | None = None
    """The profile of the cycle from here on, when another kind changed it."""


class TicketLinked(TicketFact, event_type="ticket.linked"):
    """The ticket and another one belong together; each of them tells so, as it sees it."""

    relation: Relation
    other_id: UUID
    other_number: Identifier
    messages: Annotated[int, Field(ge=1)] | None = None
    """How many messages went from one to the other, when one was split off."""


class TicketUnlinked(TicketFact, event_type="ticket.unlinked"):
    """The ticket and another one do not belong together in this way any more."""

    relation: Relation
    other_id: UUID
    other_number: Identifier


class TicketMerged(TicketFact, event_type="ticket.merged"):
    """Another ticket goes on for this one; `ticket.closed` as a duplicate follows."""

    into_id: UUID
    into_number: Identifier
