"""The seven steps: which command is possible where, and which facts it leads to.

`received → assessed → diagnosed → planned → resolved → verified → closed`. A small case may skip steps on the way to
`resolved`; waiting for somebody else is orthogonal to the steps; reopening starts a new cycle at the first step.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from opora_contracts.tickets import (
    TicketAssessed,
    TicketAssigned,
    TicketClosed,
    TicketCreated,
    TicketDiagnosed,
    TicketFact,
    TicketHeld,
    TicketNoted,
    TicketPlanned,
    TicketReopened,
    TicketReplied,
    TicketResolved,
    TicketResumed,
    TicketUpdated,
    TicketVerified,
)
from opora_contracts.vocabulary import AuthorKind, Channel, ResolutionCode, Step, WaitingOn
from opora_intake.domain import commands
from opora_intake.domain.commands import Command, Open, Past
from opora_intake.domain.customer import Customer, Organization
from opora_intake.domain.errors import ImpossibleTime, NothingGiven, TransitionRefused, VersionConflict
from opora_intake.domain.priority import DEFAULT_MATRIX, PriorityMatrix
from opora_intake.domain.ticket import (
    NUMBER_PREFIX,
    Decision,
    Message,
    RecordedFact,
    Ticket,
    Visibility,
    evolve,
    opened,
)

_BEFORE_RESOLVED = frozenset({Step.RECEIVED, Step.ASSESSED, Step.DIAGNOSED, Step.PLANNED})
_NOT_CLOSED = frozenset(Step) - {Step.CLOSED}

ALLOWED: Mapping[str, frozenset[Step]] = {
    "assess": _BEFORE_RESOLVED,
    "assign": _NOT_CLOSED,
    # Repeating a diagnosis or a plan corrects it; going back to an earlier step is what `reopen` is for.
    "diagnose": frozenset({Step.RECEIVED, Step.ASSESSED, Step.DIAGNOSED}),
    "plan": _BEFORE_RESOLVED,
    "resolve": _BEFORE_RESOLVED,
    "verify": frozenset({Step.RESOLVED}),
    "close": _NOT_CLOSED,
    "reopen": frozenset({Step.RESOLVED, Step.VERIFIED, Step.CLOSED}),
    "hold": _BEFORE_RESOLVED,
    "resume": _BEFORE_RESOLVED,
    "reply": _NOT_CLOSED,
    "note": frozenset(Step),
    "update": _NOT_CLOSED,
}
"""The table of transitions: for each action the steps at which it is possible."""

WITHOUT_RESOLVING = frozenset({ResolutionCode.CANCELLED, ResolutionCode.DUPLICATE})
"""The codes with which a ticket may be closed that nobody resolved."""


@dataclass(frozen=True, slots=True)
class _Moment:
    now: datetime
    history: bool
    message_id: UUID
    actor: str | None
    matrix: PriorityMatrix

    def no_earlier(self, time: datetime, floor: datetime) -> datetime:
        """The time of a fact that another one implies; history keeps the time that the log gives."""
        return time if self.history else max(time, floor)


_Draft = tuple[TicketFact, datetime]


def allowed_actions(ticket: Ticket) -> tuple[str, ...]:
    """What can be done with the ticket where it stands."""
    return tuple(
        action
        for action, steps in ALLOWED.items()
        if ticket.step in steps and (action != "resume" or ticket.waiting_on is not None)
    )


def decide(
    ticket: Ticket,
    command: Command,
    now: datetime,
    *,
    message_id: UUID,
    actor: str | None = None,
    matrix: PriorityMatrix = DEFAULT_MATRIX,
    history: bool = False,
) -> Decision:
    """What the command leads to. `message_id` names the message that a reply or a note writes.

    Live facts carry `max(now, ticket.last_time)`, or the command's `occurred_at` (a late fact). With `history`, `now`
    is when it happened according to the log, and facts carry exactly that.
    Raises TransitionRefused, VersionConflict, ImpossibleTime or NothingGiven.
    """
    if command.expected_version not in {None, ticket.version}:
        raise VersionConflict(command.expected_version or 0, ticket.version)
    if ticket.step not in ALLOWED[command.action]:
        raise _refused(ticket, command)
    moment = _Moment(now, history, message_id, actor, matrix)
    time = _time_of(ticket, command, moment)
    decided = _record(ticket, _DECIDERS[command.action](ticket, command, time, moment))
    if isinstance(command, commands.Assess) and decided.facts:
        decided = replace(decided, ticket=replace(decided.ticket, priority_explicit=command.priority is not None))
    if isinstance(command, (commands.Reply, commands.Note)):
        return replace(decided, message=_message(decided, command, moment))
    return decided


def open_ticket(
    opening: Open,
    now: datetime,
    *,
    ticket_id: UUID,
    number: int,
    message_id: UUID,
    requester: Customer | None = None,
    organization: Organization | None = None,
    actor: str | None = None,
    matrix: PriorityMatrix = DEFAULT_MATRIX,
    import_id: UUID | None = None,
) -> Decision:
    """A new ticket. Raises ImpossibleTime when `occurred_at` lies after `now`."""
    time = opening.occurred_at or now
    if time > now:
        raise ImpossibleTime(time, earliest=datetime.min.replace(tzinfo=now.tzinfo), latest=now)
    fact = TicketCreated(
        ticket_id=ticket_id,
        number=f"{NUMBER_PREFIX}{number}",
        title=opening.title,
        channel=opening.channel,
        kind=opening.kind,
        impact=opening.impact,
        urgency=opening.urgency,
        priority=opening.priority or matrix[opening.impact, opening.urgency],
        language=opening.language or (requester.language if requester else "en"),
        requester_id=requester.id if requester else None,
        organization_id=organization.id if organization else None,
        tier=organization.tier if organization else None,
        product=opening.product,
        category=opening.category,
        group=opening.group,
        assignee=opening.assignee,
        external_source=opening.external_source,
        external_id=opening.external_id,
    )
    ticket = opened(fact, time, number=number, priority_explicit=opening.priority is not None, import_id=import_id)
    message = None
    if opening.body:
        message = Message(
            id=message_id,
            ticket_id=ticket_id,
            visibility=Visibility.PUBLIC,
            author_kind=AuthorKind.CUSTOMER,
            author=f"customer:{requester.id}" if requester else actor,
            channel=opening.channel,
            body=opening.body,
            written_at=time,
            sequence=1,
        )
    return Decision(ticket, (RecordedFact(fact, 1, time),), message)


def join_live(ticket: Ticket, now: datetime) -> Decision:
    """From here on the ticket of a closed import is judged by live time. Possible at every step, once."""
    if ticket.import_id is None:
        return Decision(ticket, ())
    return _record(ticket, [(TicketUpdated(ticket_id=ticket.id, joined_live=True), max(now, ticket.last_time))])


def _record(ticket: Ticket, drafts: list[_Draft]) -> Decision:
    facts: list[RecordedFact] = []
    for data, time in drafts:
        ticket = evolve(ticket, data, time)
        facts.append(RecordedFact(data, ticket.version, time))
    return Decision(ticket, tuple(facts))


def _refused(ticket: Ticket, command: Command, hint: str = "") -> TransitionRefused:
    if isinstance(command, commands.Reply):
        hint = "reopen it, or open a new ticket"
    return TransitionRefused(ticket.step, command.action, allowed_actions(ticket), hint)


def _time_of(ticket: Ticket, command: Command, moment: _Moment) -> datetime:
    occurred_at = command.occurred_at if isinstance(command, Past) else None
    if occurred_at is None:
        return moment.no_earlier(moment.now, ticket.last_time)
    # A wait that began before an earlier one ended would make the fold by time disagree with the ticket's state.
    waiting = isinstance(command, (commands.Hold, commands.Resume))
    earliest = ticket.opened_at
    if waiting:
        earliest = max(ticket.cycle_started_at, ticket.waiting_changed_at)
    elif isinstance(command, commands.Resolve):
        earliest = ticket.cycle_started_at
    if not earliest <= occurred_at <= moment.now:
        raise ImpossibleTime(occurred_at, earliest, moment.now)
    return occurred_at


def _ended_wait(ticket: Ticket, time: datetime, moment: _Moment) -> list[_Draft]:
    if ticket.waiting_on is None:
        return []
    return [(TicketResumed(ticket_id=ticket.id), moment.no_earlier(time, ticket.waiting_changed_at))]


def _assess(ticket: Ticket, command: commands.Assess, time: datetime, moment: _Moment) -> list[_Draft]:
    impact, urgency = command.impact or ticket.impact, command.urgency or ticket.urgency
    fact = TicketAssessed(
        ticket_id=ticket.id,
        impact=impact,
        urgency=urgency,
        priority=command.priority or moment.matrix[impact, urgency],
        category=command.category,
        kind=command.kind,
    )
    return [(fact, time)]


def _assign(ticket: Ticket, command: commands.Assign, time: datetime, _moment: _Moment) -> list[_Draft]:
    given = command.model_fields_set
    if not given & {"group", "assignee"}:
        raise NothingGiven(("group", "assignee"))
    group = command.group if "group" in given else ticket.group
    assignee = command.assignee if "assignee" in given else ticket.assignee
    if (group, assignee) == (ticket.group, ticket.assignee):
        return []
    return [(TicketAssigned(ticket_id=ticket.id, group=group, assignee=assignee), time)]


def _diagnose(ticket: Ticket, command: commands.Diagnose, time: datetime, _moment: _Moment) -> list[_Draft]:
    return [(TicketDiagnosed(ticket_id=ticket.id, cause=command.cause), time)]


def _plan(ticket: Ticket, command: commands.Plan, time: datetime, _moment: _Moment) -> list[_Draft]:
    return [(TicketPlanned(ticket_id=ticket.id, planned_for=command.planned_for), time)]


def _resolve(ticket: Ticket, command: commands.Resolve, time: datetime, moment: _Moment) -> list[_Draft]:
    fact = TicketResolved(
        ticket_id=ticket.id,
        cycle=ticket.cycle,
        resolution_code=command.resolution_code,
        requester_id=ticket.requester_id,
        assignee=ticket.assignee,
        group=ticket.group,
    )
    return [*_ended_wait(ticket, time, moment), (fact, time)]


def _verify(ticket: Ticket, command: commands.Verify, time: datetime, _moment: _Moment) -> list[_Draft]:
    return [(TicketVerified(ticket_id=ticket.id, cycle=ticket.cycle, verified_by=command.verified_by), time)]


def _close(ticket: Ticket, command: commands.Close, time: datetime, moment: _Moment) -> list[_Draft]:
    code = command.resolution_code or ticket.resolution_code
    if ticket.step in _BEFORE_RESOLVED and code not in WITHOUT_RESOLVING:
        raise _refused(ticket, command, "resolve it first, or give resolution_code cancelled or duplicate")
    fact = TicketClosed(
        ticket_id=ticket.id,
        cycle=ticket.cycle,
        resolution_code=code or ResolutionCode.OTHER,
        requester_id=ticket.requester_id,
        organization_id=ticket.organization_id,
        language=ticket.language,
        assignee=ticket.assignee,
        group=ticket.group,
        product=ticket.product,
        category=ticket.category,
    )
    return [*_ended_wait(ticket, time, moment), (fact, time)]


def _reopen(ticket: Ticket, command: commands.Reopen, time: datetime, _moment: _Moment) -> list[_Draft]:
    return [(TicketReopened(ticket_id=ticket.id, cycle=ticket.cycle + 1, reason=command.reason), time)]


def _hold(ticket: Ticket, command: commands.Hold, time: datetime, _moment: _Moment) -> list[_Draft]:
    return [(TicketHeld(ticket_id=ticket.id, waiting_on=command.waiting_on), time)]


def _resume(ticket: Ticket, command: commands.Resume, time: datetime, _moment: _Moment) -> list[_Draft]:
    if ticket.waiting_on is None:
        raise _refused(ticket, command, "it is not on hold")
    return [(TicketResumed(ticket_id=ticket.id), time)]


def _reply(ticket: Ticket, command: commands.Reply, time: datetime, moment: _Moment) -> list[_Draft]:
    fact = TicketReplied(
        ticket_id=ticket.id,
        message_id=moment.message_id,
        author_kind=command.author_kind,
        author=command.author or moment.actor,
        channel=command.channel,
    )
    first: list[_Draft] = []
    if command.author_kind is AuthorKind.CUSTOMER:
        # The change comes before the reply, so that the reply counts in the cycle that it began.
        if ticket.step in {Step.RESOLVED, Step.VERIFIED}:
            reopened = TicketReopened(ticket_id=ticket.id, cycle=ticket.cycle + 1, reason="the customer replied")
            first = [(reopened, moment.no_earlier(time, ticket.step_changed_at))]
        elif ticket.waiting_on is WaitingOn.CUSTOMER:
            first = _ended_wait(ticket, time, moment)
    return [*first, (fact, time)]


def _note(ticket: Ticket, command: commands.Note, time: datetime, moment: _Moment) -> list[_Draft]:
    author = command.author or moment.actor
    return [(TicketNoted(ticket_id=ticket.id, message_id=moment.message_id, author=author), time)]


def _update(ticket: Ticket, command: commands.Update, time: datetime, _moment: _Moment) -> list[_Draft]:
    fields = ("title", "kind", "product", "category")
    given = {name: getattr(command, name) for name in fields if getattr(command, name) is not None}
    if not given:
        raise NothingGiven(fields)
    changed = {name: value for name, value in given.items() if getattr(ticket, name) != value}
    return [(TicketUpdated(ticket_id=ticket.id, **changed), time)] if changed else []


_Decider = Callable[[Ticket, Any, datetime, _Moment], list[_Draft]]

_DECIDERS: Mapping[str, _Decider] = {
    "assess": _assess,
    "assign": _assign,
    "diagnose": _diagnose,
    "plan": _plan,
    "resolve": _resolve,
    "verify": _verify,
    "close": _close,
    "reopen": _reopen,
    "hold": _hold,
    "resume": _resume,
    "reply": _reply,
    "note": _note,
    "update": _update,
}


def _message(decided: Decision, command: commands.Reply | commands.Note, moment: _Moment) -> Message:
    announced = decided.facts[-1]
    public = isinstance(command, commands.Reply)
    return Message(
        id=moment.message_id,
        ticket_id=decided.ticket.id,
        visibility=Visibility.PUBLIC if public else Visibility.INTERNAL,
        author_kind=command.author_kind if isinstance(command, commands.Reply) else AuthorKind.AGENT,
        author=command.author or moment.actor,
        channel=command.channel if isinstance(command, commands.Reply) else Channel.OTHER,
        body=command.body,
        written_at=announced.time,
        sequence=announced.sequence,
    )
