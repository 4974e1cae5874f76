"""The compatibility rules: what may change between two JSON Schemas of one event type in one major version.

FULL_TRANSITIVE: readers of every revision read writers of every revision. So a revision may add optional properties,
and nothing else. A field is never removed, even an optional one: readers that were built on it would silently lose it,
and its name could come back with another meaning. Whatever these rules do not know is a violation too.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from opora_contracts.attributes import SCHEMA_URN

Schema = dict[str, Any]


class Direction(StrEnum):
    """Who fails to read whom."""

    NEW_READER_OLD_WRITER = "new reader, old writer"
    OLD_READER_NEW_WRITER = "old reader, new writer"
    BOTH = "both ways"


TIGHTENED: Final = Direction.NEW_READER_OLD_WRITER
"""The new schema refuses values that the old one allowed."""
LOOSENED: Final = Direction.OLD_READER_NEW_WRITER
"""The new schema allows values that the old one refuses."""

_ANNOTATIONS = frozenset({"$schema", "$id", "$comment", "$defs", "title", "description", "examples", "deprecated"})
_LOWER_BOUNDS = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER_BOUNDS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_OBJECT_KEYWORDS = frozenset({"properties", "required", "additionalProperties"})
_KNOWN = (
    _ANNOTATIONS
    | _OBJECT_KEYWORDS
    | {*_LOWER_BOUNDS, *_UPPER_BOUNDS}
    | {"type", "enum", "const", "format", "pattern", "items", "uniqueItems", "anyOf", "default", "x-personal"}
)
_TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})
_ABSENT: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One broken rule, with where and why."""

    type: str
    version: int
    field_path: str
    rule: str
    direction: Direction = Direction.BOTH
    detail: str
    revision: int | None = None
    """The committed revision that the code was compared with."""

    def __str__(self) -> str:
        against = f" against revision {self.revision}" if self.revision is not None else ""
        where = f" {self.field_path}:" if self.field_path else ""
        return f"{self.type} version {self.version}{against}:{where} {self.rule} ({self.direction}): {self.detail}"


def check(old_schema: Schema, new_schema: Schema, *, revision: int | None = None) -> list[Violation]:
    """Every rule that the step from the old schema to the new one breaks, in either direction; empty when none.

    The schemas may be equal: then only what these rules cannot judge is reported.
    """
    event_type, version = _named(new_schema)
    findings: list[_Finding] = []
    if old_schema.get("$id") != new_schema.get("$id"):
        detail = f"{old_schema.get('$id')} became {new_schema.get('$id')}"
        findings.append(_Finding("", "id_changed", Direction.BOTH, detail))
    findings += _compare("", _Node.of(old_schema, old_schema), _Node.of(new_schema, new_schema))
    return [
        Violation(
            type=event_type,
            version=version,
            field_path=one.path,
            rule=one.rule,
            direction=one.direction,
            detail=one.detail,
            revision=revision,
        )
        for one in dict.fromkeys(findings)
    ]


def _named(schema: Schema) -> tuple[str, int]:
    name, _, version = str(schema.get("$id", "")).removeprefix(SCHEMA_URN).rpartition(":")
    return name, int(version) if version.isdigit() else 0


@dataclass(frozen=True, slots=True)
class _Finding:
    path: str
    rule: str
    direction: Direction
    detail: str


@dataclass(frozen=True, slots=True)
class _Node:
    """A schema with its `$ref` followed and its null branch taken out, so that two can be laid side by side."""

    keywords: Schema
    root: Schema
    nullable: bool = False
    unclassifiable: tuple[str, ...] = ()
    references: frozenset[str] = field(default_factory=frozenset)

    @staticmethod
    def of(schema: Any, root: Schema, references: frozenset[str] = frozenset()) -> "_Node":
        """Read one schema. What cannot be understood is named in `unclassifiable`, never skipped."""
        if not isinstance(schema, dict):
            return _Node({}, root, unclassifiable=(f"the schema {json.dumps(schema)}",))
        problems: list[str] = []
        nullable = False
        keywords = dict(schema)
        while "$ref" in keywords or "anyOf" in keywords:
            if "$ref" in keywords:
                reference = keywords.pop("$ref")
                target = _target(reference, root)
                if target is None or reference in references:
                    problems.append(f"$ref {reference} ({'recursive' if reference in references else 'not found'})")
                    continue
                references |= {reference}
                inner = target
            else:
                branches = keywords["anyOf"]
                real = [one for one in branches if one != {"type": "null"}] if isinstance(branches, list) else []
                nullable = nullable or len(real) < len(branches)
                if len(real) != 1:
                    keywords["anyOf"] = real
                    break
                del keywords["anyOf"]
                inner = real[0]
            if not isinstance(inner, dict):
                problems.append(f"the schema {json.dumps(inner)}")
                continue
            doubled = sorted((inner.keys() & keywords.keys()) - _ANNOTATIONS)
            problems += [f"{name} beside a reference or union that has it too" for name in doubled]
            keywords = {**inner, **keywords}
        kinds = keywords.get("type")
        if isinstance(kinds, list):
            real_kinds = [kind for kind in kinds if kind != "null"]
            nullable = nullable or len(real_kinds) < len(kinds)
            keywords["type"] = real_kinds[0] if len(real_kinds) == 1 else kinds
        problems += [f"the keyword {name}" for name in sorted(keywords.keys() - _KNOWN)]
        problems += _misshapen(keywords)
        return _Node(keywords, root, nullable, tuple(problems), references)

    def child(self, schema: Any) -> "_Node":
        return _Node.of(schema, self.root, self.references)


