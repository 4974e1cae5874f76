"""`opora doctor`."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path

import typer

from opora_cli.console import AsJson, Directory, err, out, print_json, run
from opora_cli.doctor.diagnosis import STATUS, Diagnosis, judge_consumption, judge_marks
from opora_cli.endpoints import DEFAULT_DIRECTORY, Endpoints, read_endpoints
from opora_cli.errors import PROBLEMS_FOUND

_LOOK_SECONDS = 3.0
"""Between two looks at what should move. Consumers acknowledge many times a second, marks come four times."""
_LONGEST_SECONDS = 30.0


def doctor(*, as_json: AsJson = False, directory: Directory = DEFAULT_DIRECTORY) -> None:
    """Look at topics, migrations, processes, consumption, outboxes, dead letters, clocks, disks, and at what must move.

    Takes a few seconds: what should move is looked at twice. Each finding comes with the next command.
    Exit codes: 0 all is well, 1 something is wrong, 3 no platform runs.
    """
    endpoints = read_endpoints(directory)
    with err.status("looking twice at what should move"):
        diagnoses = [_complete(diagnosis, directory) for diagnosis in run(examine(endpoints, directory))]
    if as_json:
        print_json([asdict(diagnosis) for diagnosis in diagnoses])
    else:
        for diagnosis in diagnoses:
            _print(diagnosis)
    if any(diagnosis.problem for diagnosis in diagnoses):
        raise typer.Exit(PROBLEMS_FOUND)


async def examine(endpoints: Endpoints, directory: Path, *, look_seconds: float = _LOOK_SECONDS) -> list[Diagnosis]:
    """Every examination; one that cannot be made is itself a finding."""
    from opora_cli.doctor.broker import examine_topics
    from opora_cli.doctor.databases import examine_database
    from opora_cli.doctor.disks import examine_brokers_disks, examine_own_disk
    from opora_cli.doctor.history import examine_histories
    from opora_cli.doctor.processes import examine_process

    bootstrap = endpoints.kafka_bootstrap
    dsns = {name: service.database_dsn for name, service in endpoints.services.items()}
    examinations: dict[str, Awaitable[Sequence[Diagnosis]]] = {
        "topics": examine_topics(bootstrap),
        "what must move": _examine_movement(bootstrap, dsns, look_seconds),
        "what services remember": examine_histories(bootstrap, dsns),
    }
    if endpoints.supervisor_pid is None:
        examinations["disks of the broker"] = examine_brokers_disks(bootstrap)
    else:
        examinations["disk"] = asyncio.to_thread(examine_own_disk, directory / "data")
    for name, service in endpoints.services.items():
        examinations[f"{name}'s database"] = examine_database(name, service.database_dsn)
        examinations |= {
            process.name: examine_process(name, process.name, process.url, _log_command(endpoints, process.name))
            for process in service.processes
        }
    found = await asyncio.gather(*(_guarded(subject, work) for subject, work in examinations.items()))
    return [diagnosis for diagnoses in found for diagnosis in diagnoses]


async def _examine_movement(bootstrap: str, dsns: dict[str, str], look_seconds: float) -> list[Diagnosis]:
    """Look, wait, look again: consumption of every topic, and sla's watermarks."""
    from opora_cli.doctor.broker import count_marks, read_positions

    before, marks_before = await read_positions(bootstrap, set(dsns)), await count_marks(bootstrap)
    watermarks_before = await _watermarks(dsns)
    await asyncio.sleep(look_seconds)
    after, marks_after = await read_positions(bootstrap, set(dsns)), await count_marks(bootstrap)
    found = [
        judge_consumption(service, topic, before[service, topic], reading, look_seconds)
        for (service, topic), reading in after.items()
        if (service, topic) in before
    ]
    if "sla" in dsns:
        watermarks_after = await _watermarks(dsns)
        found.append(judge_marks(watermarks_before, watermarks_after, marks_after - marks_before, look_seconds))
    return found


async def _watermarks(dsns: dict[str, str]) -> dict[int, datetime]:
    from opora_cli import store
    from opora_cli.doctor.store import live_watermarks

    if "sla" not in dsns:
        return {}
    connection = await store.connect(dsns["sla"])
    try:
        return await live_watermarks(connection)
    finally:
        await connection.close()


def _log_command(endpoints: Endpoints, process: str) -> str:
    return STATUS if endpoints.log_directory is None else f"tail {endpoints.log_directory / process}.log"


async def _guarded(subject: str, work: Awaitable[Sequence[Diagnosis]]) -> Sequence[Diagnosis]:
    try:
        async with asyncio.timeout(_LONGEST_SECONDS):
            return await work
    except TimeoutError:
        return [Diagnosis(subject, "cannot be examined", f"no answer within {_LONGEST_SECONDS:.0f} s", STATUS)]
    except Exception as error:  # noqa: BLE001 - whatever keeps us from looking is what the operator must know
        return [Diagnosis(subject, "cannot be examined", f"{type(error).__name__}: {error}", STATUS)]


def _complete(diagnosis: Diagnosis, directory: Path) -> Diagnosis:
    """The next command as it can be typed here, for the platform that was examined."""
    command = diagnosis.next_command
    if directory == DEFAULT_DIRECTORY or not command.startswith("opora ") or " DIR" in command:
        return diagnosis
    return replace(diagnosis, next_command=f"{command} --directory {directory}")


def _print(diagnosis: Diagnosis) -> None:
    if not diagnosis.problem:
        out.print(f"[green]ok[/]    {diagnosis.subject}: {diagnosis.measured}", soft_wrap=True)
        return
    out.print(f"[red]wrong[/] {diagnosis.subject}: {diagnosis.measured}", soft_wrap=True)
    out.print(f"      {diagnosis.problem}", markup=False, soft_wrap=True)
    out.print(f"      next: {diagnosis.next_command}", markup=False, soft_wrap=True)
