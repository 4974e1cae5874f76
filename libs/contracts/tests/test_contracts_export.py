"""The contracts as files for another team: complete, listed, and the same as what is committed."""

import json

import jsonschema_rs

from opora_contracts import catalogue
from opora_contracts.attributes import dataschema
from opora_contracts.export import example_files, schema_files
from opora_contracts.gate import PACKAGE_DIRECTORY, committed_schemas


def test_schemas_are_listed_with_an_id_that_stays() -> None:
    """The index names every type and version with its `$id` and file; each file is the newest committed revision."""
    files = schema_files()
    index = json.loads(files["index.json"])["schemas"]
    assert {(one["type"], one["version"]) for one in index} == catalogue().keys()
    assert {one["file"] for one in index} == files.keys() - {"index.json"}
    for one in index:
        revisions = committed_schemas()[one["type"], one["version"]]
        schema = json.loads(files[one["file"]])
        assert schema == revisions[max(revisions)]
        assert schema["$id"] == one["$id"] == dataschema(one["type"], one["version"])
    submitted = next(one for one in index if one["type"] == "ticket.submitted")
    assert (submitted["file"], submitted["topic"]) == ("ticket.submitted/1.json", "opora.requests")


def test_examples_are_the_committed_bytes_and_hold_for_the_schemas() -> None:
    """Another team's validator accepts each example by the schema that its `dataschema` names, found by the index."""
    files, schemas = example_files(), schema_files()
    by_id = {one["$id"]: one["file"] for one in json.loads(schemas["index.json"])["schemas"]}
    index = json.loads(files["index.json"])["examples"]
    assert {one["file"] for one in index} == files.keys() - {"index.json"}
    assert len(index) == 2 * len(catalogue())
    for one in index:
        assert files[one["file"]] == (PACKAGE_DIRECTORY / "examples" / one["file"]).read_bytes()
        event = json.loads(files[one["file"]])
        schema = json.loads(schemas[by_id[event["dataschema"]]])
        jsonschema_rs.Draft202012Validator(schema, validate_formats=True).validate(event["data"])
