"""How long each partition's completeness has been without news: decides when to judge blindly. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

LONGEST_LOOK_SECONDS = 1.0
"""A longer time between two looks counts as this much: while nobody looks (the database is down, the process is
suspended) no watermark can be seen to move, and standing still then proves nothing."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What the timers saw of the live watermarks, from look to look. Times are real seconds of a steady clock."""

    partitions: int
    looked_at: float
    watermarks: Mapping[int, datetime] = field(default_factory=dict)
    still_seconds: Mapping[int, float] = field(default_factory=dict)
    """For how long each partition's watermark was seen not to move."""

    def look(self, watermarks: Mapping[int, datetime], at: float) -> Sight:
        """What is known after looking again: a partition whose watermark moved is seen afresh."""
        passed = min(max(0.0, at - self.looked_at), LONGEST_LOOK_SECONDS)
        still = {
            partition: 0.0
            if watermarks.get(partition) != self.watermarks.get(partition)
            else self.still_seconds.get(partition, 0.0) + passed
            for partition in range(self.partitions)
        }
        return replace(self, looked_at=at, watermarks=watermarks, still_seconds=still)

    @property
    def blind_seconds(self) -> float:
        """How long the partition without news for the longest time has been so."""
        return max(self.still_seconds.values(), default=0.0)

    def blind(self, max_blind_seconds: float) -> list[int]:
        """Partitions that have been without news for longer than this."""
        return [partition for partition, seconds in self.still_seconds.items() if seconds > max_blind_seconds]
