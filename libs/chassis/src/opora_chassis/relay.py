"""The relay: moves facts from the outbox to their topics, in order per key, at least once.

The outbox is divided into shards by partition; a session advisory lock gives each shard to one relay at a time. A row
is deleted after the broker has acknowledged it, so that a relay killed in between sends it again and consumers see a
duplicate. A broker or a database that does not answer makes the relay wait and try again; nothing waits unbounded.
"""

import asyncio
import random
import time
from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import asyncpg
import structlog
from aiokafka import AIOKafkaProducer
from prometheus_client import Counter, Gauge
from pydantic_core import from_json

from opora_chassis.back_off import outage_pause
from opora_chassis.errors import is_transient
from opora_chassis.marks import MarkPublisher, MarkSource
from opora_chassis.platform import Platform
from opora_contracts import TOPICS, recovery

log = structlog.get_logger()

PUBLISHED = Counter("opora_published_events_total", "Facts acknowledged by the broker", ["service", "topic"])
OUTBOX_DEPTH = Gauge("opora_outbox_rows", "Facts waiting in the outbox (estimate)", ["service"])
OUTBOX_AGE = Gauge("opora_outbox_oldest_seconds", "Age of the oldest fact in the outbox", ["service"])
STALLED = Gauge("opora_relay_stalled_seconds", "Seconds without an empty outbox or an acknowledgement", ["service"])
SHARDS_HELD = Gauge("opora_relay_shards", "Outbox shards that this relay drains", ["service"])

SHARD_LOCKS = 709_100_001
"""The first key of the advisory lock that a relay holds for each of its shards."""
_MEMBER_CLASS = 709_100_002
_BATCH_ROWS = 1000
_BATCHES_OF_A_PASS = 8
_BATCH_BYTES = 1_000_000
_BUSY_POLL_SECONDS = 0.005
_IDLE_POLL_SECONDS = 0.025
_SHARE_SECONDS = 1.0
_PUBLISH_DEADLINE_SECONDS = 30.0
_MOST_PARTITIONS = max(topic.partitions for topic in TOPICS)


