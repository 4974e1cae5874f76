"""Pieces of Markdown, and JSON Schemas in words."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Json = dict[str, Any]

_KINDS = {"date-time": "time", "uuid": "UUID", "date": "date"}
_LIMITS = {
    "minimum": "≥ {}",
    "maximum": "≤ {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} entries",
    "maxItems": "at most {} entries",
}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table's lines; nothing when there are no rows."""
    body = [f"| {' | '.join(map(cell, row))} |" for row in rows]
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *body, ""] if body else []


def cell(text: str) -> str:
    """Text as it may stand in a table."""
    return " ".join(text.split()).replace("|", "\\|")


def prose(text: str) -> str:
    """A description as it may stand in a page: `<id>` outside code is text, not a tag."""
    parts = text.split("`")
    return "`".join(part.replace("<", "\\<") if at % 2 == 0 else part for at, part in enumerate(parts))


def code(language: str, value: Any) -> list[str]:
    """A block of code; what is no text is shown as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return [f"```{language}", text, "```", ""]


def target(name: str) -> list[str]:
    """An anchor of this name for what follows."""
    return [f"({name})=", ""]


def link(words: str, name: str) -> str:
    """A link to an anchor of the same page."""
    return f"[{words}](#{name})"


def fields_table(schema: Json, prefix: str) -> list[str]:
    """The fields of an object. References to `components/schemas` become links to the anchors `<prefix><name>`."""
    required = set(schema.get("required", ()))
    rows = []
    for name, member in schema.get("properties", {}).items():
        need = "required" if name in required else _default(member)
        rows.append((f"`{name}`", need, in_words(member, prefix), prose(member.get("description", ""))))
    return table(("field", "", "type", "meaning"), rows)


def in_words(schema: Json, prefix: str) -> str:
    """A schema as a reader says it: `list of Ticket`, `P1, P2`, `string (at most 200 characters)`."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return link(title_of(name), anchor(prefix, name))
    if "anyOf" in schema:
        kinds = [in_words(one, prefix) for one in schema["anyOf"] if one != {"type": "null"}]
        return " or ".join([*kinds, "null"] if {"type": "null"} in schema["anyOf"] else kinds)
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    return _plain(schema, prefix)


def anchor(prefix: str, name: str) -> str:
    """The name of an anchor: small letters, digits and hyphens."""
    return "-".join("".join(c if c.isalnum() else " " for c in f"{prefix} {name}".lower()).split())


def title_of(name: str) -> str:
    """A schema's name for readers: `Page_TicketView_` is `Page of TicketView`."""
    return name.strip("_").replace("_", " of ")


def _plain(schema: Json, prefix: str) -> str:
    kind = schema.get("type", "any JSON")
    if kind == "array":
        if "prefixItems" in schema:
            kind = "[" + ", ".join(in_words(one, prefix) for one in schema["prefixItems"]) + "]"
        else:
            kind = f"list of {in_words(schema.get('items', {}), prefix)}"
        limits = {} if "prefixItems" in schema else schema
    elif kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        kind, limits = f"object of {in_words(schema['additionalProperties'], prefix)}", schema
    else:
        limits = schema
        kind = _KINDS.get(schema.get("format", ""), kind)
    said = [_limit(key, limits[key]) for key in _LIMITS if key in limits]
    if "pattern" in limits:
        said.append("one line" if limits["pattern"].startswith("^[^\\x00") else f"`{limits['pattern']}`")
    return f"{kind} ({', '.join(said)})" if said else str(kind)


def _limit(key: str, value: float) -> str:
    if value == 1 and key in {"minLength", "minItems"}:
        return "not empty"
    return _LIMITS[key].format(_number(value))


def _number(value: float) -> str:
    return f"{int(value):,}".replace(",", " ") if value == int(value) else str(value)


def _default(member: Mapping[str, Any]) -> str:
    value = member.get("default")
    if value is None:
        return "optional"
    return f"default `{json.dumps(value, ensure_ascii=False)}`"
