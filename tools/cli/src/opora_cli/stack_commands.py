"""`opora up`, `down`, `status`."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import IO, Annotated, Any

import typer
from rich.table import Table

from opora_cli.console import AsJson, Directory, err, out, print_json, run, say
from opora_cli.endpoints import DEFAULT_DIRECTORY, Endpoints, lock_directory, read_endpoints, running_supervisor
from opora_cli.errors import NOT_STARTED, PROBLEMS_FOUND, AlreadyRunningError, CommandError, NotRunningError

_DETACHED_SECONDS = 240.0
_DOWN_SECONDS = 45.0
_POLL_SECONDS = 0.1
_TAIL_LINES = 20


def up(
    directory: Directory = DEFAULT_DIRECTORY,
    detach: Annotated[bool, typer.Option("--detach", help="Return when everything is ready.")] = False,
    split: Annotated[bool, typer.Option("--split", help="A process per role instead of one per service.")] = False,
    smtp: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Send mail there instead of into DIRECTORY/mail.")
    ] = None,
) -> None:
    """Run the whole platform: Kafka, PostgreSQL and the services; data is kept from run to run.

    Stays in the foreground until Ctrl-C or `opora down`. Exit codes: 0 stopped, 4 it could not start.
    """
    if smtp is not None and not smtp.rpartition(":")[2].isdigit():
        raise typer.BadParameter("expected HOST:PORT", param_hint="--smtp")
    if detach:
        _up_detached(directory, split=split, smtp=smtp)
    else:
        run(_up(directory, split=split, smtp=smtp))


def down(
    directory: Directory = DEFAULT_DIRECTORY,
    deadline_seconds: Annotated[float, typer.Option("--deadline", help="Seconds until it is killed.")] = _DOWN_SECONDS,
) -> None:
    """Stop the platform of this directory; its data stays. Exit codes: 0 stopped, 3 none was running."""
    pid = running_supervisor(directory)
    if pid is None:
        raise NotRunningError(directory)
    os.kill(pid, signal.SIGTERM)
    with err.status(f"stopping the platform (process {pid})"):
        if _until_stopped(directory, deadline_seconds):
            say("stopped")
            return
        # Its children are guarded: they end with it.
        os.kill(pid, signal.SIGKILL)
        _until_stopped(directory, deadline_seconds)
    say(f"did not stop within {deadline_seconds:.0f} s and was killed; acknowledged data is safe")


def status(directory: Directory = DEFAULT_DIRECTORY, as_json: AsJson = False) -> None:
    """Each process: where it answers, how it is, how much waits. Exit codes: 0 all ready, 1 one is not, 3 none runs."""
    endpoints = read_endpoints(directory)
    rows = run(_look(endpoints))
    if as_json:
        print_json({"supervisor_pid": endpoints.supervisor_pid, "processes": rows})
    else:
        _print_status(endpoints, rows)
    if not all(row["ready"] for row in rows):
        raise typer.Exit(PROBLEMS_FOUND)


async def _up(directory: Path, *, split: bool, smtp: str | None) -> None:
    from opora_cli.stack import StackOptions
    from opora_cli.supervisor import Supervisor

    lock = _lock(directory)
    started_at = time.monotonic()
    supervisor = Supervisor(StackOptions(directory=directory, split=split, smtp=smtp), report=say)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    starting = asyncio.ensure_future(supervisor.start())
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.wait({starting})
        say("stopped while starting")
        return
    endpoints = starting.result()
    _print_endpoints(directory, endpoints, time.monotonic() - started_at)
    try:
        await supervisor.watch(stop)
    finally:
        say("stopping")
        await supervisor.stop()
        lock.close()
    say("stopped")


def _up_detached(directory: Path, *, split: bool, smtp: str | None) -> None:
    _lock(directory).close()
    log_path = directory / "logs" / "supervisor.log"
    log_path.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "opora_cli", "up", "--directory", str(directory)]
    command += ["--split"] if split else []
    command += ["--smtp", smtp] if smtp else []
    started_at = time.monotonic()
    with log_path.open("w") as log:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    with err.status("starting the platform") as shown:
        while time.monotonic() - started_at < _DETACHED_SECONDS:
            if child.poll() is not None:
                raise CommandError(
                    f"the platform did not start:\n{_tail(log_path)}",
                    next_command=f"cat {log_path}",
                    exit_code=NOT_STARTED,
                )
            endpoints = _ready_endpoints(directory, child.pid)
            if endpoints is not None:
                _print_endpoints(directory, endpoints, time.monotonic() - started_at)
                return
            shown.update(_tail(log_path, lines=1) or "starting the platform")
            time.sleep(_POLL_SECONDS)
    child.terminate()
    raise CommandError("the platform did not become ready", next_command=f"cat {log_path}", exit_code=NOT_STARTED)


def _lock(directory: Path) -> IO[str]:
    lock = lock_directory(directory)
    if lock is None:
        raise AlreadyRunningError(directory, running_supervisor(directory))
    return lock


def _ready_endpoints(directory: Path, pid: int) -> Endpoints | None:
    try:
        endpoints = read_endpoints(directory)
    except CommandError:
        return None
    return endpoints if endpoints.supervisor_pid == pid else None


def _until_stopped(directory: Path, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if running_supervisor(directory) is None:
            return True
        time.sleep(_POLL_SECONDS)
    return False


def _tail(path: Path, lines: int = _TAIL_LINES) -> str:
    with path.open(errors="replace") as file:
        return "".join(deque(file, maxlen=lines)).rstrip()


def _print_endpoints(directory: Path, endpoints: Endpoints, seconds: float) -> None:
    out.print(f"ready after {seconds:.1f} s")
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, service in endpoints.services.items():
        table.add_row(name, f"{service.url}/docs")
    table.add_row("Kafka", endpoints.kafka_bootstrap)
    table.add_row("API key", str(endpoints.api_key_file))
    table.add_row("mail", str(endpoints.mail_directory or endpoints.smtp))
    table.add_row("logs", str(endpoints.log_directory))
    table.add_row("all of it", str((directory / "endpoints.json").resolve()))
    out.print(table)


async def _look(endpoints: Endpoints) -> list[dict[str, Any]]:
    import httpx

    async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
        processes = [process for service in endpoints.services.values() for process in service.processes]
        return list(await asyncio.gather(*(_look_at(client, process.name, process.url) for process in processes)))


async def _look_at(client: Any, name: str, url: str) -> dict[str, Any]:
    import httpx

    from opora_cli.metrics import LAG, OUTBOX, read_metrics, total

    row: dict[str, Any] = {"name": name, "url": url, "ready": False, "problem": "does not answer"}
    try:
        answer = await client.get(f"{url}/health/ready")
        metrics = read_metrics((await client.get(f"{url}/metrics")).text)
    except httpx.HTTPError:
        return row
    failed = [f"{check['name']}: {check['detail']}" for check in answer.json().get("checks", []) if not check["ok"]]
    return row | {
        "ready": answer.is_success,
        "problem": "; ".join(failed),
        "lag_records": int(total(metrics, LAG)),
        "outbox_rows": int(total(metrics, OUTBOX)),
    }


def _print_status(endpoints: Endpoints, rows: list[dict[str, Any]]) -> None:
    title = f"platform of process {endpoints.supervisor_pid}" if endpoints.supervisor_pid else "platform"
    table = Table(title=title, title_justify="left")
    for heading in ("process", "address", "health", "lag", "outbox"):
        table.add_column(heading, justify="right" if heading in {"lag", "outbox"} else "left")
    for row in rows:
        health = "[green]ready[/]" if row["ready"] else f"[red]{row['problem'] or 'not ready'}[/]"
        table.add_row(
            row["name"], row["url"], health, str(row.get("lag_records", "-")), str(row.get("outbox_rows", "-"))
        )
    table.add_row("Kafka", endpoints.kafka_bootstrap, "", "", "")
    out.print(table)
