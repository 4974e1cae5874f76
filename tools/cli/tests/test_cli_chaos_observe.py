"""What the checker reads from real servers, and where it sees two read models differ."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from opora_chassis.migrations import all_migrations, migrate
from opora_chassis.topics import create_topics
from opora_cli.chaos.observation import ClockRow, Closing, DeadLetter, LedgerRow, StoredTicket, Survey, TimelineEntry
from opora_cli.chaos.observe import Place, compare_models, differing, observe
from opora_cli.chaos.record import Attempt, Journal, Outcome
from opora_cli.chaos.sinks import Letterbox
from opora_cli.chaos.store import Model, Rows
from opora_cli.stack import migrations_directory
from opora_contracts.codec import encode
from opora_contracts.topics import REQUESTS, TICKETS
from opora_embedded import Kafka
from opora_embedded.testing import PostgresServer
from tools.cli.tests.test_cli_chaos_oracle import FIRST, MONITORING, RESOLUTION, START, at, created, life

TICKET = UUID(int=1)
NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
MODEL = Model("tickets", ("ticket_id",), ("number", "priority"))
SERVICES = ("intake", "sla", "notify", "feedback")


def test_models_differ_by_key_and_column() -> None:
    """A missing row, a row too many and another value are each named by table and key, the value by its column too."""
    live: Rows = {("1",): {"number": "OP-1", "priority": "P3"}, ("2",): {"number": "OP-2", "priority": "P3"}}
    rebuilt: Rows = {("1",): {"number": "OP-1", "priority": "P1"}, ("3",): {"number": "OP-3", "priority": "P3"}}
    assert differing(MODEL, live, live) == []
    assert differing(MODEL, live, rebuilt) == [
        "tickets 1: priority is 'P3', rebuilt 'P1'",
        "tickets 2 is missing in the rebuilt model",
        "tickets 3 is in the rebuilt model alone",
    ]


@pytest_asyncio.fixture
async def dsns(postgres: PostgresServer) -> AsyncIterator[dict[str, str]]:
    """Two empty databases of each service, as its migrations make them: `sla` and `sla again`."""
    names = {name: f"test_{uuid4().hex}" for service in SERVICES for name in (service, f"{service} again")}
    for name, database in names.items():
        service = name.partition(" ")[0]
        await migrate(postgres.create_database(database), all_migrations(service, migrations_directory(service)))
    yield {name: postgres.dsn(database) for name, database in names.items()}
    for database in names.values():
        postgres.drop_database(database)


async def write(dsn: str, *statements: tuple[object, ...]) -> None:
    """Run each statement, given with its arguments."""
    connection = await asyncpg.connect(dsn)
    try:
        for sql, *arguments in statements:
            await connection.execute(sql, *arguments)
    finally:
        await connection.close()


NAMED = "insert into tickets (ticket_id, number, title, language, priority) values ($1, $2, 'Help', 'en', 'P3')"
CLOSED = (
    "insert into closings (ticket_id, cycle, closed_at, resolution_code, verdict) values ($1, 1, $2, 'solved', 'asked')"
)
SURVEYED = (
    "insert into surveys (survey_id, ticket_id, cycle, customer_id, language, requested_at, expires_at, state)"
    " values ($1, $2, 1, $2, 'en', $3, $3, 'requested')"
)
PLANNED = (
    "insert into notifications (notification_id, event_source, event_id, event_type, event, ticket_id, rule, template,"
    " channel, recipient, state, told, attempts, reason, created_at, due_at, finished_at)"
    " values ($1, '/opora/intake', 'e1', 'ticket.created', '{}', $2, 'r', 't', 'email', 'customer:1', $3::text, 1, 1,"
    " null, $4::timestamptz, case when $3 = 'pending' then $4 end, case when $3 = 'delivered' then $4 end)"
)
CASE = (
    "insert into cases (ticket_id, number, domain, partition, agreement_id, agreement_version, kind, channel, priority,"
    " judged_at, open, last_sequence, emitted_sequence)"
    " values ($1, 'OP-1', '', 0, '01900000-0000-7000-8000-000000000001', 1, 'incident', 'web', 'P3', $2, true, 1, $3)"
)
CLOCK = (
    "insert into clocks (ticket_id, metric, cycle, outcome, state, started_at, due_at, used_seconds, target_seconds,"
    " priority, judged_at) values ($1, 'first_response', 1, $2, 'running', $3, $3, $4, 4, 'P3', $3)"
)
FIRED = (
    "insert into fired_steps (ticket_id, metric, cycle, step, ordinal, fired_at)"
    " values ($1, 'first_response', 1, $2, 0, $3)"
)
KEPT = 'insert into case_facts (ticket_id, sequence, fact) values ($1, 1, \'{"event_id": "e1"}\')'


async def test_what_differs_by_right_is_no_difference(dsns: dict[str, str]) -> None:
    """Random ids, instants of judging, progress of delivery and alarms on incomplete evidence are left out."""
    await write(
        dsns["sla"],
        (CASE, TICKET, NOON, 3),
        (CLOCK, TICKET, "breached", START, 10),
        (FIRED, TICKET, "breached", NOON),
        (FIRED, TICKET, "met", NOON),
    )
    await write(
        dsns["sla again"],
        (CASE, TICKET, START, 1),
        (CLOCK, TICKET, "breached", START, 99),
        (FIRED, TICKET, "met", START),
    )
    await write(dsns["notify"], (PLANNED, uuid4(), TICKET, "delivered", NOON))
    await write(dsns["notify again"], (PLANNED, uuid4(), TICKET, "pending", START))
    await write(dsns["feedback"], (CLOSED, TICKET, NOON), (SURVEYED, uuid4(), TICKET, NOON))
    await write(dsns["feedback again"], (CLOSED, TICKET, NOON), (SURVEYED, uuid4(), TICKET, START))
    again = {service: dsns[f"{service} again"] for service in ("sla", "notify", "feedback")}
    assert await compare_models(dsns, again) == {"sla": [], "notify": [], "feedback": []}


async def test_what_the_log_decides_is_compared(dsns: dict[str, str]) -> None:
    """A clock's outcome, a ticket's name, a message and a closing have to be the same in a rebuilt model."""
    await write(dsns["sla"], (CASE, TICKET, NOON, 3), (CLOCK, TICKET, "breached", NOON, 10), (KEPT, TICKET))
    await write(dsns["sla again"], (CASE, TICKET, NOON, 3), (CLOCK, TICKET, "open", NOON, 10))
    await write(dsns["notify"], (NAMED, TICKET, "OP-1"), (PLANNED, uuid4(), TICKET, "delivered", NOON))
    await write(dsns["notify again"], (NAMED, TICKET, "OP-2"))
    await write(dsns["feedback again"], (CLOSED, TICKET, NOON))
    again = {service: dsns[f"{service} again"] for service in ("sla", "notify", "feedback")}
    assert await compare_models(dsns, again) == {
        "sla": [
            f"case_facts {TICKET} 1 is missing in the rebuilt model",
            f"clocks {TICKET} first_response 1: outcome is 'breached', rebuilt 'open'",
        ],
        "notify": [
            f"tickets {TICKET}: number is 'OP-1', rebuilt 'OP-2'",
            "notifications /opora/intake e1 email customer:1 is missing in the rebuilt model",
        ],
        "feedback": [f"closings {TICKET} 1 is in the rebuilt model alone"],
    }


@pytest.fixture
def log() -> Iterator[Kafka]:
    """A broker of this test alone: the checker reads whole topics."""
    with Kafka() as server:
        yield server


FOUND = (
    "insert into tickets (id, number, title, channel, kind, language, impact, urgency, priority, priority_explicit,"
    " external_source, external_id, import_ordinal, step, step_changed_at, waiting_changed_at, cycle, cycle_started_at,"
    " opened_at, last_time, version)"
    " values ($1, 1001, 'Help', 'web', 'incident', 'en', 'medium', 'medium', 'P3', false,"
    " $2, 'alert-1', 0, 'received', $3, $3, 1, $3, $3, $3, 1)"
)
RECORDED = (
    "insert into timeline (ticket_id, sequence, type, time, recorded_at, data)"
    " values ($1, 1, 'ticket.created', $2, $2, '{}')"
)
WAITS = (
    "insert into outbox (topic, partition, key, value, headers)"
    " values ('opora.tickets', 0, convert_to($1, 'UTF8'), '', '[]')"
)
BURIED = (
    'insert into dead_letters (id, consumer, key, topic, partition, "offset", headers, reason_code, reason, attempts,'
    " source, event_id) values ($1, 'opora.requests', 'alert-2', 'opora.requests', 0, 0, '[]', 'wrong_schema', 'r', 0,"
    " $2, 'b1')"
)
PARKED = "insert into parked_keys (consumer, key) values ('opora.requests', 'alert-2')"
TAKEN = "insert into inbox (consumer, source, event_id) values ('opora.requests', $1, 's1')"
APPLIED = "insert into applied (consumer, source, subject, sequence) values ('opora.tickets', '/opora/intake', $1, 1)"
HOOKED = (
    "insert into webhook_endpoints (endpoint_id, url, event_types, secret, created_at, created_by)"
    " values ($1, 'http://x', '{ticket.created}', 's', $2, 'me')"
)


@pytest.mark.slow
async def test_everything_is_gathered_from_the_servers(log: Kafka, dsns: dict[str, str], tmp_path: Path) -> None:
    """Topics with what does not decode, every table that an invariant looks at, the journal and the letters."""
    row, hook = uuid4(), uuid4()
    await write(
        dsns["intake"],
        (FOUND, TICKET, MONITORING, START),
        (RECORDED, TICKET, START),
        (WAITS, str(TICKET)),
        (BURIED, uuid4(), MONITORING),
        (PARKED,),
        (TAKEN, MONITORING),
    )
    await write(
        dsns["sla"],
        (CASE, TICKET, START, 3),
        (CLOCK, TICKET, "open", START, 0),
        (KEPT, TICKET),
        (FIRED, TICKET, "met", START),
        (APPLIED, str(TICKET)),
    )
    await write(
        dsns["notify"],
        (NAMED, TICKET, "OP-1"),
        (PLANNED, row, TICKET, "delivered", NOON),
        (HOOKED, hook, NOON),
    )
    await write(dsns["feedback"], (CLOSED, TICKET, NOON), (SURVEYED, row, TICKET, NOON))
    await create_topics(log.bootstrap)
    await publish(log.bootstrap)
    attempt = Attempt(
        key="k", actor="customer", action="create", started_at=START, ended_at=START, outcome=Outcome.UNKNOWN
    )
    with Journal(tmp_path) as journal:
        journal.write(attempt)
    Letterbox(tmp_path / "letters")
    of_services = {service: dsns[service] for service in SERVICES}
    place = Place(tmp_path, log.bootstrap, of_services, 4, 15, {"update": 6}, {(1, 0): 2})

    seen = await observe(place, healed_at=at(1), settled_after_seconds=2.0, rebuilt={"sla": ["x"]})

    assert (seen.attempts, seen.faults, seen.rebuilt) == ([attempt], [], {"sla": ["x"]})
    assert (seen.targets, seen.calls) == ({FIRST: 4, RESOLUTION: 15, "update": 6}, {(1, 0): 2})
    assert [event.data for event in seen.events[TICKETS.name]] == [created(1)]
    broken, unknown = seen.records[REQUESTS.name]
    assert (broken.event_id, broken.source, broken.key, broken.problem) == ("b1", MONITORING, "alert-2", "wrong_schema")
    assert (unknown.event_id, unknown.event, unknown.problem) == ("u1", None, None)
    assert (broken.partition, broken.offset + 1) == (unknown.partition, unknown.offset)
    assert seen.tickets == {
        str(TICKET): StoredTicket(
            ticket_id=str(TICKET), version=1, external=(MONITORING, "alert-1"), step="received", cycle=1
        )
    }
    assert seen.timeline == {str(TICKET): [TimelineEntry(1, "ticket.created")]}
    assert all(seen.services[service].tickets == {str(TICKET)} for service in SERVICES)
    intake, sla, notify = (seen.services[service] for service in ("intake", "sla", "notify"))
    assert intake.outbox == [(TICKETS.name, str(TICKET))]
    assert intake.parked == {(REQUESTS.name, "alert-2")}
    assert intake.inbox == {(REQUESTS.name, MONITORING, "s1")}
    assert intake.dead_letters == [
        DeadLetter(
            consumer=REQUESTS.name,
            key="alert-2",
            source=MONITORING,
            event_id="b1",
            reason_code="wrong_schema",
            topic=REQUESTS.name,
            partition=0,
            offset=0,
        )
    ]
    assert sla.applied == {(TICKETS.name, "/opora/intake", str(TICKET)): 1}
    assert sla.told == {("opora.sla", str(TICKET)): 3}
    assert notify.told == {("opora.notifications", str(row)): 1}
    assert seen.notifications == [
        LedgerRow(
            notification_id=str(row),
            event_source="/opora/intake",
            event_id="e1",
            event_type="ticket.created",
            ticket_id=str(TICKET),
            channel="email",
            recipient="customer:1",
            state="delivered",
            attempts=1,
            reason=None,
            created_at=NOON,
            finished_at=NOON,
        )
    ]
    assert (seen.named_tickets[str(TICKET)].number, seen.endpoints) == ("OP-1", {str(hook): ("ticket.created",)})
    assert seen.closings == [Closing(ticket_id=str(TICKET), cycle=1, verdict="asked")]
    assert seen.surveys == [Survey(survey_id=str(row), ticket_id=str(TICKET), cycle=1)]
    assert seen.clocks == [
        ClockRow(
            ticket_id=str(TICKET),
            metric="first_response",
            cycle=1,
            outcome="open",
            state="running",
            started_at=START,
            due_at=START,
            stopped_at=None,
        )
    ]
    assert seen.case_facts == [(str(TICKET), 1, "e1")]
    assert seen.fired_steps == {(str(TICKET), "first_response", 1, "met", 0)}


async def publish(bootstrap: str) -> None:
    """A ticket's creation; and from a foreign system a case without a title and an event of a type nobody knows."""
    fact = encode(life((0, created(1)))[0])
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        await producer.send_and_wait(TICKETS.name, fact.value, fact.key, headers=list(fact.headers))
        for event_id, kind in (("b1", "ticket.submitted"), ("u1", "ticket.praised")):
            attributes = {"specversion": "1.0", "id": event_id, "source": MONITORING, "type": kind}
            attributes |= {"subject": "alert-2", "time": "2026-03-04T09:00:00Z"}
            headers = [(f"ce_{name}", value.encode()) for name, value in attributes.items()]
            await producer.send_and_wait(REQUESTS.name, b'{"body": "Help!"}', b"alert-2", headers=headers)
