"""`opora contracts …` as people and scripts use it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from opora_cli.contracts_commands import contracts_app
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
    assert (code, "are ignored: produkt" in warning) == (0, True)


@pytest.mark.parametrize(
    ("document", "reason", "words"),
    [
        (EXAMPLE.replace(b'"title"', b'"tittle"'), "wrong_schema", "data.title: required, but absent"),
        (EXAMPLE.replace(b"ticket.submitted", b"ticket.sent"), "unknown_type", "`opora contracts list`"),
        (b"{", "bad_json", "line 1, column 2"),
    ],
)
def test_a_bad_event_is_explained(document: bytes, reason: str, words: str) -> None:
    """`validate` exits 1 and says precisely what is wrong, in words and in JSON."""
    code, _, error = run("validate", "-", stdin=document)
    assert (code, error.startswith(f"not valid: {reason}: "), words in error) == (1, True, True)
    code, answer, _ = run("validate", "-", "--json", stdin=document)
    assert (code, json.loads(answer)["valid"], json.loads(answer)["reason"]) == (1, False, reason)


def test_a_missing_file_is_said_to_be_missing() -> None:
    """A file that cannot be read is named, without a stack trace."""
    assert run("validate", "nowhere.json") == (1, "", "nowhere.json cannot be read: No such file or directory\n")


def test_a_type_shows_its_schema_and_examples() -> None:
    """`show` prints one JSON document; an unknown type or version exits 1 and says what there is."""
    code, document, _ = run("show", "ticket.created")
    shown = json.loads(document)
    assert (code, shown["topic"], sorted(shown["examples"])) == (0, "opora.tickets", ["full", "minimal"])
    assert shown["schema"]["$id"] == "urn:opora:schema:ticket.created:1"
    assert run("show", "ticket.created", "--version", "2") == (1, "", "ticket.created has the versions 1\n")
    assert run("show", "ticket.sent")[0] == 1


def test_all_types_are_listed() -> None:
    """`list` names every type with its topic."""
    code, document, _ = run("list", "--json")
    rows = {row["type"]: row["topic"] for row in json.loads(document)}
    assert (code, rows["sla.breached"], rows["feedback.received"]) == (0, "opora.sla", "opora.feedback")
    assert run("list")[0] == 0
