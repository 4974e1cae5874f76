"""Gathering what the checks look at: topics, databases, mail."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from opora_cli import store
from opora_cli.checks.history import Clock, Record, ServiceState
from opora_cli.checks.store import known_tickets, messages_in_hand
from opora_contracts import TOPICS, Event
from opora_contracts.codec import decode
from opora_contracts.envelope import identity_of
from opora_contracts.errors import UndecodableEvent
from opora_contracts.topics import PROGRESS

_SURVEY_LINK = re.compile(r"https?://[^\s\"'<>]+?/s/([A-Za-z0-9_-]+)/([1-5])")
_TICKET_NUMBER = re.compile(r"\bOP-\d+\b")
_POLL_MS = 200


class Reader(Protocol):
    """What is needed of a client."""

    async def get(self, path: str, **parameters: Any) -> Any:
        """Read."""


class TopicReader:
    """Follows every fact topic from its beginning, in no consumer group. `events` grows while `follow` runs.

    `records` are the same with their places, and those that hold no known event; a partition's in order of offset.
    Progress marks are left out: there are four a second, and they tell nothing about a ticket.
    """

    def __init__(self, bootstrap: str) -> None:
        self.events: dict[str, list[Event[Any]]] = {topic.name: [] for topic in TOPICS if topic is not PROGRESS}
        self.records: dict[str, list[Record]] = {name: [] for name in self.events}
        self.undecodable = 0
        self._bootstrap = bootstrap
        self._consumer: AIOKafkaConsumer | None = None

    async def start(self) -> None:
        """Connect. Raises a KafkaError when the broker does not answer."""
        self._consumer = AIOKafkaConsumer(bootstrap_servers=self._bootstrap, group_id=None, enable_auto_commit=False)
        await self._consumer.start()
        partitions = [
            TopicPartition(topic.name, partition)
            for topic in TOPICS
            if topic.name in self.events
            for partition in range(topic.partitions)
        ]
        self._consumer.assign(partitions)
        await self._consumer.seek_to_beginning(*partitions)

    async def stop(self) -> None:
        """Disconnect; what was read stays."""
        if self._consumer is not None:
            await self._consumer.stop()

    async def follow(self) -> None:
        """Read on and on, until cancelled."""
        while True:
            await self._read_some()

    async def read_to_end(self) -> None:
        """Read everything that stands on the topics at the time of the call."""
        consumer = self._connected()
        ends = await consumer.end_offsets(list(consumer.assignment()))
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            await self._read_some()

    async def _read_some(self) -> None:
        batches = await self._connected().getmany(timeout_ms=_POLL_MS, max_records=2000)
        for partition, records in batches.items():
            for raw in records:
                record = _record(raw)
                self.records[partition.topic].append(record)
                self.undecodable += record.problem is not None
                if record.event is not None:
                    self.events[partition.topic].append(record.event)

    def _connected(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise RuntimeError("call start() first")
        return self._consumer


def _record(raw: Any) -> Record:
    event, problem = None, None
    try:
        decoded = decode(raw.key, raw.value, raw.headers, partition=raw.partition, offset=raw.offset)
        event = decoded if isinstance(decoded, Event) else None
    except UndecodableEvent as error:
        problem = error.reason_code.value
    source, event_id = identity_of(raw.value, raw.headers)
    return Record(
        topic=raw.topic,
        partition=raw.partition,
        offset=raw.offset,
        timestamp=datetime.fromtimestamp(raw.timestamp / 1000, UTC),
        key=(raw.key or b"").decode("utf-8", "replace"),
        event=event,
        source=source,
        event_id=event_id,
        problem=problem,
    )


async def read_services(dsns: Mapping[str, str]) -> dict[str, ServiceState]:
    """What every service's database holds now."""
    states = await asyncio.gather(*(_read_service(service, dsn) for service, dsn in dsns.items()))
    return dict(zip(dsns, states, strict=True))


