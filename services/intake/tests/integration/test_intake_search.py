"""Searching a running intake: words, people, numbers, misspelt queries, and what a caller may not find."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest

from opora_chassis.http.keys import create_key
from opora_intake.domain import search as rules
from opora_intake.handlers.indexing import index_batch
from opora_intake.store import search as store
from services.intake.tests.conftest import Desk

pytestmark = pytest.mark.asyncio(loop_scope="session")


def made_up() -> str:
    """A word that no other test uses."""
    return "q" + "".join(chr(ord("a") + int(digit, 16)) for digit in uuid4().hex[:12])


async def settle(desk: Desk) -> None:
    """Until everything that was written can be found."""

    async def done() -> bool:
        return await store.queued(desk.database) == 0

    await desk.service.wait_until(done)


async def search(desk: Desk, text: str, **query: Any) -> Any:
    """What is found, once everything can be."""
    await settle(desk)
    return await desk.get("/search", text=text, **query)


def numbers(found: Any) -> list[str]:
    """The numbers of a page, in its order."""
    return [item["ticket"]["number"] for item in found["items"]]


@asynccontextmanager
async def as_holder_of(desk: Desk, *scopes: str) -> AsyncIterator[httpx.AsyncClient]:
    """A caller with these scopes only."""
    token = await create_key(desk.database, f"limited {uuid4().hex}", scopes)
    async with httpx.AsyncClient(
        base_url=f"{desk.client.base_url}", headers={"Authorization": f"Bearer {token}"}, trust_env=False
    ) as client:
        yield client


async def test_words_are_found_in_every_form_in_titles_and_messages(desk: Desk) -> None:
    """English and Russian forms of a word are the same word, wherever on the ticket it stands."""
    tag = made_up()
    english = await desk.opened(title=f"{tag} printers are jamming", body="Принтеры не печатают бумагу")
    await desk.opened(title=f"{tag} nothing of the kind")
    for text in ("printer jammed", "принтер печатать", "бумага"):
        assert numbers(await search(desk, f"{tag} {text}")) == [english["number"]]
    assert numbers(await search(desk, f"{tag} -printer")) != [english["number"]]
    assert len(numbers(await search(desk, f"{tag} -printer"))) == 1


async def test_what_is_split_off_is_found_where_it_went(desk: Desk) -> None:
    """A message leads to the ticket that shows it, and no longer to the one on which it was written."""
    tag, goes = made_up(), made_up()
    ticket = await desk.opened(title=f"Something {tag}", body="One thing")
    note = await desk.post(f"/tickets/{ticket['number']}/notes", {"body": f"The other thing, {goes}"})
    assert numbers(await search(desk, goes)) == [ticket["number"]]
    split = {"title": "Another thing", "messages": [note["message_id"]]}
    fresh = await desk.post(f"/tickets/{ticket['number']}/split", split)
    found = await search(desk, goes)
    assert numbers(found) == [fresh["number"]]
    assert goes in found["items"][0]["excerpt"]


async def test_a_requester_is_found_by_every_address(desk: Desk) -> None:
    """By the second one as by the first; not by one that was taken away."""
    first, second = made_up(), made_up()
    person = {"name": "Vera", "emails": [f"{first}@example.com", f"{second}@example.org"]}
    customer = await desk.post("/customers", person)
    ticket = await desk.opened(title="Anything", requester_id=customer["id"])
    for word in (first, second):
        assert numbers(await search(desk, word)) == [ticket["number"]]
    await desk.client.patch(f"/v1/customers/{customer['id']}", json={"emails": [f"{first}@example.com"]})
    assert numbers(await search(desk, second)) == []


async def test_what_is_written_later_is_found_too(desk: Desk) -> None:
    """A reply, a note and another title lead to the ticket; the old title no longer does."""
    tag, late, note, renamed = (made_up() for _ in range(4))
    ticket = await desk.opened(title=f"Something {tag}")
    assert numbers(await search(desk, tag)) == [ticket["number"]]
    await desk.post(f"/tickets/{ticket['number']}/replies", {"body": f"It says {late} now"})
    await desk.post(f"/tickets/{ticket['number']}/notes", {"body": f"Ask {note}"})
    await desk.patch(f"/tickets/{ticket['number']}", {"title": f"Else {renamed}"})
    for text in (late, note, renamed):
        assert numbers(await search(desk, text)) == [ticket["number"]]
    assert numbers(await search(desk, tag)) == []


async def test_messages_are_found_only_by_those_who_may_read_them(desk: Desk) -> None:
    """Without messages:read neither a match nor an excerpt shows what a reply or an internal note says."""
    tag, secret = made_up(), made_up()
    ticket = await desk.opened(title=f"About {tag}", body="Public words")
    await desk.post(f"/tickets/{ticket['number']}/notes", {"body": f"The {tag} password is {secret}"})
    await settle(desk)
    async with as_holder_of(desk, "tickets:read") as client:
        for text in (secret, f"{tag} -{secret}", f"{tag} password"):
            answer = (await client.get("/v1/search", params={"text": text})).json()
            assert numbers(answer) == ([ticket["number"]] if text.startswith(f"{tag} -") else [])
            assert secret not in str(answer)
        by_relevance = await client.get("/v1/search", params={"text": tag, "sort": "relevance"})
        assert [item["excerpt"] for item in by_relevance.json()["items"]] == [None]
    async with as_holder_of(desk, "tickets:read", "messages:read") as client:
        (item,) = (await client.get("/v1/search", params={"text": secret})).json()["items"]
        assert f"<mark>{secret}</mark>" in item["excerpt"]
    async with as_holder_of(desk, "messages:read") as client:
        assert (await client.get("/v1/search", params={"text": tag})).status_code == 403


async def test_people_are_found_only_by_those_who_may_read_customers(desk: Desk) -> None:
    """By the beginning of name or address, and by a name that is nearly so."""
    family = made_up()
    ticket = await desk.opened(
        title="Hello", requester_email=f"{family}@people.example", requester_name=f"Ana {family}"
    )
    for text in (f"ana {family}", family[:6], f"{family}@people.example", f"Ana {family[:5]}x{family[6:]}"):
        assert numbers(await search(desk, text)) == [ticket["number"]], text
    async with as_holder_of(desk, "tickets:read", "messages:read") as client:
        answer = await client.get("/v1/search", params={"text": f"ana {family}"})
        assert numbers(answer.json()) == []
    await desk.patch(f"/customers/{ticket['requester_id']}", {"name": f"Ana {made_up()}", "email": None})
    assert numbers(await search(desk, family)) == []


async def test_a_number_and_a_foreign_id_lead_to_their_ticket(desk: Desk) -> None:
    """As they are written; both stand before whatever else is found when the best is asked for."""
    foreign = f"INC-{uuid4().hex}"
    ticket = await desk.opened(external_source="elsewhere", external_id=foreign)
    later = await desk.opened(title=f"See {ticket['number']}")
    assert numbers(await search(desk, foreign)) == [ticket["number"]]
    assert numbers(await search(desk, ticket["number"], sort="relevance")) == [ticket["number"], later["number"]]
    assert numbers(await search(desk, ticket["number"])) == [later["number"], ticket["number"]]


async def test_a_misspelt_word_is_corrected_and_the_answer_says_so(desk: Desk) -> None:
    """Only where nothing has the words as they were written."""
    word = made_up()
    ticket = await desk.opened(title=f"The {word} is broken")
    found = await search(desk, f"{word[:5]}{word[6:]} broken")
    assert (numbers(found), found["corrected"]) == ([ticket["number"]], f"{word} broken")
    assert f"<mark>{word}</mark>" in found["items"][0]["title"]
    assert (await search(desk, word))["corrected"] is None
    assert await search(desk, made_up()) == {"items": [], "next_cursor": None, "corrected": None}


async def test_filters_and_pages_hold_for_searches(desk: Desk) -> None:
    """Filters narrow, pages follow one another without gap or repetition, by number and by relevance."""
    tag, product = made_up(), made_up()
    titles = [f"{tag} {tag}", f"{tag} and other words that take its weight", f"{tag} once"]
    opened = [await desk.opened(title=title, product=product) for title in titles]
    other = await desk.opened(title=f"{tag} of another product")
    await desk.post(f"/tickets/{opened[2]['number']}/close", {"resolution_code": "cancelled"})
    newest = [ticket["number"] for ticket in reversed(opened)]
    assert numbers(await search(desk, tag)) == [other["number"], *newest]
    assert numbers(await search(desk, tag, product=product, open=True)) == newest[1:]
    for sort in ("newest", "relevance"):
        seen: list[str] = []
        cursor: dict[str, str] = {}
        for _ in range(3):
            page = await search(desk, tag, product=product, sort=sort, limit=1, **cursor)
            seen += numbers(page)
            cursor = {"cursor": page["next_cursor"]}
        assert page["next_cursor"] is None
        assert sorted(seen, reverse=True) == newest
        assert sort == "relevance" or seen == newest
    await desk.get("/search", text=tag, cursor="nonsense", status=400)


@pytest.mark.parametrize("way", ["walks", "index"])
async def test_words_behind_the_newest_tickets_are_found(desk: Desk, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """A word that few of the newest tickets have is walked on for, or looked up stretch by stretch: the same page."""
    tag = made_up()
    opened = [await desk.opened(title=f"{tag} {number}") for number in range(6)]
    expected = numbers(await search(desk, tag))
    assert expected == [ticket["number"] for ticket in reversed(opened)]
    monkeypatch.setattr(rules, "FIRST_WALK", 2)
    monkeypatch.setattr(rules, "_COST_OF_A_LOOK", 0 if way == "walks" else 1e9)
    monkeypatch.setattr(rules, "_AND_LUCK", 0)
    # Keys are fixed by the indexes; here each stretch ends where it would without them.
    monkeypatch.setattr(rules, "TOGETHER", 1)
    monkeypatch.setattr(rules, "_MOST_KEYS", 8192)
    steps: list[int] = []
    walk, find = store.walk_newest, store.find_by_words

    async def walked(*given: Any, most: int, **more: Any) -> store.Walked:
        steps.append(most)
        return await walk(*given, most=most, **more)

    async def found(*given: Any, down_to: int, **more: Any) -> list[rules.Match]:
        steps.append(-down_to)
        return await find(*given, down_to=down_to, **more)

    monkeypatch.setattr(store, "walk_newest", walked)
    monkeypatch.setattr(store, "find_by_words", found)
    assert numbers(await search(desk, tag)) == expected
    assert len(steps) >= 3
    assert steps[0] == 2
    assert all((step > 0) == (way == "walks") for step in steps[1:] if step)
    for limit in (1, 3, 4):
        assert numbers(await search(desk, tag, limit=limit)) == expected[:limit]
    assert numbers(await search(desk, tag, created_from="2020-01-01T00:00:00Z")) == expected
    assert numbers(await search(desk, tag, product="nobody's")) == []


async def test_the_indexes_of_words_hold_the_key_of_a_stretch(desk: Desk) -> None:
    """The key that a search asks for is the one that they have: else each match of a word would be fetched."""
    async with desk.database.transaction() as tx:
        await tx.execute("create temporary table asked (like ticket_search) on commit drop")
        for name, column in (("of_title", "title_words"), ("of_all", "all_words")):
            await tx.execute(f"create index asked_{name} on asked using gin ({column}, ({store._KEY}))")
            asked, held = [
                (await tx.fetchval(f"select pg_get_indexdef('{table}_{name}'::regclass)")).partition(" USING ")[2]
                for table in ("asked", "ticket_search")
            ]
            assert asked == held
            assert f"number / {rules.TOGETHER}" in held


async def test_pages_have_each_ticket_once_while_the_newest_cannot_be_found_yet(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A walk counts what it looked through, and not the tickets that the search does not have yet."""
    tag, product = made_up(), made_up()
    opened = [await desk.opened(title=f"{tag} {number}", product=product) for number in range(6)]
    await settle(desk)
    await desk.database.fetch(
        "delete from ticket_search where ticket_id = any($1::uuid[])", [ticket["id"] for ticket in opened[4:]]
    )
    monkeypatch.setattr(rules, "FIRST_WALK", 2)
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while cursor.get("cursor") is not None or not seen:
        page = await search(desk, tag, product=product, limit=2, **cursor)
        seen += numbers(page)
        cursor = {"cursor": page["next_cursor"]}
    assert seen == [ticket["number"] for ticket in reversed(opened[:4])]


