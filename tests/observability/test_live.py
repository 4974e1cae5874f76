"""On a running platform: every panel has data; alerts are silent while all is well, fire when it is not, and end.

One module, so that the platform with its sixteen processes is gone when the last of these tests is.
"""

import json
import math
import shlex
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import psutil
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from opora_chassis.testing import wait_until
from opora_contracts import Event
from opora_contracts.codec import encode
from opora_contracts.requests import TicketReplySubmitted
from opora_contracts.topics import REQUESTS
from tests.observability.files import DASHBOARDS, RUNBOOK, commands, queries
from tests.observability.stage import Platform, Prometheus

SOURCE = "//monitoring.example/alerts"
MAY_BE_LATE = {"OporaBreachLate", "OporaTimersLate", "OporaHttpSlow"}
"""What a crowded machine may cause without anything being wrong."""
DONE_OR_PROBLEMS_FOUND = (0, 1)
AHEAD = 4
"""How many tickets lie between the newest and the one that a reply asks for too early."""
CHOSEN = {"$__rate_interval": "20s", "$__range": "10m", "$service": ".+"}
"""What Grafana puts in for a reader who chose nothing."""

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", DASHBOARDS)
async def test_every_query_of_a_dashboard_has_data(name: str, prometheus: Prometheus, worked_since: float) -> None:
    """No panel is empty: Prometheus takes each query, and gives it a series with a number in the time of the work."""
    empty = [
        f"{panel}: {query}"
        for panel, query in queries(DASHBOARDS[name])
        if not has_data(
            await prometheus.ask("/query_range", query=as_chosen(query), start=worked_since, end=time.time(), step="1s")
        )
    ]
    assert empty == []


async def test_a_reader_can_choose_every_service(prometheus: Prometheus, worked_since: float) -> None:
    """The list at the top offers the four services."""
    (variable,) = (each for each in DASHBOARDS["http"]["templating"]["list"] if each["name"] == "service")
    assert variable["query"] == "label_values(opora_check_ok, service)"
    offered = await prometheus.ask("/label/service/values", **{"match[]": "opora_check_ok"})
    assert offered == ["feedback", "intake", "notify", "sla"]


async def test_an_empty_panel_is_noticed(prometheus: Prometheus, worked_since: float) -> None:
    """The question is no formality: a metric that nobody has, and a service that is not there, have no data."""
    for query in ("opora_never_measured", 'up{service="billing"}', "0 * up / 0"):
        answer = await prometheus.ask("/query_range", query=query, start=worked_since, end=time.time(), step="1s")
        assert not has_data(answer), query


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def early_reply(watched_platform: Platform, prometheus: Prometheus, worked_since: float) -> AsyncIterator[str]:
    """A reply to a ticket that is yet to be opened: refused, its key parked. Gives the key."""

    async def all_is_well() -> bool:
        firing = {name for name, _, _ in await prometheus.firing()}
        assert firing - MAY_BE_LATE == {"OporaWatchdog"}
        return True

    await wait_until(all_is_well, 60, what="silence while all is well", poll_seconds=0.3)
    newest = await open_ticket(watched_platform)
    key = f"case-{uuid4().hex[:8]}"
    number = int(newest.removeprefix("OP-")) + AHEAD
    reply = TicketReplySubmitted(ticket_number=f"OP-{number}", body="Is anybody there?")
    await publish(watched_platform, reply, key)
    yield key


async def test_a_stopped_consumer_raises_alarms_until_it_goes_on(
    watched_platform: Platform, prometheus: Prometheus, early_reply: str
) -> None:
    """Sla's only consumer stands still: its process, its role and sla's blindness are alarmed, and all of it ends."""
    with stopped(watched_platform.process("sla-consume")):
        await prometheus.fires("OporaProcessDown", "sla", "consume")
        await prometheus.fires("OporaRoleMissing", "sla", "consume")
        await prometheus.fires("OporaSlaBlind", "")
    await prometheus.ends("OporaProcessDown", "OporaRoleMissing", "OporaSlaBlind")


