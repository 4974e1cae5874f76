"""What a running platform says of agreements that change under open tickets."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from opora_cli.agreement_files import read_agreements
from opora_cli.client import ServiceClient
from opora_cli.endpoints import Endpoints
from opora_cli.errors import UNUSABLE_INPUT, CommandError
from opora_cli.simulation.tables import duration
from opora_cli.sla_reports.asking import service
from opora_contracts.instants import instant_to_text

_PAGE = 200
_LOOK_SECONDS = 0.2
_CLOCK = ("outcome", "due_at", "target_seconds")


def draft_in(path: Path) -> dict[str, Any]:
    """The one agreement of a file, as the API takes it. Raises CommandError for none, several, or one that is wrong."""
    written, problems = read_agreements(path)
    if problems:
        raise CommandError("\n".join(str(problem) for problem in problems), exit_code=UNUSABLE_INPUT)
    if len(written) != 1:
        raise CommandError(
            f"{path} holds {len(written)} agreements: give a file with one, the draft of the next version",
            exit_code=UNUSABLE_INPUT,
        )
    return written[0].document.as_json()


async def foreseen(
    endpoints: Endpoints, agreement_id: str, draft: Mapping[str, Any], created_from: datetime | None, most: int
) -> dict[str, Any]:
    """What the draft would change for all open tickets of the agreement; of the clocks, at most so many are listed."""
    body = {"document": draft, "created_from": _text(created_from), "limit": _PAGE}
    examined, effects, changes = 0, Counter[str](), list[dict[str, Any]]()
    cursor: str | None = None
    async with service(endpoints, "sla") as sla:
        while True:
            page = await sla.post(f"/v1/agreements/{agreement_id}/preview", body | {"cursor": cursor})
            examined += page["examined"]
            effects.update(page["effects"])
            changes += page["changes"][: max(0, most - len(changes))]
            cursor = page["next_cursor"]
            if cursor is None:
                return {"examined": examined, "effects": dict(effects), "changes": changes}


async def taken_over(
    endpoints: Endpoints, agreement_id: str, to_version: int | None, created_from: datetime | None, *, wait: bool
) -> dict[str, Any]:
    """The request to take open tickets over: as it was made, or as it ended."""
    body = {"to_version": to_version, "created_from": _text(created_from)}
    async with service(endpoints, "sla") as sla:
        change: dict[str, Any] = await sla.post(f"/v1/agreements/{agreement_id}/changes", body)
        while wait and change["finished_at"] is None:
            await asyncio.sleep(_LOOK_SECONDS)
            change = await _progress(sla, agreement_id, change["id"])
    return change


async def _progress(sla: ServiceClient, agreement_id: str, change_id: str) -> dict[str, Any]:
    progress: dict[str, Any] = await sla.get(f"/v1/agreements/{agreement_id}/changes/{change_id}")
    return progress


def print_foreseen(found: Mapping[str, Any], out: Console) -> None:
    """The clocks that would differ, and how many of each effect there are."""
    table = Table(title="clocks that would differ", title_justify="left")
    for name in ("ticket", "metric", "effect", "before", "after"):
        table.add_column(name)
    for change in found["changes"]:
        table.add_row(
            change["number"],
            f"{change['metric']} {change['cycle']}",
            change["effect"].replace("_", " "),
            *(_clock(change[side]) for side in ("before", "after")),
        )
    if found["changes"]:
        out.print(table)
    _print_effects(found["effects"], out)
    left_out = sum(found["effects"].values()) - len(found["changes"])
    beyond = f"; {left_out:,} more clocks are not listed: give a larger --limit" if left_out else ""
    out.print(f"{found['examined']:,} open tickets examined, nothing changed{beyond}")


def print_change(change: Mapping[str, Any], out: Console) -> None:
    """How far a request has come."""
    _print_effects(change["effects"], out)
    state = "done" if change["finished_at"] else "goes on"
    out.print(
        f"{change['migrated']:,} of {change['examined']:,} open tickets went over to version {change['to_version']};"
        f" {state} ({change['id']})"
    )


def _print_effects(effects: Mapping[str, int], out: Console) -> None:
    for effect, count in effects.items():
        out.print(f"{effect.replace('_', ' ')}: {count:,}")


def _clock(clock: Mapping[str, Any] | None) -> str:
    if clock is None:
        return "not measured"
    outcome, due_at, target = (clock[name] for name in _CLOCK)
    return f"{outcome}, due {due_at or 'not yet known'}, target {duration(target)}"


def _text(at: datetime | None) -> str | None:
    return None if at is None else instant_to_text(at)
