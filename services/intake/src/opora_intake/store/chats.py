"""Chats and what was written in them."""

from dataclasses import fields
from datetime import datetime
from uuid import UUID

import asyncpg

from opora_chassis.database import Transaction
from opora_intake.domain.chats import Chat, ChatMessage, Side
from opora_intake.store.rows import Reader

_NAMES = tuple(field.name for field in fields(Chat))
_COLUMNS = ", ".join('"group"' if name == "group" else name for name in _NAMES)
_MESSAGE = "chat_id, sequence, client_id, side, author, body, written_at"


async def add_chat(tx: Transaction, chat: Chat) -> None:
    """Keep a new chat."""
    places = ", ".join(f"${place}" for place in range(1, len(_NAMES) + 1))
    await tx.execute(f"insert into chats ({_COLUMNS}) values ({places})", *(getattr(chat, name) for name in _NAMES))


async def save_chat(tx: Transaction, chat: Chat) -> None:
    """Overwrite what changes of a chat that this transaction has locked."""
    await tx.execute(
        "update chats set ticket_id = $2, messages = $3, answered_at = $4, waiting_since = $5, last_written_at = $6,"
        " closed_at = $7, closed_by = $8 where id = $1",
        chat.id,
        chat.ticket_id,
        chat.messages,
        chat.answered_at,
        chat.waiting_since,
        chat.last_written_at,
        chat.closed_at,
        chat.closed_by,
    )


async def find_chat(reader: Reader, chat_id: UUID) -> Chat | None:
    """One chat."""
    row = await reader.fetchrow(f"select {_COLUMNS} from chats where id = $1", chat_id)
    return None if row is None else Chat(**row)


async def lock_chat(tx: Transaction, chat_id: UUID) -> Chat | None:
    """One chat, locked until the transaction ends."""
    row = await tx.fetchrow(f"select {_COLUMNS} from chats where id = $1 for update", chat_id)
    return None if row is None else Chat(**row)


async def list_chats(
    reader: Reader, *, limit: int, before: UUID | None, open_only: bool | None, ticket_id: UUID | None
) -> list[Chat]:
    """Chats that match every filter, newest first. Plan: a backward scan of the primary key, or of chats_of_ticket."""
    rows = await reader.fetch(
        f"select {_COLUMNS} from chats where ($1::uuid is null or id < $1)"
        " and ($2::boolean is null or (closed_at is null) = $2) and ($3::uuid is null or ticket_id = $3)"
        " order by id desc limit $4",
        before,
        open_only,
        ticket_id,
        limit,
    )
    return [Chat(**row) for row in rows]


async def idle_chats(reader: Reader, written_before: datetime, limit: int) -> list[UUID]:
    """Open chats in which nobody has written since. Plan: range scan of chats_open."""
    rows = await reader.fetch(
        "select id from chats where closed_at is null and last_written_at < $1 order by last_written_at limit $2",
        written_before,
        limit,
    )
    return [row["id"] for row in rows]


async def add_message(tx: Transaction, message: ChatMessage) -> None:
    """Keep what was written in a chat that this transaction has locked."""
    await tx.execute(
        f"insert into chat_messages ({_MESSAGE}) values ($1, $2, $3, $4, $5, $6, $7)",
        *(getattr(message, name.strip()) for name in _MESSAGE.split(",")),
    )


async def message_by_client_id(reader: Reader, chat_id: UUID, client_id: UUID) -> ChatMessage | None:
    """The message that was sent under this id. Plan: chat_messages_once."""
    row = await reader.fetchrow(
        f"select {_MESSAGE} from chat_messages where chat_id = $1 and client_id = $2", chat_id, client_id
    )
    return None if row is None else _message(row)


async def messages_after(reader: Reader, chat_id: UUID, sequence: int, limit: int) -> list[ChatMessage]:
    """What was written after this message, in order. Plan: range scan of the primary key."""
    rows = await reader.fetch(
        f"select {_MESSAGE} from chat_messages where chat_id = $1 and sequence > $2 order by sequence limit $3",
        chat_id,
        sequence,
        limit,
    )
    return [_message(row) for row in rows]


def _message(row: asyncpg.Record) -> ChatMessage:
    return ChatMessage(**{**row, "side": Side(row["side"])})
