"""Injects faults as the plan says, heals them, and notes what really happened."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from opora_chassis.clock import host_now
from opora_chassis.errors import is_transient
from opora_cli import store
from opora_cli.chaos import disks, failpoints
from opora_cli.chaos.log import forget, read_again, redeliver, rewind
from opora_cli.chaos.plan import Fault, Round
from opora_cli.chaos.record import Injected, Journal
from opora_cli.chaos.release import previous_release, python_path, unpack
from opora_cli.chaos.stage import Stage
from opora_cli.errors import CommandError
from opora_cli.waiting import came_true

Inject = Callable[[Stage, Fault, Random], Awaitable[str]]
"""Breaks, waits out the fault's seconds, heals; returns a detail worth noting."""

_START_SECONDS = 30.0


async def play(stage: Stage, of: Round, random: Random, journal: Journal) -> None:
    """Inject every fault of the round at its time; returns when all are healed and the round's seconds are over.

    A fault that needs a server which another one has taken away comes to nothing, and is noted as such.
    """
    began = time.monotonic()
    seeds = [random.getrandbits(64) for _ in of.faults]
    async with asyncio.TaskGroup() as group:
        for fault, seed in zip(of.faults, seeds, strict=True):
            group.create_task(_play(stage, fault, Random(seed), began, journal))
    await asyncio.sleep(max(0.0, began + of.seconds - time.monotonic()))


async def _play(stage: Stage, fault: Fault, random: Random, began: float, journal: Journal) -> None:
    await asyncio.sleep(max(0.0, began + fault.at_seconds - time.monotonic()))
    began_at = host_now()
    came_to_nothing = False
    try:
        detail = await FAULTS[fault.kind](stage, fault, random)
    except Exception as error:
        if not is_transient(error):
            raise
        came_to_nothing, detail = True, repr(error)
    journal.write(
        Injected(
            name=fault.options.get("state", fault.options.get("mode", fault.kind)),
            target=fault.target or "all",
            began_at=began_at,
            ended_at=host_now(),
            detail=detail,
            came_to_nothing=came_to_nothing,
        )
    )


async def _kill(stage: Stage, fault: Fault, _random: Random) -> str:
    await _restart(stage, fault.target, signal.SIGKILL)
    return ""


async def _failpoint(stage: Stage, fault: Fault, random: Random) -> str:
    """Restart the process so that it kills itself at the point; after that it runs as ever."""
    point, passes = fault.options["point"], random.randint(2, 6)
    running = stage.process(fault.target)
    plain = running.order
    python, *program = plain.command
    program = program[1:] if program[0] == "-m" else program
    command = (python, "-m", failpoints.MODULE, f"{point}:{passes}", *program)
    pid = running.pid
    running.order = replace(plain, command=command)
    try:
        stage.signal(fault.target, signal.SIGKILL)
        await came_true(lambda: running.pid not in {None, pid}, _START_SECONDS)
        pid = running.pid
    finally:
        running.order = plain  # it may pass the point before it is ready
    with suppress(CommandError):
        await stage.ready(fault.target)
    reached = await came_true(lambda: running.pid != pid, fault.seconds)
    if reached:
        await stage.ready(fault.target)
    else:
        await _restart(stage, fault.target, signal.SIGKILL)
    return f"{point}, pass {passes}" + ("" if reached else ": not reached")


async def _kill_all(stage: Stage, _fault: Fault, _random: Random) -> str:
    names = list(stage.supervisor.processes)
    await asyncio.gather(*(_restart(stage, name, signal.SIGKILL) for name in names))
    return f"{len(names)} processes"


async def _kill_server(stage: Stage, fault: Fault, _random: Random) -> str:
    held = stage.supervisor.held
    held.add(fault.target)
    await asyncio.to_thread(stage.supervisor.servers[fault.target].kill)
    await asyncio.sleep(fault.seconds)
    held.discard(fault.target)
    await stage.server_up(fault.target)
    return f"away for {fault.seconds:.1f} s and its start"


async def _disk_full(stage: Stage, fault: Fault, _random: Random) -> str:
    place = stage.supervisor.servers[fault.target].data_directory
    filled = await asyncio.to_thread(disks.fill, place)
    try:
        await asyncio.sleep(fault.seconds)
    finally:
        disks.clear(place)
    await stage.server_up(fault.target)
    return f"{filled // disks.MEGABYTE} MB of ballast"


async def _leave(stage: Stage, fault: Fault, _random: Random) -> str:
    held = stage.supervisor.held
    held.add(fault.target)
    stage.signal(fault.target, signal.SIGTERM)
    await asyncio.sleep(fault.seconds)
    held.discard(fault.target)
    await stage.ready(fault.target)
    return ""


async def _suspend(stage: Stage, fault: Fault, _random: Random) -> str:
    stage.signal(fault.target, signal.SIGSTOP)
    await asyncio.sleep(fault.seconds)
    stage.signal(fault.target, signal.SIGCONT)
    return f"{fault.seconds:.0f} s"


def faketime_library() -> Path | None:
    """Debian's libfaketime, which shows a process another time of day; None where it is not installed."""
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


