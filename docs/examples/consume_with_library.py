"""Follow every ticket with the library, each event at least once, also over restarts. Ends with Ctrl-C."""

import asyncio
import json
import os
from pathlib import Path

from opora_contracts import Event
from opora_contracts.consumer import Consumer

KAFKA = os.environ.get("KAFKA_BOOTSTRAP") or json.loads(Path(".opora/endpoints.json").read_text())["kafka_bootstrap"]


async def follow() -> None:
    """Print a line per fact. The next start of the group goes on behind the last commit."""
    async with Consumer(KAFKA, "opora.tickets", group="example") as consumer:
        async for event in consumer:
            if isinstance(event, Event):  # else of a type that this release does not know, or no event at all
                print(event.time, event.type, event.subject, event.sequence, flush=True)
            await consumer.commit()  # after the effect: what fails before is given again


asyncio.run(follow())
