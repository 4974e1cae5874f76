"""What two workers, failures and dead workers do to webhooks, step by step, where no loop runs."""

import json
from typing import Any
from uuid import uuid4

import pytest

from opora_intake.channels import leased
from opora_intake.channels.hooks import HookDesk, attempt
from opora_intake.domain.hook_sources import HookRules
from opora_intake.domain.hooks import HookReading
from opora_intake.handlers.hooks import take_in
from opora_intake.hooks.reading import read_delivery
from opora_intake.store import hooks as store
from opora_intake.store.hooks import KeptDelivery
from services.intake.tests.hook_payloads import SECRET

pytestmark = pytest.mark.asyncio(loop_scope="session")

MAPPING = {"key": "/id", "title": "/title", "state": "/state"}


def _fails(raw: bytes, headers: Any, rules: Any) -> HookReading:
    if b"poison" in raw:
        raise ZeroDivisionError
    return read_delivery(raw, headers, rules)


async def test_of_one_source_the_next_waits_for_the_one_under_way(kept_room: Any) -> None:
    """Another source's delivery is claimed meanwhile; a worker that died leaves a lease that ends."""
    desk = HookDesk(kept_room.platform)
    hook, other = await _source(kept_room), await _source(kept_room)
    first, second = await _keep(kept_room, hook, "1"), await _keep(kept_room, hook, "1", state="ok")
    elsewhere = await _keep(kept_room, other, "1")
    claimed = [await _claimed(desk) for _ in range(2)]
    assert [each.id for each in claimed] == [first, elsewhere]
    assert await leased.claim(desk.tray) is None
    await kept_room.database.fetchval(
        "update hook_deliveries set due_at = received_at where id = $1 returning 1", first
    )
    again = await _claimed(desk)
    assert again.id == first
    for each in (claimed[0], again, claimed[0]):
        await attempt(desk, each)
    last = await _claimed(desk)
    assert last.id == second
    await attempt(desk, last)
    outcomes = [(await _kept(kept_room, each)).outcome for each in (first, second)]
    assert outcomes == ["opened", "ended"]
    await attempt(desk, claimed[1])


async def test_poison_holds_up_nobody_and_ends_before_a_person(kept_room: Any) -> None:
    """A delivery that fails steps aside; after five attempts it is in quarantine."""
    desk = HookDesk(kept_room.platform, read=_fails)
    hook = await _source(kept_room)
    poison, good = await _keep(kept_room, hook, "poison"), await _keep(kept_room, hook, "good")
    for _ in range(2):
        await attempt(desk, await _claimed(desk))
    assert (await _kept(kept_room, good)).outcome == "opened"
    for count in range(1, leased.MOST_ATTEMPTS + 1):
        waiting = await _kept(kept_room, poison)
        assert (waiting.state, waiting.attempts, waiting.reason) == ("received", count, "ZeroDivisionError")
        await kept_room.database.fetchval(
            "update hook_deliveries set due_at = received_at where id = $1 returning 1", poison
        )
        await attempt(desk, await _claimed(desk))
    given_up = await _kept(kept_room, poison)
    assert (given_up.state, given_up.reason) == ("quarantined", "Given up after 5 attempts: ZeroDivisionError")
    assert given_up.ticket_id is not None


async def _claimed(desk: HookDesk) -> KeptDelivery:
    claimed = await leased.claim(desk.tray)
    assert claimed is not None
    return claimed


async def _kept(room: Any, delivery_id: Any) -> KeptDelivery:
    found = await store.find_delivery(room.database, delivery_id)
    assert found is not None
    return found


async def _source(room: Any) -> str:
    name = f"generic-{uuid4().hex[:8]}"
    async with room.database.transaction() as tx:
        rules = HookRules.model_validate({"kind": "generic", "mapping": MAPPING})
        await store.add_source(tx, name, rules, [SECRET], "key:test")
    return name


async def _keep(room: Any, hook: str, case: str, **fields: str) -> Any:
    kept = await store.find_source(room.database, hook)
    assert kept is not None
    raw = json.dumps({"id": case, "title": case, **fields}).encode()
    async with room.database.transaction() as tx:
        delivery_id, _ = await take_in(tx, kept.source, raw, {})
    return delivery_id
