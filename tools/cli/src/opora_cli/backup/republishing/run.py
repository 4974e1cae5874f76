"""The course of publishing again, on a broker with nothing in it and databases that have everything."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from aiokafka import TopicPartition

from opora_chassis.identifiers import new_id
from opora_chassis.outbox import partition_of
from opora_chassis.topics import create_topics
from opora_cli.backup import store as backup_store
from opora_cli.backup.log import LogWriter, import_log, set_positions
from opora_cli.backup.manifest import Manifest
from opora_cli.backup.records import LogRecord, read_records
from opora_cli.backup.recovery.run import catch_up
from opora_cli.backup.republishing import store
from opora_cli.backup.republishing.store import KeptFact
from opora_cli.backup.restore import numbering_of, positions_of
from opora_cli.endpoints import Endpoints
from opora_cli.errors import PROBLEMS_FOUND, CommandError
from opora_cli.services import open_service
from opora_contracts import Event
from opora_contracts.codec import encode
from opora_contracts.fact import fact_type, versions_of
from opora_contracts.topics import CUSTOMERS, FEEDBACK, SLA, TICKETS, Topic

Say = Callable[[str], None]

_SOURCE = "/opora/intake"


@dataclass(frozen=True, slots=True)
class Republished:
    """What was published again, and what nobody can publish."""

    ticket_facts: int
    customer_facts: int
    missed_by_notify: int
    """Facts of sla and feedback that notify had not followed when the log was lost: nobody was told of them."""


async def republish(
    endpoints: Endpoints,
    directory: Path,
    backup: Path | None,
    manifest: Manifest | None,
    *,
    replication_factor: int,
    say: Say,
) -> Republished:
    """Fill an empty broker: with the backup's log, if there is one, then with all that intake knows beyond it.

    Every consumer gets what it has not seen yet, and drops the rest. The services must not run.
    Raises CommandError; what was published until then stays, and the broker has to be emptied before the next attempt.
    """
    bootstrap = endpoints.kafka_bootstrap
    await create_topics(bootstrap, replication_factor=replication_factor)
    highest: dict[str, int] = {}
    kept_below: dict[tuple[str, int], int] = {}
    if backup is not None and manifest is not None:
        await import_log(bootstrap, backup, manifest, lambda _records: None)
        numbering = await asyncio.to_thread(numbering_of, backup, manifest)
        await set_positions(bootstrap, positions_of(manifest, numbering))
        highest = await asyncio.to_thread(_highest, backup, manifest)
        kept_below = {
            (topic, number): partition.end_offset
            for topic, partitions in manifest.topics.items()
            for number, partition in partitions.items()
            if partition.first_offset == 0 and partition.records == partition.end_offset
        }
        say(f"{manifest.records:,} records of the backup's log are back")
    connection = await backup_store.connect(endpoints.services["intake"].database_dsn)
    try:
        tickets = await _publish(bootstrap, TICKETS, store.ticket_facts(connection), highest)
        customers = await _publish(bootstrap, CUSTOMERS, _each(await store.customer_facts(connection)), highest)
    finally:
        await connection.close()
    if "notify" in endpoints.services:
        # First what the log has for it: only what then is still missing is lost to it.
        async with open_service(endpoints, directory, "notify") as notify:
            await catch_up(notify.platform, notify.subscriptions)
    missed = await _pass_over(endpoints)
    for service in endpoints.services.values():
        await _count_down(service.database_dsn, kept_below)
    return Republished(tickets, customers, missed)


async def _publish(bootstrap: str, topic: Topic, facts: AsyncIterator[KeptFact], highest: dict[str, int]) -> int:
    """Publish what lies beyond the highest number that the log has of each subject; returns how many."""
    published = 0
    async with LogWriter.open(bootstrap) as writer:
        async for fact in facts:
            if fact.sequence <= highest.get(fact.subject, 0):
                continue
            record = _record(fact)
            await writer.add(TopicPartition(topic.name, partition_of(record.key or b"", topic.partitions)), record)
            published += 1
    return published


def _record(fact: KeptFact) -> LogRecord:
    versions = versions_of(fact.type)
    data_type = fact_type(fact.type, versions[-1]) if versions else None
    if data_type is None:
        raise CommandError(f"intake keeps a fact of type {fact.type}, which this release does not know")
    event_id = str(new_id())
    encoded = encode(
        Event(
            id=event_id,
            source=_SOURCE,
            type=fact.type,
            version=data_type.version,
            time=fact.time,
            subject=fact.subject,
            data=data_type.model_validate(fact.data),
            sequence=fact.sequence,
            key=fact.subject,
            correlation_id=event_id,
            actor=fact.actor,
            import_id=fact.import_id,
        )
    )
    return LogRecord(0, int(fact.time.timestamp() * 1000), encoded.key, encoded.value, encoded.headers)


async def _each(facts: Iterable[KeptFact]) -> AsyncIterator[KeptFact]:
    for fact in facts:
        yield fact


def _highest(backup: Path, manifest: Manifest) -> dict[str, int]:
    """The highest number of each ticket, customer and organisation on the backup's log."""
    highest: dict[str, int] = {}
    for topic in (TICKETS, CUSTOMERS):
        for partition in manifest.topics[topic.name].values():
            for record in read_records(backup / partition.file) if partition.file else ():
                headers = dict(record.headers)
                sequence, subject = headers.get("ce_sequence"), headers.get("ce_subject")
                if sequence is not None and subject is not None:
                    name = subject.decode()
                    highest[name] = max(int(sequence), highest.get(name, 0))
    return highest


async def _pass_over(endpoints: Endpoints) -> int:
    """Of what sla and feedback told, their databases keep numbers only: notify goes on after the last of them."""
    missed = 0
    for service, topic in (("sla", SLA), ("feedback", FEEDBACK)):
        if service not in endpoints.services or "notify" not in endpoints.services:
            continue
        owner = await backup_store.connect(endpoints.services[service].database_dsn)
        try:
            published = await store.published_numbers(owner, service)
        finally:
            await owner.close()
        follower = await backup_store.connect(endpoints.services["notify"].database_dsn)
        try:
            missed += await store.pass_over(follower, topic.name, f"/opora/{service}", published)
        finally:
            await follower.close()
    return missed


async def _count_down(dsn: str, kept_below: dict[tuple[str, int], int]) -> None:
    connection = await backup_store.connect(dsn)
    try:
        async with connection.transaction():
            await store.count_down_letters(connection, kept_below)
    finally:
        await connection.close()


def refuse_incomplete(republished: Republished) -> None:
    """Raises CommandError when somebody was not told of something, so that nobody overlooks it."""
    if republished.missed_by_notify:
        raise CommandError(
            f"{republished.missed_by_notify} facts of sla and feedback were lost with the log before notify had read"
            " them: the people they concern were not written to. Everything else is published again",
            next_command="opora up --detach",
            exit_code=PROBLEMS_FOUND,
        )
