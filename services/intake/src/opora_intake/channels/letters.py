"""Letters that were kept are read and handled here: each on its own, so that none holds up another.

A letter is claimed with a lease, read in a confined process outside any transaction, and handled in one transaction. A
worker that dies leaves nothing behind but a lease that ends.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog
from prometheus_client import Counter, Gauge

from opora_chassis.back_off import back_off
from opora_chassis.clock import Clock
from opora_chassis.database import Database
from opora_chassis.errors import is_transient
from opora_chassis.resting import rest
from opora_intake.domain.letters import LetterOutcome
from opora_intake.handlers.attachments import Files, keep_letter_files
from opora_intake.handlers.letters import LetterRules, handle_letter
from opora_intake.mail.confined import Reader, ReaderUnavailable
from opora_intake.mail.letter import Reading
from opora_intake.store import letters as store
from opora_intake.store.letters import KeptLetter

MOST_ATTEMPTS = 5
"""Then a letter that fails is put before a person."""

_LEASE_SECONDS = 180.0
"""Longer than two processes may take to start and to read."""

_TRANSIENT_SECONDS = 5.0
_WATCH_SECONDS = 10.0
_BASE_SECONDS = 2.0
_CAP_SECONDS = 300.0

LETTERS = Counter("opora_letters_total", "Letters handled, by what became of them", ["outcome"])
WAITING = Gauge("opora_letters_waiting", "Letters that were acknowledged and are not handled yet")
OLDEST = Gauge("opora_letters_oldest_seconds", "How long the oldest letter waits that is not handled yet")
log = structlog.get_logger()

Read = Callable[[bytes, str | None], Awaitable[Reading]]


@dataclass(frozen=True, slots=True)
class LetterDesk:
    """Handles what was kept. Seconds are real ones."""

    database: Database
    clock: Clock
    rules: LetterRules
    instance: str | None
    readers: int
    woken: asyncio.Event
    files: Files | None = None
    poll_seconds: float = 0.5

    async def run(self, stop: asyncio.Event) -> None:
        """Handle letters until told to stop, as many at a time as there are readers; then finish what is under way."""
        for outcome in LetterOutcome:
            LETTERS.labels(outcome)
        async with asyncio.TaskGroup() as group:
            for _ in range(self.readers):
                group.create_task(self._lane(stop))

    async def _lane(self, stop: asyncio.Event) -> None:
        async with Reader() as reader:

            async def read(raw: bytes, envelope_sender: str | None) -> Reading:
                return await reader.read(raw, envelope_sender=envelope_sender, instance=self.instance)

            while not stop.is_set():
                self.woken.clear()
                claimed = await self._claim()
                if claimed is None:
                    await self._rest(stop)
                else:
                    await attempt(self, claimed, read)

    async def _claim(self) -> KeptLetter | None:
        """Claim one; nothing while the database is away."""
        try:
            return await claim(self)
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("letters_put_off", error=repr(error))
            return None

    async def _rest(self, stop: asyncio.Event) -> None:
        """Wait for a letter of this process, the next poll, or the end."""
        waits = [asyncio.ensure_future(self.woken.wait()), asyncio.ensure_future(stop.wait())]
        try:
            await asyncio.wait(waits, timeout=self.poll_seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


async def watch_letters(stop: asyncio.Event, *, database: Database) -> None:
    """Show what waits until told to stop; while the database is away, what was seen last stays."""
    while not stop.is_set():
        try:
            waiting, oldest = await store.waiting_letters(database)
            now = await database.now()
            WAITING.set(waiting)
            OLDEST.set(0 if oldest is None else database.clock.real_seconds(now - oldest))
        except Exception as error:
            if not is_transient(error):
                raise
            log.debug("letters_not_seen", error=repr(error))
        await rest(stop, _WATCH_SECONDS)


async def claim(of: LetterDesk) -> KeptLetter | None:
    """Take the letter that has waited longest, in a transaction of its own; None when none is due."""
    async with of.database.transaction() as tx:
        lease = of.clock.virtual(timedelta(seconds=_LEASE_SECONDS))
        claimed = await store.claim_letters(tx, 1, tx.now + lease)
    return claimed[0] if claimed else None


async def attempt(of: LetterDesk, claimed: KeptLetter, read: Read) -> None:
    """Read and handle a claimed letter once. Never raises but for cancellation.

    What fails for reasons of the surroundings is tried again without end and is not counted against the letter. What
    fails otherwise is tried again with growing pauses, and is quarantined after `MOST_ATTEMPTS`.
    """
    try:
        raw = await store.raw_letter(of.database, claimed.id) or b""
        reading = await _reading(raw, claimed, read)
        # Durable before a row names them; what a failure leaves behind is swept.
        brought = await keep_letter_files(of.files, raw, claimed.id, reading)
        async with of.database.transaction() as tx:
            outcome = await handle_letter(tx, claimed, reading, of.rules, brought)
    except Exception as error:
        if not _passes(error):
            log.exception("letter_not_handled", letter_id=str(claimed.id), attempts=claimed.attempts)
        await _put_off(of, claimed, error)
    else:
        if outcome is None:
            log.warning("letter_lease_lost", letter_id=str(claimed.id))
            return
        LETTERS.labels(outcome).inc()
        log.info("letter_handled", letter_id=str(claimed.id), outcome=outcome, channel=claimed.channel)


async def _reading(raw: bytes, claimed: KeptLetter, read: Read) -> Reading | str:
    if claimed.attempts > MOST_ATTEMPTS:
        return f"Given up after {MOST_ATTEMPTS} attempts: {claimed.reason or 'each ended without a word'}"
    return await read(raw, claimed.envelope_from)


def _passes(error: Exception) -> bool:
    """Whether the failure says nothing of the letter."""
    return is_transient(error) or isinstance(error, ReaderUnavailable)


async def _put_off(of: LetterDesk, claimed: KeptLetter, error: Exception) -> None:
    passes = _passes(error)
    jitter = random.random()  # noqa: S311  spreads retries
    if passes:
        log.warning("letter_put_off", letter_id=str(claimed.id), error=repr(error))
        pause_seconds = _TRANSIENT_SECONDS * (0.5 + 0.5 * jitter)
    else:
        pause_seconds = back_off(claimed.attempts, base_seconds=_BASE_SECONDS, cap_seconds=_CAP_SECONDS, jitter=jitter)
    try:
        async with of.database.transaction() as tx:
            await store.put_off(
                tx,
                claimed.id,
                attempts=claimed.attempts - 1 if passes else claimed.attempts,
                claimed_attempts=claimed.attempts,
                due_at=tx.now + of.clock.virtual(timedelta(seconds=pause_seconds)),
                # The kind of the failure and none of the letter's words.
                reason=type(error).__name__,
            )
    except Exception as unsaved:
        log.warning("letter_left_to_its_lease", letter_id=str(claimed.id), error=repr(unsaved), exc_info=True)
