"""The platform's clock: the database's time, which a demonstration may run faster.

No other module reads a wall clock. Services take times from their transaction (`tx.now`).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from opora_chassis.settings import ServiceSettings, clock_epochs


@dataclass(frozen=True, slots=True)
class Clock:
    """Maps real instants to the platform's. With scale 1 and no epoch it is the identity."""

    scale: float = 1.0
    real_epoch: datetime | None = None
    virtual_epoch: datetime | None = None

    @classmethod
    def from_settings(cls, settings: ServiceSettings) -> "Clock":
        """The clock that the settings describe. Raises ValueError for a warp without both epochs."""
        epochs = clock_epochs(settings)
        return cls() if epochs is None else cls(settings.clock_scale, *epochs)

    def warp(self, real: datetime) -> datetime:
        """What the platform's clock shows at a real instant; aware UTC."""
        if self.real_epoch is None or self.virtual_epoch is None:
            return real.astimezone(UTC)
        return (self.virtual_epoch + (real - self.real_epoch) * self.scale).astimezone(UTC)

    def real_seconds(self, virtual: timedelta) -> float:
        """How many real seconds pass while the platform's clock moves on by `virtual`."""
        return virtual.total_seconds() / self.scale

    def virtual(self, real: timedelta) -> timedelta:
        """How far the platform's clock moves on in a real duration."""
        return real * self.scale


def host_now() -> datetime:
    """This host's own time: only to compare it with the database's and to date what no transaction dates."""
    return datetime.now(UTC)
