"""The log's way out and back: every record of every topic below the instant, at the same place and time."""

import asyncio
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from opora_chassis.consume.consumers import group_of
from opora_cli.backup.manifest import BackedUpPartition, Manifest
from opora_cli.backup.records import LogRecord, RecordFile, read_records
from opora_cli.backup.together import together
from opora_cli.errors import NOT_RUNNING, CommandError
from opora_contracts import wire

Progress = Callable[[int], None]
"""Told how many records are done so far."""

_POLL_MS = 500
_POLL_RECORDS = 5_000
_STALLED_SECONDS = 60.0
_FETCH_BYTES = 4_000_000
_BATCH_BYTES = 900_000
"""A broker takes batches of 1 MiB by default."""
_REQUEST_BYTES = 64_000_000
_PUBLISH_SECONDS = 60.0


class LogStalledError(CommandError):
    """The broker gives nothing more although the log goes on."""

    def __init__(self, partition: TopicPartition, position: int, end: int) -> None:
        super().__init__(
            f"the broker gave nothing of {partition.topic}/{partition.partition} for {_STALLED_SECONDS:.0f} s,"
            f" at offset {position} of {end}",
            next_command="opora doctor",
            exit_code=NOT_RUNNING,
        )


async def export_log(
    bootstrap: str,
    begins: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
    directory: Path,
    on_progress: Progress,
) -> dict[str, dict[int, BackedUpPartition]]:
    """Write every record from the topics' beginnings to these ends, a file a partition, and say what there is.

    Raises LogStalledError when the broker stops giving.
    """
    wire.install()
    wanted = {partition: end for partition, end in ends.items() if end > begins[partition]}
    files = await _export(bootstrap, begins, wanted, directory, on_progress) if wanted else {}
    described: dict[str, dict[int, BackedUpPartition]] = {}
    for partition, end in sorted(ends.items()):
        written = files.get(partition)
        described.setdefault(partition.topic, {})[partition.partition] = BackedUpPartition(
            first_offset=begins[partition],
            end_offset=end,
            records=0 if written is None else written.count,
            file=None if written is None else file_of(partition),
            last_record=None if written is None or written.last is None else written.last.fingerprint,
        )
    return described


async def _export(
    bootstrap: str,
    begins: Mapping[TopicPartition, int],
    wanted: Mapping[TopicPartition, int],
    directory: Path,
    on_progress: Progress,
) -> dict[TopicPartition, RecordFile]:
    files: dict[TopicPartition, RecordFile] = {}
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False, max_partition_fetch_bytes=_FETCH_BYTES
    )
    await consumer.start()
    try:
        consumer.assign(list(wanted))
        for partition in wanted:
            consumer.seek(partition, begins[partition])
        await _read(consumer, wanted, files, directory, on_progress)
    finally:
        await consumer.stop()
        for file in files.values():
            file.close()
    return files


def file_of(partition: TopicPartition) -> str:
    """The file of a partition, below the backup's directory."""
    return f"topics/{partition.topic}/{partition.partition:02}.jsonl.gz"


async def _read(
    consumer: AIOKafkaConsumer,
    wanted: Mapping[TopicPartition, int],
    files: dict[TopicPartition, RecordFile],
    directory: Path,
    on_progress: Progress,
) -> None:
    left, done, moved_at = set(wanted), 0, time.monotonic()
    while left:
        batches = await consumer.getmany(*left, timeout_ms=_POLL_MS, max_records=_POLL_RECORDS)
        for partition, raw in batches.items():
            records = [as_record(one) for one in raw if one.offset < wanted[partition]]
            if partition not in files:
                files[partition] = RecordFile(directory / file_of(partition))
            await asyncio.to_thread(files[partition].append, records)
            done += len(records)
        for partition in list(left):
            # The position, not the last record: a transaction's end takes an offset and is no record.
            if await consumer.position(partition) >= wanted[partition]:
                left.remove(partition)
                consumer.pause(partition)
        if batches:
            moved_at = time.monotonic()
            on_progress(done)
        elif time.monotonic() - moved_at > _STALLED_SECONDS:
            stuck = next(iter(left))
            raise LogStalledError(stuck, await consumer.position(stuck), wanted[stuck])


def as_record(raw: Any) -> LogRecord:
    """A record of aiokafka as ours."""
    return LogRecord(raw.offset, raw.timestamp, raw.key, raw.value, tuple(raw.headers))


class Renumbered:
    """Where each record of a partition stands after the restore: they are numbered from 0 again, without holes.

    The same as before where the topic kept everything from offset 0, as fact topics do.
    """

    def __init__(self, partition: BackedUpPartition, offsets: Sequence[int] | None) -> None:
        self._partition = partition
        self._offsets = None if offsets is None else {offset: at for at, offset in enumerate(offsets)}
        self._ordered = offsets

    @classmethod
    def of(cls, directory: Path, partition: BackedUpPartition) -> "Renumbered":
        """The numbering of a partition; its file is read only where records do not follow each other."""
        whole = partition.records == partition.end_offset - partition.first_offset
        if whole or partition.file is None:
            return cls(partition, None)
        return cls(partition, [record.offset for record in read_records(directory / partition.file)])

    def record(self, offset: int) -> int:
        """Where this record stands now; for one that the topic had dropped before the backup, a number below 0."""
        known = None if self._offsets is None else self._offsets.get(offset)
        return self.position(offset) if known is None else known

    def position(self, offset: int) -> int:
        """The position that means the same: how many of the records stand below this offset."""
        if offset < self._partition.first_offset or self._ordered is None:
            return offset - self._partition.first_offset
        return bisect_left(self._ordered, offset)


