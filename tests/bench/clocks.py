"""Open clocks in sla's own tables: two tickets through sla's own handlers, then as many copies as are wanted.

A copy differs from its sample by id, number and partition and by a shift of its instants, so it is what the handlers
would have written for a ticket that was created so much earlier or later.
"""

import asyncio
import statistics
import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from opora_chassis.clock import Clock
from opora_chassis.database import Database
from opora_chassis.marks import Mark
from opora_chassis.platform import Platform
from opora_contracts.topics import TICKETS
from opora_contracts.vocabulary import Priority
from opora_sla.agreement import DEFAULT_AGREEMENT_ID, DEFAULT_DOCUMENT, AgreementDocument
from opora_sla.handlers import follow_marks, follow_tickets, revise_agreement
from opora_sla.settings import SlaSettings
from opora_sla.store.cases import find_cases
from opora_sla.timers import ClockWatch, judge_due
from tests.bench.facts import created, fact
from tests.bench.ground import Ground, ServiceDatabase


@dataclass(frozen=True, slots=True)
class Agreed:
    """What is promised about the tickets, whose group they are, and how many clocks each has by it."""

    document: AgreementDocument
    group: str | None
    clocks_of_a_ticket: int


STANDARD = Agreed(DEFAULT_DOCUMENT, None, 2)
"""First response and resolution, as every installation begins."""
_LADDER = {
    "steps": [
        {"at_percent": 100, "tell": ["assignee", "lead"]},
        {"after_due": {"hours": 1}, "tell": ["lead"], "repeat": {"every": {"hours": 2}, "times": 3}},
    ]
}
_OWED = {priority.value: {"hours": 8} for priority in Priority}
LAYERED = Agreed(
    AgreementDocument.model_validate(
        {
            "name": "With ladders and what groups owe",
            "metrics": {
                "first_response": {"targets": {each.value: {"hours": 4} for each in Priority}, "escalation": _LADDER},
                "resolution": {
                    "targets": {each.value: {"hours": 24} for each in Priority},
                    "warn_at_percent": [50, 75],
                    "escalation": {"steps": [{"at_percent": 75, "tell": ["assignee"]}, *_LADDER["steps"]]},
                },
                "update": {"targets": _OWED, "escalation": _LADDER},
                "operational": {"network": {"targets": _OWED, "warn_at_percent": [75], "escalation": _LADDER}},
            },
        }
    ),
    "network",
    4,
)
"""With periodic updates and the turn of a group, each with a ladder."""
FRESH = UUID("01900000-0000-7000-8000-0000000000f0")
"""The sample in which nothing has happened yet: its warning comes next."""
WARNED = UUID("01900000-0000-7000-8000-0000000000f1")
"""The sample whose first response was warned of: its breach comes next."""
_FIRST_FIRE, _FIRES = timedelta(hours=2), timedelta(minutes=50)
"""Standing clocks have their next warning within so much time from so much on, later than any line takes."""
_WARM_UP_LOOKS, _LOOKS = 10, 200
_PAUSE_SECONDS = 0.005

# Of a waypoint the instants are shifted: its numbers of sixteen digits, microseconds since 1970.
_SHIFTED = {
    "cases": "'number', 'OP-' || copies.number, 'partition', copies.partition,"
    " 'judged_at', sample.judged_at + copies.shift, 'next_fire_at', sample.next_fire_at + copies.shift,"
    " 'waypoint', (select string_agg(case when part ~ '^[0-9]{16}$' then (part::bigint"
    "  + (extract(epoch from copies.shift) * 1000000)::bigint)::text else part end, '' order by place)"
    "  from regexp_split_to_table(sample.waypoint, '(?<=[^0-9])(?=[0-9]{16}[^0-9])|(?<=[^0-9][0-9]{16})(?=[^0-9])')"
    "  with ordinality as split (part, place))",
    "case_facts": "'fact', sample.fact || jsonb_build_object('at', (sample.fact->>'at')::timestamptz + copies.shift)",
    "fired_steps": "'fired_at', sample.fired_at + copies.shift",
    "clocks": "'started_at', sample.started_at + copies.shift, 'due_at', sample.due_at + copies.shift,"
    " 'judged_at', sample.judged_at + copies.shift",
}


