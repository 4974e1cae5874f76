"""The package as it is published: what it needs, what it promises, and its pages."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

import opora_contracts
from opora_contracts import TOPICS, Event, catalogue, decode_structured, encode
from opora_contracts.gate import check_all, committed_schemas, examples
from opora_contracts.reference import pages, topics_table

PACKAGE = Path(opora_contracts.__file__).parent
NEED_AIOKAFKA = {"publisher.py", "consumer.py", "recovery.py", "wire.py"}
"""The modules of the extras `publisher` and `consumer`; nothing else imports them."""
PAGES = Path(__file__).parents[3] / "docs" / "events"


def test_only_pydantic_and_the_standard_library_are_imported() -> None:
    """Whoever depends on the contracts gets pydantic and nothing else; the extras' modules need a Kafka client too."""
    foreign = set()
    for path in PACKAGE.rglob("*.py"):
        allowed = {*sys.stdlib_module_names, "pydantic", "pydantic_core", "opora_contracts"}
        if path.relative_to(PACKAGE).as_posix() in NEED_AIOKAFKA:
            allowed.add("aiokafka")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                foreign |= {(path.name, one.name) for one in node.names if one.name.split(".")[0] not in allowed}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0
                if (node.module or "").split(".")[0] not in allowed:
                    foreign.add((path.name, node.module or ""))
    assert foreign == set()


def test_without_a_kafka_client_the_contracts_work_and_the_extras_say_what_they_need() -> None:
    """`import opora_contracts` brings in no Kafka client; the publisher and the consumer name the extra to install."""
    script = (
        "import sys; sys.modules['aiokafka'] = None\n"
        "import opora_contracts, opora_contracts.documents, opora_contracts.asyncapi, opora_contracts.publishing\n"
        "for name in ('publisher', 'consumer'):\n"
        "    try:\n        __import__(f'opora_contracts.{name}')\n"
        "    except ImportError as error:\n        print(error)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout.splitlines() == [
        "opora_contracts.publisher needs aiokafka: install opora-contracts[publisher]",
        "opora_contracts.consumer needs aiokafka: install opora-contracts[consumer]",
    ]


def test_the_committed_contracts_are_kept() -> None:
    """Today's models keep every promise that was committed, and all examples read."""
    assert [str(one) for one in check_all()] == []


def test_every_type_has_one_topic_and_two_examples() -> None:
    """No type is without a topic, none is on two, and each shows itself minimal and full."""
    on_topics = [one for topic in TOPICS for one in topic.types]
    assert sorted(one.event_type for one in on_topics) == sorted({name for name, _ in catalogue()})
    assert examples().keys() == catalogue().keys()
    assert {tuple(sorted(golden)) for golden in examples().values()} == {("full", "minimal")}


def _example_documents() -> list[tuple[str, int, str]]:
    return [(name, version, one) for (name, version), golden in examples().items() for one in golden]


@pytest.mark.parametrize(("event_type", "version", "name"), _example_documents())
def test_examples_hold_for_a_validator_of_json_schema(event_type: str, version: int, name: str) -> None:
    """An independent validator accepts each example, as committed and as we write it, by its newest schema."""
    revisions = committed_schemas()[event_type, version]
    validator = jsonschema_rs.Draft202012Validator(revisions[max(revisions)], validate_formats=True)
    document = examples()[event_type, version][name]
    validator.validate(json.loads(document)["data"])
    event = decode_structured(document)
    assert isinstance(event, Event)
    validator.validate(json.loads(encode(event).value))


def test_the_schema_refuses_what_the_model_refuses() -> None:
    """The committed schema of a request carries the model's rules to publishers who validate without Python."""
    (schema,) = committed_schemas()["ticket.submitted", 1].values()
    validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
    cases: list[tuple[dict[str, Any], bool]] = [
        ({"title": "Disk full"}, True),
        ({"title": "Диск заполнен", "language": "ru", "product": None}, True),
        ({}, False),
        ({"title": ""}, False),
        ({"title": "two\nlines"}, False),
        ({"title": "over\u202eride"}, False),
        ({"title": "a", "impact": "huge"}, False),
        ({"title": "a", "language": "Russian"}, False),
        ({"title": "a", "organization_id": "7"}, False),
        ({"title": "a", "tittle": "b"}, False),
    ]
    assert [validator.is_valid(data) for data, _ in cases] == [expected for _, expected in cases]


def test_the_committed_pages_equal_the_registry() -> None:
    """docs/events holds exactly what `python -m opora_contracts docs docs/events` writes."""
    committed = {path.name: path.read_text(encoding="utf-8") for path in PAGES.glob("*.md")}
    assert committed == pages()


def test_the_table_links_to_the_pages() -> None:
    """The README's table names every topic with a link that holds from where the table stands."""
    table = topics_table("docs/events/")
    assert (
        "| [`opora.requests`](docs/events/opora.requests.md) | the publisher's id of the case | other systems |"
        in table
    )
    assert table.count("\n") == 2 + len(TOPICS)
