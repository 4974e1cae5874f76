"""Tickets opened over HTTP, with everything that intake does for one: key, validation, idempotency, audit, outbox."""

import asyncio
import itertools
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from tests.bench.facts import BODY
from tests.bench.ground import Ground, ServiceDatabase, settings_of
from tests.bench.http_load import Load, Requests, post, press
from tests.bench.row import Reach, Row, alternate, per_second, ratio

_FOLDER = Path(__file__).parents[1]
_SECONDS = 2.0
_PEOPLE = 2_000
_SMALL = ((16, 2), (64, 1), (256, 1))
_ALL = tuple(itertools.product((16, 64, 256), (1, 2)))


async def measure(ground: Ground) -> list[Row]:
    """As one group commit a time, against one transaction a request and against the least that keeps a row."""
    rows: list[Row] = []
    for clients, workers in _ALL if ground.full else _SMALL:
        rows += await _compare(ground, clients, workers)
    return rows


async def _compare(ground: Ground, clients: int, workers: int) -> list[Row]:
    size = f"intake HTTP create, {clients} clients, {workers} worker{'s' if workers > 1 else ''}"
    ours, single, bare = await asyncio.gather(*(ground.database("intake") for _ in range(3)))
    loads: dict[str, list[Load]] = {"ours": [], "single": [], "bare": [], "nothing": []}

    def contender(name: str, addresses: list[str], database: ServiceDatabase) -> Callable[[], asyncio.Future[float]]:
        next_request = openings(database.token)

        async def one() -> float:
            load = await press(addresses, next_request, clients=clients, seconds=_SECONDS)
            loads[name].append(load)
            return load.per_second

        return lambda: asyncio.ensure_future(one())

    async with (
        ground.processes([["-m", "opora_intake", "serve"]] * workers, **settings_of(ground, ours)) as ours_at,
        ground.processes(
            [[str(_FOLDER / "one_by_one.py"), "opora_intake", "serve"]] * workers, **settings_of(ground, single)
        ) as single_at,
        ground.processes([[str(_FOLDER / "bare_http.py")]] * workers, **settings_of(ground, bare)) as bare_at,
        ground.processes(
            [[str(_FOLDER / "bare_http.py")]] * workers, **settings_of(ground, bare), BENCH_KEEPS="nothing"
        ) as nothing_at,
    ):
        figures = await alternate(
            {
                "ours": contender("ours", ours_at, ours),
                "single": contender("single", single_at, single),
                "bare": contender("bare", bare_at, bare),
                "nothing": contender("nothing", nothing_at, bare),
            },
            ground.rounds,
        )
    p99 = {name: statistics.median(load.p99_seconds for load in each) * 1000 for name, each in loads.items()}
    return [
        Row(
            size,
            f"{per_second(figures['ours'])}, p99 {p99['ours']:.0f} ms",
            "one transaction a request",
            f"{per_second(figures['single'])}, p99 {p99['single']:.0f} ms",
            ratio(figures["ours"], figures["single"]),
            Reach(2.5),
        ),
        Row(
            f"{size}: p99",
            f"{p99['ours']:.0f} ms",
            "one transaction a request",
            f"{p99['single']:.0f} ms",
            ratio(_p99(loads["ours"]), _p99(loads["single"])),
            Reach(1, at_most=True),
        ),
        Row(
            size,
            per_second(figures["ours"]),
            "Starlette and a one-row insert",
            per_second(figures["bare"]),
            ratio(figures["ours"], figures["bare"]),
            Reach(1.3),
        ),
        Row(
            f"{size}: Starlette that keeps nothing",
            per_second(figures["nothing"]),
            "Starlette and a one-row insert",
            per_second(figures["bare"]),
            ratio(figures["nothing"], figures["bare"]),
            None,
            "all that a write in no time at all could bring",
        ),
    ]


def _p99(loads: list[Load]) -> list[float]:
    return [load.p99_seconds for load in loads]


def openings(token: str) -> Requests:
    """Each another ticket, of one of 2,000 people, under a key of its own."""
    numbers = itertools.count()

    def next_request() -> bytes:
        number = next(numbers)
        opening = {
            "title": f"Printer {number} prints twice",
            "body": BODY,
            "requester_email": f"person-{number % _PEOPLE}@bench.example",
            "channel": "web",
            "impact": "medium",
            "urgency": "high",
            "product": "printing",
        }
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": uuid4().hex}
        return post("/v1/tickets", json.dumps(opening).encode(), headers)

    return next_request
