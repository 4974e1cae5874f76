"""`opora contracts …` as people and scripts use it."""

import json
import re
from pathlib import Path

import jsonschema_rs
import pytest
from typer.testing import CliRunner

from opora_chassis.consume.consumers import group_of
from opora_cli.contracts_commands import contracts_app
from opora_cli.errors import CommandError
from opora_contracts import TOPICS, catalogue
from opora_contracts.gate import examples

EXAMPLE = examples()["ticket.submitted", 1]["full"]


def run(*arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
    """Exit code, standard output and standard error of one command."""
    result = CliRunner().invoke(contracts_app, list(arguments), input=stdin)
    return result.exit_code, result.stdout, result.stderr


def test_the_committed_contracts_pass() -> None:
    """`check` exits 0 in words and in JSON while every promise is kept."""
    code, words, _ = run("check")
    assert (code, "event types keep their promises" in words) == (0, True)
    code, document, _ = run("check", "--json")
    assert (code, json.loads(document)) == (0, [])


def test_a_good_event_is_valid(tmp_path: Path) -> None:
    """`validate` takes a file or standard input and exits 0 for an event that Opora would take."""
    file = tmp_path / "event.json"
    file.write_bytes(EXAMPLE)
    assert run("validate", str(file)) == (0, "valid: ticket.submitted version 1\n", "")
    assert run("validate", "-", stdin=EXAMPLE)[0] == 0


def test_a_misspelt_optional_field_is_a_warning() -> None:
    """A field that would be ignored is named, though the event is valid."""
    code, _, warning = run("validate", "-", stdin=EXAMPLE.replace(b'"product"', b'"produkt"'))
    assert (code, "are ignored: 'produkt'" in warning) == (0, True)


@pytest.mark.parametrize(
    ("document", "reason", "words"),
    [
        (EXAMPLE.replace(b'"title"', b'"tittle"'), "wrong_schema", "data.title: required, but absent"),
        (EXAMPLE.replace(b"ticket.submitted", b"ticket.sent"), "unknown_type", "`opora contracts list`"),
        (EXAMPLE.replace(b"/monitoring/eu-1", b"/opora/intake"), "reserved_source", "your system, such as //"),
        (b"{", "bad_json", "line 1, column 2"),
    ],
)
def test_a_bad_event_is_explained(document: bytes, reason: str, words: str) -> None:
    """`validate` exits 1 and says precisely what is wrong, in words and in JSON."""
    code, _, error = run("validate", "-", stdin=document)
    assert (code, error.startswith(f"not valid: {reason}: "), words in error) == (1, True, True)
    code, answer, _ = run("validate", "-", "--json", stdin=document)
    (event,) = json.loads(answer)["events"]
    assert (code, event["valid"], event["reason"], event["may_be_published"]) == (1, False, reason, False)


def test_each_event_of_a_file_is_judged() -> None:
    """One broken line does not hide the others: each is named with its line and its fault, in words and in JSON."""
    lines = [EXAMPLE, EXAMPLE.replace(b'"title"', b'"tittle"'), b"{", EXAMPLE]
    document = b"\n".join(line.replace(b"\n", b"") for line in lines)
    code, words, errors = run("validate", "-", stdin=document)
    assert code == 1
    assert words.splitlines() == [
        "event 1 (line 1): valid: ticket.submitted version 1",
        "event 4 (line 4): valid: ticket.submitted version 1",
    ]
    first, second, *_, last = errors.splitlines()
    assert first.startswith("event 2 (line 2): not valid: wrong_schema: not a valid ticket.submitted version 1: data.t")
    assert second.startswith("event 3 (line 3): not valid: bad_json: the structured event is not JSON: ")
    assert second.endswith("at line 3, column 2")
    assert last == "4 events: 2 valid, 2 not"
    code, answer, _ = run("validate", "-", "--json", stdin=document)
    parsed = json.loads(answer)
    assert (code, parsed["valid"]) == (1, False)
    assert [(one["line"], one["valid"]) for one in parsed["events"]] == [(1, True), (2, False), (3, False), (4, True)]
    assert parsed["events"][0]["topic"] == "opora.requests"


def test_a_fact_of_ours_is_valid_but_not_for_others_to_publish() -> None:
    """An example of a fact is fine for a reader's tests; the check says who alone writes it."""
    code, words, note = run("validate", "-", stdin=examples()["ticket.created", 1]["full"])
    assert (code, words) == (0, "valid: ticket.created version 1\n")
    assert note.startswith("note: ticket.created is a fact that intake alone writes on opora.tickets; another system")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["validate", "nowhere.json"], "nowhere.json cannot be read: No such file or directory"),
        (["validate", "-"], "standard input holds no event: expected a structured CloudEvent in JSON, an array"),
        (["schemas", "/dev/null/x"], "cannot be written: "),
        (["asyncapi", "--out", "/dev/null/x"], "cannot be written: "),
    ],
)
def test_a_file_that_cannot_be_used_is_named(arguments: list[str], words: str) -> None:
    """One sentence and exit code 2, without a stack trace."""
    error = CliRunner().invoke(contracts_app, arguments).exception
    assert isinstance(error, CommandError)
    assert (error.exit_code, words in error.message) == (2, True), error.message


