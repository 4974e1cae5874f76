"""Schemas and golden examples as files that another team can copy, each set with an index."""

import json
from typing import Any

from opora_contracts.attributes import dataschema
from opora_contracts.fact import Fact, catalogue
from opora_contracts.gate import examples, schema_of
from opora_contracts.topics import topic_of

INDEX = "index.json"


def schema_files() -> dict[str, bytes]:
    """The newest JSON Schema of every type and major version, by relative path, and `index.json` that lists them.

    A schema's `$id` never changes: `urn:opora:schema:<type>:<major version>`, as in the `dataschema` attribute.
    """
    files: dict[str, bytes] = {}
    index = []
    for (name, version), model in sorted(catalogue().items()):
        path = f"{name}/{version}.json"
        files[path] = _json(schema_of(model))
        index.append({**_entry(model), "$id": dataschema(name, version), "file": path})
    return {**files, INDEX: _json({"schemas": index})}


def example_files() -> dict[str, bytes]:
    """Every golden example as committed, by relative path, and `index.json` that lists them.

    Each is one structured CloudEvent. `minimal` has the required fields only, `full` has all.
    """
    files: dict[str, bytes] = {}
    index = []
    models = catalogue()
    for (name, version), golden in sorted(examples().items()):
        for example, document in sorted(golden.items()):
            path = f"{name}/{version}/{example}.json"
            files[path] = document
            index.append({**_entry(models[name, version]), "name": example, "file": path})
    return {**files, INDEX: _json({"examples": index})}


def _entry(model: type[Fact]) -> dict[str, Any]:
    return {
        "type": model.event_type,
        "version": model.version,
        "topic": topic_of(model).name,
        "description": " ".join((model.__doc__ or "").split()),
    }


def _json(document: Any) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
