"""Python runs this at its start where the folder is on its path: a process whose consumer does not validate.

For one test only: that the conformance kit sees the difference.
"""

import json
from datetime import UTC, datetime
from typing import Any

from opora_chassis.consume import batch
from opora_contracts import codec
from opora_contracts.fact import Fact, fact_type


def _read_object(raw: bytes | None, _what: str) -> dict[str, Any]:
    """Whatever Python's reader makes of it."""
    try:
        read = json.loads(raw or b"{}")
    except (ValueError, RecursionError):
        read = {}
    return read if isinstance(read, dict) else {}


def _read_fact(model: type[Fact], _raw: bytes, members: dict[str, Any]) -> Fact:
    """The model with whatever was given."""
    return model.model_construct(**{"title": "", "body": "", **members})


def _now(_text: str) -> datetime:
    return datetime.fromtimestamp(0, UTC)


def _check(attributes: dict[str, str], _label: str) -> None:
    """Whatever was given, and something for what is missing."""
    for name in ("id", "source", "type"):
        attributes.setdefault(name, "unknown")


def _newest(event_type: str, _version: int) -> type[Fact] | None:
    return fact_type(event_type, 1)


for name, careless in {
    "read_object": _read_object,
    "read_fact": _read_fact,
    "fact_type": _newest,
    "instant_from_text": _now,
    "_check": _check,
    "_is_json": lambda _content_type: True,
}.items():
    setattr(codec, name, careless)
setattr(batch, "reserved_source_problem", lambda _source: None)  # noqa: B010  nothing exports it
