"""Letters that were kept are read and handled here: each read in a confined process, and handled in one transaction."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import structlog
from prometheus_client import Counter, Gauge

from opora_chassis.clock import Clock
from opora_chassis.database import Database, Transaction
from opora_chassis.errors import is_transient
from opora_intake.channels import leased
from opora_intake.channels.leased import MOST_ATTEMPTS, Tray
from opora_intake.channels.origin import Origin
from opora_intake.domain.letters import LetterOutcome
from opora_intake.handlers.attachments import Files, keep_letter_files
from opora_intake.handlers.letters import LetterRules, handle_letter
from opora_intake.mail.confined import Reader, ReaderUnavailable
from opora_intake.mail.letter import Letter, Reading
from opora_intake.store import letters as store
from opora_intake.store.letters import KeptLetter

_LEASE_SECONDS = 180.0
"""Longer than two processes may take to start and to read."""

LETTERS = Counter("opora_letters_total", "Letters handled, by what became of them", ["outcome"])
WAITING = Gauge("opora_letters_waiting", "Letters that were acknowledged and are not handled yet")
OLDEST = Gauge("opora_letters_oldest_seconds", "How long the oldest letter waits that is not handled yet")
log = structlog.get_logger()

Read = Callable[[bytes, str | None], Awaitable[Reading]]
Prove = Callable[[bytes, Letter, int], Awaitable[Letter]]
"""The letter with what its signatures prove, at which attempt."""


@dataclass(frozen=True, slots=True)
class LetterDesk:
    """Handles what was kept."""

    database: Database
    clock: Clock
    rules: LetterRules
    instance: str | None
    readers: int
    woken: asyncio.Event
    files: Files | None = None
    origin: Origin | None = None
    """Who proves letters by their signatures; None where nobody asks for that."""

    @property
    def tray(self) -> Tray[KeptLetter]:
        """Where the letters wait."""
        return Tray(
            what="letter",
            database=self.database,
            clock=self.clock,
            claim_next=_claim_next,
            put_off=store.put_off,
            lease_seconds=_LEASE_SECONDS,
            woken=self.woken,
            passes=_passes,
        )

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

            prove = None if self.origin is None else partial(self.origin.proven, check=reader.signed_by)
            await leased.work_through(self.tray, partial(attempt, self, read=read, prove=prove), stop)


async def look_at_letters(database: Database) -> None:
    """Show what waits."""
    await leased.show_waiting(database, await store.waiting_letters(database), WAITING, OLDEST)


async def claim(of: LetterDesk) -> KeptLetter | None:
    """Take the letter that has waited longest, in a transaction of its own; None when none is due."""
    return await leased.claim(of.tray)


async def attempt(of: LetterDesk, claimed: KeptLetter, read: Read, prove: Prove | None = None) -> None:
    """Read and handle a claimed letter once. Never raises but for cancellation.

    What fails for reasons of the surroundings is tried again without end and is not counted against the letter. What
    fails otherwise is tried again with growing pauses, and is quarantined after `MOST_ATTEMPTS`.
    """
    try:
        raw = await store.raw_letter(of.database, claimed.id) or b""
        reading = await _reading(raw, claimed, read)
        if prove is not None and isinstance(reading, Letter):
            reading = await prove(raw, reading, claimed.attempts)
        # Durable before a row names them; what a failure leaves behind is swept.
        brought = await keep_letter_files(of.files, raw, claimed.id, reading)
        async with of.database.transaction() as tx:
            outcome = await handle_letter(tx, claimed, reading, of.rules, brought)
    except Exception as error:  # noqa: BLE001  whatever it is, it is this letter's alone
        await leased.put_back(of.tray, claimed, error)
    else:
        if outcome is None:
            log.warning("letter_lease_lost", letter_id=str(claimed.id))
            return
        LETTERS.labels(outcome).inc()
        log.info("letter_handled", letter_id=str(claimed.id), outcome=outcome, channel=claimed.channel)


async def _claim_next(tx: Transaction, lease_ends_at: datetime) -> KeptLetter | None:
    claimed = await store.claim_letters(tx, 1, lease_ends_at)
    return claimed[0] if claimed else None


async def _reading(raw: bytes, claimed: KeptLetter, read: Read) -> Reading | str:
    if claimed.attempts > MOST_ATTEMPTS:
        return f"Given up after {MOST_ATTEMPTS} attempts: {claimed.reason or 'each ended without a word'}"
    return await read(raw, claimed.envelope_from)


def _passes(error: Exception) -> bool:
    """Whether the failure says nothing of the letter."""
    return is_transient(error) or isinstance(error, ReaderUnavailable)
