"""Reading what a process tells at /metrics."""

from collections import defaultdict

from prometheus_client.parser import text_string_to_metric_families

Metrics = dict[str, list[tuple[dict[str, str], float]]]


def read_metrics(text: str) -> Metrics:
    """Every sample, by its name."""
    found: Metrics = defaultdict(list)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name].append((dict(sample.labels), sample.value))
    return found


def total(metrics: Metrics, name: str, **labels: str) -> float:
    """The sum over all samples of this name that carry these labels; 0.0 for none."""
    return sum(value for found, value in metrics.get(name, []) if labels.items() <= found.items())