@pytest.mark.parametrize(
    "text", ["&|!():*<->'\"\\", "-", "'", "a & | !", "\u202e\u0301", "-only", '"unclosed', "OP-", "🙂"]
)
async def test_no_query_breaks_the_search(desk: Desk, text: str) -> None:
    """Whatever is typed is searched for."""
    for sort in ("newest", "relevance"):
        assert "items" in await desk.get("/search", text=text, sort=sort)


async def test_a_query_says_something(desk: Desk) -> None:
    """An empty one, blanks, NUL and one of more than 250 characters are refused with their place."""
    for text in ("", "  ", "a\x00b", "x" * 251):
        answer = await desk.get("/search", text=text, status=422)
        assert answer["errors"][0]["field"] == "text"


async def test_markup_of_a_ticket_stays_text(desk: Desk) -> None:
    """A title with tags is shown escaped, with marks of ours in it."""
    tag = made_up()
    await desk.opened(title=f"<script>alert(1)</script> {tag}", body=f"<img src=x onerror=y> {tag}")
    (item,) = (await search(desk, tag))["items"]
    assert item["title"] == f"&lt;script&gt;alert(1)&lt;/script&gt; <mark>{tag}</mark>"
    assert "<img" not in item["excerpt"]


async def test_long_texts_are_found_by_their_beginning_only(desk: Desk) -> None:
    """20,000 characters of a message are searched; what stands behind them is kept, and not found."""
    first, last = made_up(), made_up()
    words = " ".join(f"{number:x}word" for number in range(6000))
    ticket = await desk.opened(title="Long", body=f"{first} {words} {last}")
    assert numbers(await search(desk, first)) == [ticket["number"]]
    assert numbers(await search(desk, last)) == []


