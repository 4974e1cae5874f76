"""`opora chaos`."""

import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from opora_chassis.clock import host_now
from opora_cli.console import AsJson, Directory, out, print_json, run, say
from opora_cli.endpoints import DEFAULT_DIRECTORY, lock_directory, running_supervisor
from opora_cli.errors import PROBLEMS_FOUND, UNUSABLE_INPUT, AlreadyRunningError, CommandError

if TYPE_CHECKING:
    from opora_cli.chaos.run import Options, Verdict

_SHOWN_VIOLATIONS = 10
_LARGEST_SEED = 10**6


def chaos(
    rounds: Annotated[
        list[str] | None,
        typer.Argument(help="What to break, in this order; see --list. Nothing given: the short tier."),
    ] = None,
    *,
    full: Annotated[
        bool, typer.Option("--full", help="Every round there is, each judged by itself: up to an hour.")
    ] = False,
    seed: Annotated[int | None, typer.Option(min=0, help="Run what was run under this seed again.")] = None,
    rate: Annotated[float, typer.Option(min=0.1, max=50, help="Stories begun a second.")] = 3.0,
    report: Annotated[
        Path | None,
        typer.Option(dir_okay=False, exists=True, help="Write what was found into this page, in its place."),
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="Show the rounds and end.")] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the data of a run that holds; of one that does not it stays.")
    ] = False,
    as_json: AsJson = False,
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Break a platform of its own under load, in every way the plan knows, and check from outside what was promised.

    Works in DIRECTORY/chaos, beside a platform that may run. Everything is drawn from one seed, which is printed: the
    same seed and rounds give the same faults. Exit codes: 0 every invariant holds, 1 one does not (it is named, and the
    command that runs it again), 2 no such round, 4 the platform did not start.
    """
    from opora_cli.chaos.plan import CREWS
    from opora_cli.chaos.reliability import with_run
    from opora_cli.chaos.run import Options

    if listed:
        _list()
        return
    options = Options(
        rounds=_chosen(rounds, full=full),
        seed=secrets.randbelow(_LARGEST_SEED) if seed is None else seed,
        crews=CREWS,
        stories_per_second=rate,
        thorough=full,
        complete=full and not rounds,
    )
    home = directory / "chaos"
    lock = lock_directory(home)
    if lock is None:
        raise AlreadyRunningError(home, running_supervisor(home))
    try:
        verdicts = _play_all(home, options)
        holds = all(verdict.holds for verdict in verdicts)
        if holds and not keep:
            _clear(home)
    finally:
        lock.close()
    document = _document(options, verdicts)
    if report is not None:
        report.write_text(with_run(report.read_text(), document, host_now()))
    if as_json:
        print_json(document)
    else:
        _print(options, verdicts, again=_again(options))
    if not holds:
        raise typer.Exit(PROBLEMS_FOUND)


def _list() -> None:
    from opora_cli.chaos.plan import ROUNDS

    for name, draw in ROUNDS.items():
        out.print(f"{name:20} {(draw.__doc__ or '').strip()}", markup=False)


def _chosen(rounds: list[str] | None, *, full: bool) -> tuple[str, ...]:
    """The rounds that were asked for, or those of the tier that this machine can play; what it cannot is told."""
    from opora_cli.chaos.nemesis import faketime_library
    from opora_cli.chaos.plan import FULL, ROUNDS, SHORT
    from opora_cli.chaos.release import previous_release

    if rounds:
        if unknown := [name for name in rounds if name not in ROUNDS]:
            raise CommandError(
                f"no such round: {', '.join(unknown)}", next_command="opora chaos --list", exit_code=UNUSABLE_INPUT
            )
        return tuple(rounds)
    names = FULL if full else SHORT
    impossible = {}
    if faketime_library() is None:
        impossible["clock"] = "libfaketime is not installed (apt-get install faketime)"
    if previous_release() is None:
        impossible["two-releases"] = "this is no checkout with its history"
    for name in impossible.keys() & set(names):
        say(f"{name}: not run, because {impossible[name]}")
    return tuple(name for name in names if name not in impossible)


def _play_all(home: Path, options: "Options") -> "list[Verdict]":
    """The options' rounds, and full disks on a platform of their own when everything was asked for."""
    from opora_cli.chaos.disks import can_mount
    from opora_cli.chaos.run import play

    _be_quiet()
    _clear(home)
    verdicts = run(play(home, options, _timed(say)))
    if options.complete and all(verdict.holds for verdict in verdicts):
        if can_mount():
            _clear(home)
            verdicts += run(play(home, replace(options, rounds=("disk-full",), complete=False), _timed(say)))
        else:
            say("disk-full: not run, because only root can mount small disks")
    return verdicts


