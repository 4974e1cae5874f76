"""What becomes of what a webhook says: a ticket, a note, a reply, an end, or nothing that anybody need look at. Pure.

A sender speaks of *cases* of its own (an alert group, an issue, an incident) under a key that stays the same. A case
has one ticket at a time: what it says again changes nothing, and what is over may begin again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID

from opora_contracts.vocabulary import AuthorKind, Channel, ResolutionCode, Step
from opora_intake.domain.commands import Close, Command, Note, Open, Reopen, Reply, Resolve
from opora_intake.domain.hook_sources import HookSource, OnResolve
from opora_intake.domain.ticket import Ticket

QUARANTINE_KEY = "unreadable  deliveries"
"""The case under which everything unreadable of one source is gathered: one open ticket, however much comes.

No sender's case has this key: `opora_intake.hooks.payload.key_of` gives no two spaces in a row."""


class HookOutcome(StrEnum):
    """What became of a delivery; of one with several parts, the first of these that happened."""

    OPENED = "opened"
    REOPENED = "reopened"
    ENDED = "ended"
    """The case is over for its sender: closed, resolved or noted, as the source has it."""
    REPLIED = "replied"
    NOTED = "noted"
    REPEATED = "repeated"
    """It says what is known already: nothing was written."""
    IGNORED = "ignored"
    """It is about nothing that support works on; the reason says what it was."""
    UNREADABLE = "unreadable"


class Turn(StrEnum):
    """What a signal says of its case."""

    BEGINS = "begins"
    """Something is wrong, still or anew."""
    ENDS = "ends"
    TELLS = "tells"
    """Something was said or done that neither begins nor ends it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """What a delivery says of one case. All text is clean and within the limits of a ticket's fields."""

    key: str
    turn: Turn
    title: str
    body: str
    """As the ticket's first message, should one be opened."""
    news: str
    """As a note on the ticket that the case has."""
    severity: str | None = None
    parts: Mapping[str, bool] = field(default_factory=dict)
    """The case's parts by keys of their own (an alert's fingerprint), and whether each still goes on."""
    speaker: AuthorKind | None = None
    """Whose words `news` are; None: the sender's own, which become a note."""
    author: str | None = None
    may_open: bool = True
    """Whether a case that is not known yet becomes a ticket by this."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """Read, and about nothing that support works on."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unread:
    """It cannot be read; the reason says what was looked for and not found, without the input's words."""

    reason: str


HookReading: TypeAlias = tuple[Signal, ...] | Ignored | Unread


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is known of a sender's case: its present ticket, how many it had, and which parts of it go on."""

    hook: str
    key: str
    ticket_id: UUID | None = None
    tickets: int = 0
    ongoing: bool = False
    parts: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answered:
    """What is done about a signal: a ticket to open, or commands to the one that is there; and the case afterwards."""

    outcome: HookOutcome
    case: Case
    opening: Open | None = None
    commands: Sequence[Command] = ()
    reason: str | None = None


_ENDED = frozenset({Step.RESOLVED, Step.VERIFIED, Step.CLOSED})


def answer(case: Case, ticket: Ticket | None, signal: Signal, source: HookSource) -> Answered:
    """What is done about a signal. `ticket` is the case's present one. Total: every signal has its answer."""
    if signal.turn is Turn.ENDS:
        return _end(case, ticket, signal, source)
    if ticket is None or (ticket.step is Step.CLOSED and signal.turn is Turn.BEGINS):
        return _begin(case, ticket, signal, source)
    if signal.turn is Turn.TELLS:
        words = _words(ticket, signal)
        outcome = HookOutcome.REPLIED if isinstance(words, Reply) else HookOutcome.NOTED
        return Answered(outcome, case, commands=(words,))
    return _go_on(case, ticket, signal)


