"""Events in files: cut apart, judged one by one, and told where each stands."""

import json
from typing import Any

import pytest

from opora_contracts.documents import Verdict, documents, judge
from opora_contracts.gate import examples

SUBMITTED = json.loads(examples()["ticket.submitted", 1]["minimal"])


def event(**change: Any) -> dict[str, Any]:
    """A valid structured event with these members changed; `...` leaves one out."""
    return {name: value for name, value in {**SUBMITTED, **change}.items() if value is not ...}


def line(**change: Any) -> str:
    """The same on one line."""
    return json.dumps(event(**change))


def pretty(**change: Any) -> str:
    """The same over many lines."""
    return json.dumps(event(**change), indent=2)


def reasons(text: str | bytes) -> list[tuple[str, int, str | None]]:
    """(where, line, reason) of each verdict."""
    verdicts = judge(text if isinstance(text, bytes) else text.encode())
    return [(one.where, one.line, one.reason) for one in verdicts]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\t\r\n", []),
        ("[]", []),
        (line(), [("", 1, None)]),
        (f"\n\n{pretty()}\n", [("", 1, None)]),
        (f"[{line()}]", [("event 1", 1, None)]),
        (f"[\n{pretty()},\n{line(id=...)}\n]", [("event 1", 2, None), ("event 2", 16, "missing_attribute")]),
        (f"{line()}\n\n{line(id='2')}\n", [("event 1", 1, None), ("event 2", 3, None)]),
        (f"{pretty()}\n{pretty()}", [("event 1", 1, None), ("event 2", 15, None)]),
        (f"{line()}\n{{\n{line()}", [("event 1", 1, None), ("event 2", 2, "bad_json"), ("event 3", 3, None)]),
        (f"{line()}\nhello\n", [("event 1", 1, None), ("event 2", 2, "bad_json")]),
        (f"{line()} 7", [("event 1", 1, None), ("event 2", 1, "bad_json")]),
        (f"[{line()}, 7]", [("event 1", 1, None), ("event 2", 1, "bad_json")]),
        ("{", [("", 1, "bad_json")]),
        ("[{}", [("", 1, "bad_json")]),
        (f"[{line()}] x", [("", 1, "bad_json")]),
        (f"[{line()} {line()}]", [("", 1, "bad_json")]),
        ("\ufeff{}", [("", 1, "bad_json")]),
        (b"\xff{}", [("", 1, "bad_json")]),
        (line(data={"title": "a", "x": float("nan")}), [("", 1, "bad_json")]),
        ('{"a":' * 100_000, [("", 1, "bad_json")]),
        (line() + "\n" + '{"a":' * 100_000, [("event 1", 1, None), ("event 2", 2, "bad_json")]),
        ("[" + "9" * 5000 + "]", [("", 1, "bad_json")]),
    ],
)
def test_a_file_is_judged_event_by_event(text: str | bytes, expected: list[tuple[str, int, str | None]]) -> None:
    """One event, an array, or one after the other: each has a verdict, and a broken one does not hide the others."""
    assert reasons(text) == expected


def test_an_event_is_judged_by_its_own_bytes() -> None:
    """What Python's reader would mend in silence, a key given twice, is still seen in an array."""
    twice = line().replace('"title"', '"title": "a", "title"')
    first, second = judge(f"[{line()}, {twice}]".encode())
    assert first.valid
    assert second.detail == "the structured event repeats the key 'title'; which of the values holds cannot be known"
    assert [one.raw for one in documents(f"[{line()}, {twice}]".encode())] == [line().encode(), twice.encode()]


def test_a_position_is_one_of_the_file() -> None:
    """The line in an error is the file's, not the event's own."""
    _, broken = judge(f'{line()}\n{{"id": }}\n'.encode())
    assert broken.detail == "the structured event is not JSON: Expecting value at line 2, column 8"


def test_a_valid_event_is_given_with_its_topic_and_what_is_ignored() -> None:
    """A verdict carries the event, where it belongs, and the fields that readers will pass over."""
    (verdict,) = judge(line(data={"title": "Disk full", "tittle": "x"}).encode())
    assert verdict.event is not None
    assert (verdict.valid, verdict.type, verdict.version) == (True, "ticket.submitted", 1)
    assert (verdict.topic.name if verdict.topic else None, verdict.ignored_fields) == ("opora.requests", ("tittle",))


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        ({"type": "ticket.sent", "dataschema": ...}, "unknown_type", "no event type is called 'ticket.sent'"),
        ({"source": "/opora/intake"}, "reserved_source", "reserved for the platform's own services"),
        ({"dataschema": "urn:opora:schema:ticket.submitted:2"}, "unsupported_version", "version 2 is not known here"),
        ({"data": {}}, "wrong_schema", "data.title: required, but absent"),
    ],
)
def test_what_opora_would_not_take_is_not_valid(change: dict[str, Any], reason: str, words: str) -> None:
    """An unknown type, a source of the platform's own, a newer major version and wrong data are told apart."""
    (verdict,) = judge(line(**change).encode())
    assert (verdict.valid, verdict.event, verdict.reason) == (False, None, reason)
    assert words in verdict.detail


def test_every_golden_example_is_valid() -> None:
    """What the contracts show as an example passes the check that they offer."""
    verdicts: list[Verdict] = [
        verdict for golden in examples().values() for raw in golden.values() for verdict in judge(raw)
    ]
    assert len(verdicts) == sum(len(golden) for golden in examples().values())
    assert [one for one in verdicts if not one.valid or one.ignored_fields] == []
