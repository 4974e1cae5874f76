"""`opora demo` and `opora desk`."""

import asyncio
import secrets
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from opora_cli.console import AsJson, Directory, err, out, print_json, run, say
from opora_cli.endpoints import DEFAULT_DIRECTORY, Endpoints, lock_directory, read_endpoints, running_supervisor
from opora_cli.errors import PROBLEMS_FOUND, AlreadyRunningError
from opora_cli.stack import SERVICES

_LAUNCH_SECONDS = 12.0
"""Real seconds from launching the services until the day begins: they are ready by then, unless the machine is busy;
then the first hours, in which few people write, begin a little late."""


@dataclass(frozen=True, slots=True)
class Course:
    """How long, how much."""

    seconds: float
    first_hour: int
    hours: float
    tickets: int

    @property
    def scale(self) -> float:
        """Seconds of the story per real second."""
        return self.hours * 3600 / self.seconds


_DAY = Course(seconds=138, first_hour=0, hours=24, tickets=240)
_SHORT = Course(seconds=18, first_hour=8, hours=6, tickets=45)


def demo(
    *,
    short: Annotated[bool, typer.Option("--short", help="Only the busiest hours, in less than a minute.")] = False,
    seconds: Annotated[float | None, typer.Option(min=20, max=3600, help="Real seconds that the day takes.")] = None,
    tickets: Annotated[int | None, typer.Option(min=1, max=5000, help="How many requests come in.")] = None,
    seed: Annotated[int, typer.Option(help="Another seed is another day.")] = 1,
    keep: Annotated[bool, typer.Option("--keep", help="Keep Kafka's and PostgreSQL's data afterwards.")] = False,
    kill: Annotated[
        list[str] | None, typer.Option(metavar="SERVICE", help="SIGKILL this service on the way; may be repeated.")
    ] = None,
    as_json: AsJson = False,
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """One day of a 20-agent help desk in two minutes, on a platform of its own, checked from outside at the end.

    Mail, logs and the report stay in DIRECTORY/demo. Exit codes: 0 every invariant holds, 1 one does not (it is named),
    4 the platform could not be started.
    """
    unknown = [name for name in kill or [] if name not in SERVICES]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]} is none of {', '.join(SERVICES)}", param_hint="--kill")
    usual = _SHORT if short else _DAY
    course = Course(seconds or usual.seconds, usual.first_hour, usual.hours, tickets or usual.tickets)
    home = directory / "demo"
    lock = lock_directory(home)
    if lock is None:
        raise AlreadyRunningError(home, running_supervisor(home))
    _show_mail_beside_that_of_up(directory, home)
    try:
        holds = run(_demo(home, course, seed=seed, kill=kill or [], as_json=as_json))
    finally:
        if not keep:
            shutil.rmtree(home / "data", ignore_errors=True)
        lock.close()
    if not holds:
        raise typer.Exit(PROBLEMS_FOUND)


