"""Writes that gather share a transaction, and each is promised what it would be promised alone."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import asyncpg
import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI

from opora_chassis.database import Database, Transaction
from opora_chassis.errors import is_transient
from opora_chassis.http import Conflict, GroupCommit, HotWrite, Input, WriteCall, build_app, create_key, writes
from opora_chassis.http.group_commit import MOST_WRITES, SECOND_GROUP_WRITES
from opora_chassis.http.keys import Caller
from opora_chassis.identifiers import new_id
from opora_chassis.testing import wait_until

ANNA = Caller(new_id(), "anna", frozenset({"admin"}), "agent:anna")


@dataclass
class Desk:
    """Writes notes in groups; the first transaction waits until `go_on`, so that a group gathers behind it."""

    database: Database
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    groups: list[list[str]] = field(default_factory=list)
    """What each transaction was asked for, those that were rolled back included."""
    commits: GroupCommit[str] = field(init=False)

    def __post_init__(self) -> None:
        self.commits = GroupCommit(self.database, self._work, status=201)

    async def _work(self, tx: Transaction, texts: Sequence[str]) -> list[Any]:
        self.groups.append(list(texts))
        if len(self.groups) == 1:
            await self.go_on.wait()
        outcomes: list[Any] = []
        for text in texts:
            await tx.execute("insert into notes (id, text) values ($1, $2)", new_id(), text)
            if "bug" in text:
                raise LookupError(text)
            outcomes.append(Conflict(f"{text} may not be written") if "refused" in text else {"text": text})
        return outcomes

    def write(self, text: str, key: str | None = None, content: bytes | None = None) -> asyncio.Task[Any]:
        """One caller's write."""
        call = WriteCall(ANNA, "POST", "/v1/notes", key, content or text.encode(), self.database)
        return asyncio.create_task(self.commits.write(call, text))

    async def behind_a_first(self, *writes: tuple[str, str | None]) -> list[Any]:
        """The answers of writes that gather while another one is under way; exceptions among them."""
        first = self.write("first")
        await wait_until(lambda: self.groups)
        waiting = [self.write(text, key) for text, key in writes]
        await asyncio.sleep(0)
        self.go_on.set()
        await first
        return await asyncio.gather(*waiting, return_exceptions=True)


@pytest.fixture
def desk(notes: Any) -> Desk:
    """A desk on the toy service's database."""
    return Desk(notes.database)


async def test_writes_that_gather_share_a_transaction_in_their_order(desk: Desk, notes: Any) -> None:
    """What came while the first was under way is carried out together, in the order in which it came."""
    answers = await desk.behind_a_first(("a", "1"), ("b", "2"), ("c", None))
    assert [answer.body for answer in answers] == [b'{"text":"a"}', b'{"text":"b"}', b'{"text":"c"}']
    assert {answer.status_code for answer in answers} == {201}
    assert desk.groups == [["first"], ["a", "b", "c"]]
    assert await notes.texts() == ["first", "a", "b", "c"]


async def test_a_write_that_comes_alone_waits_for_nobody(desk: Desk) -> None:
    """Nothing lingers for a group: each of two writes, one after the other, is a transaction."""
    desk.go_on.set()
    await desk.write("a")
    await desk.write("b")
    assert desk.groups == [["a"], ["b"]]


async def test_a_group_has_a_largest_size(desk: Desk) -> None:
    """200 writes a transaction; what is more waits for the next."""
    desk.go_on.set()
    await asyncio.gather(*(desk.write(f"note {number}") for number in range(MOST_WRITES + 1)))
    assert [len(group) for group in desk.groups] == [200, 1]


async def test_a_second_group_begins_beside_the_first_when_many_wait(desk: Desk) -> None:
    """Sixteen do not wait for the transaction under way, fifteen do; there is no third group at a time."""
    first = desk.write("first")
    await wait_until(lambda: desk.groups)
    few = [desk.write(f"few {number}") for number in range(SECOND_GROUP_WRITES - 1)]
    await asyncio.sleep(0)
    assert desk.commits.groups_under_way == 1
    answers = await asyncio.gather(*few, desk.write("one more"))
    assert [answer.status_code for answer in answers] == [201] * SECOND_GROUP_WRITES
    assert not first.done()
    desk.go_on.set()
    await first
    assert [len(group) for group in desk.groups] == [1, SECOND_GROUP_WRITES]
    assert desk.commits.groups_under_way == 0


