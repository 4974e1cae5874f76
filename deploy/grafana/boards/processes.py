"""The processes themselves: what they use, and how they are."""

from deploy.grafana.panels import Board, Chart, Query, Row

_PROCESSES = '{job="opora", service=~"$service"}'
_NAME = "{{service}}-{{role}} at {{instance}}"

PROCESSES = Board(
    name="processes",
    title="processes",
    description="What each process uses, and how it is.",
    by_service=True,
    rows=(
        Row(
            "How they are",
            (
                Chart(
                    "Answer",
                    "1 while Prometheus gets an answer.",
                    (Query(f"up{_PROCESSES}", _NAME),),
                ),
                Chart(
                    "Checks",
                    "1 while what a process needs is well; what is 0 keeps it from being ready.",
                    (
                        Query(
                            'min by (service, role, check) (opora_check_ok{service=~"$service"})',
                            "{{service}}-{{role}}: {{check}}",
                        ),
                    ),
                ),
                Chart(
                    "Running for",
                    "Seconds since each process began.",
                    (Query(f"time() - process_start_time_seconds{_PROCESSES}", _NAME),),
                    unit="s",
                ),
            ),
        ),
        Row(
            "What they use",
            (
                Chart(
                    "Processor",
                    "Cores in use. A process uses one at most.",
                    (Query(f"rate(process_cpu_seconds_total{_PROCESSES}[$__rate_interval])", _NAME),),
                    limit=0.9,
                ),
                Chart(
                    "Memory",
                    "What each process has resident.",
                    (Query(f"process_resident_memory_bytes{_PROCESSES}", _NAME),),
                    unit="bytes",
                ),
                Chart(
                    "Open files",
                    "Share of the file descriptors that each process may have.",
                    (Query(f"process_open_fds{_PROCESSES} / process_max_fds{_PROCESSES}", _NAME),),
                    unit="percentunit",
                    limit=0.8,
                ),
                Chart(
                    "Garbage collections",
                    "Full collections per minute; each stops the process for a moment.",
                    (
                        Query(
                            "60 * rate(python_gc_collections_total"
                            '{job="opora", service=~"$service", generation="2"}[$__rate_interval])',
                            _NAME,
                        ),
                    ),
                ),
                Chart(
                    "Database connections in use",
                    "Share of the pool. At 1, work waits for a connection.",
                    (
                        Query(
                            'opora_database_pool_in_use{service=~"$service"}'
                            ' / opora_database_pool_limit{service=~"$service"}',
                            _NAME,
                        ),
                    ),
                    unit="percentunit",
                    limit=0.9,
                ),
                Chart(
                    "No connection in time",
                    "Times in five minutes that nobody got a database connection within 5 s.",
                    (
                        Query(
                            'sum by (service, role) (increase(opora_database_pool_timeouts_total{service=~"$service"}'
                            "[5m]))",
                            "{{service}}-{{role}}",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "What goes wrong in them",
            (
                Chart(
                    "Restarts",
                    "Times that each process began anew in the last hour.",
                    (
                        Query(
                            f"sum by (service, role) (changes(process_start_time_seconds{_PROCESSES}[1h]))",
                            "{{service}}-{{role}}",
                        ),
                    ),
                    width=12,
                ),
                Chart(
                    "Loops begun again",
                    "Times in an hour that a loop of the role timers raised and was begun again.",
                    (
                        Query(
                            'sum by (service, loop) (increase(opora_loop_failures_total{service=~"$service"}[1h]))',
                            "{{service}}: {{loop}}",
                        ),
                    ),
                    width=12,
                ),
            ),
        ),
    ),
)
