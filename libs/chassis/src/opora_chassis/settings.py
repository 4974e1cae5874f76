"""Settings that every service has, read from the environment (prefix `OPORA_`)."""

from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """What a service needs to run. Frozen: a changed setting takes effect at the next start."""

    model_config = SettingsConfigDict(env_prefix="OPORA_", frozen=True, extra="ignore", use_attribute_docstrings=True)

    database_dsn: SecretStr
    """PostgreSQL of this service alone: postgresql://user:password@host:port/database."""
    kafka_bootstrap: str
    """host:port, several separated by commas."""
    topic_prefix: str = Field(default="", pattern=r"^[a-z0-9._-]{0,40}$")
    """Put before every topic name, so that several platforms can share one broker."""
    http_host: str = "127.0.0.1"
    http_port: int = Field(default=0, ge=0, le=65535)
    """0 takes a free port, which is logged as `listening`."""
    public_url: str | None = None
    """The address under which customers reach this service's pages."""
    max_body_bytes: int = Field(default=1_048_576, ge=1024)
    database_pool_size: int = Field(default=10, ge=2, le=100)
    relay_shards: int = Field(default=4, ge=1, le=12)
    """Into how many parts the outbox is divided; each is drained by one relay at a time."""
    consumer_batch_records: int = Field(default=500, ge=1, le=5000)
    fuse_limit: int = Field(default=10, ge=1)
    """Consumption stops when so many events in a row fail for a reason that is not in the event."""
    fuse_retry_seconds: float = Field(default=15.0, gt=0)
    marks_per_second: float = Field(default=4.0, gt=0, le=50)
    grace_seconds: float = Field(default=20.0, gt=0)
    """SIGTERM drains for so long at most."""
    clock_scale: float = Field(default=1.0, gt=0)
    """Virtual seconds per real second; anything but 1 is for demonstrations and tests."""
    clock_real_epoch: AwareDatetime | None = None
    clock_virtual_epoch: AwareDatetime | None = None
    """At `clock_real_epoch` the platform's clock shows `clock_virtual_epoch`."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "console"] = "json"
    otlp_endpoint: str | None = None
    """Where traces are sent (OTLP over HTTP); they are carried through outbox and headers in any case."""


def clock_epochs(settings: ServiceSettings) -> tuple[datetime, datetime] | None:
    """The (real, virtual) instants that belong together, or None for real time. Raises ValueError for half a pair."""
    real, virtual = settings.clock_real_epoch, settings.clock_virtual_epoch
    if real is None and virtual is None:
        if settings.clock_scale != 1.0:
            raise ValueError("OPORA_CLOCK_SCALE needs OPORA_CLOCK_REAL_EPOCH and OPORA_CLOCK_VIRTUAL_EPOCH")
        return None
    if real is None or virtual is None:
        raise ValueError("set both OPORA_CLOCK_REAL_EPOCH and OPORA_CLOCK_VIRTUAL_EPOCH, or neither")
    return real, virtual
