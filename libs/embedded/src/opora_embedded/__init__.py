"""Apache Kafka and PostgreSQL as child processes, from package indexes alone: no Docker, no Java installed."""

from opora_embedded.errors import (
    DirectoryInUseError,
    EmbeddedServerError,
    JarChecksumError,
    JarDownloadError,
    NoUnprivilegedAccountError,
    ServerNotRunningError,
    ServerStartError,
)
from opora_embedded.jars import cache_directory, prepare_jars
from opora_embedded.kafka import Kafka
from opora_embedded.postgres import Postgres

__all__ = [
    "DirectoryInUseError",
    "EmbeddedServerError",
    "JarChecksumError",
    "JarDownloadError",
    "Kafka",
    "NoUnprivilegedAccountError",
    "Postgres",
    "ServerNotRunningError",
    "ServerStartError",
    "cache_directory",
    "prepare_jars",
]