def quarantined(case: Case, ticket: Ticket | None, source_name: str, note: str, title: str) -> Answered:
    """A visible ticket for what cannot be read or handled: one per source while it is open, then a note each."""
    if ticket is not None and ticket.step not in _ENDED:
        return Answered(HookOutcome.UNREADABLE, case, commands=(Note(body=note),))
    opening = Open(
        title=title,
        channel=Channel.EVENT,
        external_source=source_name,
        external_id=_external_id(case),
    )
    return Answered(
        HookOutcome.UNREADABLE, replace(case, tickets=case.tickets + 1), opening=opening, commands=(Note(body=note),)
    )


def first_of(outcomes: Sequence[HookOutcome]) -> HookOutcome:
    """The outcome that stands for all."""
    order = list(HookOutcome)
    return min(outcomes, key=order.index)


def _begin(case: Case, before: Ticket | None, signal: Signal, source: HookSource) -> Answered:
    if not signal.may_open:
        return Answered(HookOutcome.IGNORED, case, reason="it is about a case that has no ticket")
    impact, urgency = source.levels_of(signal.severity)
    defaults = source.defaults
    opening = Open(
        title=signal.title,
        body=signal.body,
        channel=Channel.EVENT,
        kind=defaults.kind,
        impact=impact,
        urgency=urgency,
        organization_id=defaults.organization_id,
        language=defaults.language,
        product=defaults.product,
        category=defaults.category,
        group=defaults.group,
        external_source=source.name,
        external_id=_external_id(case),
    )
    commands: list[Command] = []
    if before is not None:
        commands.append(Note(body=f"The case was {before.label} before, which is closed."))
    if signal.turn is Turn.TELLS:
        commands.append(_words(None, signal))
    begun = replace(case, tickets=case.tickets + 1, ongoing=True, parts=dict(signal.parts))
    return Answered(HookOutcome.OPENED, begun, opening=opening, commands=tuple(commands))


def _external_id(case: Case) -> str:
    """The key, and from the second ticket of the case on its number: a pair names one ticket for good."""
    return case.key if case.tickets == 0 else f"{case.key}#{case.tickets + 1}"


def _go_on(case: Case, ticket: Ticket, signal: Signal) -> Answered:
    parts = {**case.parts, **signal.parts}
    after = replace(case, ongoing=True, parts=parts)
    if ticket.step in _ENDED:
        is_known = case.ongoing and parts == case.parts
        if is_known:
            # Agents resolved it while the sender still says that it goes on: their word holds until it was over once.
            return Answered(HookOutcome.REPEATED, after, reason=f"{ticket.label} was resolved meanwhile")
        return Answered(
            HookOutcome.REOPENED,
            after,
            commands=(Reopen(reason="it began again for its sender"), Note(body=signal.news)),
        )
    if case.ongoing and parts == case.parts:
        return Answered(HookOutcome.REPEATED, after, reason=f"{ticket.label} says so already")
    return Answered(HookOutcome.NOTED, after, commands=(Note(body=signal.news),))


def _end(case: Case, ticket: Ticket | None, signal: Signal, source: HookSource) -> Answered:
    after = replace(case, ongoing=False, parts={**case.parts, **signal.parts})
    if ticket is None:
        return Answered(HookOutcome.IGNORED, after, reason="it is the end of a case that has no ticket")
    if not case.ongoing:
        return Answered(HookOutcome.REPEATED, after, reason=f"the case of {ticket.label} was over already")
    commands: list[Command] = [Note(body=signal.news)]
    if source.on_resolve is not OnResolve.NOTE and ticket.step not in _ENDED:
        commands.append(Resolve(resolution_code=ResolutionCode.SOLVED))
    if source.on_resolve is OnResolve.CLOSE and ticket.step is not Step.CLOSED:
        commands.append(Close())
    return Answered(HookOutcome.ENDED, after, commands=tuple(commands))


def _words(ticket: Ticket | None, signal: Signal) -> Reply | Note:
    """What was said, as whoever said it; on a closed ticket, which takes no reply, as a note."""
    if signal.speaker is None or (ticket is not None and ticket.step is Step.CLOSED):
        return Note(body=signal.news, author=signal.author)
    return Reply(body=signal.news, author_kind=signal.speaker, author=signal.author, channel=Channel.EVENT)
