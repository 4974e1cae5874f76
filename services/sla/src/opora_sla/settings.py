"""What can be set on the sla service, besides what every service has."""

from pydantic import Field

from opora_chassis.platform import Platform
from opora_chassis.settings import ServiceSettings


class SlaSettings(ServiceSettings):
    """Settings of sla; environment variables with the prefix `OPORA_`."""

    max_blind_seconds: float = Field(default=60.0, gt=0)
    """Real seconds without news on a partition's completeness after which its breaches are declared all the same,
    with incomplete evidence."""
    timer_poll_seconds: float = Field(default=0.05, gt=0, le=5)
    """Real seconds between two looks at what is due."""
    allow_private_feeds: bool = False
    """Let feeds of calendars be read from private and loopback addresses."""
    feed_refresh_hours: float = Field(default=6.0, gt=0, le=168)
    """Hours of the platform's clock between two readings of a calendar's feed and public holidays."""
    feed_retry_minutes: float = Field(default=15.0, gt=0, le=1_440)
    """After a reading that failed: minutes of the platform's clock until the next."""


def settings_of(platform: Platform) -> SlaSettings:
    """The settings that this service was started with."""
    settings = platform.settings
    if not isinstance(settings, SlaSettings):
        raise TypeError(f"sla runs on SlaSettings, not on {type(settings).__name__}")
    return settings
