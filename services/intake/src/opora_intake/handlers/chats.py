"""Chats: opened, written in, closed. Each message is durable before it is answered for."""

from dataclasses import replace
from uuid import UUID

from opora_chassis.database import Transaction
from opora_intake.domain import RuleBroken, Ticket
from opora_intake.domain.chats import (
    MOST_MESSAGES,
    Chat,
    ChatClosed,
    ChatFull,
    ChatMessage,
    Side,
    at_the_end,
    first_answer,
    opening_of,
)
from opora_intake.handlers.case_settings import RulesInForce
from opora_intake.handlers.customers import Asked
from opora_intake.handlers.errors import Unknown, UnknownReference
from opora_intake.handlers.tickets import command_ticket, create_tickets
from opora_intake.store import chats as store
from opora_intake.store import customers as customer_store
from opora_intake.store import tickets as ticket_store

_SELF = "system:chat"


async def open_chat(tx: Transaction, chat: Chat) -> None:
    """Begin a chat; no ticket yet. Raises UnknownReference for a customer that nobody is."""
    if chat.customer_id is not None and not await customer_store.customers_by_id(tx, [chat.customer_id]):
        raise UnknownReference("customer_id", chat.customer_id)
    await store.add_chat(tx, chat)


async def write(
    tx: Transaction,
    chat_id: UUID,
    side: Side,
    body: str,
    *,
    author: str | None,
    client_id: UUID | None,
    rules: RulesInForce,
) -> ChatMessage:
    """Keep a message; the one that was kept before when the same `client_id` comes again.

    The visitor's first message opens the ticket, and the first answer to it is an answer there, in this transaction.
    Raises Unknown, ChatClosed or ChatFull.
    """
    chat = await _locked(tx, chat_id)
    if client_id is not None:
        known = await store.message_by_client_id(tx, chat_id, client_id)
        if known is not None:
            return known
    if chat.closed_at is not None:
        raise ChatClosed(chat_id)
    if chat.messages >= MOST_MESSAGES:
        raise ChatFull
    message = ChatMessage(
        chat_id=chat_id,
        sequence=chat.messages + 1,
        client_id=client_id,
        side=side,
        author=author,
        body=body,
        written_at=max(tx.now, chat.last_written_at),
    )
    await store.add_message(tx, message)
    after = replace(chat, messages=message.sequence, last_written_at=message.written_at)
    if side is Side.VISITOR:
        after = await _visitor_wrote(tx, after, message, rules)
    elif chat.waiting_since is not None:
        after = await _agent_answered(tx, after, message, rules)
    await store.save_chat(tx, after)
    return message


async def close_chat(tx: Transaction, chat_id: UUID, actor: str, rules: RulesInForce) -> Chat:
    """End a chat and leave it on its ticket, once; without a word of the visitor it has none. Raises Unknown."""
    chat = await _locked(tx, chat_id)
    if chat.closed_at is not None:
        return chat
    closed = replace(chat, closed_at=tx.now, closed_by=actor)
    if chat.ticket_id is not None:
        messages = await store.messages_after(tx, chat_id, 0, MOST_MESSAGES)
        ticket = await ticket_store.lock_ticket(tx, chat.ticket_id)
        for command in [] if ticket is None else at_the_end(chat, ticket, messages):
            await command_ticket(tx, chat.ticket_id, command, _SELF, rules)
    await store.save_chat(tx, closed)
    return closed


async def _locked(tx: Transaction, chat_id: UUID) -> Chat:
    chat = await store.lock_chat(tx, chat_id)
    if chat is None:
        raise Unknown("chat", chat_id)
    return chat


async def _visitor_wrote(tx: Transaction, chat: Chat, message: ChatMessage, rules: RulesInForce) -> Chat:
    waits = replace(chat, waiting_since=chat.waiting_since or message.sequence)
    if chat.ticket_id is not None:
        return waits
    (ticket,) = await create_tickets(tx, [Asked(opening_of(chat, message.body), _SELF)], rules=rules)
    if isinstance(ticket, RuleBroken):
        raise ticket
    return replace(waits, ticket_id=ticket.id)


async def _agent_answered(tx: Transaction, chat: Chat, message: ChatMessage, rules: RulesInForce) -> Chat:
    answered = replace(chat, waiting_since=None)
    if chat.answered_at is not None or chat.ticket_id is None:
        return answered
    ticket: Ticket | None = await ticket_store.find_ticket(tx, chat.ticket_id)
    if ticket is not None and ticket.closed_at is None:
        await command_ticket(tx, chat.ticket_id, first_answer(message.body, message.author), _SELF, rules)
    return replace(answered, answered_at=message.written_at)
