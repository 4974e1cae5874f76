"""Problems that gather incidents, known errors and announcements, over HTTP and a real database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from opora_contracts.topics import TICKETS
from opora_intake.domain.priority import DEFAULT_MATRIX
from opora_intake.domain.problems import MOST_ANNOUNCEMENTS
from opora_intake.handlers.case_settings import RulesInForce
from opora_intake.handlers.problems import tell_batch
from opora_intake.store import problems as store

pytestmark = pytest.mark.asyncio(loop_scope="session")
SAID = "It is mended. Please log in once more."


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def untouched(desk: Any) -> AsyncIterator[None]:
    """Leaves the settings as other tests expect them."""
    yield
    await desk.patch("/settings", {"profiles": {}})


async def problem(desk: Any, incidents: list[Any]) -> Any:
    """A problem that causes these."""
    ticket = await desk.opened(kind="problem", title="Certificates are not renewed")
    for incident in incidents:
        await desk.post(f"/tickets/{incident['id']}/link", {"relation": "caused_by", "ticket": ticket["number"]})
    return ticket


async def announced(desk: Any, ticket: Any, **draft: Any) -> Any:
    """The announcement as soon as it has gone out."""
    path = f"/tickets/{ticket['id']}/announcements"
    asked = await desk.post(path, {"body": SAID, **draft}, status=202)
    return await gone_out(desk, ticket, asked)


async def gone_out(desk: Any, ticket: Any, asked: Any) -> Any:
    """The announcement as soon as no incident is left."""
    found: dict[str, Any] = {}

    async def is_over() -> bool:
        items = (await desk.get(f"/tickets/{ticket['id']}/announcements"))["items"]
        found.update(next(each for each in items if each["id"] == asked["id"]))
        return found["finished_at"] is not None

    await desk.service.wait_until(is_over)
    return found


async def report(desk: Any, ticket: Any, asked: Any) -> dict[str, tuple[str, str | None]]:
    """What became of each incident, page by page, by number."""
    path = f"/tickets/{ticket['id']}/announcements/{asked['id']}/incidents"
    page = await desk.get(path, limit=2)
    items = page["items"]
    while page["next_cursor"] is not None:
        page = await desk.get(path, limit=2, cursor=page["next_cursor"])
        items += page["items"]
    return {each["number"]: (each["outcome"], each["reason"]) for each in items}


async def said_on(desk: Any, ticket: Any) -> list[str]:
    """What was written on the ticket."""
    return [each["body"] for each in (await desk.get(f"/tickets/{ticket['id']}/messages"))["items"]]


async def test_everybody_affected_is_told_once_and_their_incidents_are_resolved(desk: Any) -> None:
    """Open ones are answered and resolved, resolved ones answered, closed ones left alone; the report says which."""
    incidents = [await desk.opened() for _ in range(5)]
    ticket = await problem(desk, incidents)
    *working, done, closed = incidents
    await desk.post(f"/tickets/{done['id']}/resolve")
    await desk.post(f"/tickets/{closed['id']}/close", {"resolution_code": "cancelled"})
    listed = await desk.get(f"/tickets/{ticket['id']}/incidents", limit=3)
    rest = await desk.get(f"/tickets/{ticket['id']}/incidents", limit=3, cursor=listed["next_cursor"])
    assert [each["number"] for each in listed["items"] + rest["items"]] == [each["number"] for each in incidents]
    over = await announced(desk, ticket, resolves=True, resolution_code="workaround")
    assert (over["told"], over["resolved"], over["passed_over"]) == (4, 3, 1)
    assert await report(desk, ticket, over) == {
        **{each["number"]: ("resolved", None) for each in working},
        done["number"]: ("told", None),
        closed["number"]: ("passed_over", "it is closed"),
    }
    for incident in working:
        assert await said_on(desk, incident) == [SAID]
        now = await desk.get(f"/tickets/{incident['id']}")
        assert (now["step"], now["resolution_code"]) == ("resolved", "workaround")
    facts = await desk.published(TICKETS.name, working[0]["id"], 4)
    assert [fact.type for fact in facts[1:]] == ["ticket.linked", "ticket.replied", "ticket.resolved"]
    assert (facts[2].data.author_kind, facts[2].data.author, facts[2].actor) == ("agent", "key:test", "key:test")
    assert await said_on(desk, done) == [SAID]
    assert await said_on(desk, closed) == []


async def test_the_fix_is_announced_when_the_problem_is_resolved(desk: Any) -> None:
    """Until then nothing goes out, whoever looks; who was affected meanwhile is told, who comes later is not."""
    first = await desk.opened()
    ticket = await problem(desk, [first])
    asked = await desk.post(f"/tickets/{ticket['id']}/announcements", {"body": SAID, "after": "resolved"}, status=202)
    over = await announced(desk, ticket, body="We are at it.")
    assert over["told"] == 1
    async with desk.database.transaction() as tx:
        assert not await tell_batch(tx, RulesInForce(DEFAULT_MATRIX))
    assert await said_on(desk, first) == ["We are at it."]
    second = await desk.opened()
    await desk.post(f"/tickets/{second['id']}/link", {"relation": "caused_by", "ticket": ticket["number"]})
    await desk.post(f"/tickets/{ticket['id']}/resolve")
    over = await gone_out(desk, ticket, asked)
    assert (over["told"], over["resolved"]) == (2, 0)
    assert await said_on(desk, first) == ["We are at it.", SAID]
    assert await said_on(desk, second) == [SAID]
    late = await desk.opened()
    await desk.post(f"/tickets/{late['id']}/link", {"relation": "caused_by", "ticket": ticket["number"]})
    await announced(desk, ticket, body="A last word.")
    assert await said_on(desk, late) == ["A last word."]


@pytest.mark.parametrize("end", ["cancelled", "merged"])
async def test_a_problem_without_a_fix_announces_none(desk: Any, end: str) -> None:
    """Cancelled, or merged into another one, it tells nobody that anything is mended; reopened and resolved it does.
    The incidents of a merged one are those of the problem that goes on.
    """
    ticket = await problem(desk, [incident := await desk.opened()])
    asked = await desk.post(f"/tickets/{ticket['id']}/announcements", {"body": SAID, "after": "resolved"}, status=202)
    other = await problem(desk, [])
    if end == "cancelled":
        await desk.post(f"/tickets/{ticket['id']}/close", {"resolution_code": "cancelled"})
    else:
        await desk.post(f"/tickets/{ticket['id']}/merge", {"into": other["number"]})
    async with desk.database.transaction() as tx:
        assert not await tell_batch(tx, RulesInForce(DEFAULT_MATRIX))
    assert await said_on(desk, incident) == []
    if end == "cancelled":
        await desk.post(f"/tickets/{ticket['id']}/reopen")
        await desk.post(f"/tickets/{ticket['id']}/resolve")
        assert (await gone_out(desk, ticket, asked))["told"] == 1
    else:
        listed = (await desk.get(f"/tickets/{other['id']}/incidents"))["items"]
        assert [each["number"] for each in listed] == [incident["number"]]
        assert (await announced(desk, other, resolves=True))["resolved"] == 1
    assert await said_on(desk, incident) == [SAID]


async def test_what_a_crash_leaves_is_told_by_the_next_and_nobody_twice(desk: Any) -> None:
    """Several at once, some of them dying before they commit: each incident is answered once."""
    incidents = [await desk.opened() for _ in range(12)]
    ticket = await problem(desk, incidents)
    rules = RulesInForce(DEFAULT_MATRIX)
    asked = await desk.post(f"/tickets/{ticket['id']}/announcements", {"body": SAID}, status=202)

    async def work(*, dies: bool) -> None:
        while not await _is_over(desk, ticket, asked):
            with suppress(ConnectionAbortedError):
                async with desk.database.transaction() as tx:
                    await tell_batch(tx, rules, limit=3)
                    if dies:
                        raise ConnectionAbortedError

    await asyncio.gather(work(dies=True), work(dies=False), work(dies=True))
    over = await gone_out(desk, ticket, asked)
    assert over["told"] == 12
    assert [await said_on(desk, incident) for incident in incidents] == [[SAID]] * 12


async def _is_over(desk: Any, ticket: Any, asked: Any) -> bool:
    found = await store.find_announcement(desk.database, UUID(ticket["id"]), UUID(asked["id"]))
    assert found is not None
    return found.finished_at is not None


async def test_an_incident_that_cannot_be_resolved_is_told_and_said_why(desk: Any) -> None:
    """Under the profile strict no step is skipped, not even by an announcement."""
    await desk.patch("/settings", {"profiles": {"complaint": "strict"}})
    strict, light = await desk.opened(kind="complaint"), await desk.opened()
    ticket = await problem(desk, [strict, light])
    over = await announced(desk, ticket, resolves=True)
    assert (over["told"], over["resolved"]) == (2, 1)
    found = await report(desk, ticket, over)
    assert found[light["number"]] == ("resolved", None)
    outcome, reason = found[strict["number"]]
    assert outcome == "not_resolved"
    assert reason is not None
    assert "Cannot resolve" in reason
    assert await said_on(desk, strict) == [SAID]


async def test_an_announcement_can_be_withdrawn_until_it_goes_out(desk: Any) -> None:
    """Withdrawn, it stays in the list and never goes out; a second time, and after going out, it is refused."""
    ticket = await problem(desk, [incident := await desk.opened()])
    path = f"/tickets/{ticket['id']}/announcements"
    asked = await desk.post(path, {"body": SAID, "after": "resolved"}, status=202)
    assert (await desk.post(f"{path}/{asked['id']}/withdraw"))["withdrawn_at"] is not None
    await desk.post(f"{path}/{asked['id']}/withdraw", status=409)
    await desk.post(f"/tickets/{ticket['id']}/resolve")
    over = await announced(desk, ticket, body="Over.")
    await desk.post(f"{path}/{over['id']}/withdraw", status=409)
    assert await said_on(desk, incident) == ["Over."]


async def test_only_problems_announce_and_not_without_end(desk: Any) -> None:
    """Another kind gets 409 and what to do, an empty text 422, the fifty-first announcement 422."""
    other = await desk.opened()
    refusal = await desk.post(f"/tickets/{other['id']}/announcements", {"body": SAID}, status=409)
    assert "only a problem" in refusal["detail"]
    ticket = await problem(desk, [])
    path = f"/tickets/{ticket['id']}/announcements"
    await desk.post(path, {"body": "  "}, status=422)
    for _ in range(MOST_ANNOUNCEMENTS):
        await desk.post(path, {"body": SAID, "after": "resolved"}, status=202)
    refusal = await desk.post(path, {"body": SAID}, status=422)
    assert "at most 50 announcements" in refusal["detail"]


async def test_a_known_error_has_a_workaround_until_it_is_closed(desk: Any) -> None:
    """Kept in versions on a problem, listed with its cause, gone from the list with the problem."""
    ticket = await problem(desk, [])
    path = f"/tickets/{ticket['id']}/known-error"
    await desk.get(path, status=404)
    await desk.post(f"/tickets/{ticket['id']}/diagnose", {"cause": "No right to write"})
    put = await desk.client.put(f"/v1{path}", json={"workaround": "Renew it by hand.", "expected_version": 0})
    assert (put.status_code, put.json()["version"], put.json()["cause"]) == (200, 1, "No right to write")
    stale = await desk.client.put(f"/v1{path}", json={"workaround": "Wait.", "expected_version": 0})
    assert (stale.status_code, stale.json()["version"]) == (409, 1)
    listed = (await desk.get("/known-errors", limit=1))["items"]
    assert listed == [await desk.get(path)]
    await desk.post(f"/tickets/{ticket['id']}/close", {"resolution_code": "cancelled"})
    assert ticket["number"] not in {each["number"] for each in (await desk.get("/known-errors"))["items"]}
    assert (await desk.client.delete(f"/v1{path}")).status_code == 204
    await desk.get(path, status=404)
    other = await desk.opened()
    refused = await desk.client.put(f"/v1/tickets/{other['id']}/known-error", json={"workaround": "Wait."})
    assert refused.status_code == 409
