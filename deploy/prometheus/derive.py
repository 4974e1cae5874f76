"""Prometheus for a platform of `opora up --split`: the same rules, the same labels, other addresses.

    python deploy/prometheus/derive.py --directory .opora --out .opora/prometheus
    prometheus --config.file .opora/prometheus/prometheus.yml --storage.tsdb.path .opora/prometheus/data

What it changes in the files beside it, and nothing else:

* Each name that would be looked up in DNS becomes the address that endpoints.json has for the process of that name.
  The name stays the label that services and roles are taken from.
* There is no edge unless `--edge` names one; without it, its job and its group of rules are left out.
* `--faster N` divides every duration by N: how often is scraped and evaluated (not more than every two seconds), how
  long an alert waits, over how long a rule looks back. Thresholds stay. It is for trying alerts out.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

HOME = Path(__file__).parent
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_RANGE = re.compile(r"(?<=\[)\d+(?:ms|[smhd])(?=[:\]])|(?<=\boffset )\d+(?:ms|[smhd])\b")


class DeriveError(Exception):
    """No configuration can be derived; the message says what to do."""


def derive_configuration(endpoints: Any, *, faster: float = 1.0, edge: str | None = None) -> Any:
    """prometheus.yml for the processes of endpoints.json. Raises DeriveError when roles share a process."""
    configuration = yaml.safe_load((HOME / "prometheus.yml").read_text("utf-8"))
    for name in ("scrape_interval", "scrape_timeout", "evaluation_interval"):
        configuration["global"][name] = shortened(configuration["global"][name], faster, at_least_seconds=2)
    addresses = {
        process["name"]: process["url"].removeprefix("http://")
        for service in endpoints["services"].values()
        for process in service["processes"]
    }
    jobs = {job["job_name"]: job for job in configuration["scrape_configs"]}
    names = [name for found in jobs["opora"].pop("dns_sd_configs") for name in found["names"]]
    missing = [name for name in names if name not in addresses]
    if missing:
        raise DeriveError(f"no process is called {', '.join(missing)}: start the platform with `opora up --split`")
    jobs["opora"]["static_configs"] = [
        {"targets": [addresses[name]], "labels": {"__meta_dns_name": name}} for name in names
    ]
    if edge is None:
        del jobs["edge"]
    else:
        jobs["edge"]["static_configs"] = [{"targets": [edge]}]
    # Prometheus listens where it is told to on the command line, so it does not look at itself here.
    del jobs["prometheus"]
    configuration["scrape_configs"] = list(jobs.values())
    return configuration


def derive_rules(*, faster: float = 1.0, edge: str | None = None) -> Any:
    """The rules, with every duration divided."""
    document = yaml.safe_load((HOME / "rules/opora.yml").read_text("utf-8"))
    document["groups"] = [group for group in document["groups"] if edge is not None or group["name"] != "opora-edge"]
    for rule in (rule for group in document["groups"] for rule in group["rules"]):
        rule["expr"] = _RANGE.sub(lambda found: shortened(found[0], faster), rule["expr"])
        for name in ("for", "keep_firing_for"):
            if name in rule:
                rule[name] = shortened(rule[name], faster)
    return document


def shortened(duration: str, faster: float, *, at_least_seconds: float = 0.0) -> str:
    """A duration of Prometheus divided by `faster`, in whole milliseconds."""
    parts = re.fullmatch(r"(\d+)(ms|[smhd])", duration)
    if parts is None:
        raise DeriveError(f"{duration!r} is no duration of one number and one unit, such as 90s")
    seconds = max(int(parts[1]) * _SECONDS[parts[2]] / faster, at_least_seconds)
    return f"{round(seconds * 1000)}ms"


def write(out: Path, endpoints: Any, *, faster: float = 1.0, edge: str | None = None) -> None:
    """Write prometheus.yml and rules/opora.yml into a directory. Raises DeriveError, then nothing is written."""
    configuration = derive_configuration(endpoints, faster=faster, edge=edge)
    rules = derive_rules(faster=faster, edge=edge)
    for name in ("rules", "alertmanagers"):
        (out / name).mkdir(parents=True, exist_ok=True)
    (out / "prometheus.yml").write_text(yaml.safe_dump(configuration, sort_keys=False), "utf-8")
    (out / "rules/opora.yml").write_text(yaml.safe_dump(rules, sort_keys=False, width=120), "utf-8")


def main() -> int:
    """The command line. Returns 0, or 1 when there is nothing to derive from."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path, default=Path(".opora"), help="the platform's directory")
    parser.add_argument("--out", type=Path, required=True, help="where to write")
    parser.add_argument("--edge", metavar="HOST:PORT", help="where an edge shows its metrics")
    parser.add_argument("--faster", type=float, default=1.0, metavar="N", help="divide every duration by N")
    options = parser.parse_args()
    try:
        endpoints = json.loads((options.directory / "endpoints.json").read_text("utf-8"))
        write(options.out, endpoints, faster=options.faster, edge=options.edge)
    except OSError as error:
        print(f"{error}: start the platform with `opora up --split`, or name its --directory", file=sys.stderr)
        return 1
    except DeriveError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"prometheus --config.file {options.out / 'prometheus.yml'} --storage.tsdb.path {options.out / 'data'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
