"""docker-compose.yml as docker compose itself understands it: hardened, bounded, without default secrets."""

import json
import re
from typing import Any

import pytest

from tests.containers.compose import FILES, ROOT, docker, new_project

_OURS = re.compile(r"^opora-(intake|sla|notify|feedback|cli|edge|prometheus)")


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Every service of every profile, resolved."""
    compose = new_project(tmp_path_factory.mktemp("compose"))
    environment = {**compose.environment, "COMPOSE_FILE": str(FILES[0])}
    text = docker("compose", "--profile", "*", "config", "--format", "json", environment=environment)
    found: dict[str, Any] = json.loads(text)["services"]
    return found


def test_without_secrets_nothing_starts(tmp_path_factory: pytest.TempPathFactory) -> None:
    """There is no default password: without .env docker compose says what to run."""
    compose = new_project(tmp_path_factory.mktemp("compose"))
    empty = tmp_path_factory.mktemp("empty") / "env"
    empty.write_text("")
    with pytest.raises(AssertionError, match="run make env"):
        docker("compose", "config", "-q", environment={**compose.environment, "COMPOSE_ENV_FILES": str(empty)})


def test_every_container_is_hardened_and_bounded(services: dict[str, Any]) -> None:
    """Read-only root, no capabilities, no new privileges, rotated logs, limited memory, a user that is not root."""
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["logging"]["options"].keys() >= {"max-size", "max-file"}, name
        assert service["deploy"]["resources"]["limits"]["memory"], name
        assert service["restart"] in {"unless-stopped", "on-failure:10"}, name
        assert _OURS.match(service["image"]) or service["user"].split(":")[0] not in {"", "0", "root"}, name


def test_only_the_edge_is_published_and_on_loopback_alone(services: dict[str, Any]) -> None:
    """Nothing listens to the network, databases and broker not even to this machine; Prometheus only when asked for."""
    published = {name: service["ports"] for name, service in services.items() if service.get("ports")}
    assert {name: len(ports) for name, ports in published.items()} == {"edge": 4, "prometheus": 1}
    assert {port["host_ip"] for ports in published.values() for port in ports} == {"127.0.0.1"}
    assert services["prometheus"]["profiles"] == ["observe"]


def test_what_runs_for_good_has_a_health_check(services: dict[str, Any]) -> None:
    """One-shot jobs have none; everything else is asked, or `up --wait` could not wait for it."""
    unasked = {
        name
        for name, service in services.items()
        if service.get("healthcheck", {}).get("disable")
        or ("healthcheck" not in service and not _OURS.match(service["image"]))
    }
    assert unasked == {"topics", "migrate", "keys"}


def test_an_example_names_every_setting() -> None:
    """What docker-compose.yml takes from outside without a default stands in .env.example."""
    asked = set(re.findall(r"\$\{([A-Z_]+):\?", FILES[0].read_text()))
    named = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert asked <= named
