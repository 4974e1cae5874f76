"""Telephone calls: how a number is written, and what a logged call does to a ticket. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

import phonenumbers

from opora_contracts.vocabulary import Channel
from opora_intake.domain.commands import Command, Note, Reply
from opora_intake.domain.errors import RuleBroken

LONGEST_CALL = timedelta(hours=24)


class Direction(StrEnum):
    """Who called."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


class RecordAs(StrEnum):
    """What a call on an existing ticket leaves there."""

    REPLY = "reply"
    """An answer of support, at the time when the call ended: clocks of response count it."""
    NOTE = "note"
    """For agents only, at the time when it is logged."""


@dataclass
class ImpossibleCall(RuleBroken):
    """The call's times cannot be true."""

    reason: str

    def __str__(self) -> str:
        return f"The call's times cannot be true: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call that somebody logged."""

    id: UUID
    ticket_id: UUID
    message_id: UUID | None
    customer_id: UUID | None
    direction: Direction
    number: str | None
    number_given: str | None
    was_answered: bool
    started_at: datetime
    ended_at: datetime
    opened_ticket: bool
    logged_at: datetime
    logged_by: str


def number_in_e164(text: str, region: str | None) -> str | None:
    """The number in E.164; None for what is no valid number. `region` (ISO 3166) is for numbers without a country."""
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def check_times(started_at: datetime, ended_at: datetime, now: datetime) -> None:
    """Raises ImpossibleCall for a call that ended before it began, is not over, or lasted more than 24 hours."""
    if ended_at < started_at:
        raise ImpossibleCall("it ended before it started")
    if ended_at > now:
        raise ImpossibleCall(f"it is not over: ended_at lies after {now.isoformat()}")
    if ended_at - started_at > LONGEST_CALL:
        raise ImpossibleCall("it lasted more than 24 hours")


def on_existing(summary: str, heading: str, record_as: RecordAs, ended_at: datetime, *, was_answered: bool) -> Command:
    """What the call leaves on a ticket that is there. An unanswered one is no answer, so it is a note always."""
    if record_as is RecordAs.REPLY and was_answered:
        return Reply(body=summary, channel=Channel.PHONE, occurred_at=ended_at)
    return Note(body=f"{heading}\n\n{summary}"[:100_000])


def heading_of(
    direction: Direction, number: str | None, started_at: datetime, ended_at: datetime, *, was_answered: bool
) -> str:
    """The call in one line."""
    whom = f" {'from' if direction is Direction.INBOUND else 'to'} {number}" if number else ""
    seconds = round((ended_at - started_at).total_seconds())
    lasted = f"{seconds // 60} min {seconds % 60} s" if was_answered else "not answered"
    return f"Telephone call{whom}, {started_at.isoformat(timespec='seconds')}, {lasted}."