async def standing_clocks(ground: Ground, clocks: int, agreed: Agreed = STANDARD) -> ServiceDatabase:
    """A new database with so many open clocks of which none falls due soon, complete up to now."""
    database = await ground.database("sla")
    await prepare(database, agreed)
    connection = await asyncpg.connect(database.dsn)
    try:
        now = await connection.fetchval("select clock_timestamp()")
        await add_tickets(connection, FRESH, clocks // agreed.clocks_of_a_ticket, now + _FIRST_FIRE, _FIRES)
        await settle(connection)
        await complete_before(connection, now)
    finally:
        await connection.close()
    return database


async def prepare(database: ServiceDatabase, agreed: Agreed = STANDARD) -> None:
    """Let sla's handlers write the agreement and the samples, and put the samples aside."""
    opened = await Database.open(database.dsn, service="sla", clock=Clock(), pool_size=1)
    try:
        async with opened.transaction() as tx:
            await revise_agreement(tx, DEFAULT_AGREEMENT_ID, agreed.document)
            samples = [
                replace(fact(1, created(sample, 0, group=agreed.group), tx.now), partition=partition)
                for partition, sample in enumerate((FRESH, WARNED))
            ]
            await follow_tickets(samples, tx)
        warned = (await find_cases(opened, [WARNED]))[WARNED]
        assert warned.next_fire_at is not None
        async with opened.transaction() as tx:
            await follow_marks([Mark(1, warned.next_fire_at + timedelta(seconds=1), None)], tx)
            assert await judge_due(tx, opened.clock) == 1
        for table in _SHIFTED:
            await opened.fetch(f"create table sample_{table} as table {table}")
        await opened.fetch(f"truncate outbox, watermarks, {', '.join(_SHIFTED)}")
    finally:
        await opened.close()


async def add_tickets(connection: Any, sample: UUID, count: int, first: datetime, within: timedelta) -> UUID:
    """Copies whose next warning or breach comes from `first` on, evenly within so much time. Returns the first's id.

    The ids grow: a later copy's is above all earlier ones.
    """
    async with connection.transaction():
        # No triggers: checking that each copy refers to what is there, as its sample does, costs more than to write it.
        await connection.execute("set local session_replication_role = replica")
        await connection.execute(
            "create temporary table copies (ticket_id uuid, number integer, partition integer, shift interval)"
            " on commit drop"
        )
        await connection.execute(
            "insert into copies select uuidv7(), copy, copy % $2,"
            "  $3::timestamptz + $4::interval * ((copy - 1)::float8 / $5::integer) - sample.next_fire_at"
            " from sample_cases as sample, generate_series(1, $5::integer) as copy where sample.ticket_id = $1",
            sample,
            TICKETS.partitions,
            first,
            within,
            count,
        )
        for table, changes in _SHIFTED.items():
            await connection.execute(
                f"insert into {table} select written.* from copies, sample_{table} as sample, jsonb_populate_record("
                f"  sample, jsonb_build_object('ticket_id', copies.ticket_id, {changes})"
                ") as written where sample.ticket_id = $1",
                sample,
            )
        first_id: UUID = await connection.fetchval("select ticket_id from copies order by ticket_id limit 1")
        return first_id


async def remove_tickets(connection: Any, first_id: UUID) -> None:
    """Take the copies from this one on out again."""
    async with connection.transaction():
        await connection.execute("set local session_replication_role = replica")
        for table in _SHIFTED:
            await connection.execute(f"delete from {table} where ticket_id >= $1", first_id)


async def settle(connection: Any) -> None:
    """As autovacuum leaves the tables."""
    await connection.execute(f"vacuum analyze {', '.join(_SHIFTED)}")


async def complete_before(connection: Any, at: datetime) -> None:
    """Every live fact before this instant was taken in: what is due by then may be judged."""
    await connection.execute(
        "insert into watermarks select partition, '', $2 from generate_series(0, $1 - 1) as partition"
        " on conflict (partition, domain) do update set complete_before = excluded.complete_before",
        TICKETS.partitions,
        at,
    )


@dataclass(frozen=True, slots=True)
class Looks:
    """What the timers' looks cost while nothing is due."""

    median_seconds: float
    counting_seconds: float
    """Of a look that counts the open clocks for the metrics too, as one does every ten seconds."""


async def look(database: ServiceDatabase) -> Looks:
    """Let the timers look a few hundred times. Nothing may be due."""
    settings = SlaSettings(database_dsn=database.dsn, kafka_bootstrap="unused", timer_poll_seconds=_PAUSE_SECONDS)
    opened = await Database.open(database.dsn, service="sla", clock=Clock(), pool_size=2)
    stop = _NotingStop(_WARM_UP_LOOKS + _LOOKS)
    try:
        await ClockWatch(Platform("sla", settings, opened, Clock())).run(stop)
    finally:
        await opened.close()
    return Looks(statistics.median(stop.seconds[_WARM_UP_LOOKS:]), stop.seconds[0])


class _NotingStop(asyncio.Event):
    """Stops the timers after so many looks and notes the seconds of each: a look begins with the question whether to
    stop, and ends where they wait for it.
    """

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._looks = looks
        self._began = 0.0

    def is_set(self) -> bool:
        self._began = time.perf_counter()
        return super().is_set()

    async def wait(self) -> Any:
        self.seconds.append(time.perf_counter() - self._began)
        if len(self.seconds) >= self._looks:
            self.set()
        return await super().wait()
