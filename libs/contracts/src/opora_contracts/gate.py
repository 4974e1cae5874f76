"""The compatibility gate: the code's models against every committed revision, and the golden examples against the code.

Layout below a directory: `schemas/<type>/<major>/<revision>.json`, revisions 0001, 0002 … never edited, so that a model
is compared with all that was ever published; `examples/<type>/<major>/<name>.json`, each a whole structured CloudEvent.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from opora_contracts.attributes import dataschema
from opora_contracts.codec import UnknownEvent, decode, decode_structured, encode, encode_structured
from opora_contracts.compatibility import Schema, Violation, check
from opora_contracts.errors import UndecodableEvent
from opora_contracts.fact import Fact, catalogue, type_key
from opora_contracts.upcast import has_upcaster

PACKAGE_DIRECTORY = Path(__file__).parent
FREEZE_COMMAND = "opora contracts freeze"

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class GateRefusal(ValueError):  # noqa: N818  the gate refuses; nothing is in error but the change
    """A model broke the rules, so nothing was frozen. `violations` says which."""

    def __init__(self, violations: list[Violation]) -> None:
        super().__init__(f"{len(violations)} compatibility violations; nothing was frozen")
        self.violations = violations


def schema_of(fact_type: type[Fact]) -> Schema:
    """The JSON Schema (2020-12) of a type's data, as producers must write it. Readers ignore additional fields."""
    return {
        "$schema": _DIALECT,
        "$id": dataschema(fact_type.event_type, fact_type.version),
        **fact_type.model_json_schema(),
    }


def committed_schemas(directory: Path = PACKAGE_DIRECTORY) -> dict[type_key, dict[int, Schema]]:
    """Every committed revision, by type and major version. Raises ValueError for a file out of place or not JSON."""
    found: dict[type_key, dict[int, Schema]] = {}
    for path in sorted((directory / "schemas").glob("*/*/*.json")):
        try:
            version, revision = int(path.parent.name), int(path.stem)
            found.setdefault((path.parent.parent.name, version), {})[revision] = dict(json.loads(path.read_bytes()))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: expected schemas/<type>/<major>/<revision>.json ({error})") from None
    return found


def examples(directory: Path = PACKAGE_DIRECTORY) -> dict[type_key, dict[str, bytes]]:
    """Every golden example, by type and major version, then by name. Raises ValueError for a file out of place."""
    found: dict[type_key, dict[str, bytes]] = {}
    for path in sorted((directory / "examples").glob("*/*/*.json")):
        if not path.parent.name.isdecimal():
            raise ValueError(f"{path}: expected examples/<type>/<major>/<name>.json")
        found.setdefault((path.parent.parent.name, int(path.parent.name)), {})[path.stem] = path.read_bytes()
    return found


def check_all(
    types: Mapping[type_key, type[Fact]] | None = None, directory: Path = PACKAGE_DIRECTORY
) -> list[Violation]:
    """Everything that stands between the code and a release; empty when nothing does. The types: the catalogue."""
    types = catalogue() if types is None else types
    try:
        committed, golden = committed_schemas(directory), examples(directory)
    except ValueError as error:
        return [_of(("", 0), "unreadable", str(error))]
    violations: list[Violation] = []
    for key in sorted(committed.keys() | types.keys()):
        if key not in types:
            violations.append(
                _of(key, "type_removed", "committed, but no longer in the code: readers may still need it")
            )
            continue
        violations += _check_type(key, types, committed.get(key, {}))
        violations += _check_examples(key, golden.get(key, {}))
    violations += [
        _of(key, "example_of_nothing", "examples of a type that the code does not have")
        for key in sorted(golden.keys() - types.keys() - committed.keys())
    ]
    return violations


