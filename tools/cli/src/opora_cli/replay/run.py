"""Replaying a converted log through the public interfaces: agreement, import, entries, outcomes."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from opora_cli.errors import CommandError
from opora_cli.replay.agreement import scoped_to_import
from opora_cli.replay.entries import ConvertedLog, Entry
from opora_contracts.topics import TICKETS

BATCH_ENTRIES = 2_000
_POLL_SECONDS = 0.25
_STALLED_SECONDS = 120.0

Progress = Callable[[int], None]
"""Told how much is done so far."""


class Service(Protocol):
    """What the replay needs of a client."""

    async def get(self, path: str, **parameters: Any) -> Any:
        """Read."""

    async def post(self, path: str, body: Any, *, actor: str | None = None) -> Any:
        """Write."""


@dataclass(frozen=True, slots=True)
class RefusedEntry:
    """An entry that intake did not take, and with it the rest of its ticket."""

    source_id: str
    ordinal: int
    problem: str


@dataclass(slots=True)
class Replay:
    """One replay while it goes on, and what came of it."""

    intake: Service
    sla: Service
    name: str
    import_id: str = ""
    applied: int = 0
    skipped: int = 0
    facts: int = 0
    refused: list[RefusedEntry] = field(default_factory=list)
    was_closed: bool = False

    async def begin(self, agreement: dict[str, Any]) -> None:
        """Make the agreement for the import's tickets, then open the import; neither is made a second time."""
        await self.sla.post("/v1/agreements", scoped_to_import(agreement, self.name))
        history = await self.intake.post("/v1/imports", {"name": self.name})
        self.import_id = history["id"]
        self.facts = history["facts"]
        self.was_closed = history["state"] == "closed"

    async def send(self, log: ConvertedLog, on_progress: Progress) -> None:
        """Give intake every entry, in time order; those that it has already are skipped there.

        One request follows another: each carries the watermark that all before it have earned.
        """
        if self.was_closed:
            return
        dropped: set[str] = set()
        for start in range(0, len(log.entries), BATCH_ENTRIES):
            batch = [entry for entry in log.entries[start : start + BATCH_ENTRIES] if entry.source_id not in dropped]
            if batch:
                dropped |= await self._send_batch(batch)
            on_progress(min(start + BATCH_ENTRIES, len(log.entries)))

    async def wait_until_judged(self, last: datetime | None, on_progress: Progress) -> None:
        """Return when sla has applied every fact and its clocks are judged up to the log's end.

        Raises CommandError when sla makes no progress for two minutes.
        """
        seen, moved_at = -1, time.monotonic()
        while True:
            state = await self.sla.get(f"/v1/imports/{self.import_id}")
            applied = int(state["facts_applied"])
            on_progress(min(applied, self.facts))
            if applied >= self.facts and (last is None or _reached(state, last)):
                return
            if applied != seen:
                seen, moved_at = applied, time.monotonic()
            elif time.monotonic() - moved_at > _STALLED_SECONDS:
                raise CommandError(
                    f"sla stands at {applied} of {self.facts} facts and does not go on", next_command="opora doctor"
                )
            await asyncio.sleep(_POLL_SECONDS)

    async def outcomes(self, on_progress: Progress) -> dict[str, dict[str, Any]]:
        """What sla says about every ticket of the import, by the ticket's name in the log."""
        found: dict[str, dict[str, Any]] = {}
        cursor: str | None = None
        while True:
            page = await self.sla.get("/v1/outcomes", external_source=self.name, cursor=cursor, limit=200)
            for item in page["items"]:
                found[item["source_id"]] = item
            on_progress(len(found))
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    async def join_live(self) -> None:
        """End the import: what is still open is judged by live time from now on."""
        await self.intake.post(f"/v1/imports/{self.import_id}/close", {})

    async def _send_batch(self, batch: Sequence[Entry]) -> set[str]:
        answer = await self.intake.post(
            f"/v1/imports/{self.import_id}/entries",
            {"entries": [_as_json(entry) for entry in batch], "watermark": batch[-1].at.isoformat()},
        )
        self.applied += answer["applied"]
        self.skipped += answer["skipped"]
        self.facts = answer["facts"]
        refused = [RefusedEntry(one["source_id"], one["ordinal"], one["problem"]) for one in answer["refused"]]
        self.refused += refused
        # What follows a refused entry would be a gap, which intake refuses for the whole request.
        return {one.source_id for one in refused}


def outcome_line(source_id: str, item: dict[str, Any]) -> dict[str, Any]:
    """One line of the outcomes file."""
    return {
        "source_id": source_id,
        "ticket_id": item["ticket_id"],
        "priority": item["priority"],
        "metrics": {
            name: {key: metric[key] for key in ("due_at", "outcome", "used_seconds", "target_seconds")}
            for name, metric in item["metrics"].items()
        },
    }


def _as_json(entry: Entry) -> dict[str, Any]:
    return {
        "source_id": entry.source_id,
        "ordinal": entry.ordinal,
        "at": entry.at.isoformat(),
        "action": entry.action,
        "data": entry.data,
    }


def _reached(state: dict[str, Any], last: datetime) -> bool:
    """Whether every partition's clocks were judged up to this instant."""
    watermarks = [datetime.fromisoformat(watermark) for watermark in state["watermarks"].values()]
    everywhere = len(watermarks) >= TICKETS.partitions and min(watermarks) >= last
    return everywhere and state["waiting_for_judgement"] == 0
