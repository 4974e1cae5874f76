"""What became of messages: published by notify on `opora.notifications`, keyed by notification id."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from opora_contracts.fact import Fact, Identifier, Instant, ShortText
from opora_contracts.vocabulary import MessageChannel


class NotificationFact(Fact):
    """Which message, for what, to whom by which channel. Addresses stay in notify's database."""

    notification_id: UUID
    template: Identifier
    channel: MessageChannel
    recipient: ShortText
    """A reference such as `customer:<id>` or `agent:<id>`, never an address."""
    ticket_id: UUID | None = None
    attempts: Annotated[int, Field(ge=0)]


class NotificationDelivered(NotificationFact, event_type="notification.delivered"):
    """The next server or endpoint took the message over."""

    delivered_at: Instant


class NotificationFailed(NotificationFact, event_type="notification.failed"):
    """The message was given up after the last attempt, or refused for good."""

    reason: ShortText


class NotificationSuppressed(NotificationFact, event_type="notification.suppressed"):
    """The message was not sent, on purpose."""

    reason: ShortText
