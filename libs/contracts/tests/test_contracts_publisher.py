"""The publisher on a real broker: acknowledged or an error in time, in order, one id however often it is tried."""

import asyncio
import socket
import time
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from opora_chassis import outbox
from opora_contracts import Event, Fact
from opora_contracts.progress import ProgressMarked
from opora_contracts.publisher import EventRefusedError, Published, Publisher, PublishError, partition_of
from opora_contracts.requests import TicketReplySubmitted, TicketSubmitted
from opora_contracts.tickets import TicketNoted
from opora_contracts.vocabulary import Level
from opora_embedded.testing import KafkaServer

from .conftest import records_of

SOURCE = "//monitoring.example"
ASKED = TicketSubmitted(title="Disk full", impact=Level.HIGH)
TICKET_ID = UUID("018f3a52-9b3c-7c5e-9d8c-2f6a41b7e003")
TIME = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


def publisher(bootstrap: str, prefix: str = "", **given: Any) -> Publisher:
    """A publisher of the tests' source."""
    return Publisher(bootstrap, source=SOURCE, topic_prefix=prefix, **given)


def nobody() -> str:
    """An address where nobody listens."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{closed.getsockname()[1]}"


async def test_an_event_stands_where_it_is_said_to_stand(kafka: KafkaServer, prefix: str) -> None:
    """What is acknowledged is on the topic: readable by a CloudEvents SDK, in the partition of every Kafka client."""
    async with publisher(kafka.bootstrap, prefix) as open_publisher:
        stands = await open_publisher.publish(
            ASKED, subject="disk-db-7", id="alert-2231", time=TIME, actor="system:mon", correlation_id="case-9"
        )
    assert stands == Published("alert-2231", f"{prefix}opora.requests", outbox.partition_of(b"disk-db-7", 12), 0)
    (record,) = await records_of(kafka.bootstrap, stands.topic)
    assert (record.key, record.partition, record.offset) == (b"disk-db-7", stands.partition, 0)
    message = KafkaMessage(dict(record.headers), record.key, record.value)
    event = from_binary(message, JSONFormat(), CloudEvent)
    assert (event.get_id(), event.get_source(), event.get_type()) == ("alert-2231", SOURCE, "ticket.submitted")
    assert (event.get_subject(), event.get_time(), event.get_data()["impact"]) == ("disk-db-7", TIME, "high")  # type: ignore[index,call-overload]


@pytest.mark.parametrize("key", [b"disk-db-7", "диск".encode(), b"", b"x" * 200])
def test_the_partition_is_the_one_of_every_client(key: bytes) -> None:
    """The publisher, our relay and Kafka's own partitioner agree about a key."""
    from aiokafka.partitioner import DefaultPartitioner

    assert partition_of(key, 12) == outbox.partition_of(key, 12) == DefaultPartitioner()(key, list(range(12)), [])


async def test_without_an_id_each_event_has_one_of_its_own(kafka: KafkaServer, prefix: str) -> None:
    """Two events of the same words are two events, dated now."""
    begun = datetime.now(UTC)
    async with publisher(kafka.bootstrap, prefix) as open_publisher:
        first, second = [await open_publisher.publish(ASKED, subject="s") for _ in range(2)]
    assert first.event_id != second.event_id
    record = (await records_of(kafka.bootstrap, first.topic))[0]
    happened = datetime.fromisoformat(dict(record.headers)["ce_time"].decode())
    assert begun <= happened <= datetime.now(UTC)


async def test_events_of_one_key_stand_in_the_order_in_which_they_were_begun(kafka: KafkaServer, prefix: str) -> None:
    """Hundreds at once, and each key's are in order; the keys do not wait for each other."""
    async with publisher(kafka.bootstrap, prefix) as open_publisher:
        await asyncio.gather(
            *(open_publisher.publish(ASKED, subject=f"case-{number % 7}", id=f"{number:03}") for number in range(300))
        )
        assert open_publisher._turns == {}
    records = await records_of(kafka.bootstrap, f"{prefix}opora.requests")
    for case in range(7):
        ids = [dict(one.headers)["ce_id"].decode() for one in records if one.key == f"case-{case}".encode()]
        assert ids == [f"{number:03}" for number in range(case, 300, 7)]


