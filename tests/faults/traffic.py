"""Customers and agents who insist: every write is repeated, with the same key, until it is acknowledged."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx

from opora_chassis.testing import wait_until
from tests.e2e.stack import Stack

_WORKERS = 3
_STORY_SECONDS = 0.5
"""A worker tells no more than a story in this time: the machine has other work to do."""
_INSIST_SECONDS = 90.0
_WORTH_REPEATING = frozenset({502, 503, 504})


@dataclass(slots=True)
class Traffic:
    """What intake has acknowledged so far; it grows until the block ends."""

    closed: list[str] = field(default_factory=list)
    """Tickets that were answered, resolved and closed."""
    forgotten: list[str] = field(default_factory=list)
    """Tickets that nobody answers."""
    versions: dict[str, int] = field(default_factory=dict)
    """The version that the last acknowledgement of each ticket told."""

    @property
    def acknowledged(self) -> int:
        """How many tickets have come to the end of their story."""
        return len(self.closed) + len(self.forgotten)

    async def goes_on(self, tickets: int = 10) -> None:
        """Wait until so many more tickets have come to their end."""
        enough = self.acknowledged + tickets
        await wait_until(lambda: self.acknowledged >= enough, _INSIST_SECONDS, what=f"{tickets} more tickets")


@asynccontextmanager
async def running_traffic(stack: Stack) -> AsyncIterator[Traffic]:
    """Traffic while the block runs; at its end every story that was begun is finished."""
    traffic = Traffic()
    stop = asyncio.Event()
    workers = [asyncio.create_task(_work(stack, traffic, stop)) for _ in range(_WORKERS)]
    try:
        yield traffic
        stop.set()
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*workers)


async def _work(stack: Stack, traffic: Traffic, stop: asyncio.Event) -> None:
    async with stack.client("intake") as intake:
        for number in itertools.count():
            if stop.is_set():
                return
            next_at = time.monotonic() + _STORY_SECONDS
            await _tell_story(intake, traffic, forget=number % 4 == 3)
            await wait_until(lambda: time.monotonic() >= next_at, poll_seconds=0.1)  # noqa: B023


async def _tell_story(intake: httpx.AsyncClient, traffic: Traffic, *, forget: bool) -> None:
    person = f"{uuid4().hex[:12]}@customer.example"
    ticket = (await _insist(intake, "/tickets", {"title": "It does not work", "requester_email": person}))["id"]
    traffic.versions[ticket] = 1
    if forget:
        traffic.forgotten.append(ticket)
        return
    answer: Any = None
    for action, body in (("replies", {"body": "Please try again."}), ("resolve", {}), ("close", {})):
        answer = await _insist(intake, f"/tickets/{ticket}/{action}", body)
        traffic.versions[ticket] = answer["version"]
    traffic.closed.append(ticket)


async def _insist(intake: httpx.AsyncClient, path: str, body: Any) -> Any:
    key = {"Idempotency-Key": uuid4().hex}

    async def acknowledged() -> Any:
        try:
            answer = await intake.post(path, json=body, headers=key)
        except httpx.TransportError:
            return None
        if answer.status_code in _WORTH_REPEATING:
            return None
        if not answer.is_success:
            # An AssertionError would count as not yet.
            raise RuntimeError(f"{path}: {answer.status_code} {answer.text}")
        return answer.json()

    return await wait_until(acknowledged, _INSIST_SECONDS, what=f"an acknowledgement of {path}", poll_seconds=0.2)
