"""Ask for help with the library: acknowledged within 30 seconds or an error, and one ticket however often it runs."""

import asyncio
import json
import os
from pathlib import Path

from opora_contracts.publisher import Publisher
from opora_contracts.requests import TicketSubmitted

KAFKA = os.environ.get("KAFKA_BOOTSTRAP") or json.loads(Path(".opora/endpoints.json").read_text())["kafka_bootstrap"]


async def publish() -> None:
    """Publish one request. Its id comes from the alert, so that a repetition after a crash carries the same."""
    asked = TicketSubmitted(title="Disk almost full on db-7", body="93 % used and growing")
    async with Publisher(KAFKA, source="//monitoring.example") as publisher:
        stands = await publisher.publish(asked, subject="disk-db-7", id="alert-2231")
    print("published", stands.event_id, "at", stands.topic, stands.partition, stands.offset)


asyncio.run(publish())
