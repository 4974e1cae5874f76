"""What the platform refuses, and how it says so: over HTTP, from real processes."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from opora_chassis.clock import Clock
from opora_chassis.database import Database
from opora_chassis.http.keys import create_key
from opora_chassis.testing import wait_until
from opora_embedded import Postgres
from opora_embedded.testing import KafkaServer
from tests.e2e.stack import Databases, Stack, running_stack

TICKET = {"title": "The invoice shows a wrong amount"}
INTAKE_LIMIT_BYTES = 8 * 1_048_576


@pytest_asyncio.fixture
async def intake(platform: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """Intake with a key for everything."""
    async with platform.client("intake") as client:
        yield client


async def test_an_oversize_body_is_413(intake: httpx.AsyncClient) -> None:
    """A body past the limit is refused before it is read whole, with or without a declared length."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(INTAKE_LIMIT_BYTES // 65_536 + 2):
            yield b"x" * 65_536

    json_header = {"Content-Type": "application/json"}
    declared = await intake.post("/tickets", content=b"x" * (INTAKE_LIMIT_BYTES + 1), headers=json_header)
    expect_problem(declared, 413)
    undeclared = await intake.post("/tickets", content=chunks(), headers=json_header)
    expect_problem(undeclared, 413)


async def test_a_wrong_content_type_is_415(intake: httpx.AsyncClient) -> None:
    """XML and forms are not JSON."""
    for content_type in ("application/xml", "application/x-www-form-urlencoded"):
        answer = await intake.post("/tickets", content=b"title=x", headers={"Content-Type": content_type})
        expect_problem(answer, 415)


async def test_an_unknown_field_is_422_and_named(intake: httpx.AsyncClient, platform: Stack) -> None:
    """A misspelt field is never dropped in silence, at whatever service."""
    problem = expect_problem(await intake.post("/tickets", json={**TICKET, "prioritty": "P1"}), 422)
    assert "prioritty" in problem["detail"]
    assert problem["errors"][0]["field"] == "prioritty"
    async with platform.client("sla") as sla:
        agreement = {"name": "x", "metrics": {"resolution": {"targets": {"P1": {"hours": 1}}, "untill": "closed"}}}
        assert "untill" in expect_problem(await sla.post("/agreements", json=agreement), 422)["detail"]
    async with platform.client("notify") as notify:
        assert "colour" in expect_problem(await notify.put("/rules", json={"rules": [], "colour": 1}), 422)["detail"]


@pytest.mark.parametrize(
    ("service", "path"),
    [
        ("intake", "/tickets"),
        ("intake", "/customers"),
        ("sla", "/clocks"),
        ("sla", "/outcomes"),
        ("notify", "/notifications"),
        ("feedback", "/surveys"),
        ("feedback", "/responses"),
    ],
)
async def test_a_bad_cursor_is_400(platform: Stack, service: str, path: str) -> None:
    """A cursor that no list gave out is told apart from an empty page."""
    async with platform.client(service) as client:
        for cursor in ("nonsense", "bnVsbA"):
            expect_problem(await client.get(path, params={"cursor": cursor}), 400)


@pytest.mark.parametrize(
    ("service", "path"),
    [
        ("intake", "/tickets/{id}"),
        ("intake", "/tickets/OP-999999999"),
        ("intake", "/tickets/{id}/timeline"),
        ("intake", "/customers/{id}"),
        ("sla", "/tickets/{id}"),
        ("sla", "/tickets/{id}/explain"),
        ("notify", "/notifications/{id}"),
        ("feedback", "/surveys/{id}"),
        ("intake", "/nowhere"),
    ],
)
async def test_an_unknown_id_is_404(platform: Stack, service: str, path: str) -> None:
    """What does not exist is a problem document at every service."""
    async with platform.client(service) as client:
        expect_problem(await client.get(path.format(id=uuid4())), 404)


