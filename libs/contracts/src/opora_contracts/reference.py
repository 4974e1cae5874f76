"""The reference pages of topics and event types, written from the registry and the models: they cannot disagree."""

from pathlib import Path
from typing import Any

from opora_contracts.attributes import dataschema
from opora_contracts.compatibility import Schema
from opora_contracts.conformance import table
from opora_contracts.fact import Fact
from opora_contracts.gate import PACKAGE_DIRECTORY, examples, schema_of
from opora_contracts.topics import FOREVER, TOPICS, Topic

_HOUR_MS = 3_600_000
_DAY_HOURS = 24
_GENERATED = "<!-- Written by `python -m opora_contracts docs docs/events`: change the models, not this page. -->"

_ON_THE_WIRE = """\
Every record is a CloudEvents 1.0 event. Opora writes binary mode: the attributes are headers, the value is the data
as JSON, the key keeps the events of one case in order. It reads structured mode
(`content-type: application/cloudevents+json`) as well. A reader ignores fields and types that it does not know.

| header | holds |
|---|---|
| `ce_specversion` | `1.0` |
| `ce_id` | unique per source; the same (source, id) again is a repetition |
| `ce_source` | who publishes, such as `/opora/intake` |
| `ce_type` | the type, such as `ticket.created` |
| `ce_time` | when it happened: RFC 3339 with a zone, years 1970 to 2261 |
| `ce_subject` | what it is about; without it the record's key is taken |
| `ce_dataschema` | `urn:opora:schema:<type>:<major version>`; without it version 1 is meant |
| `ce_sequence` | 1, 2, 3 … per (source, subject): the aggregate's version |
| `ce_partitionkey` | the record's key |
| `ce_correlationid`, `ce_causationid` | the case, and the event that led to this one |
| `ce_actor` | `agent:<id>`, `customer:<id>`, `key:<name>` or `system:<service>` |
| `ce_importid` | the import of history that the fact belongs to; absent on live facts |
| `traceparent` | W3C trace context |
| `content-type` | `application/json` |

An attribute has at most 200 characters, none of them a control or text-direction character. The data has at most
1 MiB and 32 levels; no key appears twice; null and absent mean the same. How each breach of these rules is answered
stands in [one table](bad-input.md).
"""


def topics_table(link_prefix: str = "") -> str:
    """A Markdown table of all topics; `link_prefix` leads from the page that shows it to the topics' pages."""
    rows = [
        f"| [`{topic.name}`]({link_prefix}{page_name(topic)}) | {topic.key} | {', '.join(topic.producers)} "
        f"| {', '.join(topic.consumers) or '(yours)'} | {_retention(topic)} | {_types(topic)} |"
        for topic in TOPICS
    ]
    head = ["| topic | key | written by | read by | kept | types |", "|---|---|---|---|---|---|"]
    return "\n".join([*head, *rows]) + "\n"


def index_page() -> str:
    """The first page: how an event looks on the wire, and the topics."""
    return f"# Events\n\n{_GENERATED}\n\n{_ON_THE_WIRE}\n{topics_table()}"


def topic_page(topic: Topic, directory: Path = PACKAGE_DIRECTORY) -> str:
    """The Markdown page of one topic: its properties, and each type with its fields and an example."""
    golden = examples(directory)
    lines = [
        f"# `{topic.name}`",
        "",
        _GENERATED,
        "",
        topic.description,
        "",
        "| | |",
        "|---|---|",
        f"| key | {topic.key} |",
        f"| written by | {', '.join(topic.producers)} |",
        f"| read by | {', '.join(topic.consumers) or '(yours)'} |",
        f"| partitions | {topic.partitions} |",
        f"| kept | {_retention(topic)} |",
        "",
    ]
    for fact_type in topic.types:
        lines += _type_section(fact_type)
        known = golden.get((fact_type.event_type, fact_type.version), {})
        if (example := known.get("full")) is not None:
            lines += ["An example, in structured mode:", "", "```json", example.decode().rstrip(), "```", ""]
    return "\n".join(lines)


