"""The restored platform as it looks from outside: topics, databases, interfaces, mail; and what must be true of it."""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition

from opora_cli.backup.cut import KEPT_TOPICS
from opora_cli.backup.drill.work import HISTORY, Acknowledgement
from opora_cli.checks.gather import read_mail, read_open_clocks, read_services, survey_link
from opora_cli.checks.history import Acknowledged, Finding, History, ServiceState
from opora_cli.checks.rules import check
from opora_cli.client import ServiceClient
from opora_cli.endpoints import Endpoints
from opora_cli.errors import CommandError
from opora_contracts import Event, decode
from opora_contracts.errors import UndecodableEvent
from opora_contracts.tickets import TicketCreated

_LOOK_SECONDS = 0.25
_POLL_MS = 500
_HISTORY_HEADER = "ce_importid"


@dataclass(slots=True)
class Log:
    """Everything that stands on the topics. Facts of the imported history are counted, live ones are kept."""

    live: dict[str, list[Event[Any]]] = field(default_factory=lambda: {topic.name: [] for topic in KEPT_TOPICS})
    history_facts: int = 0
    history_tickets: set[str] = field(default_factory=set)
    undecodable: int = 0
    gaps: list[str] = field(default_factory=list)
    last: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """The last sequence of each (topic, source, subject)."""


async def read_log(bootstrap: str) -> Log:
    """Read every topic from its beginning to its end."""
    log = Log()
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic.name, number) for topic in KEPT_TOPICS for number in range(topic.partitions)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            batches = await consumer.getmany(timeout_ms=_POLL_MS, max_records=5_000)
            for partition, records in batches.items():
                for record in records:
                    _take(log, partition.topic, record)
    finally:
        await consumer.stop()
    return log


def _take(log: Log, topic: str, record: Any) -> None:
    headers = dict(record.headers)
    sequence = headers.get("ce_sequence")
    if sequence is not None:
        place = (topic, headers["ce_source"].decode(), headers["ce_subject"].decode())
        last = log.last.get(place, 0)
        if int(sequence) > last + 1:
            log.gaps.append(f"{topic} {place[2]}: {int(sequence)} follows {last}")
        log.last[place] = max(last, int(sequence))
    if _HISTORY_HEADER in headers:
        log.history_facts += 1
        if headers["ce_type"] == TicketCreated.event_type.encode():
            log.history_tickets.add(headers["ce_subject"].decode())
        return
    try:
        event = decode(record.key, record.value, record.headers, partition=record.partition, offset=record.offset)
    except UndecodableEvent:
        log.undecodable += 1
        return
    if isinstance(event, Event):
        log.live[topic].append(event)


@dataclass(frozen=True, slots=True)
class Expected:
    """What the world outside knows of the platform that was destroyed."""

    taken_at: datetime
    acknowledged: Sequence[Acknowledgement]
    history_tickets: int
    api_key: str
    mail_directory: Path
    letters_between: frozenset[str] = frozenset()
    """The names of letters that left after the backup's instant and before the destruction. The restored platform knows
    nothing of them: it may write again, and ask by another link."""

    @property
    def kept(self) -> list[Acknowledgement]:
        """What was acknowledged before the backup's instant."""
        return [one for one in self.acknowledged if one.at < self.taken_at]

    @property
    def lost(self) -> list[Acknowledgement]:
        """What was acknowledged after it: nobody promised this."""
        return [one for one in self.acknowledged if one.at >= self.taken_at]