async def _clock(stage: Stage, fault: Fault, _random: Random) -> str:
    """The process believes that it is hours earlier or later, from one start of it to the next."""
    library = faketime_library()
    if library is None:
        raise CommandError("libfaketime is missing", next_command="apt-get install faketime")
    shifted = {"LD_PRELOAD": str(library), "FAKETIME": fault.options["shift"], "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    await _run_otherwise(stage, fault, shifted, signal.SIGKILL)
    return str(fault.options["shift"])


async def _older(stage: Stage, fault: Fault, _random: Random) -> str:
    """The process runs the release before this one for a while, beside its fellows: a rolling upgrade, and back."""
    release = previous_release()
    if release is None:
        raise CommandError("the release before this one is not known: run this in a checkout with its history")
    version, commit = release
    sources = stage.supervisor.options.directory / f"release-{version}"
    if not sources.is_dir():
        await asyncio.to_thread(unpack, commit, sources)
    await _run_otherwise(stage, fault, {"PYTHONPATH": python_path(sources)}, signal.SIGTERM)
    return version


async def _run_otherwise(stage: Stage, fault: Fault, variables: dict[str, str], end: signal.Signals) -> None:
    """Restart the process with these variables for the fault's seconds, and then without them."""
    running = stage.process(fault.target)
    plain = running.order
    running.order = replace(plain, environment={**plain.environment, **variables})
    try:
        await _restart(stage, fault.target, end)
        await asyncio.sleep(fault.seconds)
    finally:
        running.order = plain
    await _restart(stage, fault.target, end)


async def _restart(stage: Stage, name: str, end: signal.Signals) -> None:
    pid = stage.process(name).pid
    stage.signal(name, end)
    await came_true(lambda: stage.process(name).pid not in {None, pid}, _START_SECONDS)
    await stage.ready(name)


async def _terminate_backend(stage: Stage, fault: Fault, random: Random) -> str:
    dsn = stage.endpoints.services[fault.target].database_dsn
    return await store.terminate_session(dsn, random.random())


async def _redeliver(stage: Stage, fault: Fault, random: Random) -> str:
    count = await redeliver(stage.kafka.bootstrap, random, fault.seconds)
    return f"{count} records put on their topics again"


async def _rewind(stage: Stage, fault: Fault, _random: Random) -> str:
    """The service's consumers begin at offset 0: set back, or, with `positions: lost`, as groups without a position.

    With `guards: lost` they do not know either what they applied before.

    It lasts until they have read again what they had read: how long that takes is a matter of the log's length.
    """
    names = [
        name
        for name, running in stage.supervisor.processes.items()
        if running.plan.service == fault.target and {"consume", "all"} & set(running.plan.roles)
    ]
    stage.supervisor.held.update(names)
    for name in names:
        stage.signal(name, signal.SIGKILL)
    begin_anew = forget if fault.options.get("positions") == "lost" else rewind
    groups = await begin_anew(stage.kafka.bootstrap, fault.target)
    if fault.options.get("guards") == "lost":
        await store.forget_guards(stage.endpoints.services[fault.target].database_dsn)
    stage.supervisor.held.difference_update(names)
    await stage.ready(*names)
    records = await read_again(stage.kafka.bootstrap, fault.target)
    return f"{', '.join(groups)}: {records:,} records read again"


async def _poison(_stage: Stage, fault: Fault, _random: Random) -> str:
    # The driver's foreign systems publish broken events while this fault lasts; see driver.Driver.poison.
    await asyncio.sleep(fault.seconds)
    return ""


async def _smtp(stage: Stage, fault: Fault, _random: Random) -> str:
    box, mode = stage.letterbox, fault.options["mode"]
    modes: dict[str, Callable[[], None]] = {
        "slow": lambda: box.slow(1.5),
        "reject_temporarily": box.reject_temporarily,
        "drop": box.drop,
    }
    modes[mode]()
    await asyncio.sleep(fault.seconds)
    box.accept()
    return ""


async def _webhook(stage: Stage, fault: Fault, _random: Random) -> str:
    modes = {"fail": stage.hookbox.fail, "hang": stage.hookbox.hang}
    modes[fault.options["mode"]]()
    await asyncio.sleep(fault.seconds)
    stage.hookbox.accept()
    return ""


async def _link(stage: Stage, fault: Fault, _random: Random) -> str:
    link = stage.links[fault.target]
    options: dict[str, Any] = dict(fault.options)
    state = options.pop("state")
    cuts, triggered = link.cuts, link.triggered
    getattr(link, state)(**options)
    await asyncio.sleep(fault.seconds)
    link.pass_through()
    return f"{link.cuts - cuts} cuts, {link.triggered - triggered} answers lost"


FAULTS: dict[str, Inject] = {
    "kill": _kill,
    "failpoint": _failpoint,
    "kill_all": _kill_all,
    "kill_server": _kill_server,
    "disk_full": _disk_full,
    "leave": _leave,
    "suspend": _suspend,
    "terminate_backend": _terminate_backend,
    "redeliver": _redeliver,
    "rewind": _rewind,
    "clock": _clock,
    "older": _older,
    "poison": _poison,
    "smtp": _smtp,
    "webhook": _webhook,
    "link": _link,
}
