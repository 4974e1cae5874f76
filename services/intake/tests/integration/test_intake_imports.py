"""Imports of history, on a real database and a real broker."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from opora_contracts.progress import ProgressMarked
from opora_contracts.topics import TICKETS
from opora_intake.store.imports import import_watermarks

pytestmark = pytest.mark.asyncio(loop_scope="session")


def entry(source_id: str, ordinal: int, at: str, action: str, **data: Any) -> dict[str, Any]:
    return {"source_id": source_id, "ordinal": ordinal, "at": f"2016-02-{at}:00Z", "action": action, "data": data}


STORY = [
    entry(
        "INC1", 1, "29T01:16", "create", title="Case 1", impact="high", urgency="low", priority="P2", channel="phone"
    ),
    entry("INC2", 1, "29T02:00", "create", title="Case 2", requester_email="caller-7@history.example"),
    entry("INC1", 2, "29T03:00", "assign", group="Group 56"),
    entry("INC1", 3, "29T08:53", "resolve"),
    entry("INC1", 4, "29T12:00", "close"),
    entry("INC2", 2, "29T13:00", "hold", waiting_on="customer"),
]


async def opened_import(desk: Any) -> Any:
    return await desk.post("/imports", {"name": f"log {uuid4().hex}"})


async def give(desk: Any, history: Any, entries: list[dict[str, Any]], watermark: str | None = None, **kw: Any) -> Any:
    return await desk.post(f"/imports/{history['id']}/entries", {"entries": entries, "watermark": watermark}, **kw)


async def case(desk: Any, history: Any, source_id: str) -> Any:
    query = {"external_source": history["name"], "external_id": source_id}
    (ticket,) = (await desk.get("/tickets", **query))["items"]
    return ticket


async def test_a_log_becomes_tickets_with_their_own_times(desk: Any) -> None:
    """Imported facts carry the log's times and the import's id, through the same rules as live work."""
    history = await opened_import(desk)
    answer = await give(desk, history, STORY, "2016-03-01T00:00:00Z")
    assert (answer["applied"], answer["skipped"], answer["refused"]) == (6, 0, [])
    assert (answer["tickets"], answer["facts"]) == (2, 6)
    first = await case(desk, history, "INC1")
    assert (first["step"], first["priority"], first["closed_at"]) == ("closed", "P2", "2016-02-29T12:00:00Z")
    facts = await desk.published(TICKETS.name, first["id"], 4)
    assert [(fact.type, fact.time.strftime("%d %H:%M")) for fact in facts] == [
        ("ticket.created", "29 01:16"),
        ("ticket.assigned", "29 03:00"),
        ("ticket.resolved", "29 08:53"),
        ("ticket.closed", "29 12:00"),
    ]
    assert {fact.import_id for fact in facts} == {history["id"]}
    assert (await case(desk, history, "INC2"))["waiting_on"] == "customer"


async def test_importing_twice_changes_nothing(desk: Any) -> None:
    """The same entries again are skipped, the same name is the same import, the watermark never goes back."""
    history = await opened_import(desk)
    first = await give(desk, history, STORY, "2016-03-01T00:00:00Z")
    again = await give(desk, history, STORY, "2016-01-01T00:00:00Z")
    assert (again["applied"], again["skipped"], again["facts"]) == (0, 6, first["facts"])
    assert again["watermark"] == "2016-03-01T00:00:00Z"
    assert (await desk.post("/imports", {"name": history["name"]}))["id"] == history["id"]


async def test_a_missing_entry_refuses_the_request(desk: Any) -> None:
    """A gap is a 409 that names the case and the expected ordinal, and nothing of the request is applied."""
    history = await opened_import(desk)
    problem = await give(desk, history, [STORY[1], STORY[0], STORY[3]], "2016-03-01T00:00:00Z", status=409)
    assert (problem["source_id"], problem["expected_ordinal"], problem["given_ordinal"]) == ("INC1", 2, 3)
    state = await desk.get(f"/imports/{history['id']}")
    assert (state["tickets"], state["facts"], state["watermark"], state["state"]) == (0, 0, None, "open")


async def test_a_refused_entry_stops_its_case_only(desk: Any) -> None:
    """What the rules refuse is reported with the entries after it; the other cases go on, and it can be corrected."""
    history = await opened_import(desk)
    wrong = [
        STORY[0],
        entry("INC1", 2, "29T02:00", "verify"),
        STORY[1],
        entry("INC1", 3, "29T03:00", "note"),
        entry("INC3", 1, "29T03:00", "assign", group="x"),
        entry("INC4", 1, "29T03:00", "create", title="x", colour="red"),
        {**entry("INC5", 1, "29T03:00", "create", title="x"), "at": "2250-01-01T00:00:00Z"},
    ]
    answer = await give(desk, history, wrong)
    assert answer["applied"] == 2
    assert [(one["index"], one["source_id"], one["ordinal"]) for one in answer["refused"]] == [
        (1, "INC1", 2),
        (3, "INC1", 3),
        (4, "INC3", 1),
        (5, "INC4", 1),
        (6, "INC5", 1),
    ]
    problems = [one["problem"] for one in answer["refused"]]
    assert problems[0].startswith("Cannot verify a ticket that is received")
    assert problems[1:] == [
        "An earlier entry of INC1 was refused",
        "The first entry of INC3 must be create",
        "colour: Extra inputs are not permitted",
        "The time 2250-01-01T00:00:00+00:00 lies in the future: history has happened",
    ]
    assert (await give(desk, history, [STORY[2]]))["applied"] == 1


async def test_live_work_waits_for_the_import_and_then_joins(desk: Any) -> None:
    """A ticket of an open import cannot be changed live; closing the import joins each open ticket, once."""
    history = await opened_import(desk)
    await give(desk, history, STORY, "2016-03-01T00:00:00Z")
    waiting = await case(desk, history, "INC2")
    problem = await desk.post(f"/tickets/{waiting['id']}/resume", status=409)
    assert history["name"] in problem["detail"]
    closed = await desk.post(f"/imports/{history['id']}/close")
    assert closed["state"] == "closed"
    assert await desk.post(f"/imports/{history['id']}/close") == closed
    await give(desk, history, [entry("INC2", 3, "29T14:00", "resume")], status=409)
    await desk.post(f"/tickets/{waiting['id']}/resume")
    facts = await desk.published(TICKETS.name, waiting["id"], 4)
    assert [(fact.type, fact.import_id) for fact in facts] == [
        ("ticket.created", history["id"]),
        ("ticket.held", history["id"]),
        ("ticket.updated", None),
        ("ticket.resumed", None),
    ]
    assert facts[2].data.joined_live is True
    assert facts[2].time.year > 2016


async def test_a_closed_case_joins_when_it_is_reopened(desk: Any) -> None:
    """A historical ticket that ended lives again from its first live change on."""
    history = await opened_import(desk)
    await give(desk, history, STORY)
    await desk.post(f"/imports/{history['id']}/close")
    ended = await case(desk, history, "INC1")
    await desk.post(f"/tickets/{ended['id']}/reopen", {"reason": "came back"})
    facts = await desk.published(TICKETS.name, ended["id"], 6)
    assert [(fact.type, fact.import_id) for fact in facts[4:]] == [("ticket.updated", None), ("ticket.reopened", None)]


async def test_marks_tell_how_far_an_import_is_complete(desk: Any) -> None:
    """An open import is complete before its watermark, a closed one before its closing; one without says nothing."""
    silent, history = await opened_import(desk), await opened_import(desk)
    await give(desk, history, STORY, "2016-03-01T00:00:00Z")

    async def marks() -> dict[str, str]:
        return {name: at.isoformat() for name, at in await import_watermarks(desk.database)}

    assert (await marks())[history["id"]] == "2016-03-01T00:00:00+00:00"
    assert silent["id"] not in await marks()
    closed = await desk.post(f"/imports/{history['id']}/close")
    assert (await marks())[history["id"]][:19] == closed["closed_at"][:19]
    mark = (await desk.published("opora.progress", f"{TICKETS.name}/0", 1))[0]
    assert isinstance(mark.data, ProgressMarked)


async def test_an_unknown_import_is_not_found(desk: Any) -> None:
    """404 for reading, writing and closing what was never opened."""
    nobody = {"id": str(UUID(int=1))}
    await desk.get(f"/imports/{nobody['id']}", status=404)
    await give(desk, nobody, [], status=404)
    await desk.post(f"/imports/{nobody['id']}/close", status=404)


async def test_too_many_entries_are_refused(desk: Any) -> None:
    """A request carries 2,000 entries at most."""
    history = await opened_import(desk)
    await give(desk, history, [STORY[0]] * 2001, status=422)
