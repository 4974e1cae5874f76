"""Is everything well, and what goes on? The first look of whoever is called."""

from deploy.grafana.panels import Board, Chart, Number, Query, Row

_TICKETS = 'opora_emitted_events_total{origin="live", type=~"ticket.(created|replied|resolved|closed|reopened)"}'
_SLA = 'opora_emitted_events_total{type=~"sla.(met|warning|breached|corrected)"}'

OVERVIEW = Board(
    name="overview",
    title="overview",
    description="Is everything well, and what goes on. The other dashboards say why.",
    rows=(
        Row(
            "Now",
            (
                Number(
                    "Alerts",
                    "Alerts that fire, the watchdog left out. docs/operations/alerts.md has a section for each.",
                    (Query('count(ALERTS{alertstate="firing", severity!="none"}) or vector(0)', "firing"),),
                    bad_from=1,
                ),
                Number(
                    "Tickets opened",
                    "Live tickets opened in the chosen time.",
                    (
                        Query(
                            'sum(increase(opora_emitted_events_total{origin="live", type="ticket.created"}[$__range]))',
                            "opened",
                        ),
                    ),
                ),
                Number(
                    "Clocks kept",
                    "Of the clocks that ended in the chosen time, the share that was met.",
                    (
                        Query(
                            'sum(increase(opora_emitted_events_total{type="sla.met"}[$__range]))'
                            ' / sum(increase(opora_emitted_events_total{type=~"sla.met|sla.breached"}[$__range]))',
                            "met",
                        ),
                    ),
                    unit="percentunit",
                    bad_below=0.9,
                ),
                Number(
                    "Failed requests",
                    "Share of HTTP requests that were answered with a status of 500 or above, the worst service.",
                    (Query("max(service:opora_http_errors:ratio_rate5m)", "failed"),),
                    unit="percentunit",
                    bad_from=0.05,
                ),
                Number(
                    "Waiting for a person",
                    "Dead letters of all services, with what waits behind them.",
                    (Query("sum(service:opora_dead_letters:max)", "dead letters"),),
                    bad_from=1,
                ),
                Number(
                    "Blind for",
                    "Seconds without news of the partition that has had none for the longest; from 60 on, breaches are"
                    " declared without full evidence.",
                    (Query("max(opora_sla_blind_seconds)", "blind"),),
                    unit="s",
                    bad_from=20,
                ),
            ),
        ),
        Row(
            "The desk",
            (
                Chart(
                    "Tickets",
                    "Live facts of tickets per minute.",
                    (Query(f"60 * sum by (type) (rate({_TICKETS}[$__rate_interval]))", "{{type}}"),),
                    width=12,
                ),
                Chart(
                    "Service levels",
                    "What sla said of clocks, per minute.",
                    (Query(f"60 * sum by (type) (rate({_SLA}[$__rate_interval]))", "{{type}}"),),
                    width=12,
                ),
            ),
        ),
        Row(
            "The flow",
            (
                Chart(
                    "Not yet consumed",
                    "Records that wait, by who is to take them.",
                    (Query("service_topic:opora_consumer_lag_records:sum", "{{service}} of {{topic}}"),),
                    limit=5000,
                ),
                Chart(
                    "Oldest fact not yet published",
                    "Age of the oldest row in each outbox.",
                    (Query("service:opora_outbox_oldest_seconds:max", "{{service}}"),),
                    unit="s",
                    limit=30,
                ),
                Chart(
                    "Events committed",
                    "Facts of all types, live and imported, by the service that decided them.",
                    (
                        Query(
                            "sum by (service, origin) (rate(opora_emitted_events_total[$__rate_interval]))",
                            "{{service}} {{origin}}",
                        ),
                    ),
                    unit="cps",
                ),
            ),
        ),
        Row(
            "Who works",
            (
                Chart(
                    "Processes that answer",
                    "How many processes of each role answer Prometheus.",
                    (Query('sum by (service, role) (up{job="opora"})', "{{service}}-{{role}}"),),
                ),
                Chart(
                    "Requests",
                    "HTTP requests, health checks left out.",
                    (Query("service:opora_http_requests:rate5m", "{{service}}"),),
                    unit="reqps",
                ),
                Chart(
                    "Slowest requests",
                    "The time within which 99 of 100 requests are answered.",
                    (Query("service:opora_http_request_seconds:p99_rate5m", "{{service}}"),),
                    unit="s",
                    limit=1,
                ),
            ),
        ),
    ),
)