async def test_similar_tickets_are_those_that_share_rare_words(desk: Desk) -> None:
    """For a ticket, without itself, and for a draft; the most alike first; nothing is like what shares no word."""
    rare, other = made_up(), made_up()
    near = await desk.opened(title=f"{rare} {other} stops")
    far = await desk.opened(title=f"{rare} stops now")
    mine = await desk.opened(title=f"{rare} {other} stops again")
    await settle(desk)
    similar = await desk.get(f"/tickets/{mine['number']}/similar")
    assert [item["ticket"]["number"] for item in similar["items"]] == [near["number"], far["number"]]
    assert similar["items"][0]["likeness"] > similar["items"][1]["likeness"] >= 0.2
    draft = await desk.get("/similar", title=f"{rare} {other} stops", limit=2)
    assert [item["ticket"]["number"] for item in draft["items"]] == [near["number"], mine["number"]]
    assert (await desk.get("/similar", title=made_up()))["items"] == []


async def test_a_change_is_never_lost_between_queue_and_index(desk: Desk) -> None:
    """What fails while it is indexed stays in the queue, and another process waits its turn."""
    tag = made_up()
    async with desk.database.transaction() as mine:
        # As a process that is indexing holds it: the running worker waits from here on.
        await mine.execute("select pg_advisory_xact_lock(hashtext('opora search'))")
        ticket = await desk.opened(title=tag)
        assert await index_batch(desk.database) == 0
        assert await store.queued(desk.database) > 0
    assert numbers(await search(desk, tag)) == [ticket["number"]]
