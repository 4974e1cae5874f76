"""Runs a service with one of its safeguards taken out, to see whether the harness notices. Used by tests alone.

    python tests/faults/sabotage.py no_inbox opora_intake consume

The services contain nothing of this: a switch replaces functions here, before the service starts.
"""

import os
import re
import runpy
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import asyncpg


def _replace(owner: Any, name: str, by: Any) -> None:
    """A switch that finds nothing to replace would prove nothing."""
    if not hasattr(owner, name):
        raise LookupError(f"{owner!r} has no {name} to replace: look at tests/faults/sabotage.py")
    setattr(owner, name, by)


def skip_sequence_guard() -> None:
    """Every fact counts as new, whatever its number."""
    from opora_chassis.consume import batch

    def judge(self: Any, event: Any) -> tuple[str, str]:
        self._moved[event.source, event.subject] = event.sequence
        return "next", ""

    _replace(batch._Sieve, "_judge_fact", judge)


def skip_inbox() -> None:
    """Every foreign event counts as new."""
    from opora_chassis.consume import batch, guards

    async def nothing_handled(*_: Any) -> set[tuple[str, str]]:
        return set()

    async def claim_nothing(*_: Any) -> None:
        return None

    _replace(guards, "handled_inbox", nothing_handled)
    _replace(guards, "claim_inbox", claim_nothing)
    _replace(batch._Sieve, "_judge_foreign", lambda _self, _event: ("next", ""))


def publish_before_commit() -> None:
    """Facts are in the outbox, and on their way, before the state that they tell of is durable."""
    from opora_chassis import outbox

    write = outbox.write
    pools: list[Any] = []

    async def write_apart(_connection: Any, source: str, events: Sequence[Any]) -> None:
        if not pools:
            pools.append(await asyncpg.create_pool(os.environ["OPORA_DATABASE_DSN"], min_size=1, max_size=2))
        async with pools[0].acquire() as other:
            await write(other, source, events)

    _replace(outbox, "write", write_apart)


def _always_due() -> None:
    """The timers judge whenever they look."""
    from opora_sla.store import cases

    look = cases.look

    async def always(database: Any) -> Any:
        return (await look(database))._replace(due=True)

    _replace(cases, "look", always)


def timers_by_wall_clock() -> None:
    """Clocks are judged by what time it is, not by how far the facts were seen."""
    from opora_contracts.vocabulary import Evidence
    from opora_sla import timers
    from opora_sla.store import cases

    async def judge_by_now(tx: Any, clock: Any) -> int:
        claimed = await cases.claim_blind(tx, range(12), tx.now, 200)
        await timers._judge(tx, clock, claimed, Evidence.COMPLETE)
        return len(claimed)

    _always_due()
    _replace(timers, "judge_due", judge_by_now)


def relay_by_last_id() -> None:
    """The relay remembers the last id that it sent and reads on from there."""
    from opora_chassis.relay import Relay

    async def read_on(self: Any, *, after: int) -> list[Any]:
        if not self._held:
            return []
        rows = await self._connection.fetch(
            "select id, topic, partition, key, value, headers from outbox"
            " where partition = any($1::integer[]) and id > $2 order by id limit 1000",
            self._partitions(),
            getattr(self, "last_id", 0),
        )
        self.last_id = max([getattr(self, "last_id", 0), *(row["id"] for row in rows)])
        return list(rows)

    _replace(Relay, "_read", read_on)


def acknowledge_before_effect() -> None:
    """Offsets are committed before the batch had its effect."""
    from opora_chassis.consume.consumers import _Stream

    consume = _Stream._consume

    async def acknowledge_first(self: Any, records: Any) -> None:
        await self._subscriber.consumer.commit()
        await consume(self, records)

    _replace(_Stream, "_consume", acknowledge_first)


def no_row_lock() -> None:
    """Rows are read without being locked."""
    from opora_chassis.database import Transaction

    for name in ("fetch", "fetchrow", "fetchval"):
        _replace(Transaction, name, _unlocked(getattr(Transaction, name)))


_LOCK = re.compile(r"\s+for update(?:\s+of\s+\w+)?(?:\s+skip locked)?")


def _unlocked(read: Callable[..., Any]) -> Callable[..., Any]:
    async def reading(self: Any, sql: str, *arguments: Any) -> Any:
        return await read(self, _LOCK.sub("", sql), *arguments)

    return reading


def ledger_without_key() -> None:
    """Notify's ledger takes the same message twice."""
    from opora_chassis.database import Transaction

    fetch = Transaction.fetch

    async def freely_fetch(self: Any, sql: str, *arguments: Any) -> list[Any]:
        if "insert into notifications" in sql:
            await self.execute(
                "alter table notifications drop constraint if exists"
                " notifications_event_source_event_id_channel_recipient_key"
            )
        return await fetch(self, sql, *arguments)

    _replace(Transaction, "fetch", freely_fetch)


def timers_by_local_clock() -> None:
    """The timers ask the host what time it is, and this host is two seconds ahead of the database."""
    from opora_chassis.clock import host_now
    from opora_contracts.vocabulary import Evidence
    from opora_sla import timers
    from opora_sla.store import cases

    async def judge_by_host(tx: Any, clock: Any) -> int:
        claimed = await cases.claim_blind(tx, range(12), host_now() + timedelta(seconds=2), 200)
        await timers._judge(tx, clock, claimed, Evidence.COMPLETE)
        return len(claimed)

    _always_due()
    _replace(timers, "judge_due", judge_by_host)


def no_parking() -> None:
    """What follows a dead letter under its key is handled as if nothing had happened."""
    from opora_chassis.consume import dead_letters

    bury = dead_letters.bury

    async def bury_alone(tx: Any, consumer: str, burials: Any) -> None:
        await bury(tx, consumer, burials)
        await tx.execute("delete from parked_keys")

    _replace(dead_letters, "bury", bury_alone)


def swallow_an_error() -> None:
    """The first transient failure of a batch is taken for success."""
    from opora_chassis.consume import batch
    from opora_chassis.errors import is_transient

    apply_together = batch.BatchConsumer._apply_together

    async def apply_or_not(self: Any, deliveries: Any) -> dict[str, int]:
        try:
            return await apply_together(self, deliveries)
        except Exception as error:
            if not is_transient(error):
                raise
            return {}

    _replace(batch.BatchConsumer, "_apply_together", apply_or_not)


def begin_at_latest() -> None:
    """A group without a position begins at the end of its topic."""
    from faststream.kafka import KafkaBroker

    subscriber = KafkaBroker.subscriber

    def latest(self: Any, *topics: str, **options: Any) -> Any:
        return subscriber(self, *topics, **{**options, "auto_offset_reset": "latest"})

    _replace(KafkaBroker, "subscriber", latest)


SWITCHES: dict[str, Callable[[], None]] = {
    switch.__name__: switch
    for switch in (
        skip_sequence_guard,
        skip_inbox,
        publish_before_commit,
        timers_by_wall_clock,
        relay_by_last_id,
        acknowledge_before_effect,
        no_row_lock,
        ledger_without_key,
        timers_by_local_clock,
        no_parking,
        swallow_an_error,
        begin_at_latest,
    )
}


def main() -> None:
    """Take out the safeguard of the first argument and run the module of the second, with the rest as its arguments."""
    switch, module, *rest = sys.argv[1:]
    SWITCHES[switch]()
    sys.argv = [module, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
