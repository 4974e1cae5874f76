"""The AsyncAPI document: complete, without dangling references, and true to what stands on the topics."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from opora_contracts import TOPICS, catalogue, decode
from opora_contracts.asyncapi import asyncapi_document, channel_id
from opora_contracts.attributes import dataschema

DOCUMENT = asyncapi_document("broker.example:9092")


def references(node: Any) -> Iterator[str]:
    """Every reference in a document, outside of examples."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "$ref":
                yield value
            elif name != "examples":
                yield from references(value)
    elif isinstance(node, list):
        for one in node:
            yield from references(one)


def resolved(pointer: str, document: dict[str, Any] = DOCUMENT) -> Any:
    """What a reference leads to. Raises KeyError when it leads nowhere."""
    assert pointer.startswith("#/")
    node: Any = document
    for part in pointer[2:].split("/"):
        node = node[part]
    return node


def validator(schema: Any) -> jsonschema_rs.Draft7Validator:
    """A validator of one schema of the document; AsyncAPI's own dialect is a superset of draft 7."""
    return jsonschema_rs.Draft7Validator(
        {"allOf": [schema], "components": DOCUMENT["components"]}, validate_formats=True
    )


def test_every_reference_leads_somewhere() -> None:
    """No reference dangles, and none leads out of the document."""
    found = list(references(DOCUMENT))
    assert len(found) > 100
    assert [one for one in found if not resolved(one)] == []


def test_the_registry_is_in_it_whole() -> None:
    """Each topic is a channel with its name, partitions and retention, and carries its types, each as one message."""
    assert [one["address"] for one in DOCUMENT["channels"].values()] == [topic.name for topic in TOPICS]
    for topic in TOPICS:
        channel = DOCUMENT["channels"][channel_id(topic)]
        assert channel["bindings"]["kafka"]["partitions"] == topic.partitions
        assert channel["bindings"]["kafka"]["topicConfiguration"]["retention.ms"] == topic.retention_ms
        names = [resolved(one["$ref"])["name"] for one in channel["messages"].values()]
        assert names == [one.event_type for one in topic.types]
    ids = {one["payload"]["$id"] for one in DOCUMENT["components"]["messages"].values()}
    assert ids == {dataschema(name, version) for name, version in catalogue()}


def test_each_service_has_its_operations() -> None:
    """Who sends and who receives is the registry's; a receiver says its consumer group."""
    operations = {
        (one["tags"][0]["name"], one["action"], resolved(one["channel"]["$ref"])["address"])
        for one in DOCUMENT["operations"].values()
    }
    assert operations == {(who, "send", topic.name) for topic in TOPICS for who in topic.producers} | {
        (who, "receive", topic.name) for topic in TOPICS for who in topic.consumers
    }
    assert ("other systems", "send", "opora.requests") in operations
    group = DOCUMENT["operations"]["sla.receive.tickets"]["bindings"]["kafka"]["groupId"]
    assert group == {"type": "string", "const": "opora-sla.opora.tickets"}
    assert len(DOCUMENT["operations"]["sla.receive.tickets"]["messages"]) == 17


@pytest.mark.parametrize("message", DOCUMENT["components"]["messages"].values(), ids=lambda one: one["name"])
def test_examples_are_records_that_the_schemas_allow(message: dict[str, Any]) -> None:
    """An example's headers and payload hold for the schemas beside it, and decode as a record of the topic."""
    headers, payload = validator(message["headers"]), validator(message["payload"])
    assert len(message["examples"]) == 2
    for example in message["examples"]:
        headers.validate(example["headers"])
        payload.validate(example["payload"])
        record = [(name, text.encode()) for name, text in example["headers"].items()]
        assert decode(None, json.dumps(example["payload"]).encode(), record).type == message["name"]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("ticket.created.1", {"ce_sequence": None}),
        ("ticket.created.1", {"ce_sequence": "0"}),
        ("ticket.created.1", {"ce_type": "ticket.closed"}),
        ("ticket.created.1", {"ce_dataschema": "urn:opora:schema:ticket.created:2"}),
        ("ticket.created.1", {"ce_specversion": "0.3"}),
        ("ticket.submitted.1", {"ce_id": None}),
        ("ticket.submitted.1", {"ce_id": "x" * 201}),
        ("ticket.submitted.1", {"ce_source": "/opora/intake"}),
        ("ticket.submitted.1", {"ce_time": "yesterday"}),
    ],
)
def test_wrong_headers_are_refused(name: str, change: dict[str, str | None]) -> None:
    """The headers' schema is no formality: it refuses what the platform refuses."""
    message = DOCUMENT["components"]["messages"][name]
    headers = {**message["examples"][0]["headers"], **change}
    given = {header: text for header, text in headers.items() if text is not None}
    assert not validator(message["headers"]).is_valid(given)


def test_wrong_payloads_are_refused() -> None:
    """The payload's rules survive the way into the document, also where they were a shared list of words."""
    payload = validator(DOCUMENT["components"]["messages"]["ticket.submitted.1"]["payload"])
    assert payload.is_valid({"title": "Disk full", "impact": "high"})
    for wrong in ({}, {"title": "a", "impact": "huge"}, {"title": "a\nb"}, {"title": "a", "tittle": "b"}):
        assert not payload.is_valid(wrong)


def test_the_broker_is_the_one_that_was_named() -> None:
    """The document says where its readers find the broker."""
    assert DOCUMENT["servers"]["kafka"]["host"] == "broker.example:9092"
