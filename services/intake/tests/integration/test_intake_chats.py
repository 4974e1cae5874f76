"""Chats over HTTP: both sides, their streams, and what is left on the ticket."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from opora_chassis.testing import running_service
from opora_contracts.topics import TICKETS
from opora_embedded.testing import KafkaServer, PostgresServer
from opora_intake.app import SERVICE
from opora_intake.channels.chat import ChatRoom, EventStream, close_idle_chats

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Visitor:
    """A chat from the visitor's side."""

    def __init__(self, desk: Any, chat: Any) -> None:
        self.desk, self.chat = desk, chat
        self.headers = {"Authorization": f"Bearer {chat['visitor_token']}"}
        self.path = f"/v1/visitor-chats/{chat['id']}"

    async def write(self, body: str, *, status: int = 201, **fields: Any) -> Any:
        """The message, or the problem; fails unless it has the status."""
        answer = await self.desk.client.post(
            f"{self.path}/messages", json={"body": body, **fields}, headers=self.headers
        )
        assert answer.status_code == status, answer.text
        return answer.json()

    async def close(self) -> None:
        """End the chat."""
        assert (await self.desk.client.post(f"{self.path}/close", headers=self.headers)).status_code == 200

    @asynccontextmanager
    async def stream(self, last_event_id: int | None = None) -> AsyncIterator[AsyncIterator[Any]]:
        """What is written, as it comes."""
        headers = self.headers | ({} if last_event_id is None else {"Last-Event-ID": str(last_event_id)})
        async with self.desk.client.stream("GET", f"{self.path}/events", headers=headers) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            yield events_of(answer)


async def events_of(answer: httpx.Response) -> AsyncIterator[Any]:
    """(id, name, data) of each event as it comes."""
    told: dict[str, str] = {}
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        if line:
            told[name] = value
            continue
        if "event" in told:
            yield told.get("id"), told["event"], json.loads(told["data"])
        told = {}


async def opened(desk: Any, **fields: Any) -> Visitor:
    return Visitor(desk, await desk.post("/chats", {"name": "Anna", "product": "shop", **fields}, status=201))


async def answered(desk: Any, visitor: Visitor, body: str) -> Any:
    return await desk.post(f"/chats/{visitor.chat['id']}/messages", {"body": body}, status=201)


async def messages_of(desk: Any, visitor: Visitor) -> list[Any]:
    chat = await desk.get(f"/chats/{visitor.chat['id']}")
    items: list[Any] = (await desk.get(f"/tickets/{chat['ticket_id']}/messages"))["items"]
    return items


async def test_a_chat_is_a_ticket_from_the_first_word_on(desk: Any) -> None:
    """The ticket begins with it, the first answer is an answer there, and the end leaves the transcript."""
    email = f"{uuid4().hex}@example.com"
    visitor = await opened(desk, email=email, language="de", group="desk")
    assert (await desk.get(f"/chats/{visitor.chat['id']}"))["ticket_id"] is None
    await answered(desk, visitor, "How can we help?")
    await visitor.write("Nothing prints.\nReally nothing.")
    chat = await desk.get(f"/chats/{visitor.chat['id']}")
    assert (chat["is_waiting"], chat["messages"], "visitor_token" in chat) == (True, 2, False)
    ticket = await desk.get(f"/tickets/{chat['ticket_id']}")
    assert (ticket["title"], ticket["channel"], ticket["language"]) == ("Nothing prints. Really nothing.", "chat", "de")
    assert (ticket["product"], ticket["group"]) == ("shop", "desk")
    assert (await desk.get(f"/customers/{ticket['requester_id']}"))["email"] == email
    await answered(desk, visitor, "Which printer?")
    await visitor.write("The big one.")
    await answered(desk, visitor, "Switch it on.")
    closed = await desk.post(f"/chats/{visitor.chat['id']}/close")
    assert closed["closed_at"] is not None
    assert await desk.post(f"/chats/{visitor.chat['id']}/close") == closed
    first, answer, end = await messages_of(desk, visitor)
    assert (first["author_kind"], answer["author_kind"], end["author_kind"]) == ("customer", "agent", "system")
    assert answer["body"] == "Which printer?"
    assert [line.partition("] ")[2] for line in end["body"].splitlines()[1:] if line.startswith("[")] == [
        "key:test: How can we help?",
        "Anna: Nothing prints.",
        "key:test: Which printer?",
        "Anna: The big one.",
        "key:test: Switch it on.",
    ]
    facts = await desk.published(TICKETS.name, ticket["id"], 3)
    assert [(fact.type, getattr(fact.data, "author_kind", None)) for fact in facts] == [
        ("ticket.created", None),
        ("ticket.replied", "agent"),
        ("ticket.replied", "system"),
    ]


