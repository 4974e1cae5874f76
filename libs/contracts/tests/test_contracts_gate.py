"""The gate over a directory of committed schemas and examples, with event types made for the test."""

import json
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field

from opora_contracts import Event, Fact, Personal, decode, encode, fact, upcast
from opora_contracts.__main__ import main
from opora_contracts.fact import type_key
from opora_contracts.gate import GateRefusal, check_all, freeze, schema_of
from opora_contracts.upcast import upcaster

KEY: type_key = ("comet.sighted", 1)


@pytest.fixture(autouse=True)
def restored_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    """Types and upcasters of a test are forgotten after it."""
    monkeypatch.setattr(fact, "_catalogue", dict(fact._catalogue))
    monkeypatch.setattr(fact, "_versions", dict(fact._versions))
    monkeypatch.setattr(upcast, "_upcasters", dict(upcast._upcasters))


def comet(version: int = 1, **fields: Any) -> Any:
    """A model of comet.sighted with these annotations; a tuple is (annotation, default)."""
    fact._catalogue.pop(("comet.sighted", version), None)
    annotations = {name: one[0] if isinstance(one, tuple) else one for name, one in fields.items()}
    defaults = {name: one[1] for name, one in fields.items() if isinstance(one, tuple)}
    body = {"__annotations__": annotations, "__module__": __name__, "__qualname__": "CometSighted", **defaults}
    metaclass: Any = type(Fact)
    return metaclass("CometSighted", (Fact,), body, event_type="comet.sighted", version=version)


def write_example(directory: Path, data: dict[str, Any], version: int = 1, **attributes: Any) -> None:
    """Put a golden example of comet.sighted where the gate looks for it."""
    path = directory / "examples" / "comet.sighted" / str(version) / "minimal.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    event = {
        "specversion": "1.0",
        "id": "1",
        "source": "/sky",
        "type": "comet.sighted",
        "time": "2026-03-01T09:30:00Z",
        "subject": "halley",
        "dataschema": f"urn:opora:schema:comet.sighted:{version}",
        "data": data,
        **attributes,
    }
    path.write_text(json.dumps(event), encoding="utf-8")


def rules(directory: Path, *models: type[Fact]) -> list[tuple[str, str, int | None]]:
    """What the gate says of these models, as (field, rule, revision)."""
    found = check_all({(one.event_type, one.version): one for one in models}, directory)
    return [(one.field_path, one.rule, one.revision) for one in found]


def test_freezing_makes_the_gate_pass(tmp_path: Path) -> None:
    """A new type must be frozen; then it passes, and freezing again writes nothing."""
    model = comet(name=str)
    write_example(tmp_path, {"name": "Halley"})
    assert rules(tmp_path, model) == [("", "not_frozen", None)]
    assert freeze({KEY: model}, tmp_path) == [tmp_path / "schemas/comet.sighted/1/0001.json"]
    assert rules(tmp_path, model) == []
    assert freeze({KEY: model}, tmp_path) == []


def test_an_optional_field_becomes_a_new_revision(tmp_path: Path) -> None:
    """An allowed change asks to be frozen, and freezing keeps the revision before it."""
    write_example(tmp_path, {"name": "Halley"})
    freeze({KEY: comet(name=str)}, tmp_path)
    wider = comet(name=str, tail=(str | None, None))
    assert rules(tmp_path, wider) == [("", "not_frozen", None)]
    assert freeze({KEY: wider}, tmp_path) == [tmp_path / "schemas/comet.sighted/1/0002.json"]
    assert rules(tmp_path, wider) == []


def test_every_revision_is_compared(tmp_path: Path) -> None:
    """A model that agrees with revision 2 still fails against revision 1: old events are on the topic for good."""
    write_example(tmp_path, {"name": "Halley"})
    freeze({KEY: comet(name=str, tail=(str | None, None))}, tmp_path)
    careless = comet(name=str)
    second = tmp_path / "schemas/comet.sighted/1/0002.json"
    second.write_text(json.dumps(schema_of(careless)), encoding="utf-8")
    assert rules(tmp_path, careless) == [("tail", "property_removed", 1)]
    returned = comet(name=str, tail=(int | None, None))
    assert rules(tmp_path, returned) == [("tail", "type_changed", 1)]


def test_a_breaking_model_is_not_frozen(tmp_path: Path) -> None:
    """Freezing refuses a broken rule and writes nothing, not even for the types that are fine."""
    freeze({KEY: comet(name=str)}, tmp_path)
    broken = comet(name=int)
    with pytest.raises(GateRefusal) as caught:
        freeze({KEY: broken, ("another.type", 1): broken}, tmp_path)
    assert [one.rule for one in caught.value.violations] == ["type_changed"]
    assert len(list(tmp_path.rglob("*.json"))) == 1


def test_an_unclassifiable_model_cannot_even_begin(tmp_path: Path) -> None:
    """A construct that the rules do not know is refused in the first revision already."""
    model = comet(steps=Annotated[int, Field(multiple_of=5)])
    with pytest.raises(GateRefusal, match="1 compatibility violations"):
        freeze({KEY: model}, tmp_path)


def test_new_words_are_rewritten_in_place(tmp_path: Path) -> None:
    """A changed description asks to be frozen, and takes no revision of its own."""
    write_example(tmp_path, {"name": "Halley"})
    freeze({KEY: comet(name=str)}, tmp_path)
    reworded = comet(name=Annotated[str, Field(description="What people call it.")])
    assert rules(tmp_path, reworded) == [("", "not_frozen", None)]
    assert freeze({KEY: reworded}, tmp_path) == [tmp_path / "schemas/comet.sighted/1/0001.json"]
    assert rules(tmp_path, reworded) == []


