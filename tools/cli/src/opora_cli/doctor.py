"""`opora doctor`: what is wrong with a running platform, and the command that helps."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import httpx
import typer

from opora_chassis.clock import host_now
from opora_cli import store
from opora_cli.console import AsJson, Directory, out, print_json, run
from opora_cli.endpoints import DEFAULT_DIRECTORY, Endpoints, read_endpoints
from opora_cli.errors import PROBLEMS_FOUND
from opora_cli.metrics import LAG, read_metrics, total

MAX_LAG_RECORDS = 5_000
MAX_OUTBOX_AGE_SECONDS = 10.0
MAX_CLOCK_SKEW_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that was looked at. `problem` is empty when it is well."""

    subject: str
    measured: str
    problem: str = ""
    next_command: str = ""


def doctor(*, as_json: AsJson = False, directory: Directory = DEFAULT_DIRECTORY) -> None:
    """Look at topics, migrations, processes, lag, outboxes, dead letters and clocks.

    Each finding comes with the next command. Exit codes: 0 all is well, 1 something is wrong, 3 no platform runs.
    """
    endpoints = read_endpoints(directory)
    diagnoses = run(examine(endpoints))
    if as_json:
        print_json([asdict(diagnosis) for diagnosis in diagnoses])
    else:
        for diagnosis in diagnoses:
            _print(diagnosis, directory)
    if any(diagnosis.problem for diagnosis in diagnoses):
        raise typer.Exit(PROBLEMS_FOUND)


async def examine(endpoints: Endpoints) -> list[Diagnosis]:
    """Every examination; one that cannot be made is itself a finding."""
    examinations: dict[str, Awaitable[Sequence[Diagnosis]]] = {"topics": _topics(endpoints.kafka_bootstrap)}
    for name, service in endpoints.services.items():
        examinations[f"{name}'s database"] = _database(name, service.database_dsn)
        examinations |= {process.name: _process(process.name, process.url) for process in service.processes}
    found = await asyncio.gather(*(_guarded(subject, work) for subject, work in examinations.items()))
    return [diagnosis for diagnoses in found for diagnosis in diagnoses]


def judge_lag(process: str, lag_records: float) -> Diagnosis:
    """Whether a process keeps up with what it consumes."""
    late = lag_records > MAX_LAG_RECORDS
    problem = "it does not keep up, or has only just begun to catch up" if late else ""
    return Diagnosis(f"{process}: consumer lag", f"{lag_records:.0f} records", problem, "opora status" if late else "")


def judge_outbox(service: str, depth: int, oldest_age_seconds: float) -> Diagnosis:
    """Whether the relay publishes."""
    stuck = oldest_age_seconds > MAX_OUTBOX_AGE_SECONDS
    return Diagnosis(
        f"{service}: outbox",
        f"{depth} facts, the oldest for {oldest_age_seconds:.1f} s",
        "the relay is stuck or cannot reach the broker" if stuck else "",
        "opora status" if stuck else "",
    )


def judge_skew(service: str, skew_seconds: float) -> Diagnosis:
    """Whether the database's clock, which decides what is due, agrees with this host's."""
    wrong = abs(skew_seconds) > MAX_CLOCK_SKEW_SECONDS
    return Diagnosis(
        f"{service}: database clock",
        f"{skew_seconds:+.2f} s against this host",
        "one of the two clocks is wrong, and the database's decides what is due" if wrong else "",
        "timedatectl status" if wrong else "",
    )


async def _topics(bootstrap: str) -> list[Diagnosis]:
    from opora_chassis.topics import check_topics

    problems = await check_topics(bootstrap)
    if not problems:
        return [Diagnosis("topics", "as the registry has them")]
    return [Diagnosis("topics", "differ from the registry", problem, "opora topics check") for problem in problems]


async def _database(service: str, dsn: str) -> list[Diagnosis]:
    from opora_chassis.migrations import all_migrations, pending_migrations
    from opora_cli.stack import migrations_directory

    pending = await pending_migrations(dsn, all_migrations(service, migrations_directory(service)))
    connection = await store.connect(dsn)
    try:
        outbox = await store.outbox_state(connection)
        letters = await store.dead_letter_count(connection)
        parked = await store.parked_key_count(connection)
        asked_at = host_now()
        database_time = await store.database_time(connection)
        skew = database_time - (asked_at + (host_now() - asked_at) / 2)
    finally:
        await connection.close()
    return [
        Diagnosis(
            f"{service}: migrations",
            f"{len(pending)} pending",
            f"not applied: {', '.join(pending)}" if pending else "",
            "opora down && opora up" if pending else "",
        ),
        judge_outbox(service, outbox.depth, outbox.oldest_age_seconds),
        Diagnosis(
            f"{service}: dead letters",
            f"{letters}, {parked} parked keys",
            "events could not be handled, and what follows them waits" if letters or parked else "",
            f"opora dead-letters list --service {service}" if letters or parked else "",
        ),
        judge_skew(service, skew.total_seconds()),
    ]


async def _process(name: str, url: str) -> list[Diagnosis]:
    async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
        ready = await client.get(f"{url}/health/ready")
        metrics = read_metrics((await client.get(f"{url}/metrics")).text)
    failed = [f"{check['name']}: {check['detail']}" for check in ready.json().get("checks", []) if not check["ok"]]
    problem = "" if ready.is_success else "; ".join(failed) or "it is not ready"
    log = f"tail logs/{name}.log" if problem else ""
    return [
        Diagnosis(f"{name}: health", "ready" if ready.is_success else "not ready", problem, log),
        judge_lag(name, total(metrics, LAG)),
    ]


async def _guarded(subject: str, work: Awaitable[Sequence[Diagnosis]]) -> Sequence[Diagnosis]:
    try:
        return await work
    except Exception as error:  # noqa: BLE001 - whatever keeps us from looking is what the operator must know
        return [Diagnosis(subject, "cannot be examined", f"{type(error).__name__}: {error}", "opora status")]


def _print(diagnosis: Diagnosis, directory: Any) -> None:
    if not diagnosis.problem:
        out.print(f"[green]ok[/]    {diagnosis.subject}: {diagnosis.measured}")
        return
    out.print(f"[red]wrong[/] {diagnosis.subject}: {diagnosis.measured}", soft_wrap=True)
    out.print(f"      {diagnosis.problem}", markup=False, soft_wrap=True)
    command = diagnosis.next_command.replace("tail logs/", f"tail {directory}/logs/")
    out.print(f"      next: {command}", markup=False, soft_wrap=True)
