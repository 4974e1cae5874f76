"""Raw input that was kept is worked on here, each piece on its own: none holds up another, and none is lost.

A piece is claimed with a lease, read outside any transaction, and handled in one. A worker that dies leaves nothing
behind but a lease that ends.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar
from uuid import UUID

import structlog
from prometheus_client import Gauge

from opora_chassis.back_off import back_off
from opora_chassis.clock import Clock
from opora_chassis.database import Database, Transaction
from opora_chassis.errors import is_transient
from opora_chassis.resting import rest

MOST_ATTEMPTS = 5
"""Then what fails is put before a person."""

_TRANSIENT_SECONDS = 5.0
_WATCH_SECONDS = 10.0
_BASE_SECONDS = 2.0
_CAP_SECONDS = 300.0

log = structlog.get_logger()


class Kept(Protocol):
    """A piece of raw input without its bytes."""

    @property
    def id(self) -> UUID:
        """Its name."""
        ...

    @property
    def attempts(self) -> int:
        """How often it was claimed, this time included. It tells a worker from the one that took its work over."""
        ...


Piece = TypeVar("Piece", bound=Kept)
Claim = Callable[[Transaction, datetime], Awaitable[Piece | None]]


class PutOff(Protocol):
    """Look at the piece again later; nothing when another worker has taken it over meanwhile."""

    async def __call__(
        self, tx: Transaction, piece_id: UUID, /, *, attempts: int, claimed_attempts: int, due_at: datetime, reason: str
    ) -> None:
        """Store how often it was tried, when it is due, and the kind of its failure."""
        ...


@dataclass(frozen=True, slots=True)
class Tray(Generic[Piece]):
    """Where pieces of one sort wait: how they are claimed and put back. Seconds are real ones."""

    what: str
    """As logs call a piece."""
    database: Database
    clock: Clock
    claim_next: Claim[Piece]
    put_off: PutOff
    lease_seconds: float
    """Longer than one attempt may take."""
    woken: asyncio.Event
    passes: Callable[[Exception], bool] = is_transient
    """Whether a failure says nothing of the piece: then it is tried again without end, and not counted."""
    poll_seconds: float = 0.5


async def work_through(of: Tray[Piece], attempt: Callable[[Piece], Awaitable[None]], stop: asyncio.Event) -> None:
    """Claim and attempt one piece after the other until told to stop; then finish the one under way."""
    while not stop.is_set():
        of.woken.clear()
        claimed = await _claim(of)
        if claimed is None:
            await _rest(of, stop)
        else:
            await attempt(claimed)


async def claim(of: Tray[Piece]) -> Piece | None:
    """Take the piece that has waited longest, in a transaction of its own; None when none is due."""
    async with of.database.transaction() as tx:
        return await of.claim_next(tx, tx.now + of.clock.virtual(timedelta(seconds=of.lease_seconds)))


async def put_back(of: Tray[Piece], claimed: Piece, error: Exception) -> None:
    """Have a piece whose attempt failed tried again, with growing pauses. Never raises but for cancellation."""
    jitter = random.random()  # noqa: S311  spreads retries
    passes = of.passes(error)
    if passes:
        log.warning("input_put_off", what=of.what, piece_id=str(claimed.id), error=repr(error))
        pause_seconds = _TRANSIENT_SECONDS * (0.5 + 0.5 * jitter)
    else:
        log.error(
            "input_not_handled",
            what=of.what,
            piece_id=str(claimed.id),
            attempts=claimed.attempts,
            exc_info=error,
        )
        pause_seconds = back_off(claimed.attempts, base_seconds=_BASE_SECONDS, cap_seconds=_CAP_SECONDS, jitter=jitter)
    try:
        async with of.database.transaction() as tx:
            await of.put_off(
                tx,
                claimed.id,
                attempts=claimed.attempts - 1 if passes else claimed.attempts,
                claimed_attempts=claimed.attempts,
                due_at=tx.now + of.clock.virtual(timedelta(seconds=pause_seconds)),
                # The kind of the failure and none of the input's words.
                reason=type(error).__name__,
            )
    except Exception as unsaved:
        log.warning(
            "input_left_to_its_lease",
            what=of.what,
            piece_id=str(claimed.id),
            error=repr(unsaved),
            exc_info=True,
        )


async def watch(stop: asyncio.Event, *, database: Database, look: Callable[[Database], Awaitable[None]]) -> None:
    """Look every ten seconds until told to stop; while the database is away, what was seen last stays."""
    while not stop.is_set():
        try:
            await look(database)
        except Exception as error:
            if not is_transient(error):
                raise
            log.debug("waiting_not_seen", error=repr(error))
        await rest(stop, _WATCH_SECONDS)


async def show_waiting(
    database: Database, waiting: tuple[int, datetime | None], count_gauge: Gauge, age_gauge: Gauge
) -> None:
    """Set how many pieces wait, and for how many real seconds the oldest does."""
    count, oldest = waiting
    now = await database.now()
    count_gauge.set(count)
    age_gauge.set(0 if oldest is None else database.clock.real_seconds(now - oldest))


async def _claim(of: Tray[Piece]) -> Piece | None:
    """Claim one; nothing while the database is away."""
    try:
        return await claim(of)
    except Exception as error:
        if not is_transient(error):
            raise
        log.warning("input_claim_put_off", what=of.what, error=repr(error))
        return None


async def _rest(of: Tray[Piece], stop: asyncio.Event) -> None:
    """Wait for a piece of this process, the next poll, or the end."""
    waits = [asyncio.ensure_future(of.woken.wait()), asyncio.ensure_future(stop.wait())]
    try:
        await asyncio.wait(waits, timeout=of.poll_seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
