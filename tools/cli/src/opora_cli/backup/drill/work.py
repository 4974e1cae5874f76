"""The work that a drilled platform does: history in bulk, and a desk that goes on while the backup is taken."""

import asyncio
import itertools
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from opora_chassis.clock import host_now
from opora_cli.client import ServiceClient

Progress = Callable[[int], None]

HISTORY = "drill"
"""The import's name, and with it the `external_source` of its tickets."""
FIRST_RESPONSE_SECONDS = 2
_LIVE_PRODUCT = "drill"
_ENTRIES = 2_000
_TICKETS_PER_CUSTOMER = 10
_HISTORY_BEGINS = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
_BETWEEN_TICKETS = timedelta(seconds=7)
_WORKERS = 4
_STORY_SECONDS = 0.25
"""A worker tells no more than a story in this time: the machine has other work to do."""
_FORGOTTEN_EVERY = 4


async def make_agreement(sla: ServiceClient) -> None:
    """The live tickets' agreement: whoever is not answered within two seconds is forgotten."""
    targets = {"P3": {"seconds": FIRST_RESPONSE_SECONDS}}
    await sla.post(
        "/v1/agreements",
        {
            "name": "Drill",
            "conditions": {"product": [_LIVE_PRODUCT]},
            "metrics": {"first_response": {"targets": targets}},
        },
    )


async def load_history(intake: ServiceClient, tickets: int, on_progress: Progress) -> str:
    """Import so many resolved tickets through the public interface, and return the import's id.

    The import is not closed: its tickets are judged by its own time, and nobody is written to.
    """
    history = await intake.post("/v1/imports", {"name": HISTORY})
    for start in range(0, tickets, _ENTRIES // 2):
        numbers = range(start, min(start + _ENTRIES // 2, tickets))
        entries = [entry for number in numbers for entry in _life(number)]
        watermark = _HISTORY_BEGINS + numbers.stop * _BETWEEN_TICKETS
        await intake.post(
            f"/v1/imports/{history['id']}/entries", {"entries": entries, "watermark": watermark.isoformat()}
        )
        on_progress(numbers.stop)
    return str(history["id"])


def _life(number: int) -> list[dict[str, Any]]:
    asked_at = _HISTORY_BEGINS + number * _BETWEEN_TICKETS
    opening = {
        "title": f"Printer {number % 400} does not answer",
        "body": "It was fine yesterday. Restarting it did not help.",
        "requester_email": f"person-{number // _TICKETS_PER_CUSTOMER}@drill.example",
        "product": "Printing",
    }
    case = {"source_id": f"D{number:07}"}
    return [
        {**case, "ordinal": 1, "at": asked_at.isoformat(), "action": "create", "data": opening},
        # A little later, and still before the next ticket's: the watermark is past both.
        {**case, "ordinal": 2, "at": (asked_at + timedelta(seconds=3)).isoformat(), "action": "resolve", "data": {}},
    ]


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What intake answered to one write."""

    ticket_id: str
    number: str
    version: int
    at: datetime
    """When the answer was there, by this host's clock."""


@dataclass(slots=True)
class Desk:
    """Agents and customers at work until they are cancelled; what they were answered is kept."""

    intake: ServiceClient
    acknowledged: list[Acknowledgement] = field(default_factory=list)
    stories: int = 0
    """How many tickets have come to the end of their story: answered, resolved and closed, or forgotten."""

    async def work(self) -> None:
        """Work on and on."""
        await asyncio.gather(*(self._work() for _ in range(_WORKERS)))

    async def _work(self) -> None:
        clock = asyncio.get_running_loop()
        for number in itertools.count(1):
            next_at = clock.time() + _STORY_SECONDS
            await self._tell_story(forget=number % _FORGOTTEN_EVERY == 0)
            await asyncio.sleep(max(0.0, next_at - clock.time()))

    async def _tell_story(self, *, forget: bool) -> None:
        ticket = await self._do(
            "/v1/tickets",
            {
                "title": "The screen stays black",
                "body": "Since this morning.",
                "requester_email": f"{secrets.token_hex(6)}@drill.example",
                "product": _LIVE_PRODUCT,
            },
        )
        if not forget:
            for action, body in (("replies", {"body": "Please try again."}), ("resolve", {}), ("close", {})):
                await self._do(f"/v1/tickets/{ticket}/{action}", body)
        self.stories += 1

    async def _do(self, path: str, body: dict[str, Any]) -> str:
        answer = await self.intake.post(path, body)
        ticket_id = str(answer["id"])
        self.acknowledged.append(Acknowledgement(ticket_id, answer["number"], answer["version"], host_now()))
        return ticket_id
