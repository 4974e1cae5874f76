"""A record of a topic as a line: for people, with who a person is left out, or as JSON, whole."""

import json
from collections.abc import Iterator
from typing import Any

from rich.text import Text

from opora_contracts import Event, UnknownEvent, catalogue, encode_structured
from opora_contracts.consumer import Given, Place, Undecodable
from opora_contracts.fact import Fact, PersonalData

_LONGEST_VALUE = 60
_TYPE_WIDTH = max(len(name) for name, _ in catalogue())
_HIDDEN = "…"


def for_people(given: Given, place: Place) -> Text:
    """One line without control characters: time, type, subject, sequence, what the event says, and where it stands.

    A value that tells who a person is shows as "…".
    """
    stands = (f"  {place.topic}/{place.partition}@{place.offset}", "dim")
    if isinstance(given, Undecodable):
        return Text.assemble(("no event: ", "red"), printable(f"{given.reason_code}: {given.detail}"), stands)
    time = "no time" if given.time is None else given.time.isoformat(sep=" ", timespec="milliseconds")[:-6] + "Z"
    number = "" if given.sequence is None else f" #{given.sequence}"
    if isinstance(given, UnknownEvent):
        told, style = f"unknown to this release, from {given.source}", "yellow"
    else:
        told, style = " ".join(_told(given)), "bold"
    return Text.assemble(
        (time, "cyan"),
        "  ",
        (printable(given.type).ljust(_TYPE_WIDTH), style),
        f" {printable(given.subject)}{number}  {printable(told)}",
        stands,
    )


def for_scripts(given: Given, place: Place) -> str:
    """One line of JSON: a structured CloudEvent with `topic`, `partition` and `offset`, or what was there instead."""
    stands = {"topic": place.topic, "partition": place.partition, "offset": place.offset}
    members: dict[str, Any]
    if isinstance(given, Undecodable):
        key = None if given.key is None else given.key.decode("utf-8", "backslashreplace")
        members = {"undecodable": given.reason_code, "detail": given.detail, "key": key}
    elif isinstance(given, UnknownEvent):
        members = {
            "unknown": given.type,
            "version": given.version,
            "id": given.id,
            "source": given.source,
            "subject": given.subject,
            "sequence": given.sequence,
        }
    else:
        members = json.loads(encode_structured(given).value)
    return json.dumps({**members, **stands}, ensure_ascii=False)


def printable(text: str) -> str:
    """The text with every character that could move a terminal's cursor, or the reader's eye, shown as an escape."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _told(event: Event[Fact]) -> Iterator[str]:
    personal = {
        name
        for name, field in type(event.data).model_fields.items()
        if any(isinstance(mark, PersonalData) for mark in field.metadata)
    }
    for name, value in event.data.model_dump(mode="json", exclude_defaults=True).items():
        if value == event.subject:
            continue
        yield f"{name}={_HIDDEN if name in personal else _value(value)}"


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
    return f'"{text}"' if " " in text else text
