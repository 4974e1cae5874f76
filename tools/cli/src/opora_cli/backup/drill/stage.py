"""The drill's course: start, load, back up at work, destroy, restore, look."""

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil

from opora_chassis.clock import host_now
from opora_cli.backup.drill.outside import Expected, look
from opora_cli.backup.drill.work import Desk, load_history, make_agreement
from opora_cli.backup.manifest import read_manifest
from opora_cli.checks.history import Finding
from opora_cli.checks.rest import settle
from opora_cli.client import ServiceClient
from opora_cli.endpoints import Endpoints, read_endpoints, running_supervisor
from opora_cli.errors import CommandError
from opora_cli.mail_sink import MailSink

Say = Callable[[str], None]

_STORIES_BEFORE = 12
_STORIES_AFTER = 8
_STORIES_SECONDS = 120.0
_LOOK_SECONDS = 0.1
_DEATH_SECONDS = 30.0
_SETTINGS = {
    # Everybody is asked after each closing, so that one survey per closed resolution can be checked.
    "OPORA_ASK_INTERVAL_DAYS": "0",
    "OPORA_LOG_LEVEL": "WARNING",
    # Letters that were in hand at the instant are sent when their lease is over: not in two minutes, for a drill.
    "OPORA_LEASE_SECONDS": "25",
}


@dataclass(frozen=True, slots=True)
class Report:
    """What came out."""

    findings: Sequence[Finding]
    tickets: int
    records: int
    backup_bytes: int
    platform_bytes: int
    load_seconds: float
    backup_seconds: float
    writers_stood_still_seconds: float
    acknowledged_before: int
    acknowledged_after: int
    letters_between: int
    """Letters that left between the instant and the destruction: nobody can call them back."""
    destroyed_after_seconds: float
    """From the backup's instant to the destruction: the age of what a restore gives back."""
    restore_seconds: float
    start_seconds: float
    settle_seconds: float

    @property
    def holds(self) -> bool:
        """Whether every invariant does."""
        return all(finding.holds for finding in self.findings)

    @property
    def rto_seconds(self) -> float:
        """From the beginning of the restore until the platform took requests again."""
        return self.restore_seconds + self.start_seconds


async def play(home: Path, *, tickets: int, say: Say, on_loaded: Callable[[int], None]) -> Report:
    """The whole drill below `home`, which is cleared first. Raises CommandError when a step fails."""
    for name in ("platform", "restored", "backup", "mail"):
        shutil.rmtree(home / name, ignore_errors=True)
    sink = MailSink(home / "mail")
    await asyncio.to_thread(sink.start)
    try:
        say("starting a platform to be destroyed")
        before = await _start(home / "platform", sink)
        try:
            loaded, backed_up, expected, destroyed_at = await _live_and_die(
                home, before, tickets=tickets, say=say, on_loaded=on_loaded
            )
        finally:
            await _destroy(home / "platform", before)
            platform_bytes = _size(home / "platform" / "data")
            shutil.rmtree(home / "platform", ignore_errors=True)
        manifest = read_manifest(home / "backup")
        say("the platform is destroyed, its data deleted; restoring")
        restored = await _timed("restore", str(home / "backup"), "--into", str(home / "restored"))
        started_at = time.monotonic()
        after = await _start(home / "restored", sink)
        started = time.monotonic() - started_at
        try:
            say("it takes requests again; waiting until everything has settled")
            until, settling_at = host_now(), time.monotonic()
            await settle(after, until)
            settled = time.monotonic() - settling_at
            findings, _ = await look(after, expected, until)
            findings.append(await _doctor_is_content(home / "restored"))
        finally:
            await _command("down", "--directory", str(home / "restored"))
    finally:
        await asyncio.to_thread(sink.stop)
    return Report(
        findings=findings,
        tickets=tickets + len({one.ticket_id for one in expected.acknowledged}),
        records=manifest.records,
        backup_bytes=manifest.size_bytes,
        platform_bytes=platform_bytes,
        load_seconds=loaded,
        backup_seconds=backed_up,
        writers_stood_still_seconds=manifest.writers_stood_still_seconds,
        acknowledged_before=len(expected.kept),
        acknowledged_after=len(expected.lost),
        letters_between=len(expected.letters_between),
        destroyed_after_seconds=(destroyed_at - manifest.taken_at).total_seconds(),
        restore_seconds=restored,
        start_seconds=started,
        settle_seconds=settled,
    )


