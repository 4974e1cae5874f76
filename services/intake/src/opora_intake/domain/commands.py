"""What can be asked of a ticket. The same commands arrive over HTTP, from Kafka and from an import of history."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, TypeAlias
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from opora_contracts.fact import ONE_LINE, BodyText, Identifier, Instant, Language, ShortText, Title
from opora_contracts.vocabulary import (
    AuthorKind,
    Channel,
    Kind,
    Level,
    Priority,
    Relation,
    ResolutionCode,
    WaitingOn,
)
from opora_intake.domain.fields import MOST_FIELDS, FieldName, Given

RecordText = Annotated[str, StringConstraints(min_length=1, max_length=10_000)]
"""What a step leaves behind. It stays with intake."""
MOST_PLANNED_STEPS = 50

Tag = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=50, strip_whitespace=True, to_lower=True, pattern=ONE_LINE.replace("[^", "[^,")
    ),
]
"""In lower case, without commas."""
Watcher = Annotated[
    str,
    StringConstraints(
        pattern=r"^(agent:[^\s:]{1,90}|customer:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$"
    ),
]
"""`agent:anna`, or `customer:` and the customer's id."""
FieldValues = Annotated[dict[FieldName, Given | None], Field(max_length=MOST_FIELDS)]
"""Values of the installation's own fields by name; null takes one away."""
TicketName = Annotated[str, StringConstraints(min_length=1, max_length=40)]
"""An id, or a number such as OP-1042."""
SpokenRelation: TypeAlias = Literal[
    Relation.DUPLICATE_OF,
    Relation.DUPLICATED_BY,
    Relation.RELATED_TO,
    Relation.CAUSED_BY,
    Relation.CAUSE_OF,
    Relation.PARENT_OF,
    Relation.CHILD_OF,
]
"""What can be said by hand."""
_AT_ONCE = Field(min_length=1, max_length=30)

EmailAddress = Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$", max_length=200)]


class Command(BaseModel):
    """Something that somebody asks of a ticket. Immutable; an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    action: ClassVar[str] = ""
    """The verb by which APIs, imports and refusals call this command."""

    expected_version: Annotated[int | None, Field(ge=1)] = None
    """Refuse unless the ticket still is at this version."""


class Past(Command):
    """A command that an agent may log later than it happened."""

    occurred_at: Instant | None = None
    """When it happened, if that was earlier; absent means now."""


class Open(Past):
    """Somebody needs help."""

    action: ClassVar[str] = "create"

    title: Title
    body: BodyText = ""
    """What the customer wrote; it becomes the first message."""
    requester_id: UUID | None = None
    requester_email: EmailAddress | None = None
    """Names the requester by e-mail address; an unknown person is registered."""
    requester_name: ShortText | None = None
    organization_id: UUID | None = None
    """Absent: the requester's organisation."""
    channel: Channel = Channel.API
    kind: Kind = Kind.INCIDENT
    impact: Level = Level.MEDIUM
    urgency: Level = Level.MEDIUM
    priority: Priority | None = None
    """Overrides the priority that impact and urgency give."""
    language: Language | None = None
    """Absent: the requester's language."""
    product: ShortText | None = None
    category: ShortText | None = None
    component: ShortText | None = None
    """The part of the product."""
    tags: Annotated[tuple[Tag, ...], Field(max_length=30)] = ()
    fields: FieldValues = {}
    group: ShortText | None = None
    assignee: Identifier | None = None
    external_source: ShortText | None = None
    external_id: ShortText | None = None


class Assess(Command):
    """Judge impact and urgency, and so the priority. An absent field keeps its value."""

    action: ClassVar[str] = "assess"

    impact: Level | None = None
    urgency: Level | None = None
    priority: Priority | None = None
    """Overrides the priority that impact and urgency give."""
    category: ShortText | None = None
    kind: Kind | None = None
    note: RecordText | None = None
    """What the judgement rests on."""


class Assign(Command):
    """Give the ticket to a group, a person or both. An absent field keeps its value, null means nobody."""

    action: ClassVar[str] = "assign"

    group: ShortText | None = None
    assignee: Identifier | None = None


class Diagnose(Command):
    """Record the cause."""

    action: ClassVar[str] = "diagnose"

    cause: ShortText | None = None
    """In a line. It is published."""
    evidence: RecordText | None = None
    """What shows that this is the cause: log lines, measurements, how it was reproduced."""


class Plan(Command):
    """Decide what will be done, and when."""

    action: ClassVar[str] = "plan"

    planned_for: Instant | None = None
    steps: Annotated[tuple[ShortText, ...], Field(max_length=MOST_PLANNED_STEPS)] = ()
    """What will be done, in order."""
    owner: Identifier | None = None
    """Who sees to it."""


