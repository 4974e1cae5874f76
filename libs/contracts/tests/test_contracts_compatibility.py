"""The compatibility rules: for every rule a pair of schemas, with the verdict written by hand."""

from typing import Any

import pytest

from opora_contracts.compatibility import Direction, check

TIGHTENED = Direction.NEW_READER_OLD_WRITER
LOOSENED = Direction.OLD_READER_NEW_WRITER
BOTH = Direction.BOTH
TEXT = {"type": "string"}
NULLABLE_TEXT = {"anyOf": [{"type": "string"}, {"type": "null"}]}


def schema(properties: dict[str, Any], required: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """An event type's schema with these properties."""
    return {
        "$id": "urn:opora:schema:comet.sighted:1",
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
        **more,
    }


def verdicts(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, str, Direction]]:
    """What the gate says of a step, as (field, rule, direction)."""
    return [(one.field_path, one.rule, one.direction) for one in check(old, new)]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (TEXT, TEXT, []),
        (TEXT, {**TEXT, "title": "A", "description": "New words", "examples": ["x"], "deprecated": True}, []),
        (TEXT, {"type": "integer"}, [("type_changed", BOTH)]),
        ({"type": "integer"}, {"type": "number"}, [("type_changed", LOOSENED)]),
        ({"type": "number"}, {"type": "integer"}, [("type_changed", TIGHTENED)]),
        (TEXT, NULLABLE_TEXT, [("nullable_added", LOOSENED)]),
        (NULLABLE_TEXT, TEXT, [("nullable_removed", TIGHTENED)]),
        (NULLABLE_TEXT, {"type": ["string", "null"]}, []),
        (TEXT, {"type": ["null", "string"]}, [("nullable_added", LOOSENED)]),
        ({"enum": ["a"]}, {"enum": ["a", "b"]}, [("enum_value_added", LOOSENED)]),
        ({"enum": ["a", "b"]}, {"enum": ["b"]}, [("enum_value_removed", TIGHTENED)]),
        ({"enum": ["a", "b"]}, {"enum": ["b", "a"]}, []),
        ({"enum": ["a"]}, {"enum": ["b"]}, [("enum_value_added", LOOSENED), ("enum_value_removed", TIGHTENED)]),
        (TEXT, {**TEXT, "enum": ["a"]}, [("enum_added", TIGHTENED)]),
        ({**TEXT, "enum": ["a"]}, TEXT, [("enum_removed", LOOSENED)]),
        ({"const": "a"}, {"const": "b"}, [("const_changed", BOTH)]),
        ({"const": "a"}, {"enum": ["a"]}, []),
        ({"const": "a"}, {"enum": ["a", "b"]}, [("enum_value_added", LOOSENED)]),
        ({**TEXT, "minLength": 1}, {**TEXT, "minLength": 2}, [("minLength_tightened", TIGHTENED)]),
        ({**TEXT, "minLength": 2}, {**TEXT, "minLength": 1}, [("minLength_loosened", LOOSENED)]),
        (TEXT, {**TEXT, "minLength": 1}, [("minLength_tightened", TIGHTENED)]),
        ({**TEXT, "minLength": 1}, TEXT, [("minLength_loosened", LOOSENED)]),
        ({**TEXT, "maxLength": 9}, {**TEXT, "maxLength": 8}, [("maxLength_tightened", TIGHTENED)]),
        ({**TEXT, "maxLength": 9}, {**TEXT, "maxLength": 10}, [("maxLength_loosened", LOOSENED)]),
        (
            {"type": "integer", "minimum": 1, "maximum": 5},
            {"type": "integer", "minimum": 0, "maximum": 10},
            [("minimum_loosened", LOOSENED), ("maximum_loosened", LOOSENED)],
        ),
        (
            {"type": "integer", "minimum": 1},
            {"type": "integer", "exclusiveMinimum": 1},
            [("minimum_loosened", LOOSENED), ("exclusiveMinimum_tightened", TIGHTENED)],
        ),
        (TEXT, {**TEXT, "pattern": "^a"}, [("pattern_added", TIGHTENED)]),
        ({**TEXT, "pattern": "^a"}, TEXT, [("pattern_removed", LOOSENED)]),
        ({**TEXT, "pattern": "^a"}, {**TEXT, "pattern": "^b"}, [("pattern_changed", BOTH)]),
        (TEXT, {**TEXT, "format": "uuid"}, [("format_added", TIGHTENED)]),
        ({**TEXT, "format": "uuid"}, TEXT, [("format_removed", LOOSENED)]),
        ({**TEXT, "format": "uuid"}, {**TEXT, "format": "date-time"}, [("format_changed", BOTH)]),
        ({**TEXT, "default": "en"}, {**TEXT, "default": "ru"}, [("default_changed", BOTH)]),
        (TEXT, {**TEXT, "default": "ru"}, [("default_changed", BOTH)]),
        ({**TEXT, "x-personal": True}, TEXT, [("personal_mark_dropped", BOTH)]),
        (TEXT, {**TEXT, "x-personal": True}, []),
        (
            {"type": "array", "items": TEXT},
            {"type": "array", "items": {**TEXT, "maxLength": 3}},
            [("maxLength_tightened", TIGHTENED)],
        ),
        ({"type": "array"}, {"type": "array", "items": TEXT}, [("items_changed", TIGHTENED)]),
        ({"type": "array", "items": TEXT}, {"type": "array"}, [("items_changed", LOOSENED)]),
        (
            {"type": "array", "items": TEXT, "uniqueItems": True},
            {"type": "array", "items": TEXT},
            [("uniqueItems_changed", LOOSENED)],
        ),
        (
            {"type": "array", "items": TEXT, "maxItems": 3},
            {"type": "array", "items": TEXT, "maxItems": 2},
            [("maxItems_tightened", TIGHTENED)],
        ),
        (
            {"type": "object", "additionalProperties": TEXT},
            {"type": "object", "additionalProperties": {"type": "integer"}},
            [("type_changed", BOTH)],
        ),
        (
            {"type": "object", "additionalProperties": False},
            {"type": "object"},
            [("additionalProperties_changed", LOOSENED)],
        ),
        (
            {"type": "object", "additionalProperties": TEXT},
            {"type": "object", "additionalProperties": True},
            [("unclassifiable", BOTH)],
        ),
        (
            {"anyOf": [TEXT, {"type": "integer"}]},
            {"anyOf": [TEXT, {"type": "integer"}, {"type": "boolean"}]},
            [("anyOf_branch_added", LOOSENED)],
        ),
        (
            {"anyOf": [TEXT, {"type": "integer"}, {"type": "boolean"}]},
            {"anyOf": [{"type": "integer"}, TEXT]},
            [("anyOf_branch_removed", TIGHTENED)],
        ),
    ],
)
def test_a_property_may_only_stay_as_it_is(
    before: dict[str, Any], after: dict[str, Any], expected: list[tuple[str, Direction]]
) -> None:
    """Each change of a property's rules is named, with who would fail to read whom."""
    found = verdicts(schema({"tail": before}), schema({"tail": after}))
    assert [(rule, direction) for _, rule, direction in found] == expected
    assert all(path.startswith("tail") for path, _, _ in found)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (schema({}), schema({"tail": TEXT}), []),
        (schema({}), schema({"tail": TEXT}, ("tail",)), [("tail", "required_property_added", TIGHTENED)]),
        (schema({"tail": TEXT}), schema({}), [("tail", "property_removed", TIGHTENED)]),
        (schema({"tail": TEXT}, ("tail",)), schema({}), [("tail", "property_removed", LOOSENED)]),
        (schema({"tail": TEXT}), schema({"tail": TEXT}, ("tail",)), [("tail", "required_added", TIGHTENED)]),
        (schema({"tail": TEXT}, ("tail",)), schema({"tail": TEXT}), [("tail", "required_removed", LOOSENED)]),
        (
            schema({"tail": TEXT}),
            schema({"tale": TEXT}),
            [("tail", "property_removed", TIGHTENED)],
        ),
        (
            schema({"orbit": {"type": "object", "properties": {"days": {"type": "integer"}}}}),
            schema({"orbit": {"type": "object", "properties": {"days": TEXT}}}),
            [("orbit.days", "type_changed", BOTH)],
        ),
        (
            schema({}),
            schema({}) | {"$id": "urn:opora:schema:comet.lost:1"},
            [("", "id_changed", BOTH)],
        ),
        (
            schema({}),
            schema({}, additionalProperties=True),
            [("", "additionalProperties_changed", LOOSENED)],
        ),
    ],
)
def test_optional_properties_may_be_added_and_nothing_else(
    old: dict[str, Any], new: dict[str, Any], expected: list[tuple[str, str, Direction]]
) -> None:
    """The only change of an object's properties that nobody notices is a new optional one."""
    assert verdicts(old, new) == expected


