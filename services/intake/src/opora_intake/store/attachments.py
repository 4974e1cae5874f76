"""Files of tickets, and what was recorded to find a cause."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from opora_chassis.database import Transaction
from opora_intake.store.rows import Reader

_SHOWN = (
    "attachments.id, ticket_id, message_id, letter_id, name, claimed, content_id, inline, actor, added_at,"
    " attachments.sha256, size_bytes, type, verdict, finding"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFile:
    """What is known of a content whose bytes are durable."""

    sha256: bytes
    size_bytes: int
    type: str
    verdict: str
    finding: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """A file on a ticket, with what is known of its content."""

    id: UUID
    ticket_id: UUID
    message_id: UUID | None
    letter_id: UUID | None
    name: str
    claimed: str | None
    content_id: str | None
    inline: bool
    actor: str | None
    added_at: datetime
    sha256: bytes
    size_bytes: int
    type: str
    verdict: str
    finding: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """Something recorded on a ticket that helps to find its cause: a value, an address or a file."""

    id: UUID
    ticket_id: UUID
    kind: str
    name: str
    value: str | None
    url: str | None
    attachment_id: UUID | None
    actor: str | None
    recorded_at: datetime


async def attached_bytes(tx: Transaction, ticket_id: UUID) -> tuple[int, int]:
    """How many files the ticket has, and their bytes in all."""
    row = await tx.fetchrow(
        "select count(*) as files, coalesce(sum(size_bytes), 0)::bigint as bytes from attachments"
        " join files using (sha256) where ticket_id = $1",
        ticket_id,
    )
    return (0, 0) if row is None else (row["files"], row["bytes"])


async def add_attachment(tx: Transaction, attached: Attached) -> Attached:
    """Keep it; of a content that is known, what is known stays. Its bytes must be durable."""
    await tx.execute(
        "insert into files (sha256, size_bytes, type, verdict, finding, kept_at, scanned_at)"
        " values ($1, $2, $3, $4::text, $5, $6::timestamptz,"
        " case when $4::text <> 'unscanned' then $6::timestamptz end)"
        " on conflict (sha256) do update set verdict = excluded.verdict, finding = excluded.finding,"
        " scanned_at = excluded.scanned_at where files.verdict = 'unscanned' or excluded.verdict = 'infected'",
        attached.sha256,
        attached.size_bytes,
        attached.type,
        attached.verdict,
        attached.finding,
        attached.added_at,
    )
    await tx.execute(
        "insert into attachments (id, ticket_id, message_id, letter_id, sha256, name, claimed, content_id, inline,"
        " actor, added_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        attached.id,
        attached.ticket_id,
        attached.message_id,
        attached.letter_id,
        attached.sha256,
        attached.name,
        attached.claimed,
        attached.content_id,
        attached.inline,
        attached.actor,
        attached.added_at,
    )
    found = await find_attachment(tx, attached.ticket_id, attached.id)
    assert found is not None  # noqa: S101  it was inserted a moment ago
    return found


async def find_attachment(reader: Reader, ticket_id: UUID, attachment_id: UUID) -> Attached | None:
    """One file of a ticket. Plan: primary keys."""
    row = await reader.fetchrow(
        f"select {_SHOWN} from attachments join files using (sha256) where attachments.id = $1 and ticket_id = $2",
        attachment_id,
        ticket_id,
    )
    return None if row is None else Attached(**row)


async def list_attachments(reader: Reader, ticket_id: UUID, *, after: UUID | None, limit: int) -> list[Attached]:
    """A ticket's files in the order in which they came. Plan: range scan of attachments_of_ticket."""
    rows = await reader.fetch(
        f"select {_SHOWN} from attachments join files using (sha256)"
        " where ticket_id = $1 and ($2::uuid is null or attachments.id > $2) order by attachments.id limit $3",
        ticket_id,
        after,
        limit,
    )
    return [Attached(**row) for row in rows]


async def message_on(reader: Reader, ticket_id: UUID, message_id: UUID) -> bool:
    """Whether the message stands on this ticket."""
    row = await reader.fetchrow("select from messages where id = $1 and ticket_id = $2", message_id, ticket_id)
    return row is not None


async def message_at(reader: Reader, ticket_id: UUID, *, newest: bool) -> UUID | None:
    """The first or the newest message of a ticket. Plan: messages' unique (ticket_id, sequence)."""
    row = await reader.fetchrow(
        f"select id from messages where ticket_id = $1 order by sequence {'desc' if newest else 'asc'} limit 1",
        ticket_id,
    )
    return None if row is None else row["id"]


async def unnamed(reader: Reader, digests: Sequence[str]) -> list[str]:
    """Those of the digests that no row names. Plan: the primary key."""
    rows = await reader.fetch(
        "select digest from unnest($1::text[]) as digest"
        " where not exists (select from files where sha256 = decode(digest, 'hex'))",
        list(digests),
    )
    return [row["digest"] for row in rows]


async def unscanned(reader: Reader, limit: int) -> list[bytes]:
    """Contents that nobody has looked through, the oldest first. Plan: the index files_unscanned."""
    rows = await reader.fetch("select sha256 from files where verdict = 'unscanned' order by kept_at limit $1", limit)
    return [row["sha256"] for row in rows]


async def save_verdict(tx: Transaction, sha256: bytes, verdict: str, finding: str | None) -> None:
    """What the scan said of a content."""
    await tx.execute(
        "update files set verdict = $2, finding = $3, scanned_at = $4 where sha256 = $1",
        sha256,
        verdict,
        finding,
        tx.now,
    )


async def add_diagnostic(tx: Transaction, diagnostic: Diagnostic) -> None:
    """Keep it."""
    await tx.execute(
        "insert into diagnostics (id, ticket_id, kind, name, value, url, attachment_id, actor, recorded_at)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        diagnostic.id,
        diagnostic.ticket_id,
        diagnostic.kind,
        diagnostic.name,
        diagnostic.value,
        diagnostic.url,
        diagnostic.attachment_id,
        diagnostic.actor,
        diagnostic.recorded_at,
    )


async def list_diagnostics(reader: Reader, ticket_id: UUID, *, after: UUID | None, limit: int) -> list[Diagnostic]:
    """A ticket's diagnostic data in the order in which it came. Plan: range scan of diagnostics_of_ticket."""
    rows = await reader.fetch(
        "select id, ticket_id, kind, name, value, url, attachment_id, actor, recorded_at from diagnostics"
        " where ticket_id = $1 and ($2::uuid is null or id > $2) order by id limit $3",
        ticket_id,
        after,
        limit,
    )
    return [Diagnostic(**row) for row in rows]