def test_a_personal_mark_stands_in_the_schema_and_stays(tmp_path: Path) -> None:
    """Personal data is marked in the committed schema; taking the mark off is a violation, nullable or not."""
    marked = comet(name=Annotated[str, Personal], email=(Annotated[str | None, Personal], None))
    freeze({KEY: marked}, tmp_path)
    properties = schema_of(marked)["properties"]
    assert (properties["name"]["x-personal"], properties["email"]["x-personal"]) == (True, True)
    bare = comet(name=str, email=(str | None, None))
    write_example(tmp_path, {"name": "Halley"})
    assert rules(tmp_path, bare) == [("email", "personal_mark_dropped", 1), ("name", "personal_mark_dropped", 1)]


def test_a_committed_type_cannot_vanish(tmp_path: Path) -> None:
    """A type that was published stays in the code."""
    write_example(tmp_path, {"name": "Halley"})
    freeze({KEY: comet(name=str)}, tmp_path)
    assert rules(tmp_path) == [("", "type_removed", None)]


def test_a_missing_revision_is_seen(tmp_path: Path) -> None:
    """Deleting an old revision does not hide what it promised."""
    write_example(tmp_path, {"name": "Halley"})
    model = comet(name=str)
    freeze({KEY: model}, tmp_path)
    first = tmp_path / "schemas/comet.sighted/1/0001.json"
    first.rename(first.with_name("0002.json"))
    assert rules(tmp_path, model) == [("", "revision_missing", None)]


@pytest.mark.parametrize(
    ("kind", "name"),
    [("schemas", "comet/one/0001.json"), ("schemas", "comet/1/first.json"), ("examples", "comet/one/minimal.json")],
)
def test_a_file_out_of_place_is_seen(tmp_path: Path, kind: str, name: str) -> None:
    """A file that the gate cannot place is a violation that names the file and the layout."""
    path = tmp_path / kind / name
    path.parent.mkdir(parents=True)
    path.write_text("{}", encoding="utf-8")
    (violation,) = check_all({}, tmp_path)
    assert violation.rule == "unreadable"
    assert f"{path}: expected {kind}/<type>/<major>/" in violation.detail


@pytest.mark.parametrize(
    ("data", "attributes", "complaint"),
    [
        ({}, {}, "data.name: required, but absent"),
        ({"name": "Halley", "tial": "long"}, {}, "fields that the type does not have: tial"),
        ({"name": "Halley"}, {"type": "comet.lost", "dataschema": None}, "is a comet.lost, expected comet.sighted"),
        ({"name": "Halley"}, {"dataschema": None}, "expected urn:opora:schema:comet.sighted:1"),
    ],
)
def test_examples_must_hold(tmp_path: Path, data: dict[str, Any], attributes: dict[str, Any], complaint: str) -> None:
    """A golden example that today's code does not read is a violation that says why."""
    model = comet(name=str)
    freeze({KEY: model}, tmp_path)
    assert rules(tmp_path, model) == [("", "example_missing", None)]
    write_example(tmp_path, data, **attributes)
    (violation,) = check_all({KEY: model}, tmp_path)
    assert (violation.rule, violation.field_path) == ("example_broken", "minimal.json")
    assert complaint in violation.detail


def test_old_versions_are_raised_at_the_readers_edge(tmp_path: Path) -> None:
    """An event of version 1 reads as version 2 once its upcaster is there, which the gate asks for."""
    first, second = comet(1, name=str), comet(2, names=list[str])
    write_example(tmp_path, {"name": "Halley"})
    write_example(tmp_path, {"names": ["Halley"]}, version=2)
    freeze({KEY: first, ("comet.sighted", 2): second}, tmp_path)
    assert rules(tmp_path, first, second) == [("", "upcaster_missing", None)]

    @upcaster(first)
    def with_many_names(old: Any) -> Any:
        return second(names=[old.name])

    assert rules(tmp_path, first, second) == []
    headers = {"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/sky", "ce_type": "comet.sighted"}
    headers |= {"ce_time": "2026-03-01T09:30:00Z", "ce_dataschema": "urn:opora:schema:comet.sighted:1"}
    event = decode(b"k", b'{"name":"Halley"}', [(name, text.encode()) for name, text in headers.items()])
    assert isinstance(event, Event)
    assert (event.version, event.data) == (2, second(names=["Halley"]))
    assert dict(encode(event).headers)["ce_dataschema"] == b"urn:opora:schema:comet.sighted:2"


def test_an_upcaster_leads_to_the_next_version_and_is_the_only_one() -> None:
    """A second upcaster is refused, and so is one that leads elsewhere."""
    first = comet(1, name=str)
    upcaster(first)(lambda old: old)
    with pytest.raises(TypeError, match="has an upcaster already"):
        upcaster(first)
    with pytest.raises(TypeError, match="must lead to the next version"):
        upcast.newest(first(name="Halley"))


def test_the_commands_speak_in_lines_and_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m opora_contracts` prints one line per violation and exits 1, or prints nothing and exits 0."""
    assert main(["check"]) == 0
    assert not capsys.readouterr().out
    assert main(["check", "--directory", str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "ticket.created version 1: not_frozen (both ways): no schema is committed" in "\n".join(lines)
    assert main(["freeze", "--directory", str(tmp_path)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 51
    (tmp_path / "schemas/ticket.held/1/0001.json").write_text('{"type":"array"}', encoding="utf-8")
    assert main(["freeze", "--directory", str(tmp_path)]) == 1
    assert "ticket.held version 1 against revision 1: type_changed" in capsys.readouterr().out
