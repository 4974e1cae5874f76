"""What a platform consists of: its services, their processes and settings, its secrets."""

import json
import os
import secrets
import string
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from opora_cli.endpoints import Endpoints, write_private

SERVICES = ("intake", "sla", "notify", "feedback")
ROLES = ("serve", "consume", "relay", "timers")
_TOKEN_ALPHABET = string.ascii_letters + string.digits
_INTERNAL_KEYS = ("notify_intake_key", "notify_feedback_key")


@dataclass(frozen=True, slots=True)
class Crew:
    """Processes of one service that do the same."""

    service: str
    roles: tuple[str, ...]
    count: int = 1

    @property
    def names(self) -> tuple[str, ...]:
        """What its processes are called: the service, its roles unless it has all, a number where there are several."""
        name = "-".join([self.service, *(role for role in self.roles if role != "all")])
        return (name,) if self.count == 1 else tuple(f"{name}-{number}" for number in range(1, self.count + 1))


@dataclass(frozen=True, slots=True)
class StackOptions:
    """How a platform is to run."""

    directory: Path
    """Holds everything of this platform: data, logs, mail, secrets, endpoints."""
    services: tuple[str, ...] = SERVICES
    """Which services run; a replay needs two of them."""
    split: bool = False
    """A process per role instead of one per service."""
    crews: tuple[Crew, ...] = ()
    """Which processes run instead; those of a service that serve come first."""
    smtp: str | None = None
    """HOST:PORT of a mail server; None takes the local sink."""
    settings_at_launch: Callable[[], Mapping[str, str]] = dict
    """Further `OPORA_…` settings for every service, asked for once, when the servers run and the services are next."""
    kafka_listeners: Mapping[str, int] = field(default_factory=dict)
    """Further listeners of the broker, by service in capitals, and the ports that they tell their clients."""
    route: Callable[[str, str, str], str] = lambda _service, _server, address: address
    """(service, server, HOST:PORT) to the HOST:PORT by which the service reaches it; `kafka`, `postgres` or `smtp`."""
    runner: tuple[str, ...] = ("-m",)
    """How Python is told to run a service's module."""

    @property
    def data_directory(self) -> Path:
        """Where Kafka and PostgreSQL keep their data."""
        return self.directory / "data"

    @property
    def log_directory(self) -> Path:
        """One log a process."""
        return self.directory / "logs"

    @property
    def mail_directory(self) -> Path:
        """Where the local sink writes."""
        return self.directory / "mail"

    @property
    def api_key_file(self) -> Path:
        """Where the key with every scope is kept."""
        return self.directory / "api-key"


@dataclass(frozen=True, slots=True)
class ProcessPlan:
    """One process to run."""

    name: str
    service: str
    roles: tuple[str, ...]
    port: int
    runner: tuple[str, ...] = ("-m",)

    @property
    def command(self) -> tuple[str, ...]:
        """The command line."""
        return (sys.executable, *self.runner, f"opora_{self.service}", *self.roles)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True, slots=True)
class Secrets:
    """What only this platform knows; kept in its directory, so that a restart finds the same."""

    database_passwords: Mapping[str, str]
    api_key: str
    """Every scope, every service."""
    internal_keys: Mapping[str, str]
    """What services call each other with, each with the least scopes."""
    signing_secret: str
    """Signs survey links."""


def plan_processes(options: StackOptions, previous: Endpoints | None) -> list[ProcessPlan]:
    """The processes of a platform; a port of the run before is kept where it is free."""
    ports = {
        process.name: int(process.url.rpartition(":")[2])
        for service in (previous.services.values() if previous else ())
        for process in service.processes
    }
    plans: list[ProcessPlan] = []
    for crew in options.crews or _usual_crews(options):
        for name in crew.names:
            port = _port(ports.get(name), plans)
            plans.append(ProcessPlan(name, crew.service, crew.roles, port, options.runner))
    return plans


def _usual_crews(options: StackOptions) -> list[Crew]:
    roles = [(role,) for role in ROLES] if options.split else [("all",)]
    return [Crew(service, each) for service in options.services for each in roles]


def load_secrets(options: StackOptions) -> Secrets:
    """The platform's secrets, made on its first run and kept since, in files that only the owner can read."""
    path = options.directory / "secrets.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    passwords = kept.get("database_passwords", {})
    internal = kept.get("internal_keys", {})
    database_passwords = {name: passwords.get(name) or secrets.token_hex(24) for name in SERVICES}
    internal_keys = {name: internal.get(name) or new_api_token() for name in _INTERNAL_KEYS}
    signing_secret = kept.get("signing_secret") or secrets.token_hex(32)
    made = {
        "database_passwords": database_passwords,
        "internal_keys": internal_keys,
        "signing_secret": signing_secret,
    }
    if made != kept:
        write_private(path, json.dumps(made, indent=2) + "\n")
    if not options.api_key_file.exists():
        write_private(options.api_key_file, new_api_token() + "\n")
    return Secrets(database_passwords, options.api_key_file.read_text().strip(), internal_keys, signing_secret)


def new_api_token() -> str:
    """A fresh API key: `opk_` and 43 letters and digits, which is a little more than 256 random bits."""
    return "opk_" + "".join(secrets.choice(_TOKEN_ALPHABET) for _ in range(43))


def service_settings(
    plan: ProcessPlan,
    *,
    urls: Mapping[str, str],
    dsn: str,
    kafka_bootstrap: str,
    smtp: str,
    known: Secrets,
    files: Path,
) -> dict[str, str]:
    """The environment variables that one process is configured by; `files` is where files of tickets are kept."""
    settings = {
        "OPORA_DATABASE_DSN": dsn,
        "OPORA_KAFKA_BOOTSTRAP": kafka_bootstrap,
        "OPORA_HTTP_HOST": "127.0.0.1",
        "OPORA_HTTP_PORT": str(plan.port),
        "OPORA_PUBLIC_URL": urls[plan.service],
    }
    if plan.service == "intake":
        settings["OPORA_INTAKE_FILES_DIRECTORY"] = os.environ.get("OPORA_INTAKE_FILES_DIRECTORY", str(files.absolute()))
    if plan.service == "feedback":
        settings["OPORA_SIGNING_SECRET"] = known.signing_secret
    if plan.service == "notify":
        host, _, port = smtp.rpartition(":")
        settings |= {
            "OPORA_SMTP_HOST": host,
            "OPORA_SMTP_PORT": port,
            # The local sink speaks no TLS; a server that needs it is named together with the setting.
            "OPORA_SMTP_TLS": os.environ.get("OPORA_SMTP_TLS", "none"),
            "OPORA_INTAKE_URL": urls["intake"],
            "OPORA_INTAKE_KEY": known.internal_keys["notify_intake_key"],
            "OPORA_FEEDBACK_URL": urls["feedback"],
            "OPORA_FEEDBACK_KEY": known.internal_keys["notify_feedback_key"],
        }
    return settings


def migrations_directory(service: str) -> Path:
    """Where the service's migration files are, found without importing the service."""
    spec = find_spec(f"opora_{service}")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"opora-{service} is not installed; run `make setup`")
    return Path(spec.origin).parent / "migrations"


def database_name(service: str) -> str:
    """The service's database and login role."""
    return f"opora_{service}"


def _port(kept: int | None, plans: list[ProcessPlan]) -> int:
    from opora_embedded.ports import find_free_port, is_free

    taken = {plan.port for plan in plans}
    port = kept or find_free_port()
    while port in taken or not is_free(port):
        port = find_free_port()
    return port