def shard_share(shards: int, members: int) -> int:
    """How many shards each of `members` relays should hold: all are covered, none holds more than its part."""
    return -(-shards // max(members, 1))


class Relay:
    """Drains the outbox of one service until it is told to stop. Several may run: they divide the shards."""

    def __init__(self, platform: Platform, mark_source: MarkSource | None = None) -> None:
        recovery.install()
        self._platform = platform
        self._settings = platform.settings
        self._marks = None if mark_source is None else MarkPublisher(platform, mark_source)
        self._held: set[int] = set()
        self._connection: Any = None
        self._producer: AIOKafkaProducer | None = None
        self._last_progress = time.monotonic()

    def stalled_seconds(self) -> float:
        """Seconds since the relay last found its outbox empty or got an acknowledgement."""
        return time.monotonic() - self._last_progress

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until `stop` is set, then drain once more and return. Failures are waited out, 1 s at most apart."""
        STALLED.labels(self._platform.service).set_function(self.stalled_seconds)
        failures = 0
        while not stop.is_set():
            try:
                await self._open()
                failures = 0
                await self._drain_until(stop)
            except Exception as error:
                if not is_transient(error):
                    raise
                failures += 1
                pause = outage_pause(failures, jitter=random.random())  # noqa: S311
                log.warning("relay_waits", error=repr(error), attempt=failures, seconds=round(pause, 2))
                await _wait(stop, pause)
            finally:
                await self._close()

    async def _open(self) -> None:
        self._connection = await asyncpg.connect(
            self._settings.database_dsn.get_secret_value(),
            timeout=5,
            command_timeout=30,
            server_settings={
                "application_name": f"opora-{self._platform.service}-relay",
                # It only deletes what the broker has. After a crash of the server the last of it may be sent again.
                "synchronous_commit": "off",
                # A relay whose host vanished must give its shards back.
                "tcp_keepalives_idle": "3",
                "tcp_keepalives_interval": "1",
                "tcp_keepalives_count": "3",
            },
        )
        await self._measure()  # also while the broker is away and the outbox grows
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.kafka_bootstrap,
            acks="all",
            enable_idempotence=False,
            max_batch_size=_BATCH_BYTES,
            max_request_size=4 * _BATCH_BYTES,
            request_timeout_ms=10_000,
            metadata_max_age_ms=60_000,
        )
        await asyncio.wait_for(self._producer.start(), timeout=15)
        # Only now: a relay that cannot reach the broker has no part in the shards, and another one takes them all.
        await self._connection.execute("select pg_advisory_lock($1, pg_backend_pid())", _MEMBER_CLASS)

    async def _close(self) -> None:
        connection, producer = self._connection, self._producer
        self._connection, self._producer = None, None
        self._held.clear()
        SHARDS_HELD.labels(self._platform.service).set(0)
        if producer is not None:
            try:
                await asyncio.wait_for(producer.stop(), timeout=5)
            except Exception as error:  # noqa: BLE001  closing is best effort; the process goes on
                log.debug("relay_producer_close_failed", error=repr(error))
        if connection is not None:
            connection.terminate()

    async def _drain_until(self, stop: asyncio.Event) -> None:
        next_share = 0.0
        busy_until = 0.0
        while True:
            if time.monotonic() >= next_share:
                await self._balance()
                await self._measure()
                next_share = time.monotonic() + _SHARE_SECONDS
            if self._marks is not None:
                await self._marks.open(self._connection, self._partitions())
            self._platform.database.outbox_written.clear()
            last_row, exhausted = await self._pass()
            if last_row is not None:
                busy_until = time.monotonic() + 1
            if self._marks is not None and self._producer is not None:
                await self._marks.close(self._producer, last_row, exhausted=exhausted)
            self._last_progress = time.monotonic()
            if exhausted:
                if stop.is_set():
                    return
                poll = _BUSY_POLL_SECONDS if time.monotonic() < busy_until else _IDLE_POLL_SECONDS
                await _wait(self._platform.database.outbox_written, poll)

    def _partitions(self) -> list[int]:
        shards = self._settings.relay_shards
        return [partition for partition in range(_MOST_PARTITIONS) if partition % shards in self._held]

    async def _pass(self) -> tuple[int | None, bool]:
        """Send and delete from the outbox's beginning on; returns the last row's id and whether nothing more was there.

        While the broker takes one batch the database deletes the one before and reads the next, which lies behind it.
        Every pass begins anew, and ends after some batches: a row that was committed late has a lower id than others.
        """
        rows, sent = await self._read(after=0), list[asyncpg.Record]()
        last_row, exhausted = None, True
        for further in reversed(range(_BATCHES_OF_A_PASS)):
            if not rows:
                break
            last_row, exhausted = rows[-1]["id"], len(rows) < _BATCH_ROWS
            publishing = asyncio.create_task(self._publish(rows))
            try:
                await self._delete(sent)
                behind = await self._read(after=last_row) if further and not exhausted else []
                await publishing
            finally:
                publishing.cancel()
                await asyncio.gather(publishing, return_exceptions=True)
            rows, sent = behind, rows
        await self._delete(sent)
        return last_row, exhausted

    async def _read(self, *, after: int) -> list[asyncpg.Record]:
        if not self._held:
            return []
        # Plan: primary key scan in id order, the filter passes all rows when one relay holds every shard.
        rows: list[asyncpg.Record] = await self._connection.fetch(
            "select id, topic, partition, key, value, headers from outbox"
            " where partition = any($1::integer[]) and id > $2 order by id limit $3",
            self._partitions(),
            after,
            _BATCH_ROWS,
        )
        return rows

    async def _publish(self, rows: Sequence[asyncpg.Record]) -> None:
        groups: dict[tuple[str, int], list[asyncpg.Record]] = defaultdict(list)
        for row in rows:
            groups[row["topic"], row["partition"]].append(row)
        async with asyncio.timeout(_PUBLISH_DEADLINE_SECONDS):
            await asyncio.gather(*(self._send(topic, partition, group) for (topic, partition), group in groups.items()))

    async def _delete(self, sent: Sequence[asyncpg.Record]) -> None:
        if not sent:
            return
        await self._connection.execute("delete from outbox where id = any($1::bigint[])", [row["id"] for row in sent])
        for topic, count in Tally(row["topic"] for row in sent).items():
            PUBLISHED.labels(self._platform.service, topic).inc(count)

    async def _send(self, topic: str, partition: int, rows: Sequence[asyncpg.Record]) -> None:
        """One batch in flight per partition keeps the order without an idempotent producer."""
        producer = self._producer
        if producer is None:
            raise RuntimeError("the relay sends only while it is open")
        batch = producer.create_batch()
        for number, _, _, key, value, pairs in rows:
            # Taken apart here, one row at a time: a thousand rows' headers at once keep the garbage collector busy.
            headers = [(name, text.encode()) for name, text in from_json(pairs, cache_strings="none")]
            if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
                await self._flush(batch, topic, partition)
                batch = producer.create_batch()
                if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
                    raise RuntimeError(f"outbox row {number} is larger than the largest batch ({_BATCH_BYTES} bytes)")
        await self._flush(batch, topic, partition)

    async def _flush(self, batch: Any, topic: str, partition: int) -> None:
        count = batch.record_count()
        batch.close()
        if self._producer is None or count == 0:
            return
        name = self._settings.topic_prefix + topic
        acknowledged = await (await self._producer.send_batch(batch, name, partition=partition))
        if self._marks is not None:
            self._marks.sent(topic, partition, acknowledged.offset + count)

    async def _balance(self) -> None:
        """Hold a fair part of the shards: take what is free, give back what is too much."""
        shards = self._settings.relay_shards
        members = await self._connection.fetchval(
            "select count(*) from pg_locks where locktype = 'advisory' and classid = $1::bigint::oid and granted"
            " and database = (select oid from pg_database where datname = current_database())",
            _MEMBER_CLASS,
        )
        share = shard_share(shards, members)
        for shard in sorted(self._held, reverse=True)[: max(0, len(self._held) - share)]:
            await self._connection.execute("select pg_advisory_unlock($1, $2)", SHARD_LOCKS, shard)
            self._held.discard(shard)
        for shard in range(shards):
            if len(self._held) >= share:
                break
            if shard not in self._held and await self._connection.fetchval(
                "select pg_try_advisory_lock($1, $2)", SHARD_LOCKS, shard
            ):
                self._held.add(shard)
                log.info("relay_shard_taken", shard=shard, held=sorted(self._held))
        SHARDS_HELD.labels(self._platform.service).set(len(self._held))

    async def _measure(self) -> None:
        row = await self._connection.fetchrow(
            "select (select coalesce(extract(epoch from clock_timestamp() - created_at), 0)"
            " from outbox order by id limit 1) as oldest,"
            " (select count(*) from (select 1 from outbox limit 10000) as sample) as depth"
        )
        OUTBOX_DEPTH.labels(self._platform.service).set(row["depth"])
        OUTBOX_AGE.labels(self._platform.service).set(row["oldest"] or 0)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), timeout=seconds)
    except TimeoutError:
        return
