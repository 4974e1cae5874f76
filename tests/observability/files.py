"""What is committed about observability, read once."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
GRAFANA = ROOT / "deploy/grafana"
RUNBOOK = ROOT / "docs/operations/alerts.md"
CONFIGURATION: Any = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text("utf-8"))
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((PROMETHEUS / "rules/opora.yml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
DASHBOARDS: dict[str, Any] = {
    path.stem: json.loads(path.read_text("utf-8")) for path in sorted((GRAFANA / "dashboards").glob("*.json"))
}
_SECTION = re.compile(r"^## (\w+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"^```console runbook\n(.*?)^```", re.MULTILINE | re.DOTALL)


def sections() -> dict[str, str]:
    """The runbook's sections by the alert that they are about."""
    return dict(_SECTION.findall(RUNBOOK.read_text("utf-8")))


def commands(text: str) -> list[str]:
    """The commands that a page or a section tells its reader to type."""
    return [line for block in _BLOCK.findall(text) for line in block.splitlines() if line.strip()]


def queries(dashboard: Any) -> Iterator[tuple[str, str]]:
    """(panel, PromQL) of everything that a dashboard asks."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
