"""An event's data between bytes and model: JSON read strictly, and errors that a stranger understands."""

import json
import re
from codecs import BOM_UTF8
from collections.abc import Collection
from typing import Any, NoReturn

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from opora_contracts.attributes import shown
from opora_contracts.errors import ReasonCode, UndecodableEvent
from opora_contracts.fact import LANGUAGE_TAG, ONE_LINE, Fact

MAX_VALUE_BYTES = 1_048_576
MAX_DEPTH = 32
MAX_ERRORS_SHOWN = 5

_PATTERNS_IN_WORDS = {
    ONE_LINE: "must be one line of text without control or text-direction characters",
    LANGUAGE_TAG: "must be a language tag such as en, ru or pt-BR",
}
# Strings first, closed or not, so that brackets inside them are not counted; possessive, so that it is linear.
_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)


def read_object(raw: bytes | None, what: str) -> dict[str, Any]:
    """The JSON object in `raw`; `what` names it in errors ("the record's value").

    Raises UndecodableEvent: too_large over 1 MiB; bad_json for anything that is not one JSON object in UTF-8, repeats
    a key, holds NaN or Infinity, nests deeper than 32 levels or holds the character U+0000.
    """
    if not raw:
        _refuse(f"{what} is {'null' if raw is None else 'empty'}; expected a JSON object")
    if raw.startswith(BOM_UTF8):
        _refuse(f"{what} begins with a byte order mark; send UTF-8 without it")
    if len(raw) > MAX_VALUE_BYTES:
        raise UndecodableEvent(
            ReasonCode.TOO_LARGE,
            f"{what} has {len(raw)} bytes; at most {MAX_VALUE_BYTES} are allowed. Send a link to large content instead",
        )
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH:  # nearly every event has fewer brackets than that in all
        _refuse_deep(raw, what)
    parsed = _parse(raw, what)
    if not isinstance(parsed, dict):
        _refuse(f"{what} is a JSON {_json_kind(parsed)}; expected an object, {{...}}")
    if b"\\u0000" in raw:
        _refuse_nul(parsed, what)
    return parsed


def read_fact(fact_type: type[Fact], raw: bytes, members: Collection[str]) -> Fact:
    """The model of data already seen to be one JSON object with these members. Unknown members are ignored.

    Raises UndecodableEvent wrong_schema, naming each field and the rule it breaks, without the values.
    """
    try:
        return fact_type.model_validate_json(raw, strict=True, extra="ignore")
    except ValidationError as error:
        raise _schema_error(fact_type, error, members) from None


def unknown_fields(fact_type: type[Fact], members: Collection[str]) -> tuple[str, ...]:
    """The members of a data object that this code's version of the type does not declare, sorted."""
    return tuple(sorted(name for name in members if name not in fact_type.model_fields))


def _schema_error(fact_type: type[Fact], error: ValidationError, members: Collection[str]) -> UndecodableEvent:
    problems = error.errors(include_url=False, include_input=False)
    if problems[0]["type"] == "json_invalid":
        return UndecodableEvent(ReasonCode.BAD_JSON, f"the data is not JSON: {_rule(problems[0])}")
    lines = [f"data.{'.'.join(str(part) for part in one['loc'])}: {_rule(one)}" for one in problems[:MAX_ERRORS_SHOWN]]
    if len(problems) > MAX_ERRORS_SHOWN:
        lines.append(f"and {len(problems) - MAX_ERRORS_SHOWN} more")
    if unknown := unknown_fields(fact_type, members):
        lines.append(f"not fields of this type: {', '.join(shown(name) for name in unknown[:MAX_ERRORS_SHOWN])}")
    return UndecodableEvent(
        ReasonCode.WRONG_SCHEMA, f"not a valid {fact_type.event_type} version {fact_type.version}: {'; '.join(lines)}"
    )


def _rule(problem: ErrorDetails) -> str:
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "missing":
        return "required, but absent"
    if kind == "string_pattern_mismatch":
        return _PATTERNS_IN_WORDS.get(context.get("pattern", ""), problem["msg"])
    return problem["msg"].removeprefix("Value error, ")


def _parse(raw: bytes, what: str) -> Any:
    try:
        return _DECODER.decode(raw.decode())
    except UnicodeDecodeError as error:
        _refuse(f"{what} is not UTF-8: byte {error.start} is 0x{raw[error.start]:02x}")
    except json.JSONDecodeError as error:
        _refuse(f"{what} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}")
    except _NotAllowed as error:
        _refuse(f"{what} {error}")
    except (ValueError, RecursionError):  # an integer of thousands of digits
        _refuse(f"{what} holds a number that is too long")


class _NotAllowed(Exception):  # noqa: N818  never leaves this module
    """Valid for Python's JSON reader, not for ours."""


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise _NotAllowed(f"repeats the key {shown(repeated)}; which of the values holds cannot be known")
    return members


def _refuse_constant(constant: str) -> NoReturn:
    raise _NotAllowed(f"holds {constant}, which is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique_members, parse_constant=_refuse_constant)


def _refuse_deep(raw: bytes, what: str) -> None:
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(raw):
        if token[0] in b"{[":
            depth += 1
            if depth > MAX_DEPTH:
                _refuse(f"{what} nests deeper than {MAX_DEPTH} levels")
        elif token[0] in b"}]":
            depth -= 1


def _refuse_nul(parsed: Any, what: str) -> None:
    waiting = [parsed]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            waiting += [*node.keys(), *node.values()]
        elif isinstance(node, list):
            waiting += node
        elif isinstance(node, str) and "\0" in node:
            _refuse(f"{what} holds the character U+0000, which cannot be stored")


def _json_kind(parsed: Any) -> str:
    kinds = {list: "array", str: "string", bool: "boolean", type(None): "null"}
    return kinds.get(type(parsed), "number")


def _refuse(detail: str) -> NoReturn:
    raise UndecodableEvent(ReasonCode.BAD_JSON, detail)
