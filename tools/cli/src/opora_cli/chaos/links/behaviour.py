"""What a link does to the bytes that pass it: data. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Direction = Literal["up", "down"]
"""From the client to the server, and back."""


class Trigger(StrEnum):
    """Something that a server does and then tells its client."""

    COMMIT = "commit"
    """PostgreSQL: the transaction is durable."""
    PRODUCE = "produce"
    """Kafka: the batch is on the topic."""
    DATA_END = "data_end"
    """SMTP: the letter is accepted."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a link treats its connections, those it has and those to come. The default is to pass everything."""

    state: Literal["pass_through", "cut_every", "refuse", "black_hole", "slow", "cut_after"] = "pass_through"
    swallowed: Direction | None = None
    """The direction whose bytes vanish."""
    latency_seconds: float = 0.0
    slice_bytes: int = 0
    """Bytes leave in slices of so many; 0 for as they came."""
    trigger: Trigger | None = None
    every: int = 1
    """The answer to each so-manyth occurrence of the trigger is lost with its connection."""