class Resolve(Past):
    """The support side holds the request for done. A hold ends."""

    action: ClassVar[str] = "resolve"

    resolution_code: ResolutionCode = ResolutionCode.SOLVED
    resolution: RecordText | None = None
    """What was done."""


class Verify(Command):
    """Somebody confirmed the resolution."""

    action: ClassVar[str] = "verify"

    verified_by: AuthorKind = AuthorKind.AGENT
    """The customer, an agent, or the system: monitoring."""
    seen: RecordText | None = None
    """What was seen that confirms it."""


class Close(Command):
    """End the case. Before it is resolved, only as `cancelled` or `duplicate`."""

    action: ClassVar[str] = "close"

    resolution_code: ResolutionCode | None = None
    """Absent: the code with which the ticket was resolved."""
    note: RecordText | None = None
    """What is left to say."""


class Reopen(Command):
    """Work goes on, in a new cycle."""

    action: ClassVar[str] = "reopen"

    reason: ShortText | None = None


class Hold(Past):
    """Wait for somebody else. A second hold replaces the first one's reason."""

    action: ClassVar[str] = "hold"

    waiting_on: WaitingOn


class Resume(Past):
    """End the wait."""

    action: ClassVar[str] = "resume"


class Reply(Past):
    """Write to the other side. A customer's reply ends a wait for the customer, and reopens what is resolved or, for as
    long as the settings say, what is closed.
    """

    action: ClassVar[str] = "reply"

    body: BodyText = ""
    author_kind: AuthorKind = AuthorKind.AGENT
    author: Identifier | None = None
    """Absent: whoever makes the call."""
    channel: Channel = Channel.API


class Note(Command):
    """Write something that the customer never sees."""

    action: ClassVar[str] = "note"

    body: BodyText = ""
    author: Identifier | None = None


class Update(Command):
    """Change descriptive fields. An absent field keeps its value."""

    action: ClassVar[str] = "update"

    title: Title | None = None
    kind: Kind | None = None
    product: ShortText | None = None
    category: ShortText | None = None
    component: ShortText | None = None


class TagTicket(Command):
    """Put tags on the ticket; one that it has already changes nothing."""

    action: ClassVar[str] = "tag"

    tags: Annotated[tuple[Tag, ...], _AT_ONCE]


class Untag(Command):
    """Take tags off the ticket; one that it does not have changes nothing."""

    action: ClassVar[str] = "untag"

    tags: Annotated[tuple[Tag, ...], _AT_ONCE]


class Watch(Command):
    """Let agents or customers know what becomes of the ticket from here on."""

    action: ClassVar[str] = "watch"

    watchers: Annotated[tuple[Watcher, ...], _AT_ONCE]


class Unwatch(Command):
    """These need not know any more."""

    action: ClassVar[str] = "unwatch"

    watchers: Annotated[tuple[Watcher, ...], _AT_ONCE]


class SetFields(Command):
    """Give values to the installation's own fields."""

    action: ClassVar[str] = "set_fields"

    values: FieldValues


class Link(Command):
    """Say how the ticket and another one belong together. Both ends tell of it."""

    action: ClassVar[str] = "link"

    relation: SpokenRelation
    ticket: TicketName
    """The other ticket."""


class Unlink(Command):
    """Take a link back, from either end."""

    action: ClassVar[str] = "unlink"

    relation: SpokenRelation
    ticket: TicketName


class Merge(Command):
    """End the ticket as a duplicate; the other one goes on for both and shows the messages of both."""

    action: ClassVar[str] = "merge"

    into: TicketName


class Split(Command):
    """Let some messages be a ticket of their own."""

    action: ClassVar[str] = "split"

    messages: Annotated[tuple[UUID, ...], Field(min_length=1, max_length=500)]
    """Which; at least one must stay."""
    title: Title | None = None
    """Absent: the title of this ticket."""
    kind: Kind | None = None
    """Absent: the kind of this ticket."""


class FollowUp(Command):
    """Open a ticket that continues a closed one, for the same requester, in the same group."""

    action: ClassVar[str] = "follow_up"

    title: Title | None = None
    """Absent: the title of the closed ticket."""
    body: BodyText = ""
    channel: Channel = Channel.API


ACTIONS: Mapping[str, type[Command]] = {
    command.action: command
    for command in (
        Assess,
        Assign,
        Diagnose,
        Plan,
        Resolve,
        Verify,
        Close,
        Reopen,
        Hold,
        Resume,
        Reply,
        Note,
        Update,
        TagTicket,
        Untag,
        Watch,
        Unwatch,
        SetFields,
    )
}
"""Every command to an existing ticket alone, by its verb."""
