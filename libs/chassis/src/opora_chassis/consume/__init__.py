"""Consuming events: exactly-once effect, in order per key, set-oriented; what fails waits aside and holds up nobody."""

from opora_chassis.consume.consumers import Consumers, ConsumptionEndedError
from opora_chassis.consume.redrive import RedriveReport, discard, redrive
from opora_chassis.consume.subscription import BatchHandler, Guard, Subscription
from opora_chassis.errors import PermanentError, TransientError

__all__ = [
    "BatchHandler",
    "Consumers",
    "ConsumptionEndedError",
    "Guard",
    "PermanentError",
    "RedriveReport",
    "Subscription",
    "TransientError",
    "discard",
    "redrive",
]
