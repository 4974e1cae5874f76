"""Small logs in the formats of the real ones, written for these tests."""

import csv
import gzip
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

# As the real files have them, in their order; the tests need not use every one.
SERVICENOW_COLUMNS = [
    *("number", "incident_state", "active", "reassignment_count", "reopen_count", "sys_mod_count", "made_sla"),
    *("caller_id", "opened_by", "opened_at", "sys_created_by", "sys_created_at", "sys_updated_by", "sys_updated_at"),
    *("contact_type", "location", "category", "subcategory", "u_symptom", "cmdb_ci", "impact", "urgency", "priority"),
    *("assignment_group", "assigned_to", "knowledge", "u_priority_confirmation", "notify", "problem_id", "rfc"),
    *("vendor", "caused_by", "closed_code", "resolved_by", "resolved_at", "closed_at"),
]
ITALIAN_COLUMNS = [
    *("Case ID", "Activity", "Resource", "Complete Timestamp", "Variant", "Variant index", "Variant", "seriousness"),
    *("customer", "product", "responsible_section", "seriousness_2", "service_level", "service_type"),
    *("support_section", "workgroup"),
]

_SERVICENOW_DEFAULTS = {
    "active": "true",
    "reassignment_count": "0",
    "reopen_count": "0",
    "sys_mod_count": "0",
    "made_sla": "true",
    "opened_at": "1/3/2016 08:00",
    "contact_type": "Phone",
    "category": "Category 1",
    "subcategory": "Subcategory 2",
    "impact": "2 - Medium",
    "urgency": "2 - Medium",
    "priority": "3 - Moderate",
    "assignment_group": "Group 7",
    "closed_code": "code 6",
    "resolved_by": "Resolved by 1",
    "resolved_at": "1/3/2016 12:00",
    "closed_at": "6/3/2016 12:00",
}


def servicenow_row(number: str, state: str, updated_at: str, **changes: str) -> dict[str, str]:
    """One row; what is not given is as in an ordinary incident, or missing (`?`)."""
    given = {**_SERVICENOW_DEFAULTS, **changes, "number": number, "incident_state": state, "sys_updated_at": updated_at}
    return {name: given.get(name, "?") for name in SERVICENOW_COLUMNS}


def servicenow_text(rows: Sequence[Mapping[str, str]]) -> str:
    """The log as a file has it."""
    text = io.StringIO()
    writer = csv.DictWriter(text, SERVICENOW_COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def italian_row(case: str, activity: str, at: str, *, seriousness: str = "Value 2", resource: str = "Value 1") -> str:
    """One row of the Italian log."""
    return (
        f"{case},{activity},{resource},{at},Variant 1,1,Variant 1,Value 1,Value 9,Value 3,Value 1,{seriousness},"
        "Value 2,Value 1,Value 1,Value 1"
    )


def italian_text(rows: Sequence[str]) -> str:
    """The log as a file has it."""
    return "\n".join([",".join(ITALIAN_COLUMNS), *rows]) + "\n"


def write(path: Path, text: str) -> Path:
    """Write the log, compressed when the name ends in .gz."""
    content = text.encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path
