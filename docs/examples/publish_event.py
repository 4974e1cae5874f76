"""Ask for help as any other system would: a CloudEvent on `opora.requests`, with nothing of Opora's installed."""

import asyncio
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from aiokafka import AIOKafkaProducer

KAFKA = os.environ.get("KAFKA_BOOTSTRAP") or json.loads(Path(".opora/endpoints.json").read_text())["kafka_bootstrap"]


async def publish() -> None:
    """Publish one request. The same (source, id) again would open no second ticket."""
    event = {"ce_specversion": "1.0", "ce_type": "ticket.submitted", "ce_source": "//monitoring.example"}
    event |= {"ce_id": str(uuid4()), "ce_subject": f"disk-{uuid4()}", "ce_time": datetime.now(UTC).isoformat()}
    data = {"title": "Disk almost full on db-7", "body": "93 % used and growing", "impact": "high"}
    key, value = event["ce_subject"].encode(), json.dumps(data).encode()
    async with AIOKafkaProducer(bootstrap_servers=KAFKA) as producer:
        headers = [(name, text.encode()) for name, text in event.items()]
        await producer.send_and_wait("opora.requests", value, key=key, headers=headers)
    print("published", event["ce_id"], "about", event["ce_subject"])


asyncio.run(publish())
