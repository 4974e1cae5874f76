"""What can be set on the sla service, besides what every service has."""

from pydantic import Field

from opora_chassis.settings import ServiceSettings


class SlaSettings(ServiceSettings):
    """Settings of sla; environment variables with the prefix `OPORA_`."""

    max_blind_seconds: float = Field(default=60.0, gt=0)
    """Real seconds without news on a partition's completeness after which its breaches are declared all the same,
    with incomplete evidence."""
    timer_poll_seconds: float = Field(default=0.05, gt=0, le=5)
    """Real seconds between two looks at what is due."""
