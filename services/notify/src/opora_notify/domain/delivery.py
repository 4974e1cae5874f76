"""What becomes of a message: attempts, back-off, and the fact that tells the end."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from opora_contracts.notifications import (
    NotificationDelivered,
    NotificationFact,
    NotificationFailed,
    NotificationSuppressed,
)
from opora_contracts.vocabulary import MessageChannel

ACTOR = "system:notify"
_LONGEST_REASON = 200


class State(StrEnum):
    """Where a notification stands."""

    PENDING = "pending"
    SENDING = "sending"
    DELIVERED = "delivered"
    FAILED = "failed"
    SUPPRESSED = "suppressed"


FINISHED = frozenset({State.DELIVERED, State.FAILED, State.SUPPRESSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One message to one recipient by one channel, as the ledger has it."""

    notification_id: UUID
    event_source: str
    event_id: str
    event_type: str
    event: dict[str, Any]
    """The event as a structured CloudEvent."""
    ticket_id: UUID | None
    rule: str
    template: str
    channel: MessageChannel
    recipient: str
    address: str | None = None
    state: State = State.PENDING
    attempts: int = 0
    """Claims so far, the current one included: a worker that dies has used up one."""
    resends: int = 0
    told: int = 0
    reason: str | None = None
    created_at: datetime
    due_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """The next server or endpoint took the message over."""


@dataclass(frozen=True, slots=True)
class Delayed:
    """It did not work now and may work later."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """It will never work."""

    reason: str


@dataclass(frozen=True, slots=True)
class Withheld:
    """It must not be sent."""

    reason: str


Outcome = Delivered | Delayed | Refused | Withheld


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a message is tried. Seconds are real ones: servers recover by the real clock, whatever ours shows."""

    base_seconds: float = 2.0
    cap_seconds: float = 3600.0
    max_attempts: int = 8


@dataclass(frozen=True, slots=True)
class Settlement:
    """What one attempt came to. `wait_seconds` (real) is set while it goes on, `fact` once it is over."""

    state: State
    reason: str | None = None
    wait_seconds: float | None = None
    fact: NotificationFact | None = None


def retry_wait_seconds(attempts: int, policy: RetryPolicy, jitter: float) -> float:
    """Real seconds to wait after so many failed attempts; `jitter` in 0 … 1 spreads them over half to all of a step.

    Steps grow fourfold: a contact that is milliseconds behind is retried at once, and eight attempts still outlast
    a mail server that is away for an hour.
    """
    step: float = min(policy.cap_seconds, policy.base_seconds * 4.0 ** min(attempts - 1, 20))
    return step * (0.5 + 0.5 * jitter)


def settle(
    notification: Notification, outcome: Outcome, *, now: datetime, policy: RetryPolicy, jitter: float
) -> Settlement:
    """Decide what an attempt's outcome means. `notification.attempts` counts the attempt just made."""
    match outcome:
        case Delivered():
            return Settlement(State.DELIVERED, fact=NotificationDelivered(**_about(notification), delivered_at=now))
        case Withheld(reason):
            return suppress(notification, reason)
        case Delayed(reason) if notification.attempts < policy.max_attempts:
            wait_seconds = retry_wait_seconds(notification.attempts, policy, jitter)
            return Settlement(State.PENDING, _shown(reason), wait_seconds)
        case Delayed(reason):
            reason = _shown(f"given up after {notification.attempts} attempts: {reason}")
        case Refused(reason):
            reason = _shown(reason)
    return Settlement(State.FAILED, reason, fact=NotificationFailed(**_about(notification), reason=reason))


def suppress(notification: Notification, reason: str) -> Settlement:
    """The end of a message that must not be sent."""
    reason = _shown(reason)
    return Settlement(State.SUPPRESSED, reason, fact=NotificationSuppressed(**_about(notification), reason=reason))


def is_overdrawn(notification: Notification, policy: RetryPolicy) -> bool:
    """Whether a claim came after the last allowed attempt: the workers before died while sending it."""
    return notification.attempts > policy.max_attempts


def lease_ends_at(now: datetime, virtual_lease: timedelta) -> datetime:
    """Until when a claim belongs to its worker, on the platform's clock."""
    return now + virtual_lease


def _about(notification: Notification) -> dict[str, Any]:
    return {
        "notification_id": notification.notification_id,
        "template": notification.template,
        "channel": notification.channel,
        "recipient": notification.recipient,
        "ticket_id": notification.ticket_id,
        "attempts": notification.attempts,
    }


def _shown(reason: str) -> str:
    """A reason that fits into a fact: one line, at most 200 characters."""
    line = " ".join(reason.split()) or "no reason was given"
    return line if len(line) <= _LONGEST_REASON else line[: _LONGEST_REASON - 1] + "…"