@pytest.mark.parametrize(
    ("data", "change", "words"),
    [
        (
            TicketNoted(ticket_id=TICKET_ID, message_id=TICKET_ID),
            {},
            "a fact that intake alone writes on opora.tickets",
        ),
        (
            ProgressMarked(topic="opora.tickets", partition=0, offset=0, complete_before=TIME),
            {},
            "another system may publish ticket.submitted, ticket.reply.submitted",
        ),
        (TicketReplySubmitted.model_construct(body="x" * 1_050_000), {}, "at most 1048576 are allowed"),
        (TicketSubmitted(title="a", body="x\0"), {}, "holds the character U+0000"),
        (TicketSubmitted.model_construct(title=""), {}, "data.title: String should have at least 1 character"),
        (ASKED, {"subject": ""}, "subject must not be empty"),
        (ASKED, {"subject": "x" * 201}, "subject has 201 characters; at most 200"),
        (ASKED, {"id": "a\nb"}, "id contains U+000A at position 1"),
        (ASKED, {"time": datetime(2026, 3, 1)}, "expected an RFC 3339 time with a zone"),  # noqa: DTZ001
        (ASKED, {"actor": "\u202eagent"}, "actor contains U+202E"),
    ],
)
async def test_what_may_not_be_published_is_refused_before_anything_is_sent(
    data: Fact, change: dict[str, Any], words: str
) -> None:
    """A fact of a service of ours, too large or malformed: refused with the reason, by a publisher without a broker."""
    with pytest.raises(EventRefusedError) as refused:
        await publisher(nobody()).publish(data, **{"subject": "s", **change})
    assert str(refused.value).startswith("nothing was sent: ")
    assert words in str(refused.value)


async def test_an_event_of_a_reserved_source_is_refused() -> None:
    """Nobody can speak in the name of a service of ours, neither as a publisher nor in a whole event."""
    with pytest.raises(EventRefusedError, match="reserved for the platform's own services"):
        Publisher(nobody(), source="/opora/intake")
    event: Event[Fact] = Event(
        id="1", source="/Opora", type="ticket.submitted", version=1, time=TIME, subject="s", data=ASKED
    )
    with pytest.raises(EventRefusedError, match="reserved for the platform's own services"):
        await publisher(nobody()).publish_event(event)


def test_settings_that_a_guarantee_rests_on_cannot_be_changed() -> None:
    """Only what leads to the broker is handed through."""
    with pytest.raises(ValueError, match="connection: acks, enable_idempotence cannot be set; allowed: client_id"):
        publisher(nobody(), connection={"acks": 0, "enable_idempotence": True, "client_id": "mine"})
    with pytest.raises(ValueError, match="deadline_seconds must be above 0"):
        publisher(nobody(), deadline_seconds=0)


async def test_a_publisher_publishes_inside_its_block_only() -> None:
    """Before and after, it says how it is used instead of failing inside."""
    with pytest.raises(RuntimeError, match="inside `async with`"):
        await publisher(nobody()).publish(ASKED, subject="s")


async def test_without_a_broker_beginning_ends_at_the_deadline() -> None:
    """Nobody answers: an error after the time that was given, not before, and not much later."""
    begun = time.monotonic()
    with pytest.raises(PublishError, match=r"no broker answered at .* within 1\.5 s.*nothing was sent") as failed:
        async with publisher(nobody(), deadline_seconds=1.5):
            pass
    assert 1.5 <= time.monotonic() - begun < 8
    assert (failed.value.event_id, failed.value.outcome_unknown) == (None, False)


async def test_what_waits_behind_another_of_its_key_is_not_sent(kafka: KafkaServer, prefix: str) -> None:
    """A deadline that passes in the queue: the error says that nothing was sent, and other keys were not held up."""
    async with publisher(kafka.bootstrap, prefix) as open_publisher:
        async with open_publisher._turn(b"held"):
            await open_publisher.publish(ASKED, subject="free")
            open_publisher._deadline_seconds = 0.5
            with pytest.raises(PublishError, match="an earlier event of its key is still waiting") as failed:
                await open_publisher.publish(ASKED, subject="held", id="behind")
        assert (failed.value.event_id, failed.value.outcome_unknown) == ("behind", False)
    assert [one.key for one in await records_of(kafka.bootstrap, f"{prefix}opora.requests")] == [b"free"]