def page_name(topic: Topic) -> str:
    """The file name of a topic's page."""
    return f"{topic.name}.md"


def pages(directory: Path = PACKAGE_DIRECTORY) -> dict[str, str]:
    """Every reference page by its file name."""
    return {
        "README.md": index_page(),
        "bad-input.md": table.page(_GENERATED),
        **{page_name(topic): topic_page(topic, directory) for topic in TOPICS},
    }


def _types(topic: Topic) -> str:
    return ", ".join(f"`{one.event_type}`" for one in topic.types)


def _retention(topic: Topic) -> str:
    if topic.retention_ms == FOREVER:
        return "for good"
    hours = topic.retention_ms // _HOUR_MS
    if hours % _DAY_HOURS:
        return f"{hours} hour{'s' if hours > 1 else ''}"
    return f"{hours // _DAY_HOURS} days"


def _type_section(fact_type: type[Fact]) -> list[str]:
    schema = schema_of(fact_type)
    required = set(schema.get("required", ()))
    lines = [
        f"## `{fact_type.event_type}`",
        "",
        _one_line(schema.get("description", "")),
        "",
        f"Version {fact_type.version}: `{dataschema(fact_type.event_type, fact_type.version)}`",
        "",
    ]
    if not schema.get("properties"):
        return [*lines, "No fields.", ""]
    lines += ["| field | | type | meaning |", "|---|---|---|---|"]
    for name, member in schema["properties"].items():
        need = "required" if name in required else _default(member)
        meaning = " ".join(
            part
            for part in (_one_line(member.get("description", "")), "*Personal.*" * bool(member.get("x-personal")))
            if part
        )
        lines.append(f"| `{name}` | {need} | {_kind(member, schema)} | {meaning} |")
    return [*lines, ""]


def _default(member: Schema) -> str:
    value = member.get("default")
    if value is None:
        return "optional"
    if value == "":
        return "default empty"
    return f"default `{str(value).lower() if isinstance(value, bool) else value}`"


def _kind(member: Schema, root: Schema) -> str:
    while True:
        if "$ref" in member:
            member = root["$defs"][member["$ref"].removeprefix("#/$defs/")]
        elif "anyOf" in member:
            branches = [one for one in member["anyOf"] if one != {"type": "null"}]
            if len(branches) != 1:
                return " or ".join(_kind(one, root) for one in branches)
            member = branches[0]
        else:
            break
    if "enum" in member:
        return ", ".join(f"`{value}`" for value in member["enum"])
    if "const" in member:
        return f"`{member['const']}`"
    if "items" in member:
        return f"list of {_kind(member['items'], root)}"
    kind = {"date-time": "time", "uuid": "UUID"}.get(member.get("format", ""), member.get("type", "any"))
    limits = [words for key, words in _limits(member) if key in member]
    return f"{kind}{' (' + ', '.join(limits) + ')' if limits else ''}"


def _limits(member: Schema) -> list[tuple[str, str]]:
    def say(words: str, key: str) -> tuple[str, str]:
        return key, f"{words} {member.get(key)}"

    one_line: list[tuple[str, str]] = [("pattern", f"`{_cell(member.get('pattern'))}`")]
    if str(member.get("pattern", "")).startswith("^[^\\x00"):
        one_line = [("pattern", "one line")]
    return [
        say("≥", "minimum"),
        say("≤", "maximum"),
        (
            "minLength",
            "not empty" if member.get("minLength") == 1 else f"at least {member.get('minLength')} characters",
        ),
        ("maxLength", f"at most {member.get('maxLength')} characters"),
        *one_line,
    ]


def _one_line(text: str) -> str:
    return _cell(" ".join(text.split()))


def _cell(text: Any) -> str:
    return str(text).replace("|", "\\|")