async def test_twins_in_two_groups_have_one_effect(desk: Desk, notes: Any) -> None:
    """A write whose twin is in the other group under way waits for that one's transaction and gets its answer."""
    first = desk.write("first", "1")
    await wait_until(lambda: desk.groups)
    others = [desk.write(f"other {number}") for number in range(SECOND_GROUP_WRITES - 1)]
    twin = desk.write("first", "1")
    await wait_until_waiting(notes)
    desk.go_on.set()
    assert (await twin).body == (await first).body
    assert (await twin).headers["Idempotent-Replayed"] == "true"
    await asyncio.gather(*others)
    assert (await notes.texts()).count("first") == 1


async def test_a_refused_write_leaves_nothing_and_holds_up_no_other(desk: Desk, notes: Any) -> None:
    """The group is carried out again without it; its key can be used for the corrected request."""
    a, refused, b = await desk.behind_a_first(("a", "1"), ("refused", "2"), ("b", "3"))
    assert isinstance(refused, Conflict)
    assert (a.status_code, b.status_code) == (201, 201)
    assert await notes.texts() == ["first", "a", "b"]
    assert (await desk.write("corrected", "2")).status_code == 201


async def test_a_bug_fails_the_guilty_write_alone(desk: Desk, notes: Any) -> None:
    """After any other exception the group is carried out one by one."""
    a, guilty, b = await desk.behind_a_first(("a", "1"), ("bug", "2"), ("b", "3"))
    assert isinstance(guilty, LookupError)
    assert (a.status_code, b.status_code) == (201, 201)
    assert await notes.texts() == ["first", "a", "b"]


async def test_twins_in_one_group_have_one_effect(desk: Desk, notes: Any) -> None:
    """The later one waits for the next group and gets the first one's answer."""
    one, other, between = await desk.behind_a_first(("a", "1"), ("a", "1"), ("b", "2"))
    assert one.body == other.body
    assert ("idempotent-replayed" in one.headers, other.headers["idempotent-replayed"]) == (False, "true")
    assert between.status_code == 201
    assert await notes.texts() == ["first", "a", "b"]


async def test_another_request_under_a_key_of_the_group_is_refused_alone(desk: Desk, notes: Any) -> None:
    """422 for the one whose key was used for something else."""
    a, other, b = await desk.behind_a_first(("a", "1"), ("other", "1"), ("b", "2"))
    assert (a.status_code, b.status_code) == (201, 201)
    assert other.status == 422
    assert await notes.texts() == ["first", "a", "b"]


async def test_of_two_processes_that_get_the_same_write_one_carries_it_out(desk: Desk, notes: Any) -> None:
    """The second waits for the first one's transaction and gives its answer."""
    elsewhere = Desk(notes.database)
    elsewhere.go_on.set()
    first = desk.write("a", "1")
    await wait_until(lambda: desk.groups)
    twin = elsewhere.write("a", "1")
    await wait_until(lambda: is_waiting(notes))
    desk.go_on.set()
    assert (await first).body == (await twin).body
    assert (await twin).headers["idempotent-replayed"] == "true"
    assert elsewhere.groups == []
    assert await notes.texts() == ["a"]


async def test_groups_with_the_same_keys_in_another_order_do_not_block_each_other(desk: Desk, notes: Any) -> None:
    """Keys are claimed in their own order, whatever the order of the writes."""
    elsewhere = Desk(notes.database)
    names = [f"note {number}" for number in range(40)]
    answers = await asyncio.gather(
        desk.behind_a_first(*((name, name) for name in names)),
        elsewhere.behind_a_first(*((name, name) for name in reversed(names))),
    )
    assert {answer.status_code for each in answers for answer in each} == {201}
    assert sorted(text for text in await notes.texts() if text != "first") == sorted(names)


async def test_a_caller_that_goes_away_takes_nobody_along(desk: Desk, notes: Any) -> None:
    """Its write may be done or not; the others of its group are answered."""
    first = desk.write("first")
    await wait_until(lambda: desk.groups)
    gone, stays = desk.write("gone"), desk.write("stays")
    await asyncio.sleep(0)
    gone.cancel()
    desk.go_on.set()
    assert (await first, await stays) != (None, None)
    assert "stays" in await notes.texts()


