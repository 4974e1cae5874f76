"""Chats: when one becomes a ticket, what of it clocks shall know, and how it reads when it is over. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from opora_contracts.vocabulary import AuthorKind, Channel, Step
from opora_intake.domain.commands import Command, Note, Open, Reply
from opora_intake.domain.errors import RuleBroken
from opora_intake.domain.ticket import Ticket

MOST_MESSAGES = 1000
LONGEST_MESSAGE = 4000
_LONGEST_TITLE = 100
_LONGEST_BODY = 100_000
_OVER = frozenset({Step.RESOLVED, Step.VERIFIED, Step.CLOSED})


class Side(StrEnum):
    """Who wrote."""

    VISITOR = "visitor"
    AGENT = "agent"


@dataclass
class ChatClosed(RuleBroken):
    """A chat that is over takes no message."""

    chat_id: UUID

    def __str__(self) -> str:
        return f"The chat {self.chat_id} is over: open another one, or write on its ticket"


@dataclass
class ChatFull(RuleBroken):
    """A chat has a largest number of messages."""

    def __str__(self) -> str:
        return f"A chat has at most {MOST_MESSAGES} messages: close it, and go on on its ticket"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """A chat as it stands."""

    id: UUID
    token_hash: bytes
    name: str | None
    email: str | None
    customer_id: UUID | None
    product: str | None
    language: str | None
    group: str | None
    ticket_id: UUID | None = None
    messages: int = 0
    answered_at: datetime | None = None
    waiting_since: int | None = None
    opened_at: datetime
    opened_by: str
    last_written_at: datetime
    closed_at: datetime | None = None
    closed_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatMessage:
    """What one side wrote; `sequence` counts 1, 2, 3 … in its chat."""

    chat_id: UUID
    sequence: int
    client_id: UUID | None
    side: Side
    author: str | None
    body: str
    written_at: datetime


def opening_of(chat: Chat, first: str) -> Open:
    """The ticket that the visitor's first message opens."""
    line = " ".join(first.split())
    title = line if len(line) <= _LONGEST_TITLE else f"{line[: _LONGEST_TITLE - 1]}…"
    return Open(
        title=title or "A chat",
        body=first,
        requester_id=chat.customer_id,
        requester_email=None if chat.customer_id else chat.email,
        requester_name=chat.name,
        channel=Channel.CHAT,
        language=chat.language,
        product=chat.product,
        group=chat.group,
    )


def first_answer(body: str, author: str | None) -> Reply:
    """What tells the clock of the first response that an agent answered."""
    return Reply(body=body, author=author, channel=Channel.CHAT)


def at_the_end(chat: Chat, ticket: Ticket, messages: Sequence[ChatMessage]) -> list[Command]:
    """What a chat leaves on its ticket: what waits for an answer as the customer's reply, and the whole as it was.

    What waits from the very first message on was told by the ticket's opening. A thank-you after the resolution
    reopens nothing.
    """
    commands: list[Command] = []
    waiting = [each for each in messages if chat.waiting_since is not None and each.sequence >= chat.waiting_since]
    if waiting and chat.answered_at is not None and ticket.step not in _OVER:
        commands.append(
            Reply(
                body=_cut("\n".join(each.body for each in waiting if each.side is Side.VISITOR)),
                author_kind=AuthorKind.CUSTOMER,
                author=None if ticket.requester_id is None else f"customer:{ticket.requester_id}",
                channel=Channel.CHAT,
                occurred_at=max(waiting[0].written_at, ticket.opened_at),
            )
        )
    text = _cut(transcript(chat, messages))
    if ticket.step is Step.CLOSED:
        commands.append(Note(body=text))
    else:
        commands.append(Reply(body=text, author_kind=AuthorKind.SYSTEM, author="system:chat", channel=Channel.CHAT))
    return commands


def transcript(chat: Chat, messages: Iterable[ChatMessage]) -> str:
    """A line for each message: when, who, what."""
    lines = [f"The chat of {chat.opened_at.isoformat(timespec='seconds')}"]
    for each in messages:
        who = (chat.name or "Visitor") if each.side is Side.VISITOR else (each.author or "Agent")
        lines.append(f"[{each.written_at.isoformat(timespec='seconds')}] {who}: {each.body}")
    return "\n".join(lines)


def _cut(text: str) -> str:
    ending = "\n[The rest is in the chat.]"
    return text if len(text) <= _LONGEST_BODY else text[: _LONGEST_BODY - len(ending)] + ending
