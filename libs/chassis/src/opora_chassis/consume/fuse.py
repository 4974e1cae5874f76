"""The fuse: many events in a row that fail for no reason of their own mean a bad deploy, not bad data."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fuse:
    """Counts unexpected failures in a row. Pure: each change gives a new fuse."""

    limit: int
    failures: int = 0

    @property
    def blown(self) -> bool:
        """Whether consumption must stop until one event goes through."""
        return self.failures >= self.limit

    def failed(self) -> "Fuse":
        """One more event failed, and the code is to blame."""
        return Fuse(self.limit, min(self.failures + 1, self.limit))

    def succeeded(self) -> "Fuse":
        """An event went through: the code works."""
        return self if self.failures == 0 else Fuse(self.limit)


class FuseBlownError(Exception):
    """Consumption of a topic stands still: fix or roll back the deploy; it goes on by itself when an event succeeds."""