async def read_open_clocks(sla: Reader) -> dict[Clock, datetime | None]:
    """The due dates of the clocks that run, as sla's interface gives them."""
    found: dict[Clock, datetime | None] = {}
    cursor: str | None = None
    while True:
        page = await sla.get("/v1/clocks", outcome="open", cursor=cursor, limit=200)
        for item in page["items"]:
            if item["state"] == "running":
                clock = (UUID(item["ticket_id"]), str(item["metric"]), int(item["cycle"]))
                found[clock] = datetime.fromisoformat(item["due_at"]) if item["due_at"] else None
        cursor = page["next_cursor"]
        if cursor is None:
            return found


async def consumer_lags(bootstrap: str) -> dict[str, int]:
    """How many records each service has not acknowledged yet, over all the topics that it consumes."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False)
    try:
        await asyncio.gather(admin.start(), consumer.start())
        groups = [group for group, *_ in await admin.list_consumer_groups()]
        lags: dict[str, int] = {}
        for service in {service for topic in TOPICS for service in topic.consumers}:
            partitions = [
                TopicPartition(topic.name, partition)
                for topic in TOPICS
                # Marks are read by nobody's group: each process of sla follows them for itself.
                if service in topic.consumers and topic is not PROGRESS
                for partition in range(topic.partitions)
            ]
            committed = await _committed(admin, [group for group in groups if group.startswith(f"opora-{service}")])
            ends = await consumer.end_offsets(partitions)
            lags[service] = sum(end - committed.get(partition, 0) for partition, end in ends.items())
        return lags
    finally:
        await asyncio.gather(admin.close(), consumer.stop())


async def _committed(admin: AIOKafkaAdminClient, groups: Sequence[str]) -> dict[TopicPartition, int]:
    found: dict[TopicPartition, int] = {}
    for group in groups:
        for partition, position in (await admin.list_consumer_group_offsets(group)).items():
            found[partition] = max(found.get(partition, 0), position.offset)
    return found


async def _read_service(service: str, dsn: str) -> ServiceState:
    connection = await store.connect(dsn)
    try:
        return ServiceState(
            tickets=await known_tickets(connection, service),
            outbox_rows=(await store.outbox_state(connection)).depth,
            dead_letters=await store.dead_letter_count(connection),
            parked_keys=await store.parked_key_count(connection),
            messages_in_hand=await messages_in_hand(connection) if service == "notify" else 0,
        )
    finally:
        await connection.close()


def read_mail(path: Path) -> EmailMessage:
    """One message that the mail sink wrote."""
    with path.open("rb") as file:
        return BytesParser(_class=EmailMessage, policy=policy.default).parse(file)


def survey_link(mail: EmailMessage) -> tuple[str, str] | None:
    """The ticket's number and the survey's token, when the mail asks for a rating."""
    body = mail.get_body(preferencelist=("plain", "html"))
    text = body.get_content() if body is not None else ""
    link = _SURVEY_LINK.search(text)
    number = _TICKET_NUMBER.search(f"{mail['subject']} {text}")
    return (number[0], link[1]) if link and number else None


class SurveyMail:
    """The surveys in a directory of mail, each message read once, however often one looks."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._tokens: dict[str, set[str]] = {}
        self._read: set[str] = set()

    @property
    def tokens(self) -> dict[str, frozenset[str]]:
        """The survey tokens that were mailed, by ticket number, as of the last look."""
        return {number: frozenset(tokens) for number, tokens in self._tokens.items()}

    def look(self) -> list[tuple[str, str]]:
        """Read what is new; the (ticket number, token) pairs that were not known before."""
        fresh: list[tuple[str, str]] = []
        for path in sorted(self.directory.glob("*.eml")):
            if path.name in self._read:
                continue
            self._read.add(path.name)
            link = survey_link(read_mail(path))
            if link is not None and link[1] not in self._tokens.setdefault(link[0], set()):
                self._tokens[link[0]].add(link[1])
                fresh.append(link)
        return fresh
