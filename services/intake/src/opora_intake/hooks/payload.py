"""Finding things in JSON that anybody may have written, and making of them text that can be stored and shown."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

Json = Any

LONGEST_TITLE = 250
LONGEST_BODY = 100_000
_LONGEST_KEY = 150
_LONGEST_VALUE = 2_000
_MOST_LINES = 200
_UNSHOWN = re.compile(r"[\x00-\x09\x0B-\x1F\x7F-\x9F\u200B\u2028-\u202E\u2066-\u2069\uFEFF]+")
_TOO_LONG = "\n\n[The rest is in the delivery.]"


class UnreadableError(Exception):
    """The payload is not what its kind looks like; the message says what was looked for, in words of ours."""


def json_of(raw: bytes) -> Json:
    """The value of a JSON text (RFC 8259) in UTF-8. Raises UnreadableError, for values nested too deeply as well."""
    try:
        return json.loads(raw.decode("utf-8-sig"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise UnreadableError(f"The body is not UTF-8: octet {error.start} cannot be read.") from None
    except json.JSONDecodeError as error:
        raise UnreadableError(f"The body is not JSON: {error.msg}, at character {error.pos}.") from None
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"The body is not JSON that can be read: {type(error).__name__}.") from None


def found(value: Json, *path: str | int) -> Json:
    """What stands at the path; None where nothing does."""
    for step in path:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and -len(value) <= step < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def items(value: Json, *path: str | int) -> list[Json]:
    """The elements of the array at the path; none where there is no array."""
    at = found(value, *path)
    return at if isinstance(at, list) else []


def pairs(value: Json, *path: str | int) -> dict[str, Json]:
    """The members of the object at the path; none where there is no object."""
    at = found(value, *path)
    return at if isinstance(at, dict) else {}


def words(value: Json, *path: str | int) -> str:
    """The text or number at the path as clean text; empty for what is neither, and for the word null."""
    at = found(value, *path)
    if isinstance(at, bool):
        return "true" if at else "false"
    if not isinstance(at, str | int | float):
        return ""
    text = clean(str(at)).strip()
    return "" if text == "null" else text


def clean(text: str) -> str:
    """The text without what no column holds or nobody sees: NUL, control and direction characters, lone surrogates."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", "    ")
    return _UNSHOWN.sub(" ", text).encode("utf-8", "replace").decode("utf-8")


def title_of(*candidates: str) -> str:
    """The first candidate that says something, in one line; raises UnreadableError when none does."""
    for candidate in candidates:
        line = " ".join(candidate.split())[:LONGEST_TITLE].strip()
        if line:
            return line
    raise UnreadableError("The payload holds nothing that could be a title.")


def key_of(*parts: Json) -> str:
    """A case's key: the parts joined, or where that is long, empty or cannot be shown, a digest of them."""
    texts = [_one_line(part) for part in parts]
    if all(text is not None and text for text in texts):
        key = "/".join(text for text in texts if text)
        if len(key) <= _LONGEST_KEY and key.isprintable():
            return key
    return hashlib.sha256(canonical(list(parts)).encode("utf-8", "replace")).hexdigest()


def canonical(value: Json) -> str:
    """One text for one value, however its members were ordered."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def text_of(*paragraphs: str) -> str:
    """The paragraphs that say something, within the length of a message."""
    text = "\n\n".join(paragraph for paragraph in (each.strip() for each in paragraphs) if paragraph)
    return text if len(text) <= LONGEST_BODY else text[: LONGEST_BODY - len(_TOO_LONG)] + _TOO_LONG


def lines_of(values: Mapping[str, Json]) -> str:
    """`name: value` in a line each; names without a value are left out."""
    lines = list(_lines(values))
    more = [f"and {len(lines) - _MOST_LINES} more"] if len(lines) > _MOST_LINES else []
    return "\n".join([*lines[:_MOST_LINES], *more])


def _lines(values: Mapping[str, Json]) -> Iterator[str]:
    for name, value in values.items():
        text = canonical(value) if isinstance(value, dict | list) and value else words(value)
        if text:
            yield f"{' '.join(clean(name).split())[:100]}: {clean(text)[:_LONGEST_VALUE]}"


def _one_line(part: Json) -> str | None:
    if isinstance(part, bool) or not isinstance(part, str | int):
        return None
    text = str(part)
    return text if text == " ".join(clean(text).split()) else None


def _no_constant(name: str) -> Json:
    raise ValueError(name)
