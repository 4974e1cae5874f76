"""A service as seen from the command: its parts in this process, on the database of a running platform."""

import importlib
import json
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog
from pydantic import ValidationError

from opora_chassis.clock import Clock
from opora_chassis.consume import Subscription
from opora_chassis.database import Database
from opora_chassis.platform import Platform
from opora_chassis.service import Service
from opora_cli.endpoints import Endpoints
from opora_cli.errors import UNUSABLE_INPUT, CommandError


@dataclass(frozen=True, slots=True)
class OpenService:
    """A service without its roles: its database, and what it subscribes to."""

    name: str
    database: Database
    subscriptions: Sequence[Subscription]
    platform: Platform
    """What its parts stand on."""


def chosen(endpoints: Endpoints, services: Sequence[str] | None) -> list[str]:
    """The named services, or all. Raises CommandError for a name that does not run."""
    for name in services or ():
        if name not in endpoints.services:
            running = ", ".join(endpoints.services)
            raise CommandError(f"there is no service {name}; there are {running}", exit_code=UNUSABLE_INPUT)
    return list(services or endpoints.services)


def load_service(name: str) -> Service:
    """The service's own description of itself."""
    service: Service = importlib.import_module(f"opora_{name}.app").SERVICE
    return service


@asynccontextmanager
async def open_database(endpoints: Endpoints, name: str) -> AsyncIterator[Database]:
    """The service's database, in real time."""
    dsn = endpoints.services[name].database_dsn
    database = await Database.open(dsn, service=name, clock=Clock(), pool_size=2)
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def open_service(endpoints: Endpoints, directory: Path, name: str) -> AsyncIterator[OpenService]:
    """The service with its subscriptions, composed in this process; it consumes nothing by itself."""
    # The command says itself what came of it; the service's own log lines would stand in between.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    service = load_service(name)
    secrets_file = directory / "secrets.json"
    further = {}
    if name == "feedback" and secrets_file.exists():
        further["signing_secret"] = json.loads(secrets_file.read_text())["signing_secret"]
    try:
        settings = service.settings.model_validate(
            {
                "database_dsn": endpoints.services[name].database_dsn,
                "kafka_bootstrap": endpoints.kafka_bootstrap,
                **further,
            }
        )
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        variable = "OPORA_" + "_".join(str(part) for part in problem["loc"]).upper()
        raise CommandError(
            f"{name} cannot be put together here: {variable}: {problem['msg']}", exit_code=UNUSABLE_INPUT
        ) from None
    async with open_database(endpoints, name) as database:
        platform = Platform(name, settings, database, database.clock)
        yield OpenService(name, database, service.compose(platform).subscriptions, platform)
