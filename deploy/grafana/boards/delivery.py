"""From a decision to its effects: outbox, topics, consumers, what was put aside, progress marks."""

from deploy.grafana.panels import SERVICE, Board, Chart, Query, Row

_OTHER_OUTCOMES = '{service=~"$service", outcome!~"applied|ignored"}'

DELIVERY = Board(
    name="delivery",
    title="delivery",
    description="From a decision to its effects: outbox, topics, consumers, what was put aside, progress marks.",
    by_service=True,
    rows=(
        Row(
            "From the decision to the topic",
            (
                Chart(
                    "Facts in the outbox",
                    "Rows that wait to be published; counted up to 10,000.",
                    (Query(f"max by (service) (opora_outbox_rows{SERVICE})", "{{service}}"),),
                ),
                Chart(
                    "Oldest fact in the outbox",
                    "Its age. It rises when the broker does not answer or no relay runs.",
                    (Query(f"max by (service) (opora_outbox_oldest_seconds{SERVICE})", "{{service}}"),),
                    unit="s",
                    limit=30,
                ),
                Chart(
                    "Published",
                    "Facts that the broker acknowledged, by topic.",
                    (
                        Query(
                            f"sum by (topic) (rate(opora_published_events_total{SERVICE}[$__rate_interval]))",
                            "{{topic}}",
                        ),
                    ),
                    unit="cps",
                ),
                Chart(
                    "Relay without progress",
                    "Seconds since each relay last found its outbox empty or got an acknowledgement.",
                    (
                        Query(
                            f"max by (service, instance) (opora_relay_stalled_seconds{SERVICE})",
                            "{{service}} at {{instance}}",
                        ),
                    ),
                    unit="s",
                    width=12,
                    limit=30,
                ),
                Chart(
                    "Shards held",
                    "Parts of the outbox that each relay drains; together as many as OPORA_RELAY_SHARDS.",
                    (
                        Query(
                            f"sum by (service, instance) (opora_relay_shards{SERVICE})", "{{service}} at {{instance}}"
                        ),
                    ),
                    width=12,
                ),
            ),
        ),
        Row(
            "From the topic to the effect",
            (
                Chart(
                    "Lag",
                    "Records that wait, by who is to take them.",
                    (
                        Query(
                            f"sum by (service, topic) (opora_consumer_lag_records{SERVICE})",
                            "{{service}} of {{topic}}",
                        ),
                    ),
                    limit=5000,
                ),
                Chart(
                    "Lag by partition",
                    "The ten partitions that are furthest behind: one key with many events keeps one partition busy.",
                    (
                        Query(
                            f"topk(10, sum by (service, topic, partition) (opora_consumer_lag_records{SERVICE}))",
                            "{{service}} of {{topic}} {{partition}}",
                        ),
                    ),
                ),
                Chart(
                    "Applied",
                    "Events that had their effect.",
                    (
                        Query(
                            'sum by (service, topic) (rate(opora_consumed_events_total{service=~"$service",'
                            ' outcome="applied"}[$__rate_interval]))',
                            "{{service}} of {{topic}}",
                        ),
                    ),
                    unit="cps",
                ),
                Chart(
                    "Time of a batch",
                    "From a batch in hand to its effect being durable: half of them, and 99 of 100.",
                    (
                        Query(
                            "histogram_quantile(0.5, sum by (service, le)"
                            f" (rate(opora_consumer_batch_seconds_bucket{SERVICE}[$__rate_interval])))",
                            "{{service}} half",
                        ),
                        Query(
                            "histogram_quantile(0.99, sum by (service, le)"
                            f" (rate(opora_consumer_batch_seconds_bucket{SERVICE}[$__rate_interval])))",
                            "{{service}} 99 of 100",
                        ),
                    ),
                    unit="s",
                ),
                Chart(
                    "Batches",
                    "Batches that were finished. None while records wait means that consumption stands still.",
                    (
                        Query(
                            f"sum by (service, topic) (rate(opora_consumer_batches_total{SERVICE}[$__rate_interval]))",
                            "{{service}} of {{topic}}",
                        ),
                    ),
                    unit="cps",
                ),
                Chart(
                    "Events in a batch",
                    "The mean. Large batches are a consumer that catches up.",
                    (
                        Query(
                            f"sum by (service) (rate(opora_consumed_events_total{SERVICE}[$__rate_interval])) / (sum by"
                            f" (service) (rate(opora_consumer_batches_total{SERVICE}[$__rate_interval])) > 0)",
                            "{{service}}",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "What is put aside",
            (
                Chart(
                    "Dead letters",
                    "Events that could not be handled, and those that wait behind them.",
                    (Query(f"max by (service) (opora_dead_letters{SERVICE})", "{{service}}"),),
                    width=6,
                    limit=1,
                ),
                Chart(
                    "Parked keys",
                    "Tickets, customers or requests whose events wait.",
                    (Query(f"max by (service) (opora_parked_keys{SERVICE})", "{{service}}"),),
                    width=6,
                    limit=1,
                ),
                Chart(
                    "Fuse",
                    "1 while a consumer stands still because too many events failed in a row.",
                    (
                        Query(
                            f"max by (service, topic) (opora_consumer_fuse_blown{SERVICE})", "{{service}} of {{topic}}"
                        ),
                    ),
                    width=6,
                    limit=1,
                ),
                Chart(
                    "Duplicates and refusals",
                    "Events that were neither applied nor of a kind that the service ignores, by what became of them.",
                    (
                        Query(
                            f"sum by (service, outcome) (increase(opora_consumed_events_total{_OTHER_OUTCOMES}[5m]))"
                            f" or 0 * sum by (service) (opora_consumer_batches_total{SERVICE})",
                            "{{service}} {{outcome}}",
                        ),
                    ),
                    width=6,
                ),
            ),
        ),
        Row(
            "Progress marks",
            (
                Chart(
                    "Marks published",
                    "By intake's relay: one a partition, four times a second.",
                    (
                        Query(
                            "sum by (service, instance) (rate(opora_marks_published_total[$__rate_interval]))",
                            "{{service}} at {{instance}}",
                        ),
                    ),
                    unit="cps",
                ),
                Chart(
                    "Marks followed",
                    "By sla's consumers: marks whose facts were all taken in.",
                    (
                        Query(
                            "sum by (service, instance) (rate(opora_marks_followed_total[$__rate_interval]))",
                            "{{service}} at {{instance}}",
                        ),
                    ),
                    unit="cps",
                ),
                Chart(
                    "Blind",
                    "Seconds for which the stillest watermark has not moved, as each of sla's timers sees it.",
                    (Query('max by (instance) (opora_sla_blind_seconds{role="timers"})', "{{instance}}"),),
                    unit="s",
                    limit=20,
                ),
            ),
        ),
    ),
)
