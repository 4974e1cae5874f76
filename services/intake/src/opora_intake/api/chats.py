"""Chats over HTTP: for agents and for the web site that opens them by key, for visitors by their chat's token."""

import secrets
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import StringConstraints, field_validator
from starlette.responses import JSONResponse, Response

from opora_chassis.database import Transaction
from opora_chassis.http import (
    Caller,
    Input,
    Limit,
    NotFound,
    Page,
    PlatformDependency,
    Problem,
    WriteCall,
    decode_cursor,
    page_of,
    requires,
    shown,
    writes,
)
from opora_chassis.http.keys import token_hash
from opora_chassis.identifiers import new_id
from opora_contracts.fact import Language, ShortText
from opora_intake.api.dependencies import ReadMessages, Rules, broken_rules_as_problems
from opora_intake.api.examples import page
from opora_intake.api.views import View
from opora_intake.channels.chat import CLOSED, ChatRoom, EventStream, TooManyStreamsError, message_view
from opora_intake.domain.chats import LONGEST_MESSAGE, Chat, ChatMessage, Side
from opora_intake.domain.commands import EmailAddress
from opora_intake.handlers.chats import close_chat, open_chat, write
from opora_intake.hooks.payload import clean
from opora_intake.store import chats as store

ChatWrite = Annotated[WriteCall, Depends(writes("chats:write"))]
ChatStream = Annotated[Caller, Depends(requires("messages:read"))]
Json = dict[str, Any]

CHAT: Json = {
    "id": "018f3a70-2c3d-7e4f-8a50-6b7c8d9e0f1a",
    "name": "Anna",
    "email": "anna@example.com",
    "customer_id": None,
    "product": "identity",
    "language": "en",
    "group": None,
    "ticket_id": "018f3a52-9b3c-7c5e-9d8c-2f6a41b7e003",
    "messages": 2,
    "is_waiting": False,
    "answered_at": "2026-03-02T08:15:00Z",
    "opened_at": "2026-03-02T08:14:00Z",
    "last_written_at": "2026-03-02T08:15:00Z",
    "closed_at": None,
    "closed_by": None,
}
NEW: Json = CHAT | {"ticket_id": None, "messages": 0, "answered_at": None, "last_written_at": "2026-03-02T08:14:00Z"}
NEW |= {"visitor_token": "och_5nq0rU2vTz8dJx1kQm7wYb3cPf6hLs9aGe4iRoXyZtA"}
MESSAGE: Json = {
    "sequence": 2,
    "client_id": None,
    "side": "agent",
    "author": "agent:anna",
    "body": "We see it too and are on it.",
    "written_at": "2026-03-02T08:15:00Z",
}


class NewChat(Input):
    """Who wants to talk, as far as it is known."""

    name: ShortText | None = None
    email: EmailAddress | None = None
    customer_id: UUID | None = None
    product: ShortText | None = None
    language: Language | None = None
    group: ShortText | None = None


class NewChatMessage(Input):
    """What one side writes."""

    body: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_MESSAGE)]
    client_id: UUID | None = None
    """Of the writer's own making: a message that is sent again under it is kept once."""

    @field_validator("body")
    @classmethod
    def _can_be_shown(cls, body: str) -> str:
        shown_text = clean(body).strip()
        if not shown_text:
            raise ValueError("a message says something")
        return shown_text


class ChatView(View):
    """A chat as it stands."""

    id: UUID
    name: str | None
    email: str | None
    customer_id: UUID | None
    product: str | None
    language: str | None
    group: str | None
    ticket_id: UUID | None
    """Absent until the visitor has written."""
    messages: int
    is_waiting: bool
    """Whether the visitor wrote last and no agent has answered."""
    answered_at: datetime | None
    opened_at: datetime
    last_written_at: datetime
    closed_at: datetime | None
    closed_by: str | None


class NewChatView(ChatView):
    """A chat that has begun, with the visitor's token: shown this once."""

    visitor_token: str


class ChatMessageView(View):
    """What one side wrote."""

    sequence: int
    client_id: UUID | None
    side: Side
    author: str | None
    body: str
    written_at: datetime


class ChatQuery(Input):
    """Which chats to list: those that match every given filter."""

    open: bool | None = None
    ticket_id: UUID | None = None
    limit: Limit = 50
    cursor: str | None = None


router = APIRouter(prefix="/v1", tags=["chats"])


