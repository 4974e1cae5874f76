"""The guards against duplicates and gaps: the chassis' own tables, locked within the batch's transaction.

The row locks also fence off a consumer that lost its partition and does not know it yet.
"""

from collections.abc import Collection
from collections.abc import Set as AbstractSet

from opora_chassis.database import Transaction
from opora_chassis.errors import TransientError

AggregateKey = tuple[str, str]
"""(source, subject)."""


async def lock_applied(tx: Transaction, consumer: str, keys: AbstractSet[AggregateKey]) -> dict[AggregateKey, int]:
    """The last applied sequence of each aggregate, 0 for a new one; locked in key order until the transaction ends.

    Aggregates that are known are locked before any that are new, so that two consumers never wait for one another.
    """
    applied = await _lock_known(tx, consumer, keys)
    new = keys - applied.keys()
    if not new:
        return applied
    sources, subjects = _columns(new)
    rows = await tx.fetch(
        "insert into applied (consumer, source, subject, sequence)"
        " select $1, source, subject, 0 from unnest($2::text[], $3::text[]) as wanted (source, subject)"
        " on conflict do nothing returning source, subject",
        consumer,
        sources,
        subjects,
    )
    applied |= {(row["source"], row["subject"]): 0 for row in rows}
    # Another consumer may have begun with some of them meanwhile: its transaction was waited for.
    return applied | await _lock_known(tx, consumer, new - applied.keys())


async def _lock_known(tx: Transaction, consumer: str, keys: Collection[AggregateKey]) -> dict[AggregateKey, int]:
    if not keys:
        return {}
    # Plan: one primary key probe per wanted row.
    rows = await tx.fetch(
        "select source, subject, sequence from applied"
        " where consumer = $1 and (source, subject) in (select * from unnest($2::text[], $3::text[]))"
        " order by source, subject for update",
        consumer,
        *_columns(keys),
    )
    return {(row["source"], row["subject"]): row["sequence"] for row in rows}


def _columns(keys: Collection[AggregateKey]) -> tuple[list[str], list[str]]:
    ordered = sorted(keys)
    return [source for source, _ in ordered], [subject for _, subject in ordered]


async def save_applied(tx: Transaction, consumer: str, applied: dict[AggregateKey, int]) -> None:
    """Move the aggregates on to these sequences."""
    if not applied:
        return
    await tx.execute(
        "update applied set sequence = moved.sequence"
        " from unnest($2::text[], $3::text[], $4::bigint[]) as moved (source, subject, sequence)"
        " where applied.consumer = $1 and applied.source = moved.source and applied.subject = moved.subject",
        consumer,
        [source for source, _ in applied],
        [subject for _, subject in applied],
        list(applied.values()),
    )


async def handled_inbox(tx: Transaction, consumer: str, events: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Of these (source, id), those that were handled before."""
    ordered = sorted(events)
    # Plan: one primary key probe per event.
    rows = await tx.fetch(
        "select source, event_id from inbox"
        " where consumer = $1 and (source, event_id) in (select * from unnest($2::text[], $3::text[]))",
        consumer,
        [source for source, _ in ordered],
        [event_id for _, event_id in ordered],
    )
    return {(row["source"], row["event_id"]) for row in rows}


async def claim_inbox(tx: Transaction, consumer: str, events: Collection[tuple[str, str]]) -> None:
    """These (source, id) count as handled once the transaction commits.

    Raises TransientError when another transaction handled one of them meanwhile: the batch then has to look again.
    """
    ordered = sorted(events)
    tag = await tx.execute(
        "insert into inbox (consumer, source, event_id)"
        " select $1, source, event_id from unnest($2::text[], $3::text[]) as claimed (source, event_id)"
        " on conflict do nothing",
        consumer,
        [source for source, _ in ordered],
        [event_id for _, event_id in ordered],
    )
    if int(tag.rsplit(" ", 1)[-1]) != len(ordered):
        raise TransientError("another consumer handled one of these events at the same moment")


async def prune_inbox(tx: Transaction, *, older_than_seconds: int) -> int:
    """Forget events that their topic no longer holds; returns how many."""
    tag = await tx.execute(
        "delete from inbox where received_at < now() - make_interval(secs => $1::double precision)", older_than_seconds
    )
    return int(tag.rsplit(" ", 1)[-1])
