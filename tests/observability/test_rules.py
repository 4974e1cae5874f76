"""The rules: Prometheus takes them, each alert was tried and is explained, and they speak of what there is."""

import importlib
import pkgutil
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

from deploy.prometheus.derive import DeriveError, derive_configuration, derive_rules, shortened
from opora_cli.stack import SERVICES, StackOptions, plan_processes
from tests.observability.files import ALERTS, CONFIGURATION, DASHBOARDS, PROMETHEUS, ROOT, RULES, queries, sections
from tests.programs import program

METRIC = re.compile(r"\bopora_[a-z_]+")
RANGES = re.compile(r"\[(\w+)\]|offset (\w+)")
ROLE_ASKED_FOR = re.compile(r'absent\(up\{job="opora", service="(\w+)", role="(\w+)"\}\)')
JOB: Any = next(job for job in CONFIGURATION["scrape_configs"] if job["job_name"] == "opora")
NAMES: list[str] = [name for found in JOB["dns_sd_configs"] for name in found["names"]]


@pytest.fixture
def promtool() -> str:
    """Prometheus' own checker."""
    return program("promtool", "prometheus")


def test_promtool_takes_configuration_and_rules(promtool: str) -> None:
    """Configuration and rules are well formed."""
    run(promtool, "check", "config", str(PROMETHEUS / "prometheus.yml"))
    run(promtool, "check", "rules", str(PROMETHEUS / "rules/opora.yml"))


def test_the_alerts_fire_when_they_should(promtool: str) -> None:
    """Each alert's trial: the series it fires for, the words it fires with, and where it stays silent."""
    run(promtool, "test", "rules", str(PROMETHEUS / "rules/opora_test.yml"))


