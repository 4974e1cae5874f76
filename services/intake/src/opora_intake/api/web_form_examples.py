"""What intake's documentation shows about web forms."""

from opora_intake.api.examples import Json

NEW_WEB_FORMS: Json = {
    "Subject and message": {"name": "contact", "title": "Write to our support"},
    "On a site of one's own, in Russian": {
        "name": "contact-ru",
        "title": "Написать в поддержку",
        "introduction": "Мы отвечаем в рабочие дни.",
        "language": "ru",
        "asks_name": "required",
        "origins": ["https://www.example.org"],
        "kind": "question",
        "group": "platform",
    },
}
WEB_FORM: Json = {
    "name": "contact",
    "title": "Write to our support",
    "introduction": "",
    "language": "en",
    "asks_name": "optional",
    "fields": [],
    "origins": [],
    "kind": "incident",
    "product": None,
    "category": None,
    "component": None,
    "group": None,
    "tags": [],
    "minimum_seconds": 3,
    "most_an_hour": 200,
    "is_open": True,
    "version": 1,
    "changed_at": "2026-03-01T09:00:00Z",
    "changed_by": "key:operations",
}
CHANGES: Json = {"Closed for now": {"title": "Write to our support", "is_open": False}}
CHANGED: Json = WEB_FORM | {"is_open": False, "version": 2}