async def test_what_nobody_answered_is_the_customers_reply(desk: Any) -> None:
    """At the time when it was written, so that the clock of the next answer begins there; not after a resolution."""
    visitor = await opened(desk)
    await visitor.write("Nothing prints.")
    await answered(desk, visitor, "Switch it on.")
    asked = await visitor.write("It is on.")
    await visitor.write("Hello?")
    await visitor.close()
    _, _, waiting, _ = await messages_of(desk, visitor)
    assert (waiting["author_kind"], waiting["body"]) == ("customer", "It is on.\nHello?")
    assert waiting["written_at"] == asked["written_at"]
    thankful = await opened(desk)
    await thankful.write("Nothing prints.")
    await answered(desk, thankful, "Switch it on.")
    chat = await desk.get(f"/chats/{thankful.chat['id']}")
    await desk.post(f"/tickets/{chat['ticket_id']}/resolve")
    await thankful.write("Thank you!")
    await thankful.close()
    assert (await desk.get(f"/tickets/{chat['ticket_id']}"))["step"] == "resolved"
    assert [each["author_kind"] for each in await messages_of(desk, thankful)] == ["customer", "agent", "system"]


async def test_a_ticket_that_was_closed_meanwhile_gets_the_transcript_as_a_note(desk: Any) -> None:
    """Nothing of a chat is lost to the state of its ticket."""
    visitor = await opened(desk)
    await visitor.write("Nothing prints.")
    chat = await desk.get(f"/chats/{visitor.chat['id']}")
    await desk.post(f"/tickets/{chat['ticket_id']}/close", {"resolution_code": "cancelled"})
    await answered(desk, visitor, "We closed it.")
    await visitor.close()
    assert [each["visibility"] for each in await messages_of(desk, visitor)] == ["public", "internal"]


async def test_a_message_that_is_sent_again_is_one(desk: Any) -> None:
    """By the client's id for it, even when the chat is over by now."""
    visitor, client_id = await opened(desk), str(uuid4())
    first = await visitor.write("Nothing prints.", client_id=client_id)
    assert await visitor.write("Nothing prints.", client_id=client_id) == first
    await visitor.close()
    assert await visitor.write("Nothing prints.", client_id=client_id) == first
    await visitor.write("More", status=409)
    await desk.post(f"/chats/{visitor.chat['id']}/messages", {"body": "More"}, status=409)


async def test_a_chat_in_which_the_visitor_wrote_nothing_is_no_ticket(desk: Any) -> None:
    """A greeting alone is no case."""
    visitor = await opened(desk)
    await answered(desk, visitor, "How can we help?")
    closed = await desk.post(f"/chats/{visitor.chat['id']}/close")
    assert closed["ticket_id"] is None


async def test_only_the_chats_token_opens_it(desk: Any) -> None:
    """Another chat's token, none, and an unknown chat are told alike."""
    visitor, other = await opened(desk), await opened(desk)
    for path, headers in (
        (visitor.path, other.headers),
        (visitor.path, {"Authorization": ""}),
        (f"/v1/visitor-chats/{uuid4()}", visitor.headers),
    ):
        for method, ending in (("POST", "messages"), ("GET", "messages"), ("POST", "close"), ("GET", "events")):
            body = {"body": "x"} if (method, ending) == ("POST", "messages") else None
            answer = await desk.client.request(method, f"{path}/{ending}", json=body, headers=headers)
            assert answer.status_code == 401, (method, ending)
            assert "och_" in answer.json()["detail"]


@pytest.mark.parametrize("body", ["", " \n ", "\x00\u202e", "x" * 4001])
async def test_a_message_says_something_and_has_a_largest_size(desk: Any, body: str) -> None:
    """4,000 characters."""
    visitor = await opened(desk)
    await visitor.write(body, status=422)
    await visitor.write("x" * 4000)


async def test_a_chat_has_at_most_a_thousand_messages(desk: Any) -> None:
    """Then it goes on on its ticket; closing is possible."""
    visitor = await opened(desk)
    await visitor.write("Nothing prints.")
    async with desk.database.transaction() as tx:
        await tx.execute("update chats set messages = 999 where id = $1", UUID(visitor.chat["id"]))
    assert (await visitor.write("Still nothing."))["sequence"] == 1000
    assert "1000" in (await visitor.write("Nothing.", status=409))["detail"]
    await visitor.close()


async def test_both_sides_see_what_is_written_as_it_is_written(desk: Any) -> None:
    """In order, with the message's number as the event's id, and the end of the chat as the last event."""
    visitor = await opened(desk)
    await visitor.write("One")
    path = f"/v1/chats/{visitor.chat['id']}/events"
    async with visitor.stream() as seen, desk.client.stream("GET", path) as agents:
        theirs = events_of(agents)
        for stream in (seen, theirs):
            identity, name, data = await anext(stream)
            assert (identity, name, data["side"], data["body"]) == ("1", "message", "visitor", "One")
        await answered(desk, visitor, "Two\r\nlines: \u2028 all one event")
        for stream in (seen, theirs):
            assert (await anext(stream))[2]["body"] == "Two\nlines:   all one event"
        await visitor.close()
        for stream in (seen, theirs):
            assert (await anext(stream))[1] == "closed"
            with pytest.raises(StopAsyncIteration):
                await anext(stream)