def freeze(types: Mapping[type_key, type[Fact]] | None = None, directory: Path = PACKAGE_DIRECTORY) -> list[Path]:
    """Write a new revision of each model that changed; all or none. Returns what was written.

    Where only descriptions changed, the newest revision is rewritten in place: no rule looks at them.
    Raises GateRefusal when a model breaks a rule.
    """
    types = catalogue() if types is None else types
    committed = committed_schemas(directory)
    violations = [
        one for key in sorted(types) for one in _against_revisions(schema_of(types[key]), committed.get(key, {}))
    ]
    if violations:
        raise GateRefusal(violations)
    written = []
    for key in sorted(types):
        schema, revisions = schema_of(types[key]), committed.get(key, {})
        newest = max(revisions, default=0)
        if newest and revisions[newest] == schema:
            continue
        revision = newest if newest and _rules_only(revisions[newest]) == _rules_only(schema) else newest + 1
        path = directory / "schemas" / key[0] / str(key[1]) / f"{revision:04}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        written.append(path)
    return written


def _check_type(
    key: type_key, types: Mapping[type_key, type[Fact]], revisions: dict[int, Schema]
) -> Iterator[Violation]:
    schema = schema_of(types[key])
    if sorted(revisions) != list(range(1, len(revisions) + 1)):
        yield _of(key, "revision_missing", f"expected 0001, 0002 … without a gap, found {sorted(revisions)}")
    broken = _against_revisions(schema, revisions)
    yield from broken
    if not broken and (not revisions or revisions[max(revisions)] != schema):
        what = "the model differs from the newest committed revision" if revisions else "no schema is committed"
        yield _of(key, "not_frozen", f"{what}: run `{FREEZE_COMMAND}` and commit what it writes")
    if (key[0], key[1] + 1) in types and not has_upcaster(types[key]):
        yield _of(key, "upcaster_missing", f"version {key[1] + 1} exists, so readers need a function that leads there")


def _against_revisions(schema: Schema, revisions: dict[int, Schema]) -> list[Violation]:
    if not revisions:
        return check(schema, schema)
    return [one for number, old in sorted(revisions.items()) for one in check(old, schema, revision=number)]


def _check_examples(key: type_key, golden: dict[str, bytes]) -> Iterator[Violation]:
    if not golden:
        yield _of(key, "example_missing", f"add examples/{key[0]}/{key[1]}/<name>.json, a structured CloudEvent")
    for name, document in golden.items():
        try:
            problem = _example_problem(key, document)
        except (UndecodableEvent, ValueError) as error:
            problem = str(error)
        if problem:
            yield replace(_of(key, "example_broken", problem), field_path=f"{name}.json")


def _example_problem(key: type_key, document: bytes) -> str | None:
    ignored: list[str] = []
    event = decode_structured(document, on_unknown_fields=lambda _, names: ignored.extend(names))
    if ignored:
        return f"holds fields that the type does not have: {', '.join(ignored)}"
    if isinstance(event, UnknownEvent) or event.type != key[0]:
        return f"is a {event.type}, expected {key[0]}"
    members: dict[str, Any] = json.loads(document)
    if members.get("dataschema") != dataschema(*key):
        return f"dataschema is {members.get('dataschema')}, expected {dataschema(*key)}"
    record, structured = encode(event), encode_structured(event)
    again = decode(record.key, record.value, record.headers)
    if again != event or decode(structured.key, structured.value, structured.headers) != event:
        return "reads differently after being written again"
    return None


def _rules_only(schema: Any) -> Any:
    """The schema without the words for people, wherever a schema (not a property of that name) holds them."""
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in {"title", "description", "$comment", "examples"}:
            continue
        if keyword in {"properties", "$defs"}:
            kept[keyword] = {name: _rules_only(inner) for name, inner in value.items()}
        elif keyword == "anyOf":
            kept[keyword] = [_rules_only(inner) for inner in value]
        else:
            kept[keyword] = _rules_only(value) if keyword in {"items", "additionalProperties"} else value
    return kept


def _of(key: type_key, rule: str, detail: str) -> Violation:
    return Violation(type=key[0], version=key[1], field_path="", rule=rule, detail=detail)
