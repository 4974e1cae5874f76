"""Payloads of any system, by a mapping of JSON pointers (RFC 6901) to the fields of a case."""

import re

from opora_intake.domain.hook_sources import Mapped
from opora_intake.domain.hooks import HookReading, Ignored, Signal, Turn
from opora_intake.hooks.payload import (
    Json,
    UnreadableError,
    canonical,
    clean,
    key_of,
    lines_of,
    text_of,
    title_of,
    words,
)

_PLACE = re.compile(r"0|[1-9][0-9]{0,8}")


def read_generic(payload: Json, mapping: Mapped) -> HookReading:
    """The one case that the payload speaks of. Raises UnreadableError when it has no key or no title."""
    key = at(payload, mapping.key)
    if key in (None, "", [], {}):
        raise UnreadableError(f"There is nothing at {mapping.key or 'the root'}, where the key is mapped.")
    title = _text(payload, mapping.title)
    if not title:
        raise UnreadableError(f"There is nothing at {mapping.title or 'the root'}, where the title is mapped.")
    state = _text(payload, mapping.state).casefold()
    if state and state in {word.casefold() for word in mapping.ignored_values}:
        return Ignored("the mapping has its state ignored")
    over = bool(state) and state in {word.casefold() for word in mapping.resolved_values}
    details = {name: at(payload, pointer) for name, pointer in mapping.details.items()}
    text = text_of(_text(payload, mapping.body), lines_of(details), lines_of({"Link": _text(payload, mapping.url)}))
    return (
        Signal(
            key=key_of(key),
            turn=Turn.ENDS if over else Turn.BEGINS,
            title=title_of(title),
            body=text,
            news=text_of(title, text, lines_of({"State": state})),
            severity=_text(payload, mapping.severity) or None,
        ),
    )


def at(value: Json, pointer: str) -> Json:
    """What the pointer names; None where nothing stands (RFC 6901 §4)."""
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and _PLACE.fullmatch(name):
            value = value[int(name)] if int(name) < len(value) else None
        else:
            return None
    return value


def _text(payload: Json, pointer: str | None) -> str:
    value = None if pointer is None else at(payload, pointer)
    return clean(canonical(value)) if isinstance(value, dict | list) and value else words(value)