async def test_a_stream_goes_on_where_it_was_broken_off(desk: Any) -> None:
    """By Last-Event-ID, from the stored messages; a browser gives its token in the address."""
    visitor = await opened(desk)
    for body in ("One", "Two", "Three"):
        await visitor.write(body)
    async with visitor.stream(last_event_id=1) as seen:
        assert [(await anext(seen))[2]["body"] for _ in range(2)] == ["Two", "Three"]
    path = f"{visitor.path}/events?token={visitor.chat['visitor_token']}"
    async with desk.client.stream("GET", path, headers={"Authorization": "", "Last-Event-ID": "2"}) as answer:
        assert (await anext(events_of(answer)))[0] == "3"


async def test_a_message_that_another_process_took_in_is_seen(
    desk: Any, kafka: KafkaServer, postgres: PostgresServer
) -> None:
    """A stream of one process shows what is written by way of another; a drain ends streams and does not hang."""
    dsn = desk.service.platform.settings.database_dsn.get_secret_value()
    visitor = await opened(desk)
    async with running_service(SERVICE, kafka, dsn, roles=frozenset({"serve"})) as other:
        path = f"/v1/chats/{visitor.chat['id']}/events"
        async with other.client.stream("GET", path) as answer:
            seen = events_of(answer)
            await visitor.write("One")
            assert (await anext(seen))[2]["body"] == "One"
            other.process._stop.set()
            with pytest.raises(StopAsyncIteration):
                await anext(seen)


async def test_streams_are_bounded_and_silence_is_filled(desk: Any) -> None:
    """A chat has ten at most, then 503; what is silent sends comments; a place is free again when a client leaves."""
    visitor = await opened(desk)
    async with contextlib.AsyncExitStack() as streams:
        for _ in range(10):
            await streams.enter_async_context(visitor.stream())
        answer = await desk.client.get(f"{visitor.path}/events", headers=visitor.headers)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")

    async def free() -> bool:
        with contextlib.suppress(AssertionError):
            async with visitor.stream():
                return True
        return False

    await desk.service.wait_until(free)
    room, stopping = ChatRoom(desk.service.platform, poll_seconds=0.01, heartbeat_seconds=0.02), asyncio.Event()
    async with contextlib.aclosing(room.pieces(UUID(visitor.chat["id"]), 0, stopping)) as pieces:
        assert [await anext(pieces) for _ in range(3)] == [b"retry: 2000\n\n", b": still here\n\n", b": still here\n\n"]
        stopping.set()
        with pytest.raises(StopAsyncIteration):
            await anext(pieces)


async def test_a_client_that_does_not_read_is_cut_off(desk: Any) -> None:
    """A piece that is not taken in time ends the stream, and its place is free."""
    visitor = await opened(desk)
    room, never = ChatRoom(desk.service.platform, send_seconds=0.05), asyncio.Event()
    chat_id = UUID(visitor.chat["id"])
    stream = EventStream(room, chat_id, 0, asyncio.Event())

    async def receive() -> Any:
        await never.wait()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            await never.wait()

    await asyncio.wait_for(stream({"type": "http"}, receive, send), 30)
    for _ in range(10):
        room.take_place(chat_id)
    for _ in range(10):
        room.leave_place(chat_id)
    room.check_place(chat_id)


async def test_a_chat_in_which_nobody_writes_ends(desk: Any) -> None:
    """After the set time of silence, with its transcript; one that is still used does not."""
    silent, used = await opened(desk), await opened(desk)
    for each in (silent, used):
        await each.write("Nothing prints.")
    async with desk.database.transaction() as tx:
        await tx.execute(
            "update chats set last_written_at = $2 where id = $1",
            UUID(silent.chat["id"]),
            tx.now - timedelta(seconds=901),
        )

    async def over() -> bool:
        await close_idle_chats(desk.service.platform, 900)
        return bool((await desk.get(f"/chats/{silent.chat['id']}"))["closed_by"] == "system:chat")

    await desk.service.wait_until(over)
    assert (await desk.get(f"/chats/{used.chat['id']}"))["closed_at"] is None
    assert [each["author_kind"] for each in await messages_of(desk, silent)] == ["customer", "system"]


async def test_chats_are_listed_for_those_who_answer(desk: Any) -> None:
    """Open ones, by ticket, page by page; an unknown chat or customer is told."""
    visitor = await opened(desk)
    await visitor.write("Nothing prints.")
    chat = await desk.get(f"/chats/{visitor.chat['id']}")
    assert (await desk.get("/chats", ticket_id=chat["ticket_id"], open="true"))["items"] == [chat]
    assert (await desk.get("/chats", ticket_id=chat["ticket_id"], open="false"))["items"] == []
    first = await desk.get(f"/chats/{visitor.chat['id']}/messages", limit=1)
    assert [each["body"] for each in first["items"]] == ["Nothing prints."]
    await desk.get(f"/chats/{uuid4()}", status=404)
    await desk.post(f"/chats/{uuid4()}/messages", {"body": "x"}, status=404)
    await desk.post("/chats", {"customer_id": str(uuid4())}, status=422)
