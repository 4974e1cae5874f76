"""Tickets opened over HTTP, against another help desk that is written in Python."""

import itertools
import json
from collections.abc import Callable
from functools import partial

from tests.bench.facts import BODY
from tests.bench.ground import Ground, settings_of
from tests.bench.http_load import Requests, post, press
from tests.bench.lines.intake_http import openings
from tests.bench.peers.helpdesk_desk import Helpdesk, running_helpdesk
from tests.bench.row import Reach, Row, alternate, per_second, ratio

_CLIENTS, _WORKERS = 16, 2
_SECONDS = 4.0


async def measure(ground: Ground) -> list[Row]:
    """The same ticket by the API of each."""
    database = await ground.database("intake")
    async with (
        ground.processes([["-m", "opora_intake", "serve"]] * _WORKERS, **settings_of(ground, database)) as addresses,
        running_helpdesk(ground, _WORKERS) as helpdesk,
    ):

        async def pressed(at: list[str], next_request: Requests) -> float:
            return (await press(at, next_request, clients=_CLIENTS, seconds=_SECONDS)).per_second

        figures = await alternate(
            {
                "ours": partial(pressed, addresses, openings(database.token)),
                "theirs": partial(pressed, [helpdesk.address], _tickets(helpdesk)),
            },
            ground.rounds,
        )
    return [
        Row(
            f"intake HTTP create, {_CLIENTS} clients, {_WORKERS} workers",
            per_second(figures["ours"]),
            "django-helpdesk 2.6.1, gunicorn, 2 workers",
            per_second(figures["theirs"]),
            ratio(figures["ours"], figures["theirs"]),
            Reach(30),
        )
    ]


def _tickets(helpdesk: Helpdesk) -> Callable[[], bytes]:
    numbers = itertools.count()

    def next_request() -> bytes:
        number = next(numbers)
        ticket = {
            "queue": helpdesk.queue,
            "title": f"Printer {number} prints twice",
            "description": BODY,
            "submitter_email": f"person-{number % 2000}@bench.example",
            "priority": 3,
        }
        return post("/api/tickets/", json.dumps(ticket).encode(), {"Authorization": f"Token {helpdesk.token}"})

    return next_request
