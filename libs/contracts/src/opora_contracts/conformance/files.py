"""The cases as files, so that anybody's own tools can publish them and judge the answers."""

import base64
import json
from pathlib import Path
from typing import Any

from opora_contracts.attributes import escaped
from opora_contracts.conformance import CASES
from opora_contracts.conformance.case import Case, Record, Run
from opora_contracts.topics import REQUESTS

INDEX = "index.json"


def write_cases(directory: Path, run: Run) -> list[Path]:
    """Write an index, and per record a file of headers and a file of the value's bytes; returns what was written.

    index.json lists the cases in order, each with what is expected and the names of its records' files, in the order
    in which they are published. A record without a value file has a null value. Files that exist are overwritten.
    """
    directory.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    index: list[dict[str, Any]] = []
    for case in CASES:
        entries = []
        for number, record in enumerate(case.records(run), start=1):
            stem = f"{case.name}.{number}"
            headers = directory / f"{stem}.headers.json"
            headers.write_text(_as_json(headers_document(record)), encoding="utf-8")
            written.append(headers)
            entry: dict[str, Any] = {"headers": headers.name, "value": None, "compression": record.compression}
            if record.value is not None:
                value = directory / f"{stem}.value"
                value.write_bytes(record.value)
                written.append(value)
                entry["value"] = value.name
            entries.append(entry)
        index.append(_entry(case, case.records(run)[-1], entries))
    document = {"run": run.name, "topic": REQUESTS.name, "cases": index}
    (directory / INDEX).write_text(_as_json(document), encoding="utf-8")
    return [*written, directory / INDEX]


def headers_document(record: Record) -> dict[str, Any]:
    """Key and headers as JSON: the exact bytes in base64, and beside them what a person can read."""
    return {
        "key": _bytes(record.key),
        "headers": [{"name": name, "value": _bytes(value)} for name, value in record.headers],
    }


def _entry(case: Case, record: Record, records: list[dict[str, Any]]) -> dict[str, Any]:
    expected = case.expected
    return {
        "name": case.name,
        "what": case.what,
        "standing": case.standing,
        "records": records,
        "source": record.source,
        "subject": record.subject,
        "expected": {
            "answer": expected.answer,
            "tickets": case.tickets,
            "fields": dict(expected.fields),
            "message": expected.message,
            "reason_code": expected.reason_code,
            "reason_holds": expected.reason,
        },
    }


def _bytes(raw: bytes | None) -> dict[str, str] | None:
    if raw is None:
        return None
    return {"base64": base64.b64encode(raw).decode(), "text": escaped(raw.decode("utf-8", "backslashreplace"))}


def _as_json(document: Any) -> str:
    return json.dumps(document, indent=2) + "\n"  # in ASCII: what a text holds can be seen