def test_references_are_followed() -> None:
    """A change inside a shared definition is found at the field that refers to it, also through null."""
    reference = {"anyOf": [{"$ref": "#/$defs/Colour"}, {"type": "null"}], "default": None}
    old = schema({"tail": reference}) | {"$defs": {"Colour": {"type": "string", "enum": ["red"]}}}
    new = schema({"tail": reference}) | {"$defs": {"Colour": {"type": "string", "enum": ["red", "blue"]}}}
    assert verdicts(old, new) == [("tail", "enum_value_added", LOOSENED)]


def test_a_definition_may_be_renamed_or_written_out() -> None:
    """What counts is what a definition says, not its name or place."""
    old = schema({"tail": {"$ref": "#/$defs/A"}}) | {"$defs": {"A": {"type": "string", "title": "A"}}}
    assert verdicts(old, schema({"tail": {"$ref": "#/$defs/B"}}) | {"$defs": {"B": TEXT}}) == []
    assert verdicts(old, schema({"tail": TEXT})) == []


@pytest.mark.parametrize(
    "construct",
    [
        {"oneOf": [TEXT]},
        {"allOf": [TEXT], "type": "string"},
        {"type": "string", "not": {"const": "a"}},
        {"type": "string", "contentEncoding": "base64"},
        {"type": "integer", "multipleOf": 5},
        {"type": "array", "prefixItems": [TEXT]},
        {"type": "object", "patternProperties": {"^x": TEXT}},
        {"type": "object", "unevaluatedProperties": False},
        {"type": "array", "items": True},
        {"type": ["string", "integer"]},
        {"type": "text"},
        {"$ref": "#/$defs/Missing"},
        {"$ref": "https://example.com/schema.json"},
        {"$ref": "#/$defs/Loop"},
        {"$ref": "#/$defs/Text", "type": "string"},
        {"anyOf": [TEXT, {"$ref": "#/$defs/Text"}]},
        {"anyOf": [TEXT, {"type": "string", "contentEncoding": "base64"}]},
        {"type": "object", "properties": {}, "required": ["ghost"]},
        {"type": "integer", "minimum": "1"},
        {"type": "integer", "exclusiveMinimum": True},
        {},
        True,
    ],
)
def test_what_cannot_be_judged_is_a_violation(construct: Any) -> None:
    """A construct that the rules do not know fails: on appearing, on going, and even where nothing changed."""
    definitions = {"Loop": {"$ref": "#/$defs/Loop"}, "Text": TEXT}
    strange = schema({"tail": construct}) | {"$defs": definitions}
    plain = schema({"tail": TEXT}) | {"$defs": definitions}
    for old, new in ((plain, strange), (strange, plain), (strange, strange), (schema({}), strange)):
        found = {(path.removesuffix("[]"), rule) for path, rule, _ in verdicts(old, new)}
        assert ("tail", "unclassifiable") in found


def test_a_violation_reads_as_one_line() -> None:
    """The text of a violation names type, version, revision, field, rule and direction."""
    (violation,) = check(schema({"tail": TEXT}), schema({"tail": {"type": "integer"}}), revision=2)
    assert str(violation) == (
        "comet.sighted version 1 against revision 2: tail: type_changed (both ways): string became integer"
    )
