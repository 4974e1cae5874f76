"""A Django site of nothing but escalated-django, as its own documentation sets it up. Runs in its own venv.

python escalated_site.py fill 100000       migrate, open so many tickets with an agreement, none due soon
python escalated_site.py check             its check_sla over all open tickets; prints the seconds
"""

import io
import os
import sys
import time
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.core.management import call_command
from django.db import connection

_DATABASE = urlsplit(os.environ["ESCALATED_DSN"])
_BATCH = 5_000
_DESCRIPTION = "The printer on the second floor prints every page twice since this morning. " * 6

settings.configure(
    SECRET_KEY="bench",
    DEBUG=False,
    USE_TZ=True,
    ROOT_URLCONF=__name__,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": _DATABASE.path.lstrip("/"),
            "USER": _DATABASE.username,
            "PASSWORD": _DATABASE.password,
            "HOST": _DATABASE.hostname,
            "PORT": _DATABASE.port,
        }
    },
    INSTALLED_APPS=[
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "django.contrib.sessions",
        "escalated",
    ],
    # Letters would be sent within the pass: it is spared them.
    ESCALATED={"NOTIFICATION_CHANNELS": [], "PLUGINS_ENABLED": False},
)
django.setup()

urlpatterns: list[object] = []


def _fill(tickets: int) -> None:
    from escalated.models import SlaPolicy, Ticket
    from escalated.services.sla_service import SlaService

    call_command("migrate", interactive=False, verbosity=0)
    policy = SlaPolicy.objects.create(
        name="Standard support",
        is_default=True,
        first_response_hours={"medium": 4},
        resolution_hours={"medium": 24},
    )
    for begin in range(0, tickets, _BATCH):
        opened = [
            Ticket(
                reference=f"ESC-{number:07}",
                subject=f"Printer {number} prints twice",
                description=_DESCRIPTION,
                guest_name="Anna",
                guest_email=f"person-{number % 2_000}@bench.example",
                sla_policy=policy,
            )
            for number in range(begin, min(begin + _BATCH, tickets))
        ]
        for ticket in opened:
            SlaService.apply_sla_deadlines(ticket)
        Ticket.objects.bulk_create(opened)
    with connection.cursor() as cursor:
        cursor.execute("vacuum analyze")


def _check() -> float:
    connection.ensure_connection()
    said = io.StringIO()
    began = time.perf_counter()
    call_command("check_sla", stdout=said)
    seconds = time.perf_counter() - began
    if "0 breaches detected, 0 warnings sent" not in said.getvalue():
        raise RuntimeError(f"nothing should have been due: {said.getvalue()}")
    return seconds


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["fill", count]:
            _fill(int(count))
        case ["check"]:
            sys.stdout.write(str(_check()))
        case _:
            sys.exit(__doc__)
