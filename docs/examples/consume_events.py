"""Follow every ticket from its first fact on, read with the contracts' models. Ends with Ctrl-C."""

import asyncio
import json
import os
from pathlib import Path

from aiokafka import AIOKafkaConsumer

from opora_contracts import Event, decode
from opora_contracts.tickets import TicketCreated

KAFKA = os.environ.get("KAFKA_BOOTSTRAP") or json.loads(Path(".opora/endpoints.json").read_text())["kafka_bootstrap"]


async def follow() -> None:
    """Print a line per fact, beginning with those that already stand on the topic."""
    async with AIOKafkaConsumer("opora.tickets", bootstrap_servers=KAFKA, auto_offset_reset="earliest") as consumer:
        async for record in consumer:
            event = decode(record.key, record.value, record.headers)
            if isinstance(event, Event):  # else an UnknownEvent: a type that this release does not know
                about = event.data.title if isinstance(event.data, TicketCreated) else ""
                print(event.time, event.type, event.subject, event.sequence, about, flush=True)


asyncio.run(follow())