async def _live_and_die(
    home: Path, endpoints: Endpoints, *, tickets: int, say: Say, on_loaded: Callable[[int], None]
) -> tuple[float, float, Expected, datetime]:
    """Load, work, back up at work, work on, and be destroyed in the middle of it."""
    intake = ServiceClient("intake", endpoints.services["intake"].url, endpoints.api_key)
    sla = ServiceClient("sla", endpoints.services["sla"].url, endpoints.api_key)
    desk = Desk(intake)
    working: asyncio.Task[None] | None = None
    try:
        await make_agreement(sla)
        loading_at = time.monotonic()
        if tickets:
            await load_history(intake, tickets, on_loaded)
        await settle(endpoints, host_now())
        loaded = time.monotonic() - loading_at
        working = asyncio.create_task(desk.work())
        await _until(lambda: desk.stories >= _STORIES_BEFORE, working)
        say(f"{tickets:,} tickets are in, and the desk is at work: taking the backup")
        backed_up = await _timed("backup", "create", str(home / "backup"), "--directory", str(home / "platform"))
        enough = desk.stories + _STORIES_AFTER
        await _until(lambda: desk.stories >= enough, working)
        destroyed_at = host_now()
        await _destroy(home / "platform", endpoints)
    finally:
        if working is not None:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
        await asyncio.gather(intake.close(), sla.close())
    taken_at = read_manifest(home / "backup").taken_at
    expected = Expected(
        taken_at=taken_at,
        acknowledged=desk.acknowledged,
        history_tickets=tickets,
        api_key=endpoints.api_key,
        mail_directory=home / "mail",
        letters_between=_letters_since(home / "mail", taken_at),
    )
    return loaded, backed_up, expected, destroyed_at


def _letters_since(directory: Path, instant: datetime) -> frozenset[str]:
    return frozenset(path.name for path in directory.glob("*.eml") if path.stat().st_mtime >= instant.timestamp())


async def _until(reached: Callable[[], bool], working: asyncio.Task[None]) -> None:
    deadline = time.monotonic() + _STORIES_SECONDS
    while not reached():
        if working.done():
            working.result()
        if time.monotonic() > deadline:
            raise CommandError("the desk does not get on with its work", next_command="opora doctor")
        await asyncio.sleep(_LOOK_SECONDS)


async def _start(directory: Path, sink: MailSink) -> Endpoints:
    await _command("up", "--detach", "--directory", str(directory), "--smtp", sink.address)
    return read_endpoints(directory)


async def _destroy(directory: Path, endpoints: Endpoints) -> None:
    """SIGKILL the supervisor and both servers at once; everything else ends with them. Once is enough."""
    if running_supervisor(directory) != endpoints.supervisor_pid:
        return
    processes = []
    for pid in (endpoints.supervisor_pid, endpoints.kafka_pid, endpoints.postgres_pid):
        with suppress(psutil.NoSuchProcess):
            if pid is not None:
                process = psutil.Process(pid)
                processes += [process, *process.children(recursive=True)]
    for pid in (endpoints.supervisor_pid, endpoints.kafka_pid, endpoints.postgres_pid):
        with suppress(ProcessLookupError):
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
    _, alive = await asyncio.to_thread(psutil.wait_procs, processes, timeout=_DEATH_SECONDS)
    if alive:
        raise CommandError(f"processes outlived their platform: {', '.join(str(process.pid) for process in alive)}")


async def _doctor_is_content(directory: Path) -> Finding:
    try:
        await _command("doctor", "--directory", str(directory))
    except CommandError as error:
        return Finding("the doctor finds nothing wrong", 1, (error.message,))
    return Finding("the doctor finds nothing wrong", 1)


async def _timed(*arguments: str) -> float:
    began = time.monotonic()
    await _command(*arguments)
    return time.monotonic() - began


async def _command(*arguments: str) -> str:
    """Run `opora …` as an operator does. Raises CommandError with what it said when it fails."""
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "opora_cli",
        *arguments,
        env={**{name: value for name, value in os.environ.items() if not name.startswith("OPORA_")}, **_SETTINGS},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await running.communicate()
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    if running.returncode != 0:
        raise CommandError(f"`opora {' '.join(arguments)}` ended with {running.returncode}:\n{said.decode().strip()}")
    return said.decode()


def _size(directory: Path) -> int:
    # In blocks: a broker's index files are mostly holes.
    return sum(path.stat().st_blocks * 512 for path in directory.rglob("*") if path.is_file())
