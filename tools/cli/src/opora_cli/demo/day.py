"""The demonstration's clock: how the day of the story lies over the seconds of the demonstration."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from opora_chassis.clock import host_now


@dataclass(frozen=True, slots=True)
class DayClock:
    """A day that begins `opens_in_seconds` (real) after the clock was made and runs `scale` times as fast."""

    starts_at: datetime
    """What the platform's clock shows when the day begins."""
    scale: float
    opens_in_seconds: float
    real_epoch: datetime
    monotonic_epoch: float
    warped: bool = True
    """Whether the platform's clock shows the day's time. Otherwise it keeps real time, and only the desk hurries."""

    @classmethod
    def beside_real_time(cls, *, scale: float) -> "DayClock":
        """A day that begins at once, on a platform whose clock keeps real time."""
        now = host_now()
        return cls(now, scale, 0.0, now, time.monotonic(), warped=False)

    @classmethod
    def set_now(cls, starts_at: datetime, *, scale: float, opens_in_seconds: float) -> "DayClock":
        """The clock that is set at this moment."""
        return cls(starts_at, scale, opens_in_seconds, host_now(), time.monotonic())

    @property
    def platform_scale(self) -> float:
        """Seconds of the platform's clock per real second."""
        return self.scale if self.warped else 1.0

    @property
    def seconds(self) -> float:
        """Seconds of the story since the day began; negative before."""
        return (time.monotonic() - self.monotonic_epoch - self.opens_in_seconds) * self.scale

    @property
    def now(self) -> datetime:
        """What the platform's clock shows."""
        if not self.warped:
            return host_now()
        return self.starts_at + timedelta(seconds=self.seconds)

    async def until(self, seconds: float) -> None:
        """Wait for this second of the day; returns at once when it has passed."""
        wait_seconds = (seconds - self.seconds) / self.scale
        if wait_seconds > 0:
            await asyncio.sleep(wait_seconds)

    def settings(self) -> dict[str, str]:
        """The services' settings that make their clocks agree."""
        virtual_epoch = self.starts_at - timedelta(seconds=self.opens_in_seconds * self.scale)
        return {
            "OPORA_CLOCK_SCALE": str(self.scale),
            "OPORA_CLOCK_REAL_EPOCH": self.real_epoch.isoformat(),
            "OPORA_CLOCK_VIRTUAL_EPOCH": virtual_epoch.astimezone(UTC).isoformat(),
        }
