"""Service levels: what is promised and running, and how exactly time is watched."""

from deploy.grafana.panels import Board, Chart, Query, Row

SLA = Board(
    name="sla",
    title="service levels",
    description="What is promised and running, what was kept, and how exactly time is watched.",
    rows=(
        Row(
            "Clocks",
            (
                Chart(
                    "Open clocks",
                    "Clocks that are neither met nor breached nor cancelled, by what they measure.",
                    (Query("max by (metric) (opora_sla_open_clocks)", "{{metric}}"),),
                ),
                Chart(
                    "At risk",
                    "Open clocks of which a warning was given, by what they measure.",
                    (Query("max by (metric) (opora_sla_at_risk_clocks)", "{{metric}}"),),
                ),
                Chart(
                    "Late and still going on",
                    "Clocks that are breached and not stopped yet, by what they measure.",
                    (Query("max by (metric) (opora_sla_breached_open_clocks)", "{{metric}}"),),
                ),
                Chart(
                    "What became of clocks",
                    "Per minute. A correction withdraws or adds what was said before.",
                    (
                        Query(
                            '60 * sum by (type) (rate(opora_emitted_events_total{service="sla"}[$__rate_interval]))',
                            "{{type}}",
                        ),
                    ),
                    width=12,
                ),
                Chart(
                    "Kept",
                    "Of the clocks that ended in the last hour, the share that was met.",
                    (
                        Query(
                            'sum(increase(opora_emitted_events_total{type="sla.met"}[1h]))'
                            ' / sum(increase(opora_emitted_events_total{type=~"sla.met|sla.breached"}[1h]))',
                            "met",
                        ),
                    ),
                    unit="percentunit",
                    width=12,
                ),
            ),
        ),
        Row(
            "How exactly time is watched",
            (
                Chart(
                    "From due to declared",
                    "Real seconds from a live clock's due date to its breach: half of them, and 99 of 100.",
                    (
                        Query(
                            "histogram_quantile(0.5, sum by (le) (rate(opora_sla_breach_lag_seconds_bucket[10m])))",
                            "half",
                        ),
                        Query("opora_sla_breach_lag_seconds:p99_rate10m", "99 of 100"),
                    ),
                    unit="s",
                    limit=1,
                ),
                Chart(
                    "Timers late by",
                    "Real seconds by which the oldest clock that was just judged was late.",
                    (Query('max by (instance) (opora_sla_timer_lag_seconds{role="timers"})', "{{instance}}"),),
                    unit="s",
                    limit=1,
                ),
                Chart(
                    "Tickets judged",
                    "By the timers, per minute, and whether all evidence was there.",
                    (
                        Query(
                            "60 * sum by (evidence) (rate(opora_sla_judged_cases_total[$__rate_interval]))",
                            "{{evidence}}",
                        ),
                    ),
                ),
                Chart(
                    "Blind",
                    "Seconds for which the stillest watermark has not moved; judged without evidence from 60 on.",
                    (Query("max(opora_sla_blind_seconds)", "blind"),),
                    unit="s",
                    width=12,
                    limit=20,
                ),
                Chart(
                    "Facts of tickets not yet taken in",
                    "What sla still has to read before it can know.",
                    (
                        Query(
                            'sum by (instance) (opora_consumer_lag_records{service="sla", topic="opora.tickets"})',
                            "{{instance}}",
                        ),
                    ),
                    width=12,
                ),
            ),
        ),
    ),
)
