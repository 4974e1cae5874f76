"""What notify's tests share: a running service, other services' facts put in, and real sinks for what leaves."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiosmtpd.smtp import SMTP

from opora_chassis.database import Database
from opora_chassis.identifiers import new_id
from opora_chassis.testing import RunningService, running_service, wait_until
from opora_contracts import Event, Fact, topic_of
from opora_contracts.codec import UnknownEvent, decode, encode
from opora_contracts.customers import CustomerRegistered
from opora_contracts.notifications import NotificationFact
from opora_contracts.tickets import TicketCreated
from opora_contracts.topics import NOTIFICATIONS
from opora_contracts.vocabulary import Channel, Kind, Level, Priority
from opora_embedded.testing import KafkaServer
from opora_notify.app import SERVICE

ALL_ROLES = frozenset({"serve", "consume", "relay", "timers"})


@dataclass
class MailServer:
    """A real SMTP server that keeps what it takes. `refusals` answer the next recipients, one each."""

    port: int = 0
    letters: list[EmailMessage] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    sessions: int = 0

    async def handle_EHLO(  # noqa: N802
        self, _server: Any, session: Any, _envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        """Greet, and count the connections."""
        session.host_name = hostname
        self.sessions += 1
        return responses

    async def handle_RCPT(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]
    ) -> str:
        """Take the recipient, or refuse as told."""
        if self.refusals:
            return self.refusals.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        """Keep the letter."""
        letter = message_from_bytes(envelope.content, policy=default)
        assert isinstance(letter, EmailMessage)
        self.letters.append(letter)
        return "250 OK"


class WebServer:
    """A real HTTP server that keeps every request; `answers` gives status and JSON by path, 200 and {} otherwise."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: dict[str, list[tuple[int, Any]]] = {}
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                sink.requests.append((self.path, headers, body))
                planned = sink.answers.get(self.path, [])
                status, document = planned.pop(0) if len(planned) > 1 else planned[0] if planned else (200, {})
                payload = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            do_GET = do_POST = handle_any  # noqa: N815  the standard library's names

            def log_message(self, *_arguments: Any) -> None:
                """Keep the test's output quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@dataclass(frozen=True)
class Post:
    """A running notify, and the broker that it stands on."""

    service: RunningService
    producer: AIOKafkaProducer
    bootstrap: str
    sequences: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def client(self) -> httpx.AsyncClient:
        """A caller with every scope."""
        return self.service.client

    @property
    def database(self) -> Database:
        """Notify's own database."""
        return self.service.database

    @property
    def prefix(self) -> str:
        """What this test's topics begin with."""
        return self.service.platform.settings.topic_prefix

    async def publish(self, fact: Fact, *, times: int = 1, **attributes: Any) -> Event[Fact]:
        """Publish a fact as its owner would, `times` times; `attributes` replace those of the event."""
        topic = topic_of(fact)
        subject = str(getattr(fact, "ticket_id", None) or getattr(fact, "customer_id", None))
        source = f"/opora/{topic.producers[0]}"
        self.sequences[source, subject] += 1
        given: dict[str, Any] = {
            "id": str(new_id()),
            "source": source,
            "type": fact.event_type,
            "version": 1,
            "time": await self.database.now(),
            "subject": subject,
            "sequence": self.sequences[source, subject],
            "data": fact,
        }
        event: Event[Fact] = Event(**(given | attributes))
        record = encode(event)
        for _ in range(times):
            await self.producer.send_and_wait(
                self.prefix + topic.name, record.value, key=record.key, headers=list(record.headers)
            )
        return event

    async def register(self, **changes: Any) -> CustomerRegistered:
        """A customer is known to notify when this returns: topics keep no order between each other."""
        customer = CustomerRegistered(
            **{"customer_id": new_id(), "name": "Olga", "email": "olga@example.org", "language": "en"} | changes
        )
        await self.publish(customer)
        known = "select 1 from customers where customer_id = $1"
        await self.service.wait_until(lambda: self.database.fetchval(known, customer.customer_id), 60)
        return customer

    async def open_ticket(
        self, requester_id: UUID | None, *, event: dict[str, Any] | None = None, **changes: Any
    ) -> UUID:
        """A ticket is opened; returns its id."""
        fact = TicketCreated(
            **{
                "ticket_id": new_id(),
                "number": "OP-1042",
                "title": "VPN fails",
                "channel": Channel.EMAIL,
                "kind": Kind.INCIDENT,
                "impact": Level.MEDIUM,
                "urgency": Level.HIGH,
                "priority": Priority.P2,
                "requester_id": requester_id,
            }
            | changes
        )
        await self.publish(fact, **(event or {}))
        return fact.ticket_id

    async def notifications(self, ticket_id: UUID, *states: str, count: int = 1) -> list[dict[str, Any]]:
        """The ticket's notifications, oldest first, once there are `count` and all are in one of the states."""
        found: list[dict[str, Any]] = []

        async def settled() -> bool:
            answer = await self.client.get("/v1/notifications", params={"ticket_id": str(ticket_id)})
            found[:] = reversed(answer.json()["items"])
            return len(found) == count and {one["state"] for one in found} <= set(states)

        try:
            await wait_until(settled)
        except AssertionError:
            raise AssertionError(f"expected {count} in {states}, found {found}") from None
        return found

    async def told(self, count: int) -> list[Event[NotificationFact]]:
        """Notify's published facts, once there are `count`; fails when there are more."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        found: list[Event[Any]] = []

        async def enough() -> bool:
            for records in (await consumer.getmany(timeout_ms=50)).values():
                for record in records:
                    event = decode(record.key, record.value, record.headers)
                    assert not isinstance(event, UnknownEvent)
                    found.append(event)
            return len(found) >= count and not await self.database.fetchval("select count(*) from outbox")

        try:
            topic = self.prefix + NOTIFICATIONS.name
            consumer.assign([TopicPartition(topic, partition) for partition in range(NOTIFICATIONS.partitions)])
            await consumer.seek_to_beginning()
            await wait_until(enough, what=f"{count} facts were published")
        finally:
            await consumer.stop()
        assert len(found) == count, [event.type for event in found]
        return found


@pytest.fixture
async def mail_server() -> AsyncIterator[MailServer]:
    """An SMTP server of this test's own."""
    mails = MailServer()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(mails, loop=loop, hostname="mail.test", enable_SMTPUTF8=True), "127.0.0.1", 0
    )
    mails.port = server.sockets[0].getsockname()[1]
    yield mails
    server.close()
    await server.wait_closed()


@pytest.fixture
def web_server() -> Iterator[WebServer]:
    """An HTTP server of this test's own: a webhook's receiver, or another service."""
    server = WebServer()
    yield server
    server.close()


@pytest.fixture
def notify(
    kafka: KafkaServer, database: str, mail_server: MailServer
) -> Callable[..., AbstractAsyncContextManager[Post]]:
    """Gives a context manager that runs the service with the settings passed to it, on this test's mail server."""

    @asynccontextmanager
    async def run(*, roles: frozenset[str] = ALL_ROLES, **settings: Any) -> AsyncIterator[Post]:
        given: dict[str, Any] = {
            "smtp_port": mail_server.port,
            "smtp_tls": "none",
            "mail_from": "Support <support@example.com>",
            "retry_base_seconds": 0.05,
            "poll_seconds": 0.05,
        } | settings
        async with (
            running_service(SERVICE, kafka, database, roles=roles, **given) as service,
            AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer,
        ):
            yield Post(service, producer, kafka.bootstrap)

    return run
