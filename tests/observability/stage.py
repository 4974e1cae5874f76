"""A whole platform as an operator runs it, an edge before it and a Prometheus beside it, each a process of its own."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from deploy.prometheus.derive import write
from opora_chassis.testing import wait_until
from opora_cli.endpoints import Endpoints, ProcessEndpoint, endpoints_path
from opora_embedded.ports import HOST, find_free_port
from tests.observability.files import ROOT
from tests.programs import program

FASTER = 15
"""By how much durations of rules are divided: a minute is four seconds."""
_UP_SECONDS = 240
_DOWN_SECONDS = 90
_COMMAND_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Platform:
    """A platform of `opora up --split`, known by its directory."""

    directory: Path
    endpoints: Endpoints

    def opora(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command on this platform and wait for its end."""
        return subprocess.run(
            [sys.executable, "-m", "opora_cli", *words],
            env=_environment({"OPORA_DIRECTORY": str(self.directory)}),
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )

    def process(self, name: str) -> psutil.Process:
        """The process of this name, such as sla-consume: the one that was told to listen on its port."""
        port = self._endpoint(name).url.rpartition(":")[2]
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("OPORA_HTTP_PORT") == port:
                    return process
        raise AssertionError(f"{name} does not run")

    def _endpoint(self, name: str) -> ProcessEndpoint:
        processes = (process for service in self.endpoints.services.values() for process in service.processes)
        return next(process for process in processes if process.name == name)


@dataclass(frozen=True, slots=True)
class Edge:
    """The committed edge on ports of its own."""

    urls: Mapping[str, str]
    """Each service's address at the edge."""
    metrics: str
    """HOST:PORT."""


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A Prometheus that runs the committed rules."""

    url: str

    async def ask(self, path: str, **parameters: Any) -> Any:
        """What its interface answers. Raises AssertionError with its words when it refuses."""
        async with httpx.AsyncClient(base_url=f"{self.url}/api/v1", timeout=30, trust_env=False) as client:
            answer = await client.get(path, params=parameters)
        assert answer.is_success, f"{parameters}: {answer.text}"
        return answer.json()["data"]

    async def series(self, query: str) -> list[dict[str, str]]:
        """The labels of what a query finds now."""
        found = await self.ask("/query", query=query)
        return [series["metric"] for series in found["result"]]

    async def firing(self) -> set[tuple[str, str, str]]:
        """(alert, service, role) of every alert that fires; empty where an alert has no such label."""
        found = await self.series('ALERTS{alertstate="firing"}')
        return {(one["alertname"], one.get("service", ""), one.get("role", "")) for one in found}

    async def fires(self, name: str, service: str, role: str = "", *, within_seconds: float = 90) -> None:
        """Wait until this alert fires."""

        async def does() -> bool:
            return (name, service, role) in await self.firing()

        await wait_until(does, within_seconds, what=f"{name} of {service} {role}", poll_seconds=0.3)

    async def ends(self, *names: str, within_seconds: float = 90) -> None:
        """Wait until none of these alerts fires or is about to."""

        async def do() -> bool:
            return not await self.series(f'ALERTS{{alertname=~"{"|".join(names)}"}}')

        await wait_until(do, within_seconds, what=f"the end of {', '.join(names)}", poll_seconds=0.3)


@contextmanager
def running_platform(directory: Path) -> Iterator[Platform]:
    """Started and stopped with the commands of the documents."""
    command = [sys.executable, "-m", "opora_cli"]
    # Everybody is asked after each closing, as the demonstration's desk expects.
    environment = _environment({"OPORA_ASK_INTERVAL_DAYS": "0"})
    up = [*command, "up", "--split", "--detach", "--directory", str(directory)]
    down = [*command, "down", "--directory", str(directory)]
    try:
        started = subprocess.run(up, env=environment, capture_output=True, text=True, timeout=_UP_SECONDS, check=False)
        assert started.returncode == 0, started.stdout + started.stderr
        yield Platform(directory, Endpoints.model_validate_json(endpoints_path(directory).read_text("utf-8")))
    finally:
        subprocess.run(down, env=environment, capture_output=True, timeout=_DOWN_SECONDS, check=False)


@contextmanager
def running_edge(directory: Path, platform: Platform) -> Iterator[Edge]:
    """HAProxy with the committed configuration, in which only addresses are others: there is no DNS here."""
    haproxy = program("haproxy", "haproxy")
    ports = {name: find_free_port() for name in (*platform.endpoints.services, "metrics")}
    text = (ROOT / "deploy/edge/haproxy.cfg").read_text("utf-8")
    text = re.sub(r"(?m)^resolvers .*\n(?:[ \t]+.*\n)+", "", text)
    text = re.sub(r" init-addr none resolvers \w+( resolve-prefer \w+)?", "", text)
    for name, service in platform.endpoints.services.items():
        address = service.url.removeprefix("http://")
        text, found = re.subn(rf"server-template (\w+) \d+ {name}-serve:8080", rf"server \1 {address}", text)
        assert found == 1, f"the edge knows no {name}-serve"
    for name, port in ports.items():
        text, found = re.subn(rf"(?m)^(frontend {name}\b.*\n +bind )\S+", rf"\g<1>{HOST}:{port}", text)
        assert found == 1, f"the edge has no frontend {name}"
    configuration = directory / "haproxy.cfg"
    configuration.write_text(text, "utf-8")
    checked = subprocess.run([haproxy, "-c", "-f", str(configuration)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    with _running([haproxy, "-db", "-f", str(configuration)], directory / "haproxy.log"):
        urls = {name: f"http://{HOST}:{port}" for name, port in ports.items() if name != "metrics"}
        yield Edge(urls, f"{HOST}:{ports['metrics']}")


@contextmanager
def running_prometheus(directory: Path, platform: Platform, edge: Edge) -> Iterator[Prometheus]:
    """Prometheus with the committed configuration and rules, fitted to this platform and quickened."""
    prometheus = program("prometheus", "prometheus")
    write(directory, platform.endpoints.model_dump(mode="json"), faster=FASTER, edge=edge.metrics)
    address = f"{HOST}:{find_free_port()}"
    command = [
        *(prometheus, "--config.file", str(directory / "prometheus.yml"), "--web.listen-address", address),
        *("--storage.tsdb.path", str(directory / "data"), "--log.level", "warn"),
    ]
    with _running(command, directory / "prometheus.log"):
        yield Prometheus(f"http://{address}")


@contextmanager
def _running(command: list[str], log_path: Path) -> Iterator[None]:
    with log_path.open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield
            assert process.poll() is None, f"{command[0]} ended:\n{log_path.read_text('utf-8', 'replace')}"
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _environment(further: Mapping[str, str]) -> dict[str, str]:
    """This process' environment without what would set a service or name another platform."""
    return {name: value for name, value in os.environ.items() if not name.startswith("OPORA_")} | dict(further)
