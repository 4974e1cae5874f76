"""What becomes of a message: attempts, back-off and its end."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from opora_contracts.notifications import NotificationDelivered, NotificationFailed, NotificationSuppressed
from opora_contracts.vocabulary import MessageChannel
from opora_notify.domain import delivery
from opora_notify.domain.delivery import (
    Delayed,
    Delivered,
    Notification,
    Refused,
    RetryPolicy,
    Settlement,
    State,
    Withheld,
)

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
POLICY = RetryPolicy(base_seconds=2, cap_seconds=3600, max_attempts=8)
MESSAGE = Notification(
    notification_id=UUID("0195512a-0000-7000-8000-000000000009"),
    event_source="/opora/intake",
    event_id="e-1",
    event_type="ticket.created",
    event={},
    ticket_id=UUID("0195512a-0000-7000-8000-000000000001"),
    rule="requester.ticket_created",
    template="ticket_created",
    channel=MessageChannel.EMAIL,
    recipient="customer:0195512a-0000-7000-8000-000000000002",
    state=State.SENDING,
    attempts=1,
    created_at=NOON,
    due_at=NOON,
)


@pytest.mark.parametrize(
    ("attempts", "jitter", "seconds"),
    [
        (1, 1.0, 2),
        (1, 0.0, 1),
        (2, 1.0, 8),
        (4, 1.0, 128),
        (4, 0.5, 96),
        (6, 1.0, 2048),
        (7, 1.0, 3600),
        (99, 1.0, 3600),
    ],
)
def test_waits_grow_fourfold_up_to_the_cap(attempts: int, jitter: float, seconds: float) -> None:
    """Waits are 2, 8, 32, 128 … seconds up to an hour, spread over the upper half of each step."""
    assert delivery.retry_wait_seconds(attempts, POLICY, jitter) == seconds


def test_eight_attempts_outlast_an_hour() -> None:
    """Even with the shortest waits, a mail server may be away for over an hour before a letter is given up."""
    assert sum(delivery.retry_wait_seconds(attempt, POLICY, 0.0) for attempt in range(1, 8)) > 3000
    assert sum(delivery.retry_wait_seconds(attempt, POLICY, 1.0) for attempt in range(1, 8)) > 6000


def test_a_taken_message_is_delivered() -> None:
    """A message that was taken over is told as delivered, with its attempts and never with an address."""
    settlement = delivery.settle(MESSAGE, Delivered(), now=NOON, policy=POLICY, jitter=0)
    assert settlement.state is State.DELIVERED
    assert isinstance(settlement.fact, NotificationDelivered)
    assert (settlement.fact.recipient, settlement.fact.attempts) == (MESSAGE.recipient, 1)
    assert settlement.fact.delivered_at == NOON


def test_a_delayed_message_waits_and_tells_nothing() -> None:
    """A delay keeps the message pending, with the reason for people to see."""
    settlement = delivery.settle(replace(MESSAGE, attempts=2), Delayed("451 busy"), now=NOON, policy=POLICY, jitter=1)
    assert settlement == Settlement(State.PENDING, "451 busy", wait_seconds=8)


def test_the_last_delay_fails() -> None:
    """The eighth delay gives the message up, and the fact says why."""
    settlement = delivery.settle(replace(MESSAGE, attempts=8), Delayed("451 busy"), now=NOON, policy=POLICY, jitter=1)
    assert settlement.state is State.FAILED
    assert isinstance(settlement.fact, NotificationFailed)
    assert settlement.fact.reason == "given up after 8 attempts: 451 busy"


def test_a_refusal_fails_at_once() -> None:
    """What can never work is not tried again."""
    settlement = delivery.settle(MESSAGE, Refused("550 no such\r\nuser"), now=NOON, policy=POLICY, jitter=1)
    assert (settlement.state, settlement.reason) == (State.FAILED, "550 no such user")


def test_what_must_not_be_sent_is_suppressed() -> None:
    """A withheld message ends as suppressed, with the reason."""
    settlement = delivery.settle(MESSAGE, Withheld("no mail address"), now=NOON, policy=POLICY, jitter=1)
    assert isinstance(settlement.fact, NotificationSuppressed)
    assert (settlement.state, settlement.fact.reason) == (State.SUPPRESSED, "no mail address")


def test_a_long_reason_fits_into_the_fact() -> None:
    """A server's long speech is cut to the 200 characters that a fact holds."""
    settlement = delivery.settle(MESSAGE, Refused("x" * 500), now=NOON, policy=POLICY, jitter=1)
    assert settlement.reason is not None
    assert len(settlement.reason) == 200


def test_a_message_that_kills_its_workers_is_given_up() -> None:
    """A claim after the last allowed attempt means that the earlier workers died: it is not sent again."""
    assert not delivery.is_overdrawn(replace(MESSAGE, attempts=8), POLICY)
    assert delivery.is_overdrawn(replace(MESSAGE, attempts=9), POLICY)
