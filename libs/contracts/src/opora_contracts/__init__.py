"""Opora's event contracts: what the services and everybody else may rely on.

Needs pydantic and the standard library only.
"""

from opora_contracts import commitments, customers, feedback, notifications, progress, requests, sla, tickets
from opora_contracts.codec import EncodedRecord, UnknownEvent, decode, decode_structured, encode, encode_structured
from opora_contracts.errors import ReasonCode, UndecodableEvent
from opora_contracts.event import Event, NewEvent
from opora_contracts.fact import Fact, Personal, catalogue
from opora_contracts.topics import TOPICS, Topic, topic_of

__all__ = [
    "TOPICS",
    "EncodedRecord",
    "Event",
    "Fact",
    "NewEvent",
    "Personal",
    "ReasonCode",
    "Topic",
    "UndecodableEvent",
    "UnknownEvent",
    "catalogue",
    "commitments",
    "customers",
    "decode",
    "decode_structured",
    "encode",
    "encode_structured",
    "feedback",
    "notifications",
    "progress",
    "requests",
    "sla",
    "tickets",
    "topic_of",
]
