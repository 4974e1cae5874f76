"""An operator who edits the calendar and takes open tickets over to what follows from it, all through a run."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import httpx

_TRY_SECONDS = 5.0
_REST_SECONDS = 4.0
_DAYS = 28


@dataclass(frozen=True, slots=True)
class Promise:
    """The run's agreement and the calendar that it names."""

    agreement_id: str
    calendar_id: str
    calendar_name: str


@dataclass(slots=True)
class Policy:
    """Edits that change what is written and never what follows: a day long past is closed, and another one instead.

    Each makes a version of the calendar and one of the agreement, under which open tickets are asked to go over.
    """

    promise: Promise
    sla_url: Callable[[], str]
    api_key: str
    edits: int = 0
    requests: int = 0
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self) -> None:
        """Begin no further edit."""
        self._stop.set()

    async def work(self) -> None:
        """Edit until `stop`. A service that is away, or that does not answer, is tried again with the next edit."""
        headers = {"Authorization": f"Bearer {self.api_key}"}
        async with httpx.AsyncClient(headers=headers, timeout=_TRY_SECONDS, trust_env=False) as client:
            while not self._stop.is_set():
                # Killed, cut off or suspended: that is what the run is for.
                with suppress(httpx.HTTPError):
                    await self._edit(client)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), _REST_SECONDS)

    async def _edit(self, client: httpx.AsyncClient) -> None:
        document = {"name": self.promise.calendar_name, "holidays": [f"2001-01-{1 + self.edits % _DAYS:02}"]}
        answer = await client.put(f"{self.sla_url()}/v1/calendars/{self.promise.calendar_id}", json=document)
        if not answer.is_success:
            return
        self.edits += 1
        asked = await client.post(f"{self.sla_url()}/v1/agreements/{self.promise.agreement_id}/changes", json={})
        self.requests += asked.is_success