async def test_a_parked_key_raises_alarms_until_it_is_redriven(
    watched_platform: Platform, prometheus: Prometheus, early_reply: str
) -> None:
    """The runbook's commands work on what waits; when its cause is gone a redrive handles it and the alarms end."""
    await prometheus.fires("OporaDeadLetters", "intake")
    await prometheus.fires("OporaParkedKey", "intake")
    (letter,) = letters(watched_platform)
    assert letter["key"] == early_reply
    for command in told(letter):
        done = watched_platform.opora(*command)
        assert done.returncode in DONE_OR_PROBLEMS_FOUND, f"{command}: {done.stdout}{done.stderr}"
    refused = watched_platform.opora("dead-letters", "redrive", "--key", early_reply)
    assert refused.returncode == 1, "the ticket that the reply asks for is not there yet"
    for _ in range(AHEAD):
        await open_ticket(watched_platform)
    redriven = watched_platform.opora("dead-letters", "redrive", "--key", early_reply)
    assert redriven.returncode == 0, redriven.stdout + redriven.stderr
    assert letters(watched_platform) == []
    await prometheus.ends("OporaDeadLetters", "OporaParkedKey")


async def test_a_broken_event_raises_an_alarm_until_it_is_discarded(
    watched_platform: Platform, prometheus: Prometheus, early_reply: str
) -> None:
    """What can never be handled is given up, and the alarm ends."""
    await publish(watched_platform, None, f"broken-{uuid4().hex[:8]}")
    await prometheus.fires("OporaDeadLetters", "intake")
    (letter,) = letters(watched_platform)
    discarded = watched_platform.opora("dead-letters", "discard", letter["id"], "--yes")
    assert discarded.returncode == 0, discarded.stdout + discarded.stderr
    await prometheus.ends("OporaDeadLetters")


def as_chosen(query: str) -> str:
    """The query with what Grafana puts in for its variables."""
    for variable, value in CHOSEN.items():
        query = query.replace(variable, value)
    assert "$" not in query, f"a variable is left in {query}"
    return query


def has_data(answer: Any) -> bool:
    """Whether some series has a number; NaN is none."""
    return any(math.isfinite(float(value)) for series in answer["result"] for _, value in series["values"])


@contextmanager
def stopped(process: psutil.Process) -> Iterator[None]:
    """The process stands still while the block runs."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def told(letter: dict[str, Any]) -> list[list[str]]:
    """The runbook's commands with this letter's names in them; what would change something for good is left out."""
    names = {"SERVICE": letter["service"], "KEY": letter["key"], "ID": letter["id"]}
    every = dict.fromkeys(commands(RUNBOOK.read_text("utf-8")))
    words = [[names.get(word, word) for word in shlex.split(command)[1:]] for command in every]
    return [command for command in words if command[:2] != ["dead-letters", "discard"]]


def letters(platform: Platform) -> list[dict[str, Any]]:
    """The dead letters of all services."""
    listed = platform.opora("dead-letters", "list", "--json")
    assert listed.returncode == 0, listed.stdout + listed.stderr
    found: list[dict[str, Any]] = json.loads(listed.stdout)
    return found


async def open_ticket(platform: Platform) -> str:
    """Open a ticket and return its number, such as OP-1042."""
    endpoints = platform.endpoints
    async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
        answer = await client.post(
            f"{endpoints.services['intake'].url}/v1/tickets",
            json={"title": "The printer is on fire"},
            headers={"Authorization": f"Bearer {endpoints.api_key}", "Idempotency-Key": uuid4().hex},
        )
    assert answer.is_success, answer.text
    number: str = answer.json()["number"]
    return number


async def publish(platform: Platform, data: TicketReplySubmitted | None, key: str) -> None:
    """Publish a request under this key; without data, bytes that are no event."""
    event_type = TicketReplySubmitted.event_type
    value, headers = b"{", [("ce_specversion", b"1.0"), ("ce_type", event_type.encode())]
    if data is not None:
        record = encode(
            Event(
                id=uuid4().hex,
                source=SOURCE,
                type=event_type,
                version=TicketReplySubmitted.version,
                time=datetime.now(UTC),
                subject=key,
                key=key,
                data=data,
            )
        )
        value, headers = record.value, list(record.headers)
    producer = AIOKafkaProducer(bootstrap_servers=platform.endpoints.kafka_bootstrap, acks="all")
    await producer.start()
    try:
        await producer.send_and_wait(REQUESTS.name, key=key.encode(), value=value, headers=headers)
    finally:
        await producer.stop()
