"""Pytest fixtures that give tests a real Kafka and a real PostgreSQL.

Register it in the root conftest: `pytest_plugins = ["opora_embedded.testing"]`. Which servers they are:

* `KAFKA_BOOTSTRAP` / `POSTGRES_DSN` set: those, left running;
* `BROKER=docker`: containers through testcontainers, one of each for the session;
* otherwise: embedded ones in a temporary directory, one of each for the session.

Nothing is skipped: where the chosen servers cannot be had, the tests that need them fail.
"""

import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

import pytest

from opora_embedded import Kafka, Postgres, store

_KAFKA_IMAGE = "confluentinc/cp-kafka:7.6.0"
_POSTGRES_IMAGE = "postgres:18"


class KafkaServer(Protocol):
    """A running Kafka, wherever it runs."""

    @property
    def bootstrap(self) -> str:
        """`host:port`, for clients."""


class PostgresServer(Protocol):
    """A running PostgreSQL, wherever it runs."""

    def dsn(self, database: str = "postgres") -> str:
        """Connection string of a user who may create databases."""

    def create_database(self, name: str) -> str:
        """Create the database unless it exists; returns its connection string."""

    def drop_database(self, name: str) -> None:
        """Drop the database, if it exists, and cut off whoever is connected to it."""


@dataclass(frozen=True, slots=True)
class ExternalKafka:
    """A Kafka that somebody else started."""

    bootstrap: str


@dataclass(frozen=True, slots=True)
class ExternalPostgres:
    """A PostgreSQL that somebody else started, known by the connection string of one of its databases."""

    address: str

    def dsn(self, database: str = "postgres") -> str:
        """Connection string of the same user for another database."""
        return urlunsplit(urlsplit(self.address)._replace(path=f"/{database}"))

    def create_database(self, name: str) -> str:
        """Create the database unless it exists; returns its connection string."""
        store.create_database(self.address, name)
        return self.dsn(name)

    def drop_database(self, name: str) -> None:
        """Drop the database, if it exists, and cut off whoever is connected to it."""
        store.drop_database(self.address, name)


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaServer]:
    """A Kafka for the whole session; tests keep apart by topic and group names of their own."""
    external = os.environ.get("KAFKA_BOOTSTRAP")
    if external:
        yield ExternalKafka(external)
    elif os.environ.get("BROKER") == "docker":
        yield from _kafka_container()
    else:
        with Kafka() as server:
            yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL for the whole session; tests keep apart by databases of their own (see `database`)."""
    external = os.environ.get("POSTGRES_DSN")
    if external:
        yield ExternalPostgres(external)
    elif os.environ.get("BROKER") == "docker":
        yield from _postgres_container()
    else:
        with Postgres() as server:
            yield server


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    """Connection string of an empty database that only this test uses; dropped afterwards."""
    name = f"test_{uuid.uuid4().hex}"
    yield postgres.create_database(name)
    postgres.drop_database(name)


def _kafka_container() -> Iterator[KafkaServer]:
    from testcontainers.community.kafka import KafkaContainer

    with KafkaContainer(_KAFKA_IMAGE).with_kraft() as container:
        yield ExternalKafka(container.get_bootstrap_server())


def _postgres_container() -> Iterator[PostgresServer]:
    from testcontainers.community.postgres import PostgresContainer

    with PostgresContainer(_POSTGRES_IMAGE, driver=None).with_command("-c max_connections=300") as container:
        yield ExternalPostgres(container.get_connection_url())
