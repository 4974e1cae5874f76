"""The OpenAPI document of a service that does not run: composed as always, on a platform that is never opened."""

from typing import Any, cast

import asyncpg

from opora_chassis.clock import Clock
from opora_chassis.database import Database
from opora_chassis.http import service_document
from opora_chassis.platform import Platform
from opora_chassis.service import Service


def document_of(service: Service) -> dict[str, Any]:
    """What the service serves at /openapi.json, with its default settings. Nothing is connected to or listened on."""
    clock = Clock()
    unopened = Database(cast("asyncpg.Pool", None), service=service.name, clock=clock)
    platform = Platform(service.name, service.settings.model_construct(), unopened, clock)
    return service_document(service.name, service.compose(platform).served())
