"""Files kept first and named by a row afterwards; looked through for viruses; swept where no row came."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import structlog
from prometheus_client import Counter

from opora_chassis.clock import host_now
from opora_chassis.database import Database, Transaction
from opora_chassis.errors import is_transient
from opora_chassis.identifiers import new_id
from opora_chassis.resting import rest
from opora_intake.attachments.clamd import Clamd, Scan, Verdict
from opora_intake.attachments.storage import Directory
from opora_intake.domain.attachments import FileRules, TicketFull, file_name, has_room, type_of
from opora_intake.handlers.errors import Unknown, UnknownReference
from opora_intake.mail.letter import Letter, Reading, Unreadable
from opora_intake.store import attachments as store
from opora_intake.store import tickets as ticket_store
from opora_intake.store.attachments import Attached, KeptFile

ORPHAN_SECONDS = 24 * 3600
"""A file without a row is left alone so long: its row may still come."""

_SWEEP_SECONDS = 3600.0
_RESCAN_SECONDS = 60.0
_RESCANNED = 20

SCANS = Counter("opora_file_scans_total", "Files shown to the virus scanner, by what it said", ["verdict"])
SWEPT = Counter("opora_files_swept_total", "Files removed because no row named them for a day")
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Files:
    """Where files are kept, who looks through them, and how much there may be."""

    storage: Directory
    clamd: Clamd | None = None
    rules: FileRules = field(default_factory=FileRules)

    async def keep(self, pieces: AsyncIterator[bytes], *, most_bytes: int | None = None) -> KeptFile:
        """Make the bytes durable, then show them to the scanner where there is one. Raises TooLarge or OSError.

        Until a row names them they are an orphan, which the sweep takes after a day.
        """
        kept = await self.storage.keep(pieces, most_bytes=most_bytes or self.rules.most_file_bytes)
        scan = await self.scan(kept.sha256)
        return KeptFile(
            sha256=kept.sha256,
            size_bytes=kept.size_bytes,
            type=type_of(kept.head),
            verdict=scan.verdict,
            finding=scan.finding,
        )

    async def scan(self, sha256: bytes) -> Scan:
        """What the scanner says of a content that is kept; unscanned without one."""
        if self.clamd is None:
            return Scan(Verdict.UNSCANNED)
        scan = await self.clamd.scan(self.storage.read(sha256))
        SCANS.labels(scan.verdict).inc()
        return scan


@dataclass(frozen=True, slots=True)
class LetterFile:
    """A file that came with a letter, kept."""

    kept: KeptFile
    name: str
    claimed: str
    content_id: str | None = None
    inline: bool = False


@dataclass(frozen=True, slots=True)
class Brought:
    """What a letter brought, kept, and how much of it a ticket takes."""

    came: Sequence[LetterFile]
    rules: FileRules


async def attach(
    tx: Transaction,
    files: Files,
    reference: UUID | int,
    kept: KeptFile,
    *,
    name: str,
    claimed: str | None,
    message_id: UUID | None,
    actor: str,
) -> Attached:
    """Put a file that is kept on a ticket, or on a message of it. Raises Unknown, UnknownReference or TicketFull."""
    ticket = await ticket_store.lock_ticket(tx, reference)
    if ticket is None:
        raise Unknown("ticket", str(reference) if isinstance(reference, UUID) else f"OP-{reference}")
    if message_id is not None and not await store.message_on(tx, ticket.id, message_id):
        raise UnknownReference("message_id", message_id)
    count, used = await store.attached_bytes(tx, ticket.id)
    if not has_room(files.rules, files=count, used_bytes=used, size_bytes=kept.size_bytes):
        raise TicketFull(ticket.label, files.rules)
    return await store.add_attachment(
        tx,
        _attached(tx, ticket.id, kept, name=name, claimed=claimed, message_id=message_id, letter_id=None, actor=actor),
    )


async def keep_letter_files(files: Files | None, raw: bytes, letter_id: UUID, reading: Reading | str) -> Brought | None:
    """Keep what a letter brings, before it is handled; the whole letter where it cannot be read. Raises OSError.

    What is larger than a file may be stays in the raw letter alone. None where no files are kept.
    """
    if files is None:
        return None
    came: list[LetterFile] = []
    if isinstance(reading, Letter):
        came = [
            LetterFile(
                await files.keep(_whole(each.content)), each.name, each.content_type, each.content_id, each.inline
            )
            for each in reading.attachments
            if len(each.content) <= files.rules.most_file_bytes
        ]
    elif isinstance(reading, Unreadable | str) and len(raw) <= files.rules.most_file_bytes:
        came = [LetterFile(await files.keep(_whole(raw)), f"letter-{letter_id}.eml", "message/rfc822")]
    return Brought(came, files.rules)


async def attach_letter_files(
    tx: Transaction, ticket_id: UUID, letter_id: UUID, brought: Brought, *, is_reply: bool
) -> None:
    """Put a letter's files on the message that it became, as many as the ticket has room for.

    A full ticket refuses no letter: what has no room stays in the raw letter. The ticket is locked by this transaction.
    """
    message_id = await store.message_at(tx, ticket_id, newest=is_reply)
    count, used = await store.attached_bytes(tx, ticket_id)
    for each in brought.came:
        if not has_room(brought.rules, files=count, used_bytes=used, size_bytes=each.kept.size_bytes):
            log.warning("letter_file_left_out", letter_id=str(letter_id), ticket_id=str(ticket_id))
            continue
        count, used = count + 1, used + each.kept.size_bytes
        attached = _attached(
            tx,
            ticket_id,
            each.kept,
            name=each.name,
            claimed=each.claimed,
            message_id=message_id,
            letter_id=letter_id,
            actor="system:mail",
            content_id=each.content_id,
            inline=each.inline,
        )
        await store.add_attachment(tx, attached)


def _attached(
    tx: Transaction,
    ticket_id: UUID,
    kept: KeptFile,
    *,
    name: str,
    claimed: str | None,
    message_id: UUID | None,
    letter_id: UUID | None,
    actor: str,
    content_id: str | None = None,
    inline: bool = False,
) -> Attached:
    return Attached(
        id=new_id(),
        ticket_id=ticket_id,
        message_id=message_id,
        letter_id=letter_id,
        name=file_name(name),
        claimed=None if claimed is None else claimed[:200],
        content_id=content_id,
        inline=inline,
        actor=actor,
        added_at=tx.now,
        sha256=kept.sha256,
        size_bytes=kept.size_bytes,
        type=kept.type,
        verdict=kept.verdict,
        finding=kept.finding,
    )


async def _whole(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def sweep(files: Files, database: Database, orphan_seconds: float = ORPHAN_SECONDS) -> int:
    """Remove files that no row has named for a day, and what was never finished; how many."""
    before = (host_now() - timedelta(seconds=orphan_seconds)).timestamp()
    removed = 0
    for path in await asyncio.to_thread(lambda: list(files.storage.unfinished(before))):
        await asyncio.to_thread(path.unlink, missing_ok=True)
        removed += 1
    digests = await asyncio.to_thread(lambda: list(files.storage.digests(before)))
    for place in range(0, len(digests), 1000):
        for digest in await store.unnamed(database, digests[place : place + 1000]):
            removed += await asyncio.to_thread(files.storage.remove, digest, before)
    SWEPT.inc(removed)
    return removed


async def rescan(files: Files, database: Database) -> int:
    """Show the scanner what it has not seen yet; how many contents have a verdict now."""
    judged = 0
    for sha256 in await store.unscanned(database, _RESCANNED):
        try:
            scan = await files.scan(sha256)
        except FileNotFoundError:
            log.exception("file_missing", sha256=sha256.hex())
            continue
        if scan.verdict is Verdict.UNSCANNED:
            continue
        async with database.transaction() as tx:
            await store.save_verdict(tx, sha256, scan.verdict, scan.finding)
        judged += 1
    return judged


async def look_after_files(stop: asyncio.Event, *, files: Files, database: Database) -> None:
    """Until told to stop: each minute look through what is unscanned, each hour sweep."""
    rounds_between_sweeps, rounds = int(_SWEEP_SECONDS / _RESCAN_SECONDS), 0
    while not stop.is_set():
        try:
            if files.clamd is not None:
                await rescan(files, database)
            if rounds % rounds_between_sweeps == 0:
                await sweep(files, database)
            rounds += 1
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("files_wait", error=repr(error))
        await rest(stop, _RESCAN_SECONDS)
