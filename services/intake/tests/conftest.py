"""What intake's tests share: a ticket at any step, a running service, and readers of what it publishes."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from opora_chassis.testing import RunningService, running_service
from opora_contracts import Event, Fact
from opora_contracts.codec import decode, encode
from opora_contracts.vocabulary import ResolutionCode, Step
from opora_embedded.testing import KafkaServer, PostgresServer
from opora_intake.app import SERVICE
from opora_intake.domain import Command, Open, Ticket, commands, decide, open_ticket
from services.intake.tests.mailroom import Mailroom, mailroom_on

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)

_PATHS: dict[Step, tuple[Command, ...]] = {
    Step.RECEIVED: (),
    Step.ASSESSED: (commands.Assess(),),
    Step.DIAGNOSED: (commands.Assess(), commands.Diagnose()),
    Step.PLANNED: (commands.Assess(), commands.Diagnose(), commands.Plan()),
    Step.RESOLVED: (commands.Resolve(),),
    Step.VERIFIED: (commands.Resolve(), commands.Verify()),
    Step.CLOSED: (commands.Resolve(), commands.Close(resolution_code=ResolutionCode.SOLVED)),
}


@pytest.fixture
def ticket_at() -> Callable[[Step], Ticket]:
    """Makes a ticket that was opened at noon and reached the step at once."""

    def make(step: Step) -> Ticket:
        opening = Open(title="The printer prints nothing")
        ticket = open_ticket(opening, NOON, ticket_id=uuid4(), number=1042, message_id=uuid4()).ticket
        for command in _PATHS[step]:
            ticket = decide(ticket, command, NOON, message_id=uuid4()).ticket
        return ticket

    return make


@pytest.fixture
def after_noon() -> Callable[[float], datetime]:
    """So many minutes after noon of the day on which the tests' tickets were opened."""
    return lambda minutes: NOON + timedelta(minutes=minutes)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def intake(
    kafka: KafkaServer, postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningService]:
    """Intake with every role; its tests keep apart by names of their own."""
    name = f"intake_{uuid4().hex}"
    dsn = postgres.create_database(name)
    files = tmp_path_factory.mktemp("files")
    async with running_service(SERVICE, kafka, dsn, intake_files_directory=files) as service:
        yield service
    postgres.drop_database(name)


class Desk:
    """Intake as its callers see it: HTTP answers, and the facts on its topics."""

    def __init__(self, service: RunningService) -> None:
        self.service = service
        self.client = service.client
        self.database = service.database

    async def post(self, path: str, body: Any = None, *, status: int | None = None, **headers: str) -> Any:
        """The JSON answer of a write; fails unless it has the status (by default 200 or 201)."""
        answer = await self.client.post(f"/v1{path}", json={} if body is None else body, headers=headers)
        return _checked(answer, status)

    async def get(self, path: str, *, status: int | None = None, **query: Any) -> Any:
        """The JSON answer of a read."""
        return _checked(await self.client.get(f"/v1{path}", params=query), status)

    async def patch(self, path: str, body: Any, *, status: int | None = None) -> Any:
        """The JSON answer of a change."""
        return _checked(await self.client.patch(f"/v1{path}", json=body), status)

    async def opened(self, **fields: Any) -> Any:
        """A new ticket."""
        return await self.post("/tickets", {"title": "The printer prints nothing", **fields})

    async def published(self, topic: str, subject: str | UUID, count: int) -> list[Event[Any]]:
        """The first `count` facts about the subject on the topic, in order; waits for them."""
        facts: list[Event[Any]] = []
        async with self._consumer(topic) as consumer:

            async def arrived() -> bool:
                for records in (await consumer.getmany(timeout_ms=50)).values():
                    for record in records:
                        event = decode(record.key, record.value, record.headers)
                        if isinstance(event, Event) and event.subject == str(subject):
                            facts.append(event)
                return len(facts) >= count

            await self.service.wait_until(arrived)
        return facts

    async def request(self, *events: Event[Fact]) -> None:
        """Publish as another system would, keyed by the subject."""
        producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap, enable_idempotence=False)
        await producer.start()
        try:
            for event in events:
                record = encode(event)
                await producer.send_and_wait(
                    self._prefix + "opora.requests", record.value, key=record.key, headers=list(record.headers)
                )
        finally:
            await producer.stop()

    @property
    def _bootstrap(self) -> str:
        return self.service.platform.settings.kafka_bootstrap

    @property
    def _prefix(self) -> str:
        return self.service.platform.settings.topic_prefix

    @asynccontextmanager
    async def _consumer(self, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = AIOKafkaConsumer(bootstrap_servers=self._bootstrap, enable_auto_commit=False)
        await consumer.start()
        try:
            consumer.assign([TopicPartition(self._prefix + topic, partition) for partition in range(12)])
            await consumer.seek_to_beginning()
            yield consumer
        finally:
            await consumer.stop()


@pytest.fixture
def desk(intake: RunningService) -> Desk:
    """The running intake, handled by its callers' means."""
    return Desk(intake)


def _checked(answer: httpx.Response, status: int | None) -> Any:
    expected = {200, 201} if status is None else {status}
    assert answer.status_code in expected, f"{answer.status_code}: {answer.text}"
    return answer.json()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def kept_room(postgres: PostgresServer) -> AsyncIterator[Mailroom]:
    """A mailroom whose loops do not run."""
    async with mailroom_on(postgres) as room:
        yield room


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def mailroom(postgres: PostgresServer) -> AsyncIterator[Mailroom]:
    """A mailroom at work."""
    async with mailroom_on(postgres) as room, room.running():
        yield room
