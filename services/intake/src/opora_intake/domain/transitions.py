"""The table of transitions: which action is possible at which step, under either profile.

`received → assessed → diagnosed → planned → resolved → verified → closed`. Under `light` a small case may skip steps on
the way to `resolved`, and its verification; under `strict` none is skipped. Waiting for somebody else is orthogonal to
the steps; reopening starts a new cycle at the first step.
"""

from collections.abc import Mapping
from datetime import datetime

from opora_contracts.vocabulary import AuthorKind, Profile, ResolutionCode, Step
from opora_intake.domain import commands
from opora_intake.domain.commands import Command
from opora_intake.domain.errors import TransitionRefused
from opora_intake.domain.rules import CaseRules
from opora_intake.domain.ticket import Ticket

BEFORE_RESOLVED = frozenset({Step.RECEIVED, Step.ASSESSED, Step.DIAGNOSED, Step.PLANNED})
_NOT_CLOSED = frozenset(Step) - {Step.CLOSED}

ALLOWED: Mapping[str, frozenset[Step]] = {
    "assess": BEFORE_RESOLVED,
    "assign": _NOT_CLOSED,
    # Repeating a diagnosis or a plan corrects it; going back to an earlier step is what `reopen` is for.
    "diagnose": frozenset({Step.RECEIVED, Step.ASSESSED, Step.DIAGNOSED}),
    "plan": BEFORE_RESOLVED,
    "resolve": BEFORE_RESOLVED,
    "verify": frozenset({Step.RESOLVED}),
    "close": _NOT_CLOSED,
    "reopen": frozenset({Step.RESOLVED, Step.VERIFIED, Step.CLOSED}),
    "hold": BEFORE_RESOLVED,
    "resume": BEFORE_RESOLVED,
    "reply": _NOT_CLOSED,
    "note": frozenset(Step),
    "update": _NOT_CLOSED,
    "tag": frozenset(Step),
    "untag": frozenset(Step),
    "watch": _NOT_CLOSED,
    "unwatch": frozenset(Step),
    "set_fields": _NOT_CLOSED,
    "link": frozenset(Step),
    "unlink": frozenset(Step),
    "merge": _NOT_CLOSED,
    "split": _NOT_CLOSED,
    "follow_up": frozenset({Step.CLOSED}),
}
"""For each action the steps at which the profile light allows it."""

_STRICT: Mapping[str, frozenset[Step]] = {
    **ALLOWED,
    "diagnose": frozenset({Step.ASSESSED, Step.DIAGNOSED}),
    "plan": frozenset({Step.DIAGNOSED, Step.PLANNED}),
    "resolve": frozenset({Step.PLANNED}),
}

WITHOUT_RESOLVING = frozenset({ResolutionCode.CANCELLED, ResolutionCode.DUPLICATE})
"""The codes with which a ticket may be closed that nobody resolved."""


def steps_of(action: str, profile: Profile) -> frozenset[Step]:
    """The steps at which the profile allows the action."""
    return (_STRICT if profile is Profile.STRICT else ALLOWED)[action]


def allowed_actions(ticket: Ticket) -> tuple[str, ...]:
    """What can be done with the ticket where it stands."""
    return tuple(
        action
        for action in ALLOWED
        if ticket.step in steps_of(action, ticket.profile)
        and (action != "resume" or ticket.waiting_on is not None)
        and (action not in {"reopen", "follow_up"} or ticket.merged_into is None)
    )


def reopens(ticket: Ticket, command: Command, now: datetime, rules: CaseRules) -> bool:
    """Whether the command is a customer's reply that comes soon enough to reopen the closed ticket."""
    within = rules.reopen_within.get(ticket.kind)
    return (
        isinstance(command, commands.Reply)
        and command.author_kind is AuthorKind.CUSTOMER
        and ticket.closed_at is not None
        and ticket.merged_into is None
        and within is not None
        and (command.occurred_at or now) <= ticket.closed_at + within
    )


def refused(ticket: Ticket, command: Command, hint: str = "") -> TransitionRefused:
    """Why the command is not possible where the ticket stands, and what is."""
    if ticket.merged_into is not None:
        hint = f"it was merged: go on with the ticket {ticket.merged_into}"
    elif isinstance(command, commands.Reply):
        hint = "reopen it, or open a ticket that continues it (follow-up)"
    return TransitionRefused(ticket.step, command.action, allowed_actions(ticket), hint)


def refused_closing(ticket: Ticket, code: ResolutionCode | None) -> str | None:
    """What must happen before the ticket is closed with this code; None when it may be."""
    if code in WITHOUT_RESOLVING:
        return None
    if ticket.step in BEFORE_RESOLVED:
        return "resolve it first, or give resolution_code cancelled or duplicate"
    if ticket.profile is Profile.STRICT and ticket.step is not Step.VERIFIED:
        return "its profile is strict: verify it first, or give resolution_code cancelled or duplicate"
    return None
