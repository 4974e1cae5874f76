"""Docker Compose as the tests use it: a project of its own with secrets, ports and volumes of its own."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from opora_embedded.ports import find_free_port
from scripts.tests.loading import load

ROOT = Path(__file__).resolve().parents[2]
FILES = (ROOT / "docker-compose.yml", ROOT / "deploy/compose.kafka.yml")
SERVICES = ("intake", "sla", "notify", "feedback")
IMAGES = (*SERVICES, "cli", "edge", "prometheus")
_CONTEXTS = {"edge": "deploy/edge", "prometheus": "deploy/prometheus"}
ROLES_OF = {
    "intake": ("serve", "consume", "relay", "timers"),
    "sla": ("serve", "consume", "relay", "timers"),
    "notify": ("serve", "consume", "relay", "timers"),
    "feedback": ("serve", "consume", "relay", "timers"),
}
ROLES = tuple(f"{service}-{role}" for service, roles in ROLES_OF.items() for role in roles)
_BUILD_SECONDS = 900
_UP_SECONDS = 300
_LOG_LINES = 15


def docker(*words: str, seconds: float = 120, environment: Mapping[str, str] | None = None) -> str:
    """What a docker command prints. Raises AssertionError with its errors when it fails."""
    done = subprocess.run(
        ["docker", *words],  # noqa: S607
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
    )
    assert done.returncode == 0, f"docker {' '.join(words)}\n{done.stdout[-4000:]}\n{done.stderr[-6000:]}"
    return done.stdout


def built_images(tag: str = "local", source: Path = ROOT) -> dict[str, int]:
    """Build every image from this source tree by docker-compose.yml's own recipe; their sizes in bytes by name."""
    sizes: dict[str, int] = {}
    for name in IMAGES:
        image, context = f"opora-{name}:{tag}", source / _CONTEXTS.get(name, ".")
        if not (context / "Dockerfile").exists():  # an image that an earlier release did not have
            continue
        argument = () if name in _CONTEXTS else ("--build-arg", f"SERVICE={name}")
        docker("build", "--quiet", "--tag", image, *argument, str(context), seconds=_BUILD_SECONDS)
        sizes[name] = int(docker("image", "inspect", "-f", "{{.Size}}", image))
    return sizes


