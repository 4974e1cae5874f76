"""Repeated writes happen once."""

import asyncio
from typing import Any

import pytest
from starlette.responses import Response

from opora_chassis.http import Unprocessable, WriteCall
from opora_chassis.http.idempotency import forget_old_keys
from opora_chassis.http.keys import Caller
from opora_chassis.identifiers import new_id
from opora_chassis.testing import wait_until

KEY = {"Idempotency-Key": "order-1"}


async def test_a_repeated_write_gets_the_first_answer(notes: Any) -> None:
    """Same key, same body: the same bytes and status, marked as replayed, and one effect."""
    first = await notes.client.post("/v1/notes", json={"text": "once"}, headers=KEY)
    again = await notes.client.post("/v1/notes", json={"text": "once"}, headers=KEY)
    assert (again.status_code, again.content) == (first.status_code, first.content) == (201, first.content)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert await notes.texts() == ["once"]


async def test_another_body_under_the_same_key_is_refused(notes: Any) -> None:
    """422 that tells which request had the key."""
    await notes.client.post("/v1/notes", json={"text": "once"}, headers=KEY)
    response = await notes.client.post("/v1/notes", json={"text": "other"}, headers=KEY)
    assert response.status_code == 422
    assert "POST /v1/notes" in response.json()["detail"]
    assert await notes.texts() == ["once"]


async def test_another_path_under_the_same_key_is_refused(notes: Any) -> None:
    """A key belongs to one request, not to one body."""
    await notes.client.post("/v1/notes", json={"text": "once"}, headers=KEY)
    response = await notes.client.post(f"/v1/notes/{new_id()}/close", json={"text": "once"}, headers=KEY)
    assert response.status_code == 422


async def test_without_a_key_each_write_counts(notes: Any) -> None:
    """The chassis does not guess that two equal requests are one."""
    for _ in range(2):
        await notes.client.post("/v1/notes", json={"text": "twice"})
    assert await notes.texts() == ["twice", "twice"]


async def test_a_refused_write_does_not_use_its_key_up(notes: Any) -> None:
    """An error rolls back the claim with everything else: the corrected request may use the key."""
    refused = await notes.client.post("/v1/notes", json={"text": "refused"}, headers=KEY)
    corrected = await notes.client.post("/v1/notes", json={"text": "accepted"}, headers=KEY)
    assert (refused.status_code, corrected.status_code) == (409, 201)
    assert await notes.texts() == ["accepted"]


async def test_a_key_that_is_too_long_is_refused(notes: Any) -> None:
    """422 naming the header."""
    response = await notes.client.post("/v1/notes", json={"text": "a"}, headers={"Idempotency-Key": "k" * 201})
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"].lower() == "idempotency-key"


def write(notes: Any, body: bytes = b"same") -> WriteCall:
    """A write under the key `k`, always by the same caller."""
    caller = Caller(ANNA, "anna", frozenset({"admin"}), "agent:anna")
    return WriteCall(caller, "POST", "/v1/notes", "k", body, notes.database)


ANNA = new_id()


async def is_waiting(notes: Any) -> bool:
    """Whether a transaction waits for another one."""
    count: int = await notes.database.fetchval(
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    )
    return count > 0


@pytest.mark.parametrize("first_succeeds", [True, False])
async def test_of_two_twins_at_the_same_time_one_works(notes: Any, *, first_succeeds: bool) -> None:
    """The second waits for the first: it gets its answer, or does the work itself when the first failed."""
    inside, go_on = asyncio.Event(), asyncio.Event()
    worked: list[str] = []

    async def first_work(_tx: Any) -> dict[str, str]:
        inside.set()
        await go_on.wait()
        if not first_succeeds:
            raise RuntimeError("the first fails")
        worked.append("first")
        return {"by": "first"}

    async def second_work(_tx: Any) -> dict[str, str]:
        worked.append("second")
        return {"by": "second"}

    first = asyncio.create_task(write(notes).run(first_work))
    await inside.wait()
    second = asyncio.create_task(write(notes).run(second_work))
    await wait_until(lambda: is_waiting(notes))
    go_on.set()
    results = await asyncio.gather(first, second, return_exceptions=True)
    winner = "first" if first_succeeds else "second"
    assert worked == [winner]
    assert isinstance(results[1], Response)
    assert results[1].body == b'{"by":"%s"}' % winner.encode()
    assert isinstance(results[0], RuntimeError) is not first_succeeds


async def test_callers_do_not_share_keys(notes: Any) -> None:
    """The same key of another caller is another key."""
    await write(notes).run(nothing)
    other = Caller(new_id(), "boris", frozenset(), "agent:boris")
    response = await WriteCall(other, "POST", "/v1/notes", "k", b"other", notes.database).run(nothing)
    assert "idempotent-replayed" not in response.headers


async def nothing(_tx: Any) -> None:
    """A write without effect."""


async def test_answers_are_forgotten_after_a_week(notes: Any) -> None:
    """The pruning loop drops what is older than seven days and leaves the rest."""
    await write(notes).run(nothing)
    async with notes.database.transaction() as tx:
        await tx.execute("update idempotency_keys set created_at = created_at - interval '8 days'")
    with pytest.raises(Unprocessable):
        await write(notes, b"other").run(nothing)
    stop = asyncio.Event()
    pruning = asyncio.create_task(forget_old_keys(notes.database, stop))

    async def is_empty() -> bool:
        return bool(await notes.database.fetchval("select count(*) = 0 from idempotency_keys"))

    await wait_until(is_empty)
    stop.set()
    await pruning
