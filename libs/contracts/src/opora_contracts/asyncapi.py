"""The whole platform as one AsyncAPI 3.0 document, written from the registry and the models: it cannot disagree.

It is JSON, and JSON is YAML 1.2: tools that want either take it.
"""

import json
from importlib.metadata import version as installed_version
from typing import Any

from opora_contracts.attributes import MAX_ATTRIBUTE_CHARACTERS, dataschema
from opora_contracts.codec import decode_structured, encode
from opora_contracts.compatibility import Schema
from opora_contracts.envelope import JSON_CONTENT_TYPE
from opora_contracts.event import Event
from opora_contracts.fact import Fact
from opora_contracts.gate import examples, schema_of
from opora_contracts.publishing import OTHER_SYSTEMS, is_open
from opora_contracts.topics import PROGRESS, TOPICS, Topic

ASYNCAPI_VERSION = "3.0.0"
DEFAULT_BOOTSTRAP = "localhost:9092"

_BINDING_VERSION = "0.5.0"
_FACT_HEADERS = "FactHeaders"
_REQUEST_HEADERS = "RequestHeaders"
_CASE = "case"
_DESCRIPTION = (
    "Opora is an event-driven platform for technical support. Every record on its topics is a CloudEvents 1.0 event in "
    "binary mode: the attributes are headers, the value is the data as JSON, the key keeps the events of one case in "
    "order. Structured mode is read as well. Delivery is at least once: `ce_sequence` counts 1, 2, 3 … per (`ce_source`"
    ", `ce_subject`) on facts, (`ce_source`, `ce_id`) identifies requests. Readers ignore fields and types that they "
    "do not know."
)


def asyncapi_document(bootstrap: str = DEFAULT_BOOTSTRAP) -> dict[str, Any]:
    """The document, as JSON types. `bootstrap` is the HOST:PORT at which readers of the document find the broker."""
    messages = {_message_id(fact_type): _message(topic, fact_type) for topic in TOPICS for fact_type in topic.types}
    return {
        "asyncapi": ASYNCAPI_VERSION,
        "id": "urn:opora:asyncapi",
        "info": {
            "title": "Opora",
            "version": installed_version("opora-contracts"),
            "description": _DESCRIPTION,
            "tags": [{"name": topic.name, "description": topic.description} for topic in TOPICS],
        },
        "defaultContentType": JSON_CONTENT_TYPE,
        "servers": {"kafka": {"host": bootstrap, "protocol": "kafka", "description": "Apache Kafka."}},
        "channels": {channel_id(topic): _channel(topic) for topic in TOPICS},
        "operations": dict(_operations()),
        "components": {
            "messages": messages,
            "schemas": {
                _FACT_HEADERS: _headers(open_to_others=False),
                _REQUEST_HEADERS: _headers(open_to_others=True),
            },
            "correlationIds": {
                _CASE: {
                    "description": "What belongs to one case.",
                    "location": "$message.header#/ce_correlationid",
                }
            },
        },
    }


def channel_id(topic: Topic) -> str:
    """The name of a topic's channel in the document: `tickets` for `opora.tickets`."""
    return topic.name.rpartition(".")[2]


def _channel(topic: Topic) -> dict[str, Any]:
    return {
        "address": topic.name,
        "title": topic.name,
        "summary": topic.description,
        "description": f"The record's key is {topic.key}.",
        "servers": [{"$ref": "#/servers/kafka"}],
        "messages": {_message_id(one): {"$ref": f"#/components/messages/{_message_id(one)}"} for one in topic.types},
        "tags": [{"name": topic.name}],
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": {"cleanup.policy": ["delete"], "retention.ms": topic.retention_ms},
                "bindingVersion": _BINDING_VERSION,
            }
        },
    }


def _operations() -> list[tuple[str, dict[str, Any]]]:
    """Who sends and who receives what, each as an operation of its own; the names are the registry's."""
    return [
        (f"{_name(who)}.{action}.{channel_id(topic)}", _operation(who, action, topic))
        for topic in TOPICS
        for action, parties in (("send", topic.producers), ("receive", topic.consumers))
        for who in parties
    ]


def _operation(who: str, action: str, topic: Topic) -> dict[str, Any]:
    verb = {"send": "send" if who == OTHER_SYSTEMS else "sends", "receive": "receives"}[action]
    operation: dict[str, Any] = {
        "action": action,
        "title": f"{who} {verb} {topic.name}",
        "summary": topic.description,
        "channel": {"$ref": f"#/channels/{channel_id(topic)}"},
        "messages": [{"$ref": f"#/channels/{channel_id(topic)}/messages/{_message_id(one)}"} for one in topic.types],
        "tags": [{"name": who}],
    }
    if action == "receive":
        group = {"type": "string", "const": f"opora-{who}.{topic.name}"}
        operation["bindings"] = {"kafka": {"groupId": group, "bindingVersion": _BINDING_VERSION}}
    return operation