async def look(endpoints: Endpoints, expected: Expected, until: datetime) -> tuple[list[Finding], Log]:
    """Gather, and apply every check."""
    log = await read_log(endpoints.kafka_bootstrap)
    dsns = {name: service.database_dsn for name, service in endpoints.services.items()}
    services = await read_services(dsns)
    sla = ServiceClient("sla", endpoints.services["sla"].url, endpoints.api_key)
    intake = ServiceClient("intake", endpoints.services["intake"].url, expected.api_key, connections=4)
    try:
        open_clocks = await read_open_clocks(sla)
        kept = _newest(expected.kept)
        versions = await _versions(intake, kept)
    finally:
        await asyncio.gather(sla.close(), intake.close())
    links = await asyncio.to_thread(_survey_links, expected)
    live = {str(event.data.ticket_id) for event in log.live["opora.tickets"] if isinstance(event.data, TicketCreated)}
    history = History(
        acknowledged=[Acknowledged(label=one.number, ticket_id=one.ticket_id) for one in kept.values()],
        events=log.live,
        services=services,
        judged_until=until,
        open_clocks={clock: due_at for clock, due_at in open_clocks.items() if str(clock[0]) in live},
        survey_links=links,
    )
    findings = [
        _nothing_acknowledged_is_missing(kept, versions),
        _history_is_whole(expected, log, services),
        Finding("no gap in any aggregate's facts, history included", len(log.last), tuple(log.gaps)),
        *check(history),
        await _links_still_work(endpoints, links, log),
    ]
    return findings, log


def _newest(acknowledged: Sequence[Acknowledgement]) -> dict[str, Acknowledgement]:
    newest: dict[str, Acknowledgement] = {}
    for one in acknowledged:
        known = newest.get(one.ticket_id)
        if known is None or known.version < one.version:
            newest[one.ticket_id] = one
    return newest


async def _versions(intake: ServiceClient, tickets: Collection[str]) -> dict[str, int]:
    """Each ticket's version as the interface gives it, asked for with the key of the destroyed platform."""

    async def version(ticket: str) -> int:
        try:
            return int((await intake.get(f"/v1/tickets/{ticket}"))["version"])
        except CommandError:
            return 0

    return dict(zip(tickets, await asyncio.gather(*(version(ticket) for ticket in tickets)), strict=True))


def _nothing_acknowledged_is_missing(kept: dict[str, Acknowledgement], versions: dict[str, int]) -> Finding:
    missing = [
        f"{one.number} was acknowledged in version {one.version}, and is there in {versions[ticket] or 'none'}"
        for ticket, one in kept.items()
        if versions[ticket] < one.version
    ]
    return Finding("RPO 0: everything acknowledged before the backup's instant is there", len(kept), tuple(missing))


def _history_is_whole(expected: Expected, log: Log, services: dict[str, ServiceState]) -> Finding:
    violations = []
    if len(log.history_tickets) != expected.history_tickets:
        violations.append(f"{len(log.history_tickets)} of {expected.history_tickets} are on the topic")
    for service in ("intake", "sla", "notify"):
        missing = log.history_tickets - services[service].tickets
        if missing:
            violations.append(f"{len(missing)} of the tickets on the topic are not in the database of {service}")
    return Finding(f"every ticket of the import {HISTORY} is everywhere", expected.history_tickets, (*violations,))


def _survey_links(expected: Expected) -> dict[str, frozenset[str]]:
    """The tokens of surveys in the mail, by ticket number, but for letters that the restored platform cannot know."""
    tokens: dict[str, set[str]] = {}
    for path in sorted(expected.mail_directory.glob("*.eml")):
        link = None if path.name in expected.letters_between else survey_link(read_mail(path))
        if link is not None:
            tokens.setdefault(link[0], set()).add(link[1])
    return {number: frozenset(found) for number, found in tokens.items()}


async def _links_still_work(endpoints: Endpoints, links: Mapping[str, frozenset[str]], log: Log) -> Finding:
    """Every link in a letter about a survey that the restored log knows opens the customer's page."""
    numbers = {
        str(event.data.ticket_id): event.data.number
        for event in log.live["opora.tickets"]
        if isinstance(event.data, TicketCreated)
    }
    asked = Counter(
        numbers.get(str(event.data.ticket_id), "")
        for event in log.live["opora.feedback"]
        if event.type == "survey.requested"
    )
    tokens = [token for number in asked for token in links.get(number, ())]
    refused = []
    async with httpx.AsyncClient(base_url=endpoints.services["feedback"].url, timeout=30, trust_env=False) as browser:
        for token in tokens:
            page = await browser.get(f"/s/{token}/5")
            if not page.is_success:
                refused.append(f"the link {token} answers {page.status_code}")
    return Finding("survey links in letters of the destroyed platform open", len(tokens), (*refused,))