def _target(reference: Any, root: Schema) -> Any:
    if not isinstance(reference, str) or not reference.startswith("#/$defs/"):
        return None
    return root.get("$defs", {}).get(reference.removeprefix("#/$defs/"))


def _misshapen(keywords: Schema) -> Iterator[str]:
    kind = keywords.get("type", "any")
    if kind != "any" and not (isinstance(kind, str) and kind in _TYPES):
        yield f"type {json.dumps(kind)}"
    if not {"type", "enum", "const", "anyOf"} & keywords.keys():
        yield "a schema that allows every type"
    properties = keywords.get("properties", {})
    if not isinstance(properties, dict):
        yield "properties that is not an object"
    elif unnamed := sorted(set(keywords.get("required", ())) - properties.keys()):
        yield f"required names {', '.join(unnamed)}, which is not among the properties"
    yield from (
        f"{bound} {json.dumps(keywords[bound])}"
        for bound in (*_LOWER_BOUNDS, *_UPPER_BOUNDS)
        if bound in keywords and (isinstance(keywords[bound], bool) or not isinstance(keywords[bound], int | float))
    )


def _compare(path: str, old: _Node, new: _Node) -> Iterator[_Finding]:
    problems = dict.fromkeys((*old.unclassifiable, *new.unclassifiable))
    if problems:
        for problem in problems:
            yield _Finding(
                path,
                "unclassifiable",
                Direction.BOTH,
                f"{problem} cannot be judged; use what the rules know, or teach them with a test for both directions",
            )
        return
    yield from _compare_kind(path, old, new)
    yield from _compare_values(path, old.keywords, new.keywords)
    yield from _compare_bounds(path, old.keywords, new.keywords)
    yield from _compare_branches(path, old, new)
    if "properties" in old.keywords or "properties" in new.keywords:
        yield from _compare_properties(path, old, new)
    yield from _compare_additional(path, old, new)
    yield from _compare_items(path, old, new)


def _compare_kind(path: str, old: _Node, new: _Node) -> Iterator[_Finding]:
    before, after = old.keywords.get("type"), new.keywords.get("type")
    if before != after:
        widened = {("integer", "number"): LOOSENED, ("number", "integer"): TIGHTENED}
        direction = widened.get((str(before), str(after)), Direction.BOTH)
        yield _Finding(path, "type_changed", direction, f"{before} became {after}")
    if old.nullable and not new.nullable:
        yield _Finding(path, "nullable_removed", TIGHTENED, "null was allowed")
    if new.nullable and not old.nullable:
        yield _Finding(path, "nullable_added", LOOSENED, "null was refused")
    if old.keywords.get("x-personal") and not new.keywords.get("x-personal"):
        yield _Finding(path, "personal_mark_dropped", Direction.BOTH, "personal data stays personal")


def _compare_values(path: str, old: Schema, new: Schema) -> Iterator[_Finding]:
    if "const" in old and "const" in new:
        if _canonical(old["const"]) != _canonical(new["const"]):
            yield _Finding(path, "const_changed", Direction.BOTH, f"{old['const']!r} became {new['const']!r}")
        return
    before, after = _allowed(old), _allowed(new)
    if before is None and after is None:
        return
    if before is None:
        yield _Finding(path, "enum_added", TIGHTENED, "any value was allowed before")
    elif after is None:
        yield _Finding(path, "enum_removed", LOOSENED, "only listed values were allowed before")
    else:
        for value in sorted(after - before):
            yield _Finding(path, "enum_value_added", LOOSENED, f"old readers refuse {value}")
        for value in sorted(before - after):
            yield _Finding(path, "enum_value_removed", TIGHTENED, f"old data may hold {value}")


def _allowed(schema: Schema) -> set[str] | None:
    if "const" in schema:
        return {_canonical(schema["const"])}
    return {_canonical(value) for value in schema["enum"]} if "enum" in schema else None


