"""What can go wrong with an embedded server, each with the data that tells the reader what to do."""

from pathlib import Path


class EmbeddedServerError(Exception):
    """Base of every error of this package."""


class JarDownloadError(EmbeddedServerError):
    """A jar of the lock could not be downloaded. Permanent until the network or the settings change."""

    def __init__(self, coordinate: str, reason: str, mirror: str | None) -> None:
        self.coordinate = coordinate
        self.reason = reason
        self.mirror = mirror
        source = f"the mirror {mirror} (OPORA_MAVEN_MIRROR)" if mirror else "the public Maven repository"
        super().__init__(
            f"could not download {coordinate} from {source}: {reason}\n"
            "  behind a proxy: set HTTPS_PROXY=http://host:port\n"
            "  with a private certificate authority: set SSL_CERT_FILE=/path/to/bundle.pem\n"
            "  with a Maven mirror of your own: set OPORA_MAVEN_MIRROR=https://host/path/to/maven2\n"
            "then run `make setup` (or `python -m opora_embedded prepare`) again; what is already there is kept"
        )


class JarChecksumError(EmbeddedServerError):
    """A downloaded jar is not the one that the lock names. It was not kept and never runs."""

    def __init__(self, coordinate: str, expected_sha256: str, actual_sha256: str, mirror: str | None) -> None:
        self.coordinate = coordinate
        self.expected_sha256 = expected_sha256
        self.actual_sha256 = actual_sha256
        source = f"the mirror {mirror} (OPORA_MAVEN_MIRROR)" if mirror else "the public Maven repository"
        super().__init__(
            f"refused {coordinate}: {source} delivered SHA-256 {actual_sha256}, the lock wants {expected_sha256}\n"
            "  a proxy or mirror may have altered it: try another network, or another OPORA_MAVEN_MIRROR"
        )


class ServerStartError(EmbeddedServerError):
    """A server did not answer before its deadline or ended while starting; carries the tail of its log."""

    def __init__(self, server: str, reason: str, log_path: Path, log_tail: str) -> None:
        self.server = server
        self.reason = reason
        self.log_path = log_path
        self.log_tail = log_tail
        tail = "\n".join(f"  | {line}" for line in log_tail.splitlines()) or "  | (empty)"
        super().__init__(f"{server} did not start: {reason}\nlog: {log_path}, its end:\n{tail}")


class ServerNotRunningError(EmbeddedServerError):
    """Something was asked of a server that is not running; call start() first."""

    def __init__(self, server: str) -> None:
        self.server = server
        super().__init__(f"{server} is not running; call start() first")


class DirectoryInUseError(EmbeddedServerError):
    """Another process runs a server on the same data directory."""

    def __init__(self, server: str, data_directory: Path) -> None:
        self.server = server
        self.data_directory = data_directory
        super().__init__(
            f"{server}: the data directory {data_directory} is in use by another running server; "
            "stop that one first (`opora down`) or choose another directory"
        )


class NoUnprivilegedAccountError(EmbeddedServerError):
    """PostgreSQL refuses to run as root and no other account can be used."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"PostgreSQL does not run as root, and no other account is usable: {reason}\n"
            "  run as an ordinary user, or name an existing account in OPORA_POSTGRES_ACCOUNT"
        )
