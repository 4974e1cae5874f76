"""What leaves the platform for people and systems, and what customers answer."""

from deploy.grafana.panels import Board, Chart, Query, Row

MESSAGES = Board(
    name="messages",
    title="notifications and feedback",
    description="What leaves the platform for people and systems, and what customers answer.",
    rows=(
        Row(
            "Notifications",
            (
                Chart(
                    "Planned",
                    "Messages put into the ledger per minute, by rule.",
                    (
                        Query(
                            "60 * sum by (rule, channel) (rate(opora_notifications_planned_total[$__rate_interval]))",
                            "{{rule}} by {{channel}}",
                        ),
                    ),
                ),
                Chart(
                    "Attempts",
                    "Attempts to send per minute, by what the message was after it. `pending` will be repeated.",
                    (
                        Query(
                            "60 * sum by (channel, state) (rate(opora_notification_attempts_total[$__rate_interval]))",
                            "{{channel}} {{state}}",
                        ),
                    ),
                ),
                Chart(
                    "Time of an attempt",
                    "The time within which 95 of 100 attempts end.",
                    (
                        Query(
                            "histogram_quantile(0.95, sum by (channel, le)"
                            " (rate(opora_notification_send_seconds_bucket[10m])))",
                            "{{channel}}",
                        ),
                    ),
                    unit="s",
                ),
                Chart(
                    "Waiting",
                    "Messages that are neither delivered nor given up, those that wait for a repetition included.",
                    (Query("max by (channel) (opora_notifications_waiting)", "{{channel}}"),),
                ),
                Chart(
                    "Overdue",
                    "Seconds by which the most overdue attempt is late: no worker has taken it.",
                    (Query("max by (channel) (opora_notifications_overdue_seconds)", "{{channel}}"),),
                    unit="s",
                    limit=120,
                ),
                Chart(
                    "Sent twice, perhaps",
                    "Attempts that ended after their lease: another worker may have sent the message as well.",
                    (Query("sum by (channel) (increase(opora_notification_leases_lost_total[1h]))", "{{channel}}"),),
                ),
            ),
        ),
        Row(
            "Feedback",
            (
                Chart(
                    "Closings",
                    "Live closings per minute, and whether the customer was asked.",
                    (
                        Query(
                            "60 * sum by (verdict) (rate(opora_feedback_closings_total[$__rate_interval]))",
                            "{{verdict}}",
                        ),
                    ),
                ),
                Chart(
                    "Answers",
                    "Answers in the last hour by score, changed ones included.",
                    (Query("sum by (score) (increase(opora_feedback_answers_total[1h]))", "{{score}}"),),
                ),
                Chart(
                    "What feedback told",
                    "Facts per minute: asked, answered, and customers to call back.",
                    (
                        Query(
                            '60 * sum by (type) (rate(opora_emitted_events_total{service="feedback"}'
                            "[$__rate_interval]))",
                            "{{type}}",
                        ),
                    ),
                ),
            ),
        ),
    ),
)
