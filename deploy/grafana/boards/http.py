"""What callers of the interfaces see."""

from deploy.grafana.panels import Board, Chart, Query, Row

_ASKED = '{service=~"$service", route!~"live|ready|metrics"}'
_FAILED = '{service=~"$service", route!~"live|ready|metrics", status=~"5.."}'
_EDGE = '{proxy=~"intake|sla|notify|feedback"}'


def _within(quantile: float, labels: str) -> str:
    """The time within which this share of requests was answered."""
    buckets = f"rate(opora_http_request_seconds_bucket{_ASKED}[$__rate_interval])"
    return f"histogram_quantile({quantile}, sum by ({labels}, le) ({buckets}))"


HTTP = Board(
    name="http",
    title="HTTP",
    description="What callers of the interfaces see. Health checks and metrics are left out.",
    by_service=True,
    rows=(
        Row(
            "Services",
            (
                Chart(
                    "Requests",
                    "Requests answered, by service.",
                    (
                        Query(
                            f"sum by (service) (rate(opora_http_request_seconds_count{_ASKED}[$__rate_interval]))",
                            "{{service}}",
                        ),
                    ),
                    unit="reqps",
                ),
                Chart(
                    "Answers",
                    "By status. 4xx are the caller's mistakes, 5xx ours.",
                    (
                        Query(
                            f"sum by (status) (rate(opora_http_request_seconds_count{_ASKED}[$__rate_interval]))",
                            "{{status}}",
                        ),
                    ),
                    unit="reqps",
                ),
                Chart(
                    "Failed",
                    "Share of requests that were answered with a status of 500 or above.",
                    (
                        Query(
                            f"(sum by (service) (rate(opora_http_request_seconds_count{_FAILED}[$__rate_interval]))"
                            " or 0 * sum by (service)"
                            f" (rate(opora_http_request_seconds_count{_ASKED}[$__rate_interval]))) / (sum by (service)"
                            f" (rate(opora_http_request_seconds_count{_ASKED}[$__rate_interval])) > 0)",
                            "{{service}}",
                        ),
                    ),
                    unit="percentunit",
                    limit=0.05,
                ),
                Chart(
                    "Half are answered within",
                    "The median, by service.",
                    (Query(_within(0.5, "service"), "{{service}}"),),
                    unit="s",
                ),
                Chart(
                    "95 of 100 are answered within",
                    "The 95th percentile, by service.",
                    (Query(_within(0.95, "service"), "{{service}}"),),
                    unit="s",
                ),
                Chart(
                    "99 of 100 are answered within",
                    "The 99th percentile, by service.",
                    (Query(_within(0.99, "service"), "{{service}}"),),
                    unit="s",
                    limit=1,
                ),
            ),
        ),
        Row(
            "Routes",
            (
                Chart(
                    "Busiest routes",
                    "The ten routes with the most requests.",
                    (
                        Query(
                            "topk(10, sum by (service, method, route)"
                            f" (rate(opora_http_request_seconds_count{_ASKED}[$__rate_interval])))",
                            "{{service}} {{method}} {{route}}",
                        ),
                    ),
                    unit="reqps",
                    width=12,
                ),
                Chart(
                    "Slowest routes",
                    "The ten routes with the highest 95th percentile.",
                    (
                        Query(
                            f"topk(10, {_within(0.95, 'service, method, route')})", "{{service}} {{method}} {{route}}"
                        ),
                    ),
                    unit="s",
                    width=12,
                ),
            ),
        ),
        Row(
            "Edge",
            (
                Chart(
                    "Replicas that are ready",
                    "As the edge sees them. Without one, it answers 503.",
                    (Query(f"sum by (proxy) (haproxy_backend_active_servers{_EDGE})", "{{proxy}}"),),
                    width=6,
                ),
                Chart(
                    "Answers at the edge",
                    "By class of status, those of the edge itself included.",
                    (
                        Query(
                            f"sum by (proxy, code) (rate(haproxy_frontend_http_responses_total{_EDGE}"
                            "[$__rate_interval]))",
                            "{{proxy}} {{code}}",
                        ),
                    ),
                    unit="reqps",
                    width=6,
                ),
                Chart(
                    "Sent again to another replica",
                    "Requests that met a replica going away.",
                    (
                        Query(
                            f"sum by (proxy) (increase(haproxy_backend_retry_warnings_total{_EDGE}[5m])"
                            f" + increase(haproxy_backend_redispatch_warnings_total{_EDGE}[5m]))",
                            "{{proxy}}",
                        ),
                    ),
                    width=6,
                ),
                Chart(
                    "Queue at the edge",
                    "Requests that wait for a replica.",
                    (Query(f"sum by (proxy) (haproxy_backend_current_queue{_EDGE})", "{{proxy}}"),),
                    width=6,
                ),
            ),
        ),
    ),
)