def desk(
    *,
    seconds: Annotated[float, typer.Option(min=20, max=86_400, help="Real seconds that the day takes.")] = 600,
    tickets: Annotated[int, typer.Option(min=1, max=100_000, help="How many requests come in.")] = 240,
    seed: Annotated[int, typer.Option(help="Another seed is another day.")] = 1,
    mail: Annotated[
        Path | None, typer.Option(help="Where the mail sink writes, to read the surveys. Default: the platform's own.")
    ] = None,
    asks_always: Annotated[
        bool, typer.Option("--asks-always", help="OPORA_ASK_INTERVAL_DAYS is 0: check that each closing is surveyed.")
    ] = False,
    as_json: AsJson = False,
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """The demonstration's desk at work on a platform that runs already, whose clock keeps real time.

    It works through the public interfaces, beside whoever else uses them, and checks the invariants at the end. Targets
    shrink as the day does. Exit codes: 0 every invariant holds, 1 one does not (it is named), 3 no platform runs.
    """
    course = Course(seconds, _DAY.first_hour, _DAY.hours, tickets)
    endpoints = read_endpoints(directory)
    mail_directory = mail or endpoints.mail_directory
    if mail_directory is None:
        raise typer.BadParameter("the platform's mail goes elsewhere: name the sink's directory", param_hint="--mail")
    work = _desk(endpoints, course, mail_directory, seed=seed, asks_always=asks_always, as_json=as_json)
    if not run(work):
        raise typer.Exit(PROBLEMS_FOUND)


async def _desk(
    endpoints: Endpoints, course: Course, mail_directory: Path, *, seed: int, asks_always: bool, as_json: bool
) -> bool:
    from opora_cli.demo import report as reporting
    from opora_cli.demo.day import DayClock
    from opora_cli.demo.scenario import make_scenario
    from opora_cli.demo.stage import Stage

    began_at = time.monotonic()
    mark = f"{secrets.token_hex(4)}-"
    scenario = make_scenario(
        seed=seed, tickets=course.tickets, first_hour=course.first_hour, hours=course.hours, mark=mark
    )
    clock = DayClock.beside_real_time(scale=course.scale)
    stage = Stage.build(endpoints, scenario, clock, mail_directory=mail_directory, console=err if as_json else out)
    history, _ = await stage.play()
    history = replace(history, asks_after_every_closing=asks_always)
    report = reporting.make_report(history, stage.desk, stage.tally, (), time.monotonic() - began_at)
    if as_json:
        print_json(reporting.report_document(report))
    else:
        reporting.print_report(report, out)
    return report.holds


async def _demo(home: Path, course: Course, *, seed: int, kill: list[str], as_json: bool) -> bool:
    from opora_cli.demo import report as reporting
    from opora_cli.demo.day import DayClock
    from opora_cli.demo.scenario import make_scenario
    from opora_cli.demo.stage import Stage
    from opora_cli.stack import StackOptions
    from opora_cli.supervisor import Supervisor

    began_at = time.monotonic()
    await asyncio.to_thread(_clear, home)
    scenario = make_scenario(seed=seed, tickets=course.tickets, first_hour=course.first_hour, hours=course.hours)
    clocks: list[DayClock] = []

    def set_the_clock() -> dict[str, str]:
        clocks.append(DayClock.set_now(scenario.starts_at, scale=course.scale, opens_in_seconds=_LAUNCH_SECONDS))
        # Everybody is asked after each closing, so that one survey per closed resolution can be checked.
        return {**clocks[0].settings(), "OPORA_ASK_INTERVAL_DAYS": "0", "OPORA_LOG_LEVEL": "WARNING"}

    supervisor = Supervisor(StackOptions(directory=home, settings_at_launch=set_the_clock), report=say)
    endpoints = await supervisor.start()
    stage = Stage.build(
        endpoints,
        scenario,
        clocks[0],
        mail_directory=supervisor.options.mail_directory,
        console=err if as_json else out,
        supervisor=supervisor,
    )
    history, killed = await stage.play(kill)
    report = reporting.make_report(history, stage.desk, stage.tally, killed, time.monotonic() - began_at)
    await asyncio.to_thread(reporting.write_report, report, home / "report.json")
    if as_json:
        print_json(reporting.report_document(report))
    else:
        reporting.print_report(report, out)
        places = f"mail: {home / 'mail'}   logs: {home / 'logs'}   report: {home / 'report.json'}"
        out.print(places, markup=False, soft_wrap=True)
    return report.holds


def _show_mail_beside_that_of_up(directory: Path, home: Path) -> None:
    """All mail can be found from one place: the demonstration's letters appear as `mail/demo`."""
    link = directory / "mail" / "demo"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(Path("..") / home.name / "mail", target_is_directory=True)


def _clear(home: Path) -> None:
    """Begin from nothing: a demonstration knows no yesterday."""
    for name in ("data", "logs", "mail"):
        shutil.rmtree(home / name, ignore_errors=True)
    for name in ("secrets.json", "api-key", "endpoints.json", "report.json"):
        (home / name).unlink(missing_ok=True)
