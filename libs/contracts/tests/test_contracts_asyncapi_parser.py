"""AsyncAPI's own parser reads our document. Needs node and npm; its packages are locked and kept in the user's cache.

It judges no examples in version 3: `test_contracts_asyncapi.py` does.
"""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, NoReturn

import pytest

from opora_contracts import TOPICS, catalogue
from opora_contracts.asyncapi import asyncapi_document
from opora_contracts.attributes import dataschema
from opora_embedded.jars import cache_directory

PROJECT = Path(__file__).parent / "asyncapi"
FILES = ("package.json", "package-lock.json", "check.mjs")
INSTALL = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
INSTALL_SECONDS = 300
ERROR = 0


def cannot(reason: str) -> NoReturn:
    """Skip, and say why; in CI nothing may be missing."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def checker() -> Path:
    """The project with its packages, installed once for each state of its files."""
    if missing := [program for program in ("node", "npm") if shutil.which(program) is None]:
        cannot(f"{' and '.join(missing)} missing: install node 18 or newer with npm")
    state = hashlib.sha256(b"".join((PROJECT / name).read_bytes() for name in FILES)).hexdigest()
    ready = cache_directory().parent / f"asyncapi-parser-{state[:16]}"
    if ready.exists():
        return ready
    ready.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=".asyncapi-parser-", dir=ready.parent))
    try:
        for name in FILES:
            shutil.copy(PROJECT / name, fresh)
        done = subprocess.run(INSTALL, cwd=fresh, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
        if done.returncode != 0:
            cannot(f"`{' '.join(INSTALL)}` failed, is the npm registry within reach? {done.stderr[-500:]}")
        fresh.rename(ready)
    except OSError:
        if not ready.exists():  # else another run was faster
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return ready


def parsed(checker: Path, document: Any) -> Any:
    """What the parser finds in a document, and what it reads."""
    done = subprocess.run(
        (shutil.which("node") or "node", str(checker / "check.mjs")),
        input=json.dumps(document),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_parser_of_asyncapi_has_no_complaint(checker: Path) -> None:
    """It reads every topic, operation and message with its schema, and finds nothing but a newer version."""
    answer = parsed(checker, asyncapi_document())
    assert [(one["code"], one["path"]) for one in answer["found"]] == [("asyncapi-latest-version", "asyncapi")]
    read = answer["read"]
    assert read["version"] == "3.0.0"
    assert read["channels"] == [topic.name for topic in TOPICS]
    assert read["operations"] == sum(len(topic.producers) + len(topic.consumers) for topic in TOPICS)
    assert {one["schema"] for one in read["messages"]} == {dataschema(name, version) for name, version in catalogue()}
    assert {one["examples"] for one in read["messages"]} == {2}


def test_the_parser_would_complain(checker: Path) -> None:
    """It is no formality: a dangling reference, a wrong operation and a schema that is none are errors."""
    for spoil in (_dangle, _mistake_the_action, _break_a_schema):
        document = asyncapi_document()
        spoil(document)
        assert ERROR in {one["severity"] for one in parsed(checker, document)["found"]}, spoil.__name__


def _dangle(document: dict[str, Any]) -> None:
    document["operations"]["intake.send.tickets"]["channel"]["$ref"] = "#/channels/nothing"


def _mistake_the_action(document: dict[str, Any]) -> None:
    document["operations"]["intake.send.tickets"]["action"] = "publish"


def _break_a_schema(document: dict[str, Any]) -> None:
    document["components"]["messages"]["ticket.submitted.1"]["payload"]["type"] = "thing"
