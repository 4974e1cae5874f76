"""`opora drill`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from opora_cli.console import AsJson, Directory, err, out, print_json, run, say
from opora_cli.endpoints import DEFAULT_DIRECTORY, lock_directory, running_supervisor
from opora_cli.errors import PROBLEMS_FOUND, AlreadyRunningError

if TYPE_CHECKING:
    from opora_cli.backup.drill.stage import Report

_SHOWN_VIOLATIONS = 10


def drill(
    *,
    tickets: Annotated[
        int, typer.Option(min=0, max=10_000_000, help="How many tickets the platform holds before the backup.")
    ] = 2_000,
    keep: Annotated[bool, typer.Option("--keep", help="Keep backup, restored data and mail afterwards.")] = False,
    as_json: AsJson = False,
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Load a platform of its own, back it up at work, destroy it, restore it, and check every invariant from outside.

    Works in DIRECTORY/drill, beside a platform that may run. Prints what was lost (RPO) and how long it took (RTO).
    Exit codes: 0 every invariant holds, 1 one does not (it is named) or a step failed, 4 a platform did not start.
    """
    home = directory / "drill"
    lock = lock_directory(home)
    if lock is None:
        raise AlreadyRunningError(home, running_supervisor(home))
    try:
        report = run(_play(home, tickets))
    finally:
        if not keep:
            _clear(home)
        lock.close()
    if as_json:
        print_json(_document(report))
    else:
        _print(report)
    if not report.holds:
        raise typer.Exit(PROBLEMS_FOUND)


async def _play(home: Path, tickets: int) -> "Report":
    from opora_cli.backup.drill.stage import play

    with err.status("drilling") as shown:
        return await play(
            home, tickets=tickets, say=say, on_loaded=lambda done: shown.update(f"{done:,} of {tickets:,} tickets")
        )


def _clear(home: Path) -> None:
    import shutil

    for name in ("platform", "restored", "backup", "mail"):
        shutil.rmtree(home / name, ignore_errors=True)


def _document(report: "Report") -> dict[str, Any]:
    return {**asdict(report), "rto_seconds": report.rto_seconds, "holds": report.holds}


def _print(report: "Report") -> None:
    table = Table(title="the restored platform, from outside", title_justify="left")
    for heading in ("invariant", "cases", ""):
        table.add_column(heading, justify="right" if heading == "cases" else "left")
    for finding in report.findings:
        state = "[green]holds[/]" if finding.holds else f"[red]violated {len(finding.violations)} times[/]"
        table.add_row(finding.invariant, str(finding.checked), state)
    out.print(table)
    lines = (
        f"{report.tickets:,} tickets, {report.platform_bytes / 1e6:,.0f} MB, loaded in {report.load_seconds:.0f} s",
        (
            f"backup: {report.backup_seconds:.1f} s, {report.backup_bytes / 1e6:,.1f} MB, {report.records:,} records;"
            f" writers stood still for {report.writers_stood_still_seconds * 1000:.0f} ms"
        ),
        (
            f"RPO: of {report.acknowledged_before} writes acknowledged before the backup's instant"
            f" {len(report.findings[0].violations)} are missing; the platform was destroyed"
            f" {report.destroyed_after_seconds:.1f} s after it: {report.acknowledged_after} writes since are gone, and"
            f" {report.letters_between} letters have left"
        ),
        (
            f"RTO: {report.rto_seconds:.1f} s until it took requests again (restore {report.restore_seconds:.1f} s,"
            f" start {report.start_seconds:.1f} s), {report.settle_seconds:.1f} s more until everything had settled"
        ),
    )
    for line in lines:
        out.print(line, markup=False, soft_wrap=True)
    for finding in report.findings:
        for violation in finding.violations[:_SHOWN_VIOLATIONS]:
            out.print(f"VIOLATED {finding.invariant}: {violation}", style="red", markup=False, soft_wrap=True)
    words = "every invariant holds" if report.holds else "an invariant is VIOLATED"
    out.print(words, style="bold", markup=False)