def test_the_contracts_can_be_copied_as_files(tmp_path: Path) -> None:
    """Schemas and examples are written with an index; an example of the one is valid by a schema of the other."""
    assert run("schemas", str(tmp_path / "schemas"))[0] == 0
    assert run("examples", str(tmp_path / "examples"))[0] == 0
    assert run("schemas", str(tmp_path / "schemas"))[0] == 0, "a second time replaces the files"
    index = json.loads((tmp_path / "schemas/index.json").read_bytes())["schemas"]
    assert len(index) == len(list((tmp_path / "schemas").glob("*/*.json"))) == len(catalogue())
    event = json.loads((tmp_path / "examples/ticket.submitted/1/full.json").read_bytes())
    schema = json.loads((tmp_path / "schemas/ticket.submitted/1.json").read_bytes())
    jsonschema_rs.validate(schema, event["data"])
    assert schema["$id"] == event["dataschema"]


def test_the_asyncapi_document_is_written(tmp_path: Path) -> None:
    """To standard output or a file, with the broker that was named, and the groups that our services really join."""
    code, document, _ = run("asyncapi", "--bootstrap", "kafka.example:9092")
    parsed = json.loads(document)
    assert (code, parsed["asyncapi"], parsed["servers"]["kafka"]["host"]) == (0, "3.0.0", "kafka.example:9092")
    groups = {
        operation["bindings"]["kafka"]["groupId"]["const"]
        for operation in parsed["operations"].values()
        if operation["action"] == "receive"
    }
    assert groups == {group_of(service, topic.name) for topic in TOPICS for service in topic.consumers}
    code, words, _ = run("asyncapi", "--out", str(tmp_path / "asyncapi.json"))
    assert (code, words) == (0, f"{tmp_path}/asyncapi.json: 7 channels, {len(catalogue())} messages\n")
    assert json.loads((tmp_path / "asyncapi.json").read_bytes())["channels"] == parsed["channels"]


@pytest.mark.parametrize("command", sorted(one.name or "" for one in contracts_app.registered_commands))
def test_each_command_says_how_it_ends(command: str) -> None:
    """The help documents the exit codes."""
    _, words, _ = run(command, "--help")
    assert re.search(r"Exit\s+codes", words)


def test_a_type_shows_its_schema_and_examples() -> None:
    """`show` prints one JSON document; an unknown type or version exits 1 and says what there is."""
    code, document, _ = run("show", "ticket.created")
    shown = json.loads(document)
    assert (code, shown["topic"], sorted(shown["examples"])) == (0, "opora.tickets", ["full", "minimal"])
    assert shown["schema"]["$id"] == "urn:opora:schema:ticket.created:1"
    for arguments, reason in (
        (["ticket.created", "--version", "2"], "ticket.created has the versions 1"),
        (["ticket.sent"], "no event type is called 'ticket.sent'"),
    ):
        error = CliRunner().invoke(contracts_app, ["show", *arguments]).exception
        assert isinstance(error, CommandError)
        assert (error.exit_code, error.message) == (1, reason)


def test_all_types_are_listed() -> None:
    """`list` names every type with its topic."""
    code, document, _ = run("list", "--json")
    rows = {row["type"]: row["topic"] for row in json.loads(document)}
    assert (code, rows["sla.breached"], rows["feedback.received"]) == (0, "opora.sla", "opora.feedback")
    assert run("list")[0] == 0
