"""What surrounds each request: outages, health, metrics, documentation, traces."""

import asyncio
from typing import Any

import asyncpg
import httpx
from starlette.applications import Starlette

from opora_chassis.http import Caller, Check, WriteCall
from opora_chassis.http.errors import problem_of
from opora_chassis.http.health import health_routes
from opora_chassis.identifiers import new_id
from opora_chassis.telemetry import current_traceparent, span_from

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_without_a_database_writes_are_told_to_come_back(notes_behind_gate: Any, gate: Any) -> None:
    """503 with Retry-After while it is away, readiness says so too, and all is well when it returns."""
    client = notes_behind_gate.client
    assert (await client.post("/v1/notes", json={"text": "before"})).status_code == 201
    await gate.cut()
    response = await client.post("/v1/notes", json={"text": "meanwhile"})
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0
    assert response.json()["type"] == "urn:opora:problem:unavailable"
    await gate.open()
    assert (await client.post("/v1/notes", json={"text": "after"})).status_code == 201
    assert await notes_behind_gate.texts() == ["before", "after"]


async def test_an_outage_in_the_middle_of_a_write_leaves_nothing(
    notes_behind_gate: Any, gate: Any, migrated: str
) -> None:
    """The connection breaks after the insert and before the commit: 503, and no row."""

    async def insert_and_break(tx: Any) -> None:
        await tx.execute("insert into notes (id, text) values ($1, 'half')", new_id())
        await gate.cut()

    caller = Caller(new_id(), "anna", frozenset(), "agent:anna")
    call = WriteCall(caller, "POST", "/v1/notes", "k", b"", notes_behind_gate.database)
    (error,) = await asyncio.gather(call.run(insert_and_break), return_exceptions=True)
    assert isinstance(error, Exception)
    assert problem_of(error).status == 503
    connection = await asyncpg.connect(migrated)
    assert await connection.fetchval("select count(*) from notes") == 0
    assert await connection.fetchval("select count(*) from idempotency_keys") == 0
    await connection.close()


async def test_readiness_names_what_is_wrong() -> None:
    """503 lists every check; one that raises is a failed check, and liveness does not depend on them."""

    async def fine() -> list[Check]:
        return [Check("relay", ok=True, detail="moving")]

    async def broken() -> list[Check]:
        raise ValueError("no answer")

    transport = httpx.ASGITransport(Starlette(routes=health_routes([fine, broken])))
    async with httpx.AsyncClient(transport=transport, base_url="http://notes") as client:
        response = await client.get("/health/ready")
        assert response.status_code == 503
        relay, failed = response.json()["checks"]
        assert relay == {"name": "relay", "ok": True, "detail": "moving"}
        assert not failed["ok"]
        assert "no answer" in failed["detail"]
        assert (await client.get("/health/live")).status_code == 200


async def test_requests_are_measured_by_route(notes: Any) -> None:
    """The label is the route's pattern, whatever ids callers ask for; unknown paths share one."""
    await notes.client.get("/v1/notes/0190f0a0-0000-7000-8000-000000000000")
    await notes.client.get("/v1/nowhere/at/all")
    await notes.client.post("/v1/hot")
    metrics = (await notes.client.get("/metrics")).text
    start = 'opora_http_request_seconds_count{method="%s",route="%s",service="notes",status="%s"}'
    assert start % ("GET", "/v1/notes/{note_id}", "404") in metrics
    assert start % ("GET", "unmatched", "404") in metrics
    assert start % ("POST", "hot", "200") in metrics
    assert "at/all" not in metrics


async def test_the_interface_documents_itself(notes: Any) -> None:
    """OpenAPI names the key and its scope as the way in, the headers of writes, and every refusal."""
    document = (await notes.client.get("/openapi.json")).json()
    post = document["paths"]["/v1/notes"]["post"]
    assert post["security"] == [{"ApiKey": ["notes:write"]}]
    assert "Needs the scope `notes:write`." in post["description"]
    assert [parameter["name"] for parameter in post["parameters"]] == ["Idempotency-Key", "X-Opora-Actor"]
    assert list(post["responses"]) == ["201", "400", "401", "403", "413", "415", "422", "503", "default"]
    unavailable = document["components"]["responses"]["Unavailable"]
    assert post["responses"]["503"] == {"$ref": "#/components/responses/Unavailable"}
    assert unavailable["content"]["application/problem+json"]["example"]["status"] == 503
    assert unavailable["headers"]["Retry-After"]["example"] == 2
    assert (await notes.client.get("/docs")).status_code == 200


def test_a_trace_is_carried_on_as_it_came() -> None:
    """Without an exporter the caller's traceparent is current inside, and nothing is current outside."""
    assert current_traceparent() is None
    with span_from(PARENT, "work"):
        assert current_traceparent() == PARENT
    assert current_traceparent() is None


def test_work_without_a_usable_trace_begins_one() -> None:
    """A missing, malformed or all-zero traceparent leads to a new trace of its own."""
    begun = set()
    for bad in (None, "", "00-xyz", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"):
        with span_from(bad, "work"):
            traceparent = current_traceparent()
        assert traceparent is not None
        assert len(traceparent) == 55
        begun.add(traceparent)
    assert len(begun) == 4