def test_a_broken_rule_turns_the_trial_red(promtool: str, tmp_path: Path) -> None:
    """The trial is no formality: an alert whose threshold is moved is seen."""
    rules = (PROMETHEUS / "rules/opora.yml").read_text("utf-8")
    moved = rules.replace("expr: service:opora_outbox_oldest_seconds:max > 30", "expr: vector(1) == 2")
    assert moved != rules
    (tmp_path / "opora.yml").write_text(moved, "utf-8")
    trials = yaml.safe_load((PROMETHEUS / "rules/opora_test.yml").read_text("utf-8"))
    trials["tests"] = [test for test in trials["tests"] if "OporaOutboxOld" in str(test)]
    (tmp_path / "opora_test.yml").write_text(yaml.safe_dump(trials), "utf-8")
    trial = subprocess.run(
        [promtool, "test", "rules", "opora_test.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert trial.returncode != 0
    assert "OporaOutboxOld" in trial.stdout + trial.stderr


def test_each_alert_was_tried_firing_and_silent() -> None:
    """No alert is without a trial of both kinds; the one that always fires has no silence to show."""
    trials = [
        trial
        for test in yaml.safe_load((PROMETHEUS / "rules/opora_test.yml").read_text("utf-8"))["tests"]
        for trial in test["alert_rule_test"]
    ]
    assert {trial["alertname"] for trial in trials if trial["exp_alerts"]} == set(ALERTS)
    assert {trial["alertname"] for trial in trials if not trial["exp_alerts"]} == set(ALERTS) - {"OporaWatchdog"}


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_speaks_to_a_person(name: str) -> None:
    """It says how urgent it is, what happened, how bad it is, and where to read on."""
    alert = ALERTS[name]
    assert alert["labels"]["severity"] in {"critical", "warning", "none"}
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
    assert alert["annotations"]["runbook_url"] == f"docs/operations/alerts.md#{name.lower()}"
    said = sections()[name]
    assert said.strip().startswith(f"*{alert['labels']['severity']}.*"), "the section says another urgency"
    assert "**Customers notice**" in said
    assert "**Escalate**" in said


def test_each_section_of_the_runbook_is_about_an_alert() -> None:
    """Alerts and sections are one to one, in the same order."""
    assert list(sections()) == list(ALERTS)


def test_every_role_is_scraped_and_missed() -> None:
    """The targets, the roles that an alert asks for by name, and the containers are the same."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    roles = {name for name in compose["services"] if name.partition("-")[0] in SERVICES}
    assert set(NAMES) == roles
    asked_for = {f"{service}-{role}" for service, role in ROLE_ASKED_FOR.findall(ALERTS["OporaRoleMissing"]["expr"])}
    assert asked_for == roles


def test_rules_and_dashboards_ask_for_metrics_that_there_are() -> None:
    """No query names a metric that no process has."""
    known = {sample.name for metric in measured() for sample in metric.samples} | {
        metric.name + suffix for metric in measured() for suffix in ("", "_total", "_bucket", "_count", "_sum")
    }
    asked = {name for rule in RULES for name in metrics_in(rule["expr"])}
    asked |= {name for board in DASHBOARDS.values() for _, query in queries(board) for name in metrics_in(query)}
    assert asked - known == set()


def test_a_recorded_series_is_recorded() -> None:
    """What queries take from recording rules, some rule records."""
    recorded = {rule["record"] for rule in RULES if "record" in rule}
    asked = {name for rule in RULES for name in recorded_in(rule["expr"])}
    asked |= {name for board in DASHBOARDS.values() for _, query in queries(board) for name in recorded_in(query)}
    assert asked - recorded == set()
    assert recorded - asked == set(), "recorded and asked for by nobody"


def test_derived_rules_differ_in_durations_only() -> None:
    """Divided by fifteen, a minute is four seconds, in waits and in ranges; not a threshold is touched."""
    derived = {name(rule): rule for group in derive_rules(faster=15)["groups"] for rule in group["rules"]}
    edge_alone = {"OporaEdgeDown", "OporaEdgeWithoutReplica"}
    assert set(derived) == {name(rule) for rule in RULES} - edge_alone
    assert {name(rule) for group in derive_rules(edge="e:1")["groups"] for rule in group["rules"]} >= edge_alone
    assert derived["OporaRoleMissing"]["for"] == "4000ms"
    assert "unless sum by (service, topic, role, instance) (rate(opora_consumer_batches_total[20000ms]))" in (
        " ".join(derived["OporaConsumerStopped"]["expr"].split())
    )
    assert "offset 40000ms > 20" in derived["OporaDeadLettersPileUp"]["expr"]
    assert derived["OporaOutboxOld"]["expr"] == ALERTS["OporaOutboxOld"]["expr"]
    for rule in RULES:
        if name(rule) in derived:
            expression = derived[name(rule)]["expr"]
            assert len(RANGES.findall(expression)) == len(RANGES.findall(rule["expr"]))
            assert RANGES.sub("", expression) == RANGES.sub("", rule["expr"])


def test_a_derived_configuration_keeps_the_labels(tmp_path: Path) -> None:
    """Each process of a platform is a target whose service and role are taken from its name, as they are from DNS."""
    endpoints = split_endpoints(tmp_path)
    derived = derive_configuration(endpoints, faster=15, edge="127.0.0.1:7")
    job = derived["scrape_configs"][0]
    assert derived["global"]["scrape_interval"] == "2000ms"
    assert {target["labels"]["__meta_dns_name"] for target in job["static_configs"]} == set(NAMES)
    assert job["relabel_configs"] == JOB["relabel_configs"]
    assert job["honor_labels"] is True
    assert [job["job_name"] for job in derived["scrape_configs"]] == ["opora", "edge"]


def test_roles_that_share_a_process_are_refused(tmp_path: Path) -> None:
    """The rules ask for roles by name: a platform without a process for each is told how to get them."""
    endpoints = split_endpoints(tmp_path)
    endpoints["services"]["sla"]["processes"] = [{"name": "sla", "url": "http://127.0.0.1:1"}]
    with pytest.raises(DeriveError, match=r"sla-serve, sla-consume, sla-relay, sla-timers: .*opora up --split"):
        derive_configuration(endpoints)


def test_a_duration_that_cannot_be_divided_is_refused() -> None:
    """One number and one unit; anything else is named."""
    assert shortened("1h", 60) == "60000ms"
    assert shortened("15s", 15, at_least_seconds=2) == "2000ms"
    with pytest.raises(DeriveError, match="1h30m"):
        shortened("1h30m", 2)


def run(*command: str) -> None:
    """Run a checker and show what it says when it finds something."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def name(rule: dict[str, Any]) -> str:
    """An alert's name, or what a recording rule records."""
    found: str = rule.get("alert") or rule["record"]
    return found


def metrics_in(query: str) -> set[str]:
    """The metrics of processes in a query; recorded series have a colon before or behind."""
    return {
        found[0]
        for found in METRIC.finditer(query)
        if query[: found.start()][-1:] != ":" and query[found.end() :][:1] != ":"
    }


def recorded_in(query: str) -> set[str]:
    """The recorded series in a query."""
    return set(re.findall(r"\b[a-z_]+:[a-z_]+:[a-z0-9_]+|\bopora_[a-z_]+:[a-z0-9_]+", query))


def measured() -> list[Any]:
    """Every metric that some process of the platform has."""
    for package in ("opora_chassis", *(f"opora_{service}" for service in SERVICES)):
        root = importlib.import_module(package)
        for module in pkgutil.walk_packages(root.__path__, f"{package}."):
            if not module.name.endswith(("__main__", ".testing")):
                importlib.import_module(module.name)
    return list(REGISTRY.collect())


def split_endpoints(directory: Path) -> dict[str, Any]:
    """What endpoints.json says of a platform with a process for each role, as far as a configuration needs it."""
    plans = plan_processes(StackOptions(directory=directory, split=True), None)
    return {
        "services": {
            service: {"processes": [{"name": p.name, "url": p.url} for p in plans if p.service == service]}
            for service in SERVICES
        }
    }
