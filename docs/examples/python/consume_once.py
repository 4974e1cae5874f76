"""Keep the latest of every ticket in SQLite, each fact exactly once. Arguments: the database's file, the group."""

import asyncio
import os
import sqlite3
import sys

from opora_contracts import Event
from opora_contracts.consumer import Consumer

# One row a ticket. The number of the newest fact stands beside its effect, so both are there or neither is.
TABLE = "create table if not exists tickets (id text primary key, sequence integer not null, latest text not null)"
EFFECT = """
    insert into tickets values (?, ?, ?)
    on conflict (id) do update set sequence = excluded.sequence, latest = excluded.latest
    where excluded.sequence > tickets.sequence
"""


async def follow(path: str, group: str) -> None:
    """Take in every fact, beginning where the group's last commit stands, or with the first one."""
    database = sqlite3.connect(path)
    database.execute(TABLE)
    async with Consumer(os.environ["KAFKA_BOOTSTRAP"], "opora.tickets", group=group) as consumer:
        async for event in consumer:
            if isinstance(event, Event):  # else of a type that this release does not know, or no event at all
                with database:  # a transaction
                    changed = database.execute(EFFECT, (event.subject, event.sequence, event.type)).rowcount
                if changed:  # else it was delivered before
                    print(event.time, event.type, event.subject, event.sequence, flush=True)
            await consumer.commit()  # after the effect: what breaks off before is delivered again


asyncio.run(follow(*sys.argv[1:]))
