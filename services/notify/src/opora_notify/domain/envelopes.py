"""An event as one JSON document (CloudEvents 1.0, structured mode), and back."""

import json
from typing import Any

from opora_contracts import Event, Fact
from opora_contracts.attributes import dataschema
from opora_contracts.codec import UnknownEvent, decode
from opora_contracts.envelope import STRUCTURED_CONTENT_TYPE
from opora_contracts.instants import instant_to_text


def structured(event: Event[Any]) -> dict[str, Any]:
    """The event as a structured CloudEvent; attributes and data fields without a value are left out."""
    document: dict[str, Any] = {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "time": instant_to_text(event.time),
        "subject": event.subject,
        "datacontenttype": "application/json",
        "dataschema": dataschema(event.type, event.version),
        "sequence": None if event.sequence is None else str(event.sequence),
        "partitionkey": event.key or event.subject,
        "correlationid": event.correlation_id,
        "causationid": event.causation_id,
        "actor": event.actor,
        "traceparent": event.traceparent,
        "data": event.data.model_dump(mode="json", exclude_none=True),
    }
    return {name: value for name, value in document.items() if value is not None}


def event_in(document: dict[str, Any]) -> Event[Fact]:
    """The event that `structured` wrote down, in the newest version of its type."""
    event = decode(None, json.dumps(document).encode(), [("content-type", STRUCTURED_CONTENT_TYPE.encode())])
    if isinstance(event, UnknownEvent):
        raise TypeError(f"the ledger holds an event of a type that this code does not know: {event.type}")
    return event