def _message(topic: Topic, fact_type: type[Fact]) -> dict[str, Any]:
    summary = " ".join((fact_type.__doc__ or "").split())
    own_headers: Schema = {"properties": {"ce_type": {"const": fact_type.event_type}}}
    if not is_open(topic):  # others may name a schema of their own
        own_headers["properties"]["ce_dataschema"] = {"const": dataschema(fact_type.event_type, fact_type.version)}
        if topic is not PROGRESS:  # marks are not numbered: each replaces the one before
            own_headers["required"] = ["ce_sequence"]
    return {
        "name": fact_type.event_type,
        "title": f"{fact_type.event_type}, version {fact_type.version}",
        "summary": summary,
        "contentType": JSON_CONTENT_TYPE,
        "headers": {
            "type": "object",
            "allOf": [
                {"$ref": f"#/components/schemas/{_REQUEST_HEADERS if is_open(topic) else _FACT_HEADERS}"},
                own_headers,
            ],
        },
        "payload": _payload(fact_type),
        "correlationId": {"$ref": f"#/components/correlationIds/{_CASE}"},
        "tags": [{"name": topic.name}],
        "bindings": {
            "kafka": {"key": {"type": "string", "description": topic.key}, "bindingVersion": _BINDING_VERSION}
        },
        "examples": [_example(name, raw) for name, raw in sorted(_golden(fact_type).items())],
    }


def _payload(fact_type: type[Fact]) -> Schema:
    """The type's JSON Schema with its `$id`, without a reference.

    An `$id` is the base of the references below it for some tools and not for others: none is right for both.
    """
    schema = schema_of(fact_type)
    definitions = schema.pop("$defs", {})
    del schema["$schema"]
    return dict(_without_references(schema, definitions))


def _without_references(node: Any, definitions: Schema) -> Any:
    if isinstance(node, list):
        return [_without_references(one, definitions) for one in node]
    if not isinstance(node, dict):
        return node
    beside = {name: _without_references(one, definitions) for name, one in node.items() if name != "$ref"}
    if "$ref" not in node:
        return beside
    definition = definitions[node["$ref"].removeprefix("#/$defs/")]
    return {**_without_references(definition, definitions), **beside}


def _example(name: str, raw: bytes) -> dict[str, Any]:
    """A golden example as Opora writes it to the topic."""
    event = decode_structured(raw)
    if not isinstance(event, Event):
        raise TypeError(f"the example {name} is of an unknown type")
    record = encode(event)
    return {
        "name": name,
        "headers": {header: text.decode() for header, text in record.headers},
        "payload": json.loads(record.value),
    }


def _headers(*, open_to_others: bool) -> Schema:
    """The CloudEvents attributes as Kafka headers. What others need not send is not required of them."""
    properties: dict[str, Schema] = {
        "ce_specversion": {"const": "1.0"},
        "ce_id": _text("Unique per source; the same (source, id) again is a repetition."),
        "ce_source": _text("Who publishes, such as /opora/intake or //monitoring.example."),
        "ce_type": _text("What happened."),
        "ce_time": {"type": "string", "format": "date-time", "description": "When it happened; years 1970 to 2261."},
        "ce_subject": _text("What it is about: the aggregate, or the publisher's id of the case."),
        "ce_dataschema": {"type": "string", "description": "urn:opora:schema:<type>:<major version>; absent: 1."},
        "ce_sequence": {
            "type": "string",
            "pattern": "^[1-9][0-9]*$",
            "description": "1, 2, 3 … per (source, subject): the aggregate's version.",
        },
        "ce_partitionkey": _text("The record's key."),
        "ce_correlationid": _text("The case."),
        "ce_causationid": _text("The event that led to this one."),
        "ce_actor": _text("agent:<id>, customer:<id>, key:<name> or system:<service>."),
        "ce_importid": _text("The import of history that the fact belongs to; absent on live facts."),
        "traceparent": {"type": "string", "description": "W3C trace context."},
        "content-type": {"type": "string", "description": "application/json; absent means the same."},
    }
    required = ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time"]
    if open_to_others:
        properties["ce_source"]["not"] = {"pattern": "^/[Oo][Pp][Oo][Rr][Aa](/|$)"}
    else:
        required += ["ce_subject", "ce_dataschema", "ce_partitionkey", "content-type"]
    return {"type": "object", "required": required, "properties": properties}


def _text(description: str) -> Schema:
    return {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_ATTRIBUTE_CHARACTERS,
        "description": description,
    }


def _golden(fact_type: type[Fact]) -> dict[str, bytes]:
    return examples().get((fact_type.event_type, fact_type.version), {})


def _message_id(fact_type: type[Fact]) -> str:
    return f"{fact_type.event_type}.{fact_type.version}"


def _name(who: str) -> str:
    return who.replace(" ", "-")
