"""The agreement under which a log is replayed."""

import hashlib
import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from opora_cli.errors import UNUSABLE_INPUT, CommandError
from opora_sla.agreement import AgreementDocument

_HIGHEST_RANK = 1_000_000

DEFAULT_AGREEMENTS: dict[str, dict[str, Any]] = {
    "servicenow": {
        "name": "Replay of a ServiceNow log",
        "time_zone": "UTC",
        "metrics": {
            "resolution": {
                "until": "resolved",
                "pauses": ["customer", "third_party", "change"],
                "targets": {
                    "P1": {"hours": 4},
                    "P2": {"hours": 8},
                    "P3": {"hours": 72},
                    "P4": {"hours": 120},
                    "P5": {"hours": 240},
                },
            },
        },
    },
    "italian": {
        "name": "Replay of the Italian help desk log",
        "time_zone": "Europe/Rome",
        "weekly_hours": {day: [["08:00", "19:00"]] for day in ("mon", "tue", "wed", "thu", "fri")},
        "metrics": {
            "resolution": {
                "until": "resolved",
                "pauses": ["customer"],
                "targets": {"P1": {"hours": 40}, "P2": {"hours": 80}, "P3": {"hours": 80}, "P4": {"hours": 160}},
            },
        },
    },
}
"""What applies without `--agreement`."""


def load_agreement(log_format: str, path: Path | None) -> dict[str, Any]:
    """The agreement document of the file, or the format's default. Raises CommandError when it is not usable."""
    document = DEFAULT_AGREEMENTS[log_format] if path is None else _read(path)
    try:
        AgreementDocument.model_validate(document)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"]) or "the document"
        raise CommandError(
            f"{path or 'the default agreement'}: {place}: {problem['msg']}", exit_code=UNUSABLE_INPUT
        ) from error
    return document


def time_zone_of(document: dict[str, Any]) -> ZoneInfo:
    """The zone whose local times the log's times are."""
    return ZoneInfo(document.get("time_zone", "UTC"))


def import_name(log_format: str, log_digest: str, document: dict[str, Any], limit: int | None) -> str:
    """The import's identity: the same log under the same agreement has the same name, anything else another."""
    agreement_digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    first = "" if limit is None else f"-first{limit}"
    return f"{log_format}-{log_digest[:16]}-{agreement_digest[:16]}{first}"


def scoped_to_import(document: dict[str, Any], name: str) -> dict[str, Any]:
    """The same agreement, for the import's tickets alone and before every other."""
    conditions = {**document.get("conditions", {}), "external_source": [name]}
    return {**document, "name": name, "conditions": conditions, "rank": _HIGHEST_RANK}


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}", exit_code=UNUSABLE_INPUT) from error
    except ValueError as error:
        raise CommandError(f"{path} is not JSON: {error}", exit_code=UNUSABLE_INPUT) from error
    if not isinstance(document, dict):
        raise CommandError(f"{path} must hold one agreement, a JSON object", exit_code=UNUSABLE_INPUT)
    return document
