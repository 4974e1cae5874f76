"""What other systems ask for on `opora.requests`, keyed by their id of the case (`ce_subject`, the record's key)."""

from typing import Annotated
from uuid import UUID

from opora_contracts.fact import BodyText, Fact, Identifier, Language, Personal, ShortText, Title
from opora_contracts.vocabulary import AuthorKind, Channel, Kind, Level


class TicketSubmitted(Fact, event_type="ticket.submitted"):
    """Somebody needs help: intake opens a ticket. The same (`ce_source`, `ce_id`) twice opens one."""

    title: Title
    body: Annotated[BodyText, Personal] = ""
    requester_email: Annotated[ShortText | None, Personal] = None
    requester_name: Annotated[ShortText | None, Personal] = None
    language: Language = "en"
    channel: Channel = Channel.EVENT
    kind: Kind = Kind.INCIDENT
    impact: Level = Level.MEDIUM
    urgency: Level = Level.MEDIUM
    product: ShortText | None = None
    category: ShortText | None = None
    organization_id: UUID | None = None


class TicketReplySubmitted(Fact, event_type="ticket.reply.submitted"):
    """A message for a ticket: named by `ticket_number`, or by the subject under which the same source submitted it."""

    ticket_number: Identifier | None = None
    body: Annotated[BodyText, Personal]
    author_kind: AuthorKind = AuthorKind.CUSTOMER
    author: Identifier | None = None
    channel: Channel = Channel.EVENT
