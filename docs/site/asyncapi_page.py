"""A page of the whole platform's topics, from its AsyncAPI document."""

from collections.abc import Mapping
from typing import Any

from docs.site.markdown import Json, anchor, code, fields_table, link, prose, table, target

_HOUR_MS = 3_600_000


def asyncapi_page(document: Mapping[str, Any]) -> str:
    """The page, in Markdown: who sends and receives what, then each topic with an example of each of its messages."""
    lines = ["# Topics and messages", "", document["info"]["description"], ""]
    lines += [
        "The same as a document for programs: [asyncapi.json](asyncapi.json).",
        "",
        "## Who sends and receives",
        "",
    ]
    channels: Mapping[str, Json] = document["channels"]
    lines += table(
        ("", "sends", "receives"),
        (
            (who, _topics_of(document, who, "send"), _topics_of(document, who, "receive"))
            for who in dict.fromkeys(operation["tags"][0]["name"] for operation in document["operations"].values())
        ),
    )
    lines += ["## Headers", ""]
    for name, schema in document["components"]["schemas"].items():
        lines += [*target(anchor("async", name)), f"### {_words(name)}", "", prose(schema.get("description", "")), ""]
        lines += fields_table(schema, "async")
    for channel in channels.values():
        lines += _channel(document, channel)
    return "\n".join(lines)


def _topics_of(document: Mapping[str, Any], who: str, action: str) -> str:
    names = [
        operation["channel"]["$ref"].rpartition("/")[2]
        for operation in document["operations"].values()
        if operation["action"] == action and operation["tags"][0]["name"] == who
    ]
    addresses = [document["channels"][name]["address"] for name in names]
    return ", ".join(link(f"`{address}`", anchor("topic", address)) for address in addresses)


def _channel(document: Mapping[str, Any], channel: Json) -> list[str]:
    address = channel["address"]
    binding = channel["bindings"]["kafka"]
    lines = [
        *target(anchor("topic", address)),
        f"## `{address}`",
        "",
        f"{channel['summary']} {channel['description']}",
        "",
    ]
    lines += table(
        ("", ""),
        (
            ("partitions", str(binding["partitions"])),
            ("kept", _kept(binding["topicConfiguration"]["retention.ms"])),
            ("fields", f"[every field of every type](../docs/events/{address}.md)"),
        ),
    )
    for reference in channel["messages"].values():
        message = document["components"]["messages"][reference["$ref"].rpartition("/")[2]]
        lines += [f"### `{message['name']}`", "", prose(message["summary"]), ""]
        for example in message["examples"]:
            if example["name"] == "full":
                lines += code("json", {"headers": example["headers"], "payload": example["payload"]})
    return lines


def _kept(milliseconds: int) -> str:
    if milliseconds < 0:
        return "for good"
    hours = milliseconds // _HOUR_MS
    return f"{hours // 24} days" if hours % 24 == 0 else f"{hours} hour{'s' if hours > 1 else ''}"


def _words(name: str) -> str:
    """`FactHeaders` is `Fact headers`."""
    return "".join(f" {c.lower()}" if c.isupper() and at else c for at, c in enumerate(name))