def _be_quiet() -> None:
    """What is broken on purpose need not be told by every client of it."""
    import logging

    for name in ("aiokafka", "mail.log"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _timed(told: Callable[[str], None]) -> Callable[[str], None]:
    began = time.monotonic()
    return lambda line: told(f"{time.monotonic() - began:5.0f} s  {line}")


def _clear(home: Path) -> None:
    import shutil

    for path in home.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != "lock":
            path.unlink(missing_ok=True)


def _again(options: "Options") -> str:
    rounds = () if options.complete else options.rounds
    return " ".join(["opora chaos", *rounds, *(["--full"] if options.thorough else []), f"--seed {options.seed}"])


def _document(options: "Options", verdicts: "list[Verdict]") -> dict[str, Any]:
    return {
        "seed": options.seed,
        "holds": all(verdict.holds for verdict in verdicts),
        "sometimes": _sometimes(verdicts),
        "rounds": [
            {
                "rounds": [each.name for each in verdict.rounds],
                "faults": [str(fault) for each in verdict.rounds for fault in each.faults],
                "acknowledged": verdict.acknowledged,
                "settled_after_seconds": verdict.settled_after_seconds,
                "seconds": round(verdict.seconds, 1),
                "findings": [
                    {
                        "id": finding.id,
                        "invariant": finding.invariant,
                        "checked": finding.checked,
                        "violations": list(finding.violations),
                    }
                    for finding in verdict.findings
                ],
            }
            for verdict in verdicts
        ],
    }


def _sometimes(verdicts: "list[Verdict]") -> dict[str, int]:
    """Counts grow over the rounds of one platform; the longest of the platforms tells the most."""
    counts = [dict(verdict.sometimes) for verdict in verdicts]
    return max(counts, key=lambda each: sum(each.values()), default={})


def _print(options: "Options", verdicts: "list[Verdict]", *, again: str) -> None:
    for verdict in verdicts:
        title = f"after: {', '.join(each.name for each in verdict.rounds)}"
        table = Table(title=title, title_justify="left")
        for heading in ("", "invariant", "cases", "holds"):
            table.add_column(heading, justify="right" if heading == "cases" else "left")
        for finding in verdict.findings:
            table.add_row(
                finding.id,
                finding.invariant,
                str(finding.checked),
                "holds" if finding.holds else "[bold]VIOLATED[/bold]",
            )
        out.print(table)
        for finding in verdict.findings:
            for violation in finding.violations[:_SHOWN_VIOLATIONS]:
                out.print(f"{finding.id} VIOLATED: {violation}", markup=False, soft_wrap=True)
            if len(finding.violations) > _SHOWN_VIOLATIONS:
                out.print(f"{finding.id}: and {len(finding.violations) - _SHOWN_VIOLATIONS} more", markup=False)
    acknowledged = sum(verdict.acknowledged for verdict in verdicts)
    seconds = sum(verdict.seconds for verdict in verdicts)
    holds = all(verdict.holds for verdict in verdicts)
    out.print(
        f"{acknowledged} writes acknowledged in {seconds:.0f} s, seed {options.seed}: "
        + ("every invariant holds" if holds else f"an invariant is VIOLATED\nagain: {again}"),
        markup=False,
    )
