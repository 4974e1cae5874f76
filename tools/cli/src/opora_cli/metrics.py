"""Reading what a process tells at /metrics."""

import re

LAG = "opora_consumer_lag_records"
OUTBOX = "opora_outbox_rows"
FUSE = "opora_consumer_fuse_blown"

_SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

Metrics = dict[str, list[tuple[dict[str, str], float]]]


def read_metrics(text: str, names: tuple[str, ...] = (LAG, OUTBOX)) -> Metrics:
    """The samples of these names. Others are not even parsed: a process has hundreds, and this is asked often."""
    found: Metrics = {name: [] for name in names}
    for line in text.splitlines():
        if not line.startswith(names):
            continue
        sample = _SAMPLE.match(line)
        if sample is not None and sample[1] in found:
            found[sample[1]].append((dict(_LABEL.findall(sample[2] or "")), float(sample[3])))
    return found


def total(metrics: Metrics, name: str, **labels: str) -> float:
    """The sum over all samples of this name that carry these labels; 0.0 for none."""
    return sum(value for found, value in metrics.get(name, []) if labels.items() <= found.items())