async def test_an_illegal_transition_is_409_with_the_allowed_ones(intake: httpx.AsyncClient) -> None:
    """A refused step says where the ticket stands and what can be done."""
    ticket = (await intake.post("/tickets", json=TICKET)).json()["id"]
    problem = expect_problem(await intake.post(f"/tickets/{ticket}/verify", json={}), 409)
    assert (problem["step"], problem["attempted"]) == ("received", "verify")
    assert {"assess", "resolve", "reply"} <= set(problem["allowed"])
    assert "verify" not in problem["allowed"]


async def test_a_missing_or_wrong_key_is_401_and_a_lesser_key_403(intake: httpx.AsyncClient, platform: Stack) -> None:
    """Nobody gets in without a key, and a key opens only what its scopes name."""
    url = f"{platform.urls['intake']}/v1/tickets"
    async with httpx.AsyncClient(trust_env=False) as stranger:
        expect_problem(await stranger.get(url), 401)
        for token in ("opk_" + "0" * 43, "secret"):
            refused = await stranger.get(url, headers={"Authorization": f"Bearer {token}"})
            expect_problem(refused, 401)
            assert refused.headers["www-authenticate"].startswith("Bearer")
        database = await Database.open(platform.dsns["intake"], service="intake", clock=Clock(), pool_size=2)
        try:
            reader = {"Authorization": f"Bearer {await create_key(database, 'reader', ['tickets:read'])}"}
        finally:
            await database.close()
        assert (await stranger.get(url, headers=reader)).status_code == 200
        problem = expect_problem(await stranger.post(url, json=TICKET, headers=reader), 403)
    assert problem["scope"] == "tickets:write"


async def test_an_idempotency_key_with_another_body_is_422(intake: httpx.AsyncClient) -> None:
    """The same key and body give the same ticket; the same key with another body is a mistake and is told so."""
    key = {"Idempotency-Key": uuid4().hex}
    first = await intake.post("/tickets", json=TICKET, headers=key)
    again = await intake.post("/tickets", json=TICKET, headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    expect_problem(await intake.post("/tickets", json={"title": "Another"}, headers=key), 422)


@pytest.mark.slow
async def test_without_its_database_a_service_is_503_and_stores_nothing_by_half(
    kafka: KafkaServer, tmp_path: Path
) -> None:
    """A write that meets an outage says when to come back; repeated with its key, it happened exactly once."""
    with Postgres() as own:
        databases = Databases(own, by_command=False)
        async with running_stack(tmp_path, kafka, databases, ["intake all"]) as stack, stack.client("intake") as intake:
            assert (await intake.post("/tickets", json=TICKET)).status_code == 201
            await asyncio.to_thread(own.kill)
            keys = [{"Idempotency-Key": uuid4().hex} for _ in range(5)]
            for key in keys:
                refused = await intake.post("/tickets", json=TICKET, headers=key)
                expect_problem(refused, 503)
                assert int(refused.headers["retry-after"]) > 0
            ready = await intake.get(f"{stack.urls['intake']}/health/ready")
            alive = await intake.get(f"{stack.urls['intake']}/health/live")
            assert (ready.status_code, alive.status_code) == (503, 200)
            await asyncio.to_thread(own.start)

            async def written(key: dict[str, str]) -> Any:
                answer = await intake.post("/tickets", json=TICKET, headers=key)
                return answer.status_code == 201 and answer.json()["id"]

            ids = {await wait_until(partial(written, key)) for key in keys}
            assert len(ids) == len(keys)
            await expect_whole(stack, tickets=1 + len(keys))


async def expect_whole(stack: Stack, *, tickets: int) -> None:
    """Each ticket has its fact, its place in the timeline and, in the end, nothing waiting to be published."""
    async with stack.databases() as connections:
        database = connections["intake"]
        assert await database.fetchval("select count(*) from tickets") == tickets
        assert await database.fetchval("select count(*) from timeline") == tickets

        async def published() -> bool:
            waiting: int = await database.fetchval("select count(*) from outbox")
            return waiting == 0

        await wait_until(published)


def expect_problem(answer: httpx.Response, status: int) -> Any:
    """A problem document of RFC 9457 with this status; returns it."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text[:300]}"
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["type"].startswith("urn:opora:problem:")
    assert problem["title"]
    assert problem["detail"]
    return problem
