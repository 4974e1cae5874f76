"""What a service's parts are given to stand on."""

from dataclasses import dataclass

from prometheus_client import REGISTRY, CollectorRegistry

from opora_chassis.clock import Clock
from opora_chassis.database import Database
from opora_chassis.settings import ServiceSettings


@dataclass(frozen=True, slots=True)
class Platform:
    """One process of one service: who it is, how it is set, and its open resources."""

    service: str
    settings: ServiceSettings
    """The service's own settings class, which derives from ServiceSettings."""
    database: Database
    clock: Clock
    metrics: CollectorRegistry = REGISTRY
    """What /metrics shows."""