def _compare_bounds(path: str, old: Schema, new: Schema) -> Iterator[_Finding]:
    for name in (*_LOWER_BOUNDS, *_UPPER_BOUNDS):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        if before is None or after is None:
            tighter = before is None
        else:
            tighter = after > before if name in _LOWER_BOUNDS else after < before
        rule = f"{name}_{'tightened' if tighter else 'loosened'}"
        yield _Finding(path, rule, TIGHTENED if tighter else LOOSENED, f"{before} became {after}")
    for name in ("pattern", "format"):
        before, after = old.get(name), new.get(name)
        if before is None and after is not None:
            yield _Finding(path, f"{name}_added", TIGHTENED, f"old data may break {after}")
        elif before is not None and after is None:
            yield _Finding(path, f"{name}_removed", LOOSENED, f"old readers expect {before}")
        elif before != after:
            yield _Finding(path, f"{name}_changed", Direction.BOTH, f"{before} became {after}")
    before, after = bool(old.get("uniqueItems")), bool(new.get("uniqueItems"))
    if before != after:
        yield _Finding(path, "uniqueItems_changed", TIGHTENED if after else LOOSENED, f"{before} became {after}")


def _compare_branches(path: str, old: _Node, new: _Node) -> Iterator[_Finding]:
    """Branches of a union of several are compared whole: a changed branch is one removed and one added."""
    branches_before, branches_after = old.keywords.get("anyOf", ()), new.keywords.get("anyOf", ())
    for node, branches in ((old, branches_before), (new, branches_after)):
        for branch in branches:
            yield from _compare(path, node.child(branch), node.child(branch))
    before = {_canonical(one) for one in branches_before}
    after = {_canonical(one) for one in branches_after}
    for branch in sorted(after - before):
        yield _Finding(path, "anyOf_branch_added", LOOSENED if before else TIGHTENED, branch)
    for branch in sorted(before - after):
        yield _Finding(path, "anyOf_branch_removed", TIGHTENED if after else LOOSENED, branch)
    if any('"$ref"' in branch for branch in before | after):
        yield _Finding(path, "unclassifiable", Direction.BOTH, "a $ref inside a union of several cannot be judged")


def _compare_properties(path: str, old: _Node, new: _Node) -> Iterator[_Finding]:
    before, after = old.keywords.get("properties", {}), new.keywords.get("properties", {})
    needed_before, needed_after = set(old.keywords.get("required", ())), set(new.keywords.get("required", ()))
    for name in sorted({*before, *after}):
        inner = f"{path}.{name}" if path else name
        if name not in after:
            lost = LOOSENED if name in needed_before else TIGHTENED
            yield _Finding(inner, "property_removed", lost, "a field stays for the life of its major version")
            continue
        added = new.child(after[name])
        if name not in before:
            if name in needed_after:
                yield _Finding(inner, "required_property_added", TIGHTENED, "old data lacks it; make it optional")
            yield from _compare(inner, added, added)
            continue
        existing = old.child(before[name])
        if name in needed_before and name not in needed_after:
            yield _Finding(inner, "required_removed", LOOSENED, "old readers refuse data without it")
        if name in needed_after and name not in needed_before:
            yield _Finding(inner, "required_added", TIGHTENED, "old data may lack it")
        if name not in needed_before and name not in needed_after:
            yield from _compare_defaults(inner, existing.keywords, added.keywords)
        yield from _compare(inner, existing, added)


def _compare_items(path: str, old: _Node, new: _Node) -> Iterator[_Finding]:
    before, after = _member(old, "items"), _member(new, "items")
    if before is None and after is None:
        return
    if before is None or after is None:
        yield _Finding(path, "items_changed", LOOSENED if after is None else TIGHTENED, "items were free on one side")
    # An element that stands on one side only is laid beside itself: what cannot be judged is found all the same.
    yield from _compare(f"{path}[]", before or after or new, after or before or new)


def _member(node: _Node, keyword: str) -> _Node | None:
    return node.child(node.keywords[keyword]) if keyword in node.keywords else None


def _compare_defaults(path: str, old: Schema, new: Schema) -> Iterator[_Finding]:
    before, after = old.get("default", _ABSENT), new.get("default", _ABSENT)
    words = ["nothing" if value is _ABSENT else _canonical(value) for value in (before, after)]
    if words[0] != words[1]:
        yield _Finding(path, "default_changed", Direction.BOTH, f"absent meant {words[0]} and would mean {words[1]}")


def _compare_additional(path: str, old: _Node, new: _Node) -> Iterator[_Finding]:
    before = old.keywords.get("additionalProperties", True)
    after = new.keywords.get("additionalProperties", True)
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _compare(f"{path}.*", old.child(before), new.child(after))
    elif isinstance(before, dict) or isinstance(after, dict):
        yield _Finding(path, "unclassifiable", Direction.BOTH, "additionalProperties became or stopped being a schema")
    elif before != after:
        direction = LOOSENED if after else TIGHTENED
        yield _Finding(path, "additionalProperties_changed", direction, f"{before} became {after}")


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
