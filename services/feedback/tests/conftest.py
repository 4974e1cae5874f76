"""What feedback's tests share: a running service with other services' facts put in and its own read back."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from opora_chassis.database import Database
from opora_chassis.identifiers import new_id
from opora_chassis.testing import RunningService, running_service, wait_until
from opora_contracts import Event, topic_of
from opora_contracts.codec import UnknownEvent, decode, encode
from opora_contracts.customers import CustomerFact, CustomerMerged
from opora_contracts.feedback import FeedbackFact
from opora_contracts.tickets import TicketClosed
from opora_contracts.topics import FEEDBACK
from opora_contracts.vocabulary import ResolutionCode
from opora_embedded.testing import KafkaServer
from opora_feedback.app import SERVICE

SECRET = "a secret for tests only"


@dataclass(frozen=True)
class Desk:
    """A running feedback, and the broker that it stands on."""

    service: RunningService
    producer: AIOKafkaProducer
    bootstrap: str

    @property
    def database(self) -> Database:
        """Feedback's own database."""
        return self.service.database

    @property
    def prefix(self) -> str:
        """What this test's topics begin with."""
        return self.service.platform.settings.topic_prefix

    async def close(self, *, times: int = 1, customer_id: UUID | None = None, **changes: Any) -> TicketClosed:
        """A ticket is closed live; the fact is published `times` times. Returns once feedback has judged it."""
        fact = await self.publish_closing(times=times, customer_id=customer_id, **changes)
        await wait_until(lambda: self.verdict(fact), what="the closing was judged")
        return fact

    async def publish_closing(
        self, *, times: int = 1, customer_id: UUID | None = None, import_id: str | None = None, **changes: Any
    ) -> TicketClosed:
        """A ticket was closed, live or in an import; the fact is published `times` times."""
        fact = TicketClosed(
            **{
                "ticket_id": new_id(),
                "cycle": 1,
                "resolution_code": ResolutionCode.SOLVED,
                "requester_id": customer_id or new_id(),
                "language": "en",
                "assignee": "anna",
                "group": "Network",
                "product": "VPN",
            }
            | changes
        )
        record = encode(await self._event(fact, import_id))
        for _ in range(times):
            await self.producer.send_and_wait(
                self.prefix + topic_of(fact).name, record.value, key=record.key, headers=list(record.headers)
            )
        return fact

    async def tell(self, fact: CustomerFact | CustomerMerged, sequence: int) -> None:
        """Publish a customer's fact. Returns once feedback has followed it."""
        record = encode(
            Event(
                id=str(new_id()),
                source="/opora/intake",
                type=fact.event_type,
                version=1,
                time=await self.database.now(),
                subject=str(fact.customer_id),
                sequence=sequence,
                data=fact,
            )
        )
        await self.producer.send_and_wait(
            self.prefix + topic_of(fact).name, record.value, key=record.key, headers=list(record.headers)
        )
        followed = "select 1 from applied where subject = $1 and sequence >= $2"
        await wait_until(
            lambda: self.database.fetchval(followed, str(fact.customer_id), sequence), what="the fact was followed"
        )

    async def verdict(self, fact: TicketClosed) -> str | None:
        """What feedback thought of a closing."""
        verdict: str | None = await self.database.fetchval(
            "select verdict from closings where ticket_id = $1 and cycle = $2", fact.ticket_id, fact.cycle
        )
        return verdict

    async def survey_of(self, fact: TicketClosed) -> dict[str, Any]:
        """The survey about a closing, through the interface."""
        answer = await self.service.client.get("/v1/surveys", params={"ticket_id": str(fact.ticket_id)})
        (survey,) = [one for one in answer.json()["items"] if one["cycle"] == fact.cycle]
        return dict(survey)

    async def links(self, survey_id: str) -> dict[str, str]:
        """The one-click addresses of a survey."""
        answer = await self.service.client.get(f"/v1/surveys/{survey_id}/links")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def told(self, count: int) -> list[Event[FeedbackFact]]:
        """Feedback's published facts in order per ticket, once there are `count`; fails when there are more."""
        async with _reader(self.bootstrap, self.prefix + FEEDBACK.name) as consumer:
            found: list[Event[Any]] = []

            async def enough() -> bool:
                for records in (await consumer.getmany(timeout_ms=50)).values():
                    for record in records:
                        event = decode(record.key, record.value, record.headers)
                        assert not isinstance(event, UnknownEvent)
                        found.append(event)
                return len(found) >= count and not await self.database.fetchval("select count(*) from outbox")

            await wait_until(enough, what=f"{count} facts were published")
        assert len(found) == count, [event.type for event in found]
        return found

    async def _event(self, fact: TicketClosed, import_id: str | None) -> Event[TicketClosed]:
        now: datetime = await self.database.now()
        return Event(
            id=str(new_id()),
            source="/opora/intake",
            type=fact.event_type,
            version=1,
            time=now,
            subject=str(fact.ticket_id),
            sequence=fact.cycle,
            import_id=import_id,
            data=fact,
        )


@pytest.fixture
def feedback(kafka: KafkaServer, database: str) -> Callable[..., AbstractAsyncContextManager[Desk]]:
    """Gives a context manager that runs the service with the settings passed to it."""

    @asynccontextmanager
    async def run(**settings: Any) -> AsyncIterator[Desk]:
        given: dict[str, Any] = {"signing_secret": SECRET, "expiry_poll_seconds": 0.05} | settings
        async with (
            running_service(SERVICE, kafka, database, **given) as service,
            AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer,
        ):
            yield Desk(service, producer, kafka.bootstrap)

    return run


@asynccontextmanager
async def _reader(bootstrap: str, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, partition) for partition in range(FEEDBACK.partitions)])
        await consumer.seek_to_beginning()
        yield consumer
    finally:
        await consumer.stop()
