"""The dashboards: the JSON is what the code makes, and a person finds the way in it."""

import json
from itertools import combinations
from typing import Any

import pytest
import yaml

from deploy.grafana.__main__ import changes
from tests.observability.files import DASHBOARDS, GRAFANA

ROW_UNITS = 24


def test_the_committed_dashboards_are_what_the_code_makes() -> None:
    """Whoever changes a board writes the JSON as well: `python -m deploy.grafana`."""
    assert [path.name for path in changes()] == []


def test_there_is_a_dashboard_for_each_question() -> None:
    """Their files, and the identities by which links find them."""
    assert {name: board["uid"] for name, board in DASHBOARDS.items()} == {
        name: f"opora-{name}" for name in ("delivery", "http", "messages", "overview", "processes", "sla")
    }


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_have_a_place_and_words(name: str) -> None:
    """No two panels overlap, none reaches beyond the page, each has its own number and says what it shows."""
    panels = [panel for panel in DASHBOARDS[name]["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in DASHBOARDS[name]["panels"]}) == len(DASHBOARDS[name]["panels"])
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= ROW_UNITS, panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert [target["refId"] for target in panel["targets"]] == list("ABCDEF"[: len(panel["targets"])])
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])
    for one, other in combinations(panels, 2):
        assert not overlap(one["gridPos"], other["gridPos"]), f"{one['title']} lies over {other['title']}"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_variable_is_used_and_every_used_one_is_there(name: str) -> None:
    """A choice at the top changes something below, and no query asks for a choice that is not offered."""
    offered = {variable["name"] for variable in DASHBOARDS[name]["templating"]["list"]}
    text = json.dumps(DASHBOARDS[name]["panels"])
    assert {variable for variable in offered if f"${variable}" not in text and f"${{{variable}}}" not in text} == set()
    assert ("$service" in text) == ("service" in offered)


def test_grafana_is_told_where_everything_is() -> None:
    """The provisioned folder is the one that monitoring.md mounts, and the data source is a Prometheus."""
    (provider,) = read("dashboards/opora.yml")["providers"]
    (source,) = read("datasources/prometheus.yml")["datasources"]
    page = (GRAFANA.parents[1] / "docs/operations/monitoring.md").read_text("utf-8")
    assert f"`{provider['options']['path']}`" in page
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    """Whether two places share a square."""
    return (
        one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    )


def read(path: str) -> Any:
    """A file of the provisioning."""
    return yaml.safe_load((GRAFANA / "provisioning" / path).read_text("utf-8"))