class LogWriter:
    """Publishes records to the partitions that are named, in order per partition. Made by `open`."""

    def __init__(self, plain: AIOKafkaProducer, packed: AIOKafkaProducer) -> None:
        self._plain = plain
        self._packed = packed
        self._waiting: dict[TopicPartition, list[LogRecord]] = {}
        self._waiting_bytes: dict[TopicPartition, int] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, bootstrap: str) -> AsyncIterator["LogWriter"]:
        """Connect; what was added and not yet published is published at the end of the block."""
        plain, packed = _producer(bootstrap, None), _producer(bootstrap, "gzip")
        try:
            await plain.start()
            await packed.start()
            writer = cls(plain, packed)
            yield writer
            for place in list(writer._waiting):
                await writer._flush(place)
        finally:
            await asyncio.gather(plain.stop(), packed.stop(), return_exceptions=True)

    async def add(self, place: TopicPartition, record: LogRecord) -> None:
        """Publish the record, soon, together with its neighbours."""
        size = size_of(record)
        if self._waiting_bytes.get(place, 0) + size > _BATCH_BYTES:
            await self._flush(place)
        self._waiting.setdefault(place, []).append(record)
        self._waiting_bytes[place] = self._waiting_bytes.get(place, 0) + size

    async def publish(self, place: TopicPartition, records: Sequence[LogRecord]) -> int:
        """Publish as one batch, and return the offset of its first record, which is acknowledged then."""
        # A record that was compressed on its way in may be larger than a broker takes; it is compressed again.
        fits = sum(map(size_of, records)) <= _BATCH_BYTES
        producer = self._plain if fits else self._packed
        batch = producer.create_batch()
        for record in records:
            added = batch.append(
                key=record.key, value=record.value, timestamp=record.timestamp_ms, headers=list(record.headers)
            )
            if added is None:
                raise RuntimeError("records that were measured to fit into a batch must fit")
        batch.close()
        async with asyncio.timeout(_PUBLISH_SECONDS):
            sent = await producer.send_batch(batch, place.topic, partition=place.partition)
            acknowledged = await sent
        return int(acknowledged.offset)

    async def _flush(self, place: TopicPartition) -> None:
        records = self._waiting.pop(place, [])
        self._waiting_bytes.pop(place, None)
        if records:
            await self.publish(place, records)


async def import_log(bootstrap: str, directory: Path, manifest: Manifest, on_progress: Progress) -> None:
    """Publish every record of the backup to its own partition, in order, with its own time, on empty topics.

    Raises CommandError when a record does not come to stand where it should: then somebody else publishes.
    """
    counts: dict[TopicPartition, int] = {}

    async def fill(writer: LogWriter, place: TopicPartition, path: Path) -> None:
        for batch in batches(read_records(path)):
            stands_at, wanted = await writer.publish(place, batch), counts.get(place, 0)
            if stands_at != wanted:
                raise CommandError(
                    f"a record of {place.topic}/{place.partition} came to stand at offset {stands_at} instead of"
                    f" {wanted}: something else publishes to this broker. Stop it, empty the topic and restore again"
                )
            counts[place] = wanted + len(batch)
            on_progress(sum(counts.values()))

    async with LogWriter.open(bootstrap) as writer:
        await together(
            *(
                fill(writer, TopicPartition(topic, number), directory / partition.file)
                for topic, partitions in manifest.topics.items()
                for number, partition in partitions.items()
                if partition.file is not None
            )
        )


async def set_positions(bootstrap: str, positions: Mapping[str, Mapping[str, Mapping[int, int]]]) -> None:
    """Let each service's consumers begin at these positions. Raises CommandError when one of them is at work."""
    for service, topics in positions.items():
        for topic, offsets in topics.items():
            if not offsets:
                continue
            consumer = AIOKafkaConsumer(
                bootstrap_servers=bootstrap, group_id=group_of(service, topic), enable_auto_commit=False
            )
            await consumer.start()
            try:
                partitions = {TopicPartition(topic, number): offset for number, offset in offsets.items()}
                consumer.assign(list(partitions))
                await consumer.commit({at: OffsetAndMetadata(offset, "") for at, offset in partitions.items()})
            except KafkaError as error:
                raise CommandError(
                    f"the position of {service} on {topic} cannot be set ({type(error).__name__}):"
                    " stop the services first",
                    next_command="opora status",
                ) from error
            finally:
                await consumer.stop()


def _producer(bootstrap: str, compression: str | None) -> AIOKafkaProducer:
    return AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=False,
        compression_type=compression,
        max_batch_size=_BATCH_BYTES,
        max_request_size=_REQUEST_BYTES,
        request_timeout_ms=30_000,
    )


def batches(records: Iterable[LogRecord]) -> Iterator[list[LogRecord]]:
    """Runs of records that fit into a batch; a record that alone does not is a run of its own."""
    run: list[LogRecord] = []
    filled = 0
    for record in records:
        size = size_of(record)
        if run and filled + size > _BATCH_BYTES:
            yield run
            run, filled = [], 0
        run.append(record)
        filled += size
    if run:
        yield run


def size_of(record: LogRecord) -> int:
    """At least the bytes that the record takes in a batch."""
    headers = sum(10 + 4 * len(name) + len(value or b"") for name, value in record.headers)
    return 60 + len(record.key or b"") + len(record.value or b"") + headers
