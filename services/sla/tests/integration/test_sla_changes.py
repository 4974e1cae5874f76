"""Agreements that change under open tickets, on a running sla."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any
from uuid import UUID

from opora_chassis.testing import wait_until
from opora_contracts.sla import SlaCorrected
from opora_contracts.vocabulary import Outcome
from opora_sla.changes import carry_on
from opora_sla.store import changes as store

DOCUMENT: dict[str, Any] = {
    "name": "Short",
    "metrics": {"resolution": {"targets": {"P1": {"hours": 30}}, "warn_at_percent": [50]}},
    "conditions": {"external_source": ["log"]},
}
LONGER = DOCUMENT | {"metrics": {"resolution": {"targets": {"P1": {"hours": 40}}, "warn_at_percent": [50]}}}


async def agree(desk: Any) -> str:
    answer = await desk.service.client.post("/v1/agreements", json=DOCUMENT)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def post(desk: Any, path: str, body: dict[str, Any], status: int = 201) -> dict[str, Any]:
    answer = await desk.service.client.post(path, json=body)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


async def finished(desk: Any, agreement_id: str, change_id: str) -> dict[str, Any]:
    """The request once it is carried out."""
    seen: dict[str, Any] = {}

    async def done() -> bool:
        seen.update(await desk.get(f"/v1/agreements/{agreement_id}/changes/{change_id}"))
        return seen["finished_at"] is not None

    await wait_until(done)
    return seen


async def test_open_tickets_go_over_when_that_is_asked_for(sla: Any) -> None:
    """A revision alone changes nothing for them; the preview foretells what the request does, and each is told once."""
    async with sla() as desk:
        agreement_id = await agree(desk)
        old = await desk.create(external_source="log")
        young = await desk.create(10, external_source="log")
        await desk.taken_in(young)
        answer = await desk.service.client.put(f"/v1/agreements/{agreement_id}", json=LONGER)
        assert answer.json()["version"] == 2
        foreseen = await post(desk, f"/v1/agreements/{agreement_id}/preview", {"document": LONGER}, 200)
        kept = await desk.get(f"/v1/tickets/{old}")
        asked = await post(desk, f"/v1/agreements/{agreement_id}/changes", {"created_from": desk.at(5).isoformat()})
        first = await finished(desk, agreement_id, asked["id"])
        told = await desk.told(young, 2)
        everything = await post(desk, f"/v1/agreements/{agreement_id}/changes", {})
        second = await finished(desk, agreement_id, everything["id"])
        views = [await desk.get(f"/v1/tickets/{ticket_id}") for ticket_id in (old, young)]
        listed = await desk.get(f"/v1/agreements/{agreement_id}/changes")

    assert foreseen["effects"] == {"due_later": 2}
    assert {change["ticket_id"] for change in foreseen["changes"]} == {str(old), str(young)}
    assert kept["agreement"]["version"] == 1
    assert (first["examined"], first["migrated"], first["effects"]) == (2, 1, {"due_later": 1})
    assert (second["examined"], second["migrated"], second["effects"]) == (1, 1, {"due_later": 1})
    correction = told[1].data
    assert isinstance(correction, SlaCorrected)
    assert (correction.before, correction.after, correction.due_at) == (Outcome.OPEN, Outcome.OPEN, desk.at(50))
    assert [view["agreement"]["version"] for view in views] == [2, 2]
    assert [one["id"] for one in listed["items"]] == [asked["id"], everything["id"]]


async def test_a_change_goes_on_behind_its_last_batch(sla: Any) -> None:
    """Batch by batch, whoever takes the next one, and no ticket twice; what fails leaves nothing half done."""
    async with sla(roles=frozenset({"serve", "consume", "relay"})) as desk:
        agreement_id = await agree(desk)
        tickets = [await desk.create(external_source="log") for _ in range(5)]
        for ticket_id in tickets:
            await desk.taken_in(ticket_id)
        await desk.service.client.put(f"/v1/agreements/{agreement_id}", json=LONGER)
        asked = await post(desk, f"/v1/agreements/{agreement_id}/changes", {})
        path = f"/v1/agreements/{agreement_id}/changes/{asked['id']}"
        progress = []
        for _ in range(4):
            await carry_on(desk.database, batch=2)
            seen = await desk.get(path)
            progress.append((seen["examined"], seen["finished_at"] is not None))
        told = [len(await desk.told(ticket_id, 2)) for ticket_id in tickets]

    assert progress == [(2, False), (4, False), (5, False), (5, True)]
    assert told == [2] * 5


async def test_a_stretch_that_a_crash_left_is_taken_by_another_and_no_change_ends_before(sla: Any) -> None:
    """Workers side by side pass over what another is at; what it did not commit is there again, and is done once."""
    async with sla(roles=frozenset({"serve", "consume", "relay"})) as desk:
        agreement_id = await agree(desk)
        tickets = [await desk.create(external_source="log") for _ in range(5)]
        for ticket_id in tickets:
            await desk.taken_in(ticket_id)
        await desk.service.client.put(f"/v1/agreements/{agreement_id}", json=LONGER)
        asked = await post(desk, f"/v1/agreements/{agreement_id}/changes", {})
        path = f"/v1/agreements/{agreement_id}/changes/{asked['id']}"
        async with desk.database.transaction() as tx:
            change = await store.lock_unfinished(tx)
            assert change is not None
            assert await store.set_stretch(tx, change, 3)
        with suppress(ConnectionAbortedError):
            async with desk.database.transaction() as crashing:
                held = await store.take_stretch(crashing)
                passed_over = [await carry_on(desk.database, batch=3) for _ in range(2)]
                meanwhile = await desk.get(path)
                raise ConnectionAbortedError
        await asyncio.gather(*(_until_nothing_is_left(desk) for _ in range(2)))
        finished_one = await desk.get(path)
        told = [len(await desk.told(ticket_id, 2)) for ticket_id in tickets]

    assert held is not None
    assert passed_over == [True, False]
    assert (meanwhile["examined"], meanwhile["finished_at"]) == (2, None)
    assert (finished_one["examined"], finished_one["migrated"], finished_one["effects"]) == (5, 5, {"due_later": 5})
    assert finished_one["finished_at"] is not None
    assert told == [2] * 5


async def _until_nothing_is_left(desk: Any) -> None:
    while await carry_on(desk.database, batch=2):
        pass


async def test_what_cannot_be_changed_is_refused_with_what_to_do(sla: Any) -> None:
    """An agreement or version that does not exist, a preview of too much; under one version there is nothing to do."""
    async with sla() as desk:
        agreement_id = await agree(desk)
        path = f"/v1/agreements/{agreement_id}"
        nothing = await post(desk, f"{path}/changes", {})
        nothing = await finished(desk, agreement_id, nothing["id"])
        await post(desk, f"{path}/changes", {"to_version": 7}, 404)
        await post(desk, f"/v1/agreements/{UUID(int=9)}/changes", {}, 404)
        await post(desk, f"/v1/agreements/{UUID(int=9)}/preview", {"document": LONGER}, 404)
        await post(desk, f"{path}/preview", {"document": LONGER, "limit": 501}, 422)
        await post(desk, f"{path}/preview", {"document": LONGER, "cursor": "x"}, 400)

    assert (nothing["examined"], nothing["migrated"], nothing["effects"]) == (0, 0, {})