@router.get("/chats", summary="List chats")
@shown(page(CHAT))
async def list_chats(
    query: Annotated[ChatQuery, Query()], platform: PlatformDependency, _caller: ReadMessages
) -> Page[ChatView]:
    """Chats, newest first."""
    position = decode_cursor(query.cursor, before=UUID) or {"before": None}
    chats = await store.list_chats(
        platform.database, limit=query.limit + 1, open_only=query.open, ticket_id=query.ticket_id, **position
    )
    return page_of([chat_view(chat) for chat in chats], query.limit, lambda chat: {"before": chat.id})


@router.get("/chats/{chat_id}", summary="Read a chat")
@shown(CHAT)
async def get_chat(chat_id: UUID, platform: PlatformDependency, _caller: ReadMessages) -> ChatView:
    """One chat."""
    return chat_view(await _found(platform.database, chat_id))


@router.get("/chats/{chat_id}/messages", summary="Read what was written in a chat")
@shown(page(MESSAGE))
async def get_chat_messages(
    chat_id: UUID, platform: PlatformDependency, _caller: ReadMessages, limit: Limit = 50, cursor: str | None = None
) -> Page[ChatMessageView]:
    """Messages of both sides, in order."""
    position = decode_cursor(cursor, after=int) or {"after": 0}
    await _found(platform.database, chat_id)
    return await _messages(platform.database, chat_id, position["after"], limit)


def chat_routes(room: ChatRoom) -> tuple[APIRouter, ...]:
    """The routes of agents and sites, those of visitors, and the streams of both."""
    return router, agent_routes(room), visitor_routes(room)


def agent_routes(room: ChatRoom) -> APIRouter:
    """By API key."""
    router = APIRouter(prefix="/v1", tags=["chats"])

    @router.post("/chats", status_code=201, response_model=NewChatView, summary="Open a chat")
    @shown(NEW, {"From a web site": {"name": "Anna", "email": "anna@example.com", "product": "identity"}})
    async def post_chat(body: NewChat, call: ChatWrite) -> Response:
        """Begin a chat. Its ticket is opened by the visitor's first message."""
        token = f"och_{secrets.token_urlsafe(32)}"

        async def work(tx: Transaction) -> NewChatView:
            chat = Chat(
                id=new_id(),
                token_hash=token_hash(token),
                opened_at=tx.now,
                opened_by=call.caller.actor,
                last_written_at=tx.now,
                **body.model_dump(),
            )
            await open_chat(tx, chat)
            return NewChatView(**_fields(chat), visitor_token=token)

        with broken_rules_as_problems():
            return await call.run(work, status=201)

    @router.post(
        "/chats/{chat_id}/messages", status_code=201, response_model=ChatMessageView, summary="Write in a chat"
    )
    @shown(MESSAGE, {"An answer": {"body": MESSAGE["body"]}}, conflict="The chat is over, or has 1,000 messages.")
    async def post_chat_message(chat_id: UUID, body: NewChatMessage, call: ChatWrite, rules: Rules) -> Response:
        """Write as an agent. The first answer to the visitor is an answer on the ticket."""

        async def work(tx: Transaction) -> ChatMessageView:
            message = await write(
                tx,
                chat_id,
                Side.AGENT,
                body.body,
                author=call.caller.actor,
                client_id=body.client_id,
                rules=rules,
            )
            return ChatMessageView.model_validate(message)

        with broken_rules_as_problems():
            answer = await call.run(work, status=201)
        room.wake(chat_id)
        return answer

    @router.post("/chats/{chat_id}/close", response_model=ChatView, summary="Close a chat")
    @shown(CHAT | {"closed_at": "2026-03-02T08:20:00Z", "closed_by": "agent:anna"})
    async def post_chat_close(chat_id: UUID, call: ChatWrite, rules: Rules) -> Response:
        """End a chat: its transcript is left on the ticket. Closing it again changes nothing."""

        async def work(tx: Transaction) -> ChatView:
            return chat_view(await close_chat(tx, chat_id, call.caller.actor, rules))

        with broken_rules_as_problems():
            answer = await call.run(work)
        CLOSED.labels("agent").inc()
        room.wake(chat_id)
        return answer

    @router.get("/chats/{chat_id}/events", include_in_schema=False)
    async def stream_chat(
        chat_id: UUID, request: Request, platform: PlatformDependency, _caller: ChatStream
    ) -> Response:
        """What is written in the chat, as server-sent events."""
        await _found(platform.database, chat_id)
        return _stream(room, chat_id, request)

    return router