@dataclass(slots=True)
class Compose:
    """One project. Every command has a deadline."""

    name: str
    env_file: Path
    settings: Mapping[str, str]
    profiles: Sequence[str] = ("demo",)
    tag: str = "local"
    scales: dict[str, int] = field(default_factory=dict)
    diagnosis: str = ""
    """What the doctor said last of what is wrong."""

    @property
    def environment(self) -> dict[str, str]:
        """What makes a bare `docker compose` speak of this project."""
        return {
            "COMPOSE_PROJECT_NAME": self.name,
            "COMPOSE_FILE": ":".join(map(str, FILES)),
            "COMPOSE_ENV_FILES": str(self.env_file),
            "COMPOSE_PROGRESS": "quiet",
            "OPORA_TAG": self.tag,
        }

    @property
    def api_key(self) -> str:
        """The key with every scope."""
        return self.settings["OPORA_API_KEY"]

    @property
    def kafka(self) -> str:
        """Kafka as seen from outside."""
        return f"127.0.0.1:{self.settings['OPORA_KAFKA_PORT']}"

    def url(self, service: str) -> str:
        """The service as seen from outside."""
        return f"http://127.0.0.1:{self.settings[f'OPORA_{service.upper()}_PORT']}"

    def client(self, service: str = "intake") -> httpx.AsyncClient:
        """A client of the service by way of the edge, with every scope."""
        return httpx.AsyncClient(
            base_url=f"{self.url(service)}/v1",
            headers={"Authorization": f"Bearer {self.api_key}"},
            timeout=60,
            trust_env=False,
        )

    def run(self, *words: str, seconds: float = _UP_SECONDS) -> str:
        """`docker compose …`"""
        return self.docker("compose", *words, seconds=seconds)

    def docker(self, *words: str, seconds: float = _UP_SECONDS) -> str:
        """A docker command as somebody types it who means this project."""
        return docker(*words, seconds=seconds, environment=self.environment)

    def up(self, *words: str) -> None:
        """Everything but the desk, healthy; nothing is built."""
        scales = [word for role, count in self.scales.items() for word in ("--scale", f"{role}={count}")]
        self.run("--profile", "demo", "up", "--detach", "--wait", "--no-build", "--scale", "desk=0", *scales, *words)

    def scale(self, role: str, count: int) -> None:
        """So many containers of the role, healthy."""
        self.scales[role] = count
        self.run(
            "up", "--detach", "--wait", "--no-build", "--no-deps", "--no-recreate", "--scale", f"{role}={count}", role
        )

    def down(self, *, volumes: bool = False) -> None:
        """Stop and remove the containers; the data only on request."""
        self.run("--profile", "*", "down", "--timeout", "40", *(["--volumes"] if volumes else []))

    def opora(self, *words: str, seconds: float = _UP_SECONDS) -> str:
        """The `opora` command in a container of its own."""
        return self.run("run", "--rm", "--no-deps", "--quiet-pull", "topics", *words, seconds=seconds)

    def containers(self) -> list[dict[str, Any]]:
        """Every container that runs: name, service, state, health."""
        lines = self.run("--profile", "*", "ps", "--format", "json").splitlines()
        return [json.loads(line) for line in lines]

    def ids(self, role: str) -> list[str]:
        """The containers of one role."""
        return self.run("ps", "--quiet", role).split()

    def pid(self, role: str) -> int:
        """The first process of the role's first container, as this machine numbers it."""
        return int(docker("inspect", "-f", "{{.State.Pid}}", self.ids(role)[0]))

    def wait(self, seconds: float = 120) -> None:
        """Until every container that runs is healthy."""
        self.until(lambda: all(one["Health"] in {"healthy", ""} for one in self.containers()), seconds, "health")

    def wait_until_well(self, seconds: float = 120) -> None:
        """Until the doctor finds nothing: no lag, no outbox, no dead letter, no parked key."""
        self.until(self._is_well, seconds, "a platform of which the doctor says that it is well")

    def _is_well(self) -> bool:
        try:
            self.opora("doctor", "--json")
        except AssertionError as found:
            self.diagnosis = str(found)
            return False
        return True

    def until(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Until the condition holds. Raises AssertionError at the deadline."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}: {self.states()}\n{self.diagnosis}"
            time.sleep(0.25)

    def states(self) -> str:
        """A word on each container."""
        return ", ".join(f"{one['Name']} {one['State']} {one['Health']}" for one in self.containers())

    def logs(self) -> str:
        """What each container said last."""
        return self.run("--profile", "*", "logs", "--no-color", "--tail", str(_LOG_LINES))


def new_project(directory: Path, **settings: str) -> Compose:
    """A project with fresh secrets and free ports, not started yet."""
    edges = ("INTAKE", "SLA", "NOTIFY", "FEEDBACK", "KAFKA", "PROMETHEUS")
    ports = {f"OPORA_{name}_PORT": str(find_free_port()) for name in edges}
    given = {**ports, "OPORA_ASK_INTERVAL_DAYS": "0", "OPORA_LOG_LEVEL": "WARNING", **settings}
    example = (ROOT / ".env.example").read_text()
    text = load("make_env").environment(example, "")
    pairs = dict(line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#")) | given
    pairs["OPORA_FEEDBACK_PUBLIC_URL"] = f"http://127.0.0.1:{pairs['OPORA_FEEDBACK_PORT']}"
    env_file = directory / "env"
    env_file.write_text("".join(f"{name}={value}\n" for name, value in pairs.items()))
    return Compose(f"opora-test-{uuid4().hex[:8]}", env_file, pairs)
