"""What intake's documentation shows about customers and organisations, in requests and answers."""

from opora_intake.api.examples import CUSTOMER_ID, ORGANIZATION_ID, Json, page

__all__ = ["page"]

_OTHER_ID = "018f3a40-22bb-7c32-9f50-1d0e6c8b2213"
_SAID_AT = "2026-02-27T08:30:00Z"

CUSTOMER: Json = {
    "id": CUSTOMER_ID,
    "name": "Maria Keller",
    "email": "maria.keller@example.com",
    "emails": ["maria.keller@example.com", "maria@keller.example"],
    "phones": ["+4930901820"],
    "language": "de",
    "time_zone": "Europe/Berlin",
    "organization_id": ORGANIZATION_ID,
    "consents": [{"purpose": "surveys", "given": True, "at": _SAID_AT, "source": "portal"}],
    "undeliverable": [],
    "merged_into": None,
    "version": 1,
}
NEW_CUSTOMERS: Json = {
    "A customer with an address": {
        "name": "Maria Keller",
        "email": "maria.keller@example.com",
        "language": "de",
        "time_zone": "Europe/Berlin",
    },
    "Several addresses and a phone": {
        "name": "Boris Orlov",
        "emails": ["boris.orlov@example.com", "boris@orlov.example"],
        "phones": ["+49 30 901820"],
    },
    "Somebody who only ever calls": {"name": "Front desk, Hamburg", "phones": ["+49 40 428280"]},
}
CUSTOMER_CHANGES: Json = {
    "Another language": {"language": "en"},
    "The address is no longer theirs": {"email": None},
    "All addresses anew": {"emails": ["m.keller@example.com"]},
}
CHANGED_CUSTOMER = CUSTOMER | {"language": "en", "version": 2}
CONSENTING = CUSTOMER | {"version": 2}
STATEMENTS: Json = {
    "Given on a form": {"given": True, "source": "portal", "at": _SAID_AT},
    "Withdrawn on the phone": {"given": False, "source": "call with anna"},
}
STATEMENT: Json = {
    "id": "018f3a41-0c11-7d20-9b6e-2a4c8e0f1133",
    "purpose": "surveys",
    "given": True,
    "at": _SAID_AT,
    "source": "portal",
    "recorded_at": "2026-02-27T08:31:12Z",
    "recorded_by": "agent:anna",
}
DELIVERABLE_ADDRESSES: Json = {"The mailbox was repaired": {"address": "maria.keller@example.com"}}
NEW_NOTES: Json = {"For whoever calls back": {"body": "Prefers a call after 16:00."}}
NOTE: Json = {
    "id": "018f3a41-1d22-7e31-8c7f-3b5d9f102244",
    "body": "Prefers a call after 16:00.",
    "author": "agent:anna",
    "written_at": "2026-03-01T15:02:11Z",
}

_OTHER = CUSTOMER | {
    "id": _OTHER_ID,
    "name": "M. Keller",
    "email": "m.keller@example.com",
    "emails": ["m.keller@example.com"],
    "phones": [],
    "consents": [],
}
MERGE_ORDERS: Json = {"The same person twice": {"into": _OTHER_ID}}
MERGE: Json = {
    "customer": CUSTOMER
    | {"email": None, "emails": [], "phones": [], "consents": [], "merged_into": _OTHER_ID, "version": 2},
    "into": _OTHER
    | {
        "emails": ["m.keller@example.com", *CUSTOMER["emails"]],
        "phones": CUSTOMER["phones"],
        "consents": CUSTOMER["consents"],
        "version": 2,
    },
    "tickets": 3,
}
UNMERGE: Json = {"customer": CUSTOMER | {"version": 3}, "into": _OTHER | {"version": 3}, "tickets": 3}

ORGANIZATION: Json = {
    "id": ORGANIZATION_ID,
    "name": "Keller Logistics",
    "tier": "gold",
    "time_zone": "Europe/Berlin",
    "contract_number": "SUP-2026-0117",
    "contract_valid_from": "2026-01-01",
    "contract_valid_until": "2026-12-31",
    "domains": ["keller-logistics.example"],
    "version": 1,
}
NEW_ORGANIZATIONS: Json = {
    "An organisation with its mail domain": {
        "name": "Keller Logistics",
        "tier": "gold",
        "time_zone": "Europe/Berlin",
        "contract_number": "SUP-2026-0117",
        "contract_valid_from": "2026-01-01",
        "contract_valid_until": "2026-12-31",
        "domains": ["keller-logistics.example"],
    }
}
ORGANIZATION_CHANGES: Json = {
    "Another level of service": {"tier": "silver"},
    "The contract goes on": {"contract_valid_until": "2027-12-31"},
}
CHANGED_ORGANIZATION = ORGANIZATION | {"tier": "silver", "version": 2}

CUSTOMER_IMPORT: Json = {
    "id": "018f3b20-5d32-7f01-9e24-7a1b3c8d9f51",
    "name": "crm-2026-03.csv",
    "format": "csv",
    "state": "open",
    "problem": None,
    "received_bytes": 0,
    "rows": 0,
    "registered": 0,
    "changed": 0,
    "unchanged": 0,
    "refused": 0,
    "opened_at": "2026-03-02T12:00:00Z",
    "finished_at": None,
}
CUSTOMER_IMPORT_DONE = CUSTOMER_IMPORT | {
    "state": "done",
    "received_bytes": 84,
    "rows": 2,
    "registered": 1,
    "refused": 1,
    "finished_at": "2026-03-02T12:00:01Z",
}
NEW_CUSTOMER_IMPORTS: Json = {
    "From the CRM": {"name": "crm-2026-03.csv", "format": "csv"},
    "Lines of JSON": {"name": "crm-2026-03.jsonl", "format": "jsonl"},
}
PIECES: Json = {
    "A small file at once": {
        "offset": 0,
        "text": "name,emails,phones\r\nMaria Keller,maria.keller@example.com,'+4930901820\r\nNobody,nobody,\r\n",
        "last": True,
    }
}
REFUSED_ROW: Json = {
    "line": 3,
    "field": "emails",
    "reason": "Value error, no e-mail address such as anna@example.com: An email address must have an @-sign.",
    "instead": "give addresses such as anna@example.com, at most 20, with semicolons between them",
}