def visitor_routes(room: ChatRoom) -> APIRouter:
    """By the token of the chat; there is nothing else that it opens."""
    router = APIRouter(prefix="/v1/visitor-chats", include_in_schema=False)

    @router.get("/{chat_id}/messages")
    async def read(
        chat_id: UUID, request: Request, platform: PlatformDependency, limit: Limit = 50, cursor: str | None = None
    ) -> Page[ChatMessageView]:
        """Messages of both sides, in order."""
        position = decode_cursor(cursor, after=int) or {"after": 0}
        await _entered(platform.database, chat_id, request)
        return await _messages(platform.database, chat_id, position["after"], limit)

    @router.post("/{chat_id}/messages", status_code=201)
    async def visitor_writes(
        chat_id: UUID, body: NewChatMessage, request: Request, platform: PlatformDependency, rules: Rules
    ) -> Response:
        """Write as the visitor."""
        chat = await _entered(platform.database, chat_id, request)
        with broken_rules_as_problems():
            async with platform.database.transaction() as tx:
                message = await write(
                    tx,
                    chat_id,
                    Side.VISITOR,
                    body.body,
                    author=None if chat.customer_id is None else f"customer:{chat.customer_id}",
                    client_id=body.client_id,
                    rules=rules,
                )
        room.wake(chat_id)
        return _json(_visible(message), 201)

    @router.post("/{chat_id}/close")
    async def visitor_closes(chat_id: UUID, request: Request, platform: PlatformDependency, rules: Rules) -> Response:
        """End the chat."""
        await _entered(platform.database, chat_id, request)
        with broken_rules_as_problems():
            async with platform.database.transaction() as tx:
                chat = await close_chat(tx, chat_id, "system:visitor", rules)
        CLOSED.labels("visitor").inc()
        room.wake(chat_id)
        return JSONResponse({"closed": chat.closed_at is not None})

    @router.get("/{chat_id}/events")
    async def visitor_streams(chat_id: UUID, request: Request, platform: PlatformDependency) -> Response:
        """What is written in the chat, as server-sent events; browsers cannot set a header here: `?token=`."""
        await _entered(platform.database, chat_id, request, in_query=True)
        return _stream(room, chat_id, request)

    return router


def chat_view(chat: Chat) -> ChatView:
    """The chat without its token."""
    return ChatView(**_fields(chat))


def _fields(chat: Chat) -> Json:
    names = ChatView.model_fields.keys() - {"is_waiting"}
    return {**{name: getattr(chat, name) for name in names}, "is_waiting": chat.waiting_since is not None}


async def _found(database: Any, chat_id: UUID) -> Chat:
    chat = await store.find_chat(database, chat_id)
    if chat is None:
        raise NotFound("chat", chat_id)
    return chat


async def _entered(database: Any, chat_id: UUID, request: Request, *, in_query: bool = False) -> Chat:
    """The chat that the visitor's token opens. An unknown chat and a wrong token are told alike."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    given = token.strip() if scheme.lower() == "bearer" else ""
    if in_query and not given:
        given = request.query_params.get("token", "")
    chat = await store.find_chat(database, chat_id)
    known = b"" if chat is None else chat.token_hash
    fits = secrets.compare_digest(token_hash(given), known)
    if chat is None or not fits:
        raise Problem(
            401,
            "unauthorized",
            "The chat's token is needed",
            "Send the token that the chat was opened with: `Authorization: Bearer och_…`.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return chat


async def _messages(database: Any, chat_id: UUID, after: int, limit: int) -> Page[ChatMessageView]:
    found = await store.messages_after(database, chat_id, after, limit + 1)
    views = [ChatMessageView.model_validate(each) for each in found]
    return page_of(views, limit, lambda message: {"after": message.sequence})


def _stream(room: ChatRoom, chat_id: UUID, request: Request) -> Response:
    try:
        room.check_place(chat_id)
    except TooManyStreamsError as error:
        raise Problem(
            503,
            "too-many-streams",
            "Too many streams",
            "This process or this chat has as many streams as it may: come again, or read the messages instead.",
            headers={"Retry-After": "5"},
        ) from error
    given = request.headers.get("last-event-id", "")
    after = int(given) if given.isascii() and given.isdecimal() and len(given) <= _LONGEST_SEQUENCE else 0
    return EventStream(room, chat_id, after, request.app.state.stopping)


_LONGEST_SEQUENCE = 6


def _visible(message: ChatMessage) -> ChatMessageView:
    return ChatMessageView.model_validate(message_view(message))


def _json(view: View, status: int) -> Response:
    return Response(view.model_dump_json(), status_code=status, media_type="application/json")