async def test_in_an_outage_every_write_of_the_group_fails(notes_behind_gate: Any, gate: Any) -> None:
    """Nobody knows whether it was done: all are told to repeat it. Afterwards the desk works on."""
    desk = Desk(notes_behind_gate.database)
    first = desk.write("first")
    await wait_until(lambda: desk.groups)
    waiting = [desk.write("a", "1"), desk.write("b", "2")]
    await asyncio.sleep(0)
    await gate.cut()
    desk.go_on.set()
    failures = await asyncio.gather(first, *waiting, return_exceptions=True)
    assert all(isinstance(failure, Exception) and is_transient(failure) for failure in failures)
    await gate.open()

    async def works_again() -> bool:
        try:
            return bool((await desk.write("b", "2")).status_code == 201)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False

    await wait_until(works_again)


async def wait_until_waiting(notes: Any) -> None:
    """Until a transaction waits for another one."""

    async def waits() -> bool:
        return await is_waiting(notes)

    await wait_until(waits)


async def is_waiting(notes: Any) -> bool:
    """Whether a transaction waits for another one."""
    count: int = await notes.database.fetchval(
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    )
    return count > 0


class HotNote(Input):
    """As the toy service's notes."""

    text: str
    urgent: bool = False


def hot_routes(desk: Desk) -> APIRouter:
    """One hot route."""
    router = APIRouter(route_class=HotWrite)

    @router.post("/v1/hot-notes", status_code=201)
    async def write_note(body: HotNote, call: Annotated[WriteCall, Depends(writes("notes:write"))]) -> Any:
        return await desk.commits.write(call, body.text)

    return router


async def test_a_hot_route_refuses_in_the_same_words_as_any_other(notes: Any, desk: Desk) -> None:
    """Key, header, JSON, fields: status and body of each refusal are those of a usual route."""
    desk.go_on.set()
    app = build_app(notes.platform, [hot_routes(desk)])
    token = await create_key(notes.database, "hot", ["admin"])
    powerless = await create_key(notes.database, "powerless", ["notes:read"])
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://notes") as client:
        for content, changed in (
            (b'{"text": 5}', {}),
            (b'{"text": "a", "colour": "red"}', {}),
            (b"{", {}),
            (b"", {}),
            (b'{"text": "a"}', {"Authorization": "Bearer opk_x"}),
            (b'{"text": "a"}', {"Authorization": f"Bearer {powerless}"}),
            (b'{"text": "a"}', {"Idempotency-Key": "k" * 201}),
            (b'{"text": "a"}', {"X-Opora-Actor": "nobody"}),
            (b'{"text": "refused"}', {}),
        ):
            hot = await client.post("/v1/hot-notes", content=content, headers=headers | changed)
            usual = await notes.client.post("/v1/notes", content=content, headers=headers | changed)
            expected = usual.json() | {"instance": "/v1/hot-notes"}
            if b"refused" in content:
                expected["detail"] = hot.json()["detail"]
            assert (hot.status_code, hot.json()) == (usual.status_code, expected)
        assert (await client.post("/v1/hot-notes", content=b'{"text": "a"}', headers=headers)).status_code == 201


async def test_a_hot_route_is_served_past_the_framework(
    notes: Any, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once its key is known a request in which nothing is wrong never enters the framework, and is the same write."""
    desk.go_on.set()
    app = build_app(notes.platform, [hot_routes(desk)])
    token = await create_key(notes.database, "hot", ["admin"])
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Idempotency-Key": "hot"}

    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"text"'
        yield b': "a"}'

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://notes") as client:
        usual = await client.post("/v1/hot-notes", content=chunks(), headers=headers)
        monkeypatch.setattr(FastAPI, "__call__", None)
        hot = await client.post("/v1/hot-notes", content=b'{"text": "a"}', headers=headers)
        assert (usual.status_code, hot.status_code, hot.content) == (201, 201, usual.content)
        assert hot.headers["Idempotent-Replayed"] == "true"
        refused = await client.post("/v1/hot-notes", content=b'{"text": "b"}', headers=headers)
        assert (refused.status_code, refused.json()["instance"]) == (422, "/v1/hot-notes")
