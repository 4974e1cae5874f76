"""What each command leads to: the facts that say so, in order. Whether it is possible is decided before."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from opora_contracts.tickets import (
    TicketAssessed,
    TicketAssigned,
    TicketClosed,
    TicketDiagnosed,
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
from opora_contracts.vocabulary import AuthorKind, Kind, Profile, ResolutionCode, Step, WaitingOn
from opora_intake.domain import commands, details
from opora_intake.domain.drafts import Draft, Moment
from opora_intake.domain.errors import NothingGiven
from opora_intake.domain.ticket import Ticket
from opora_intake.domain.transitions import refused, refused_closing


def profile_after(ticket: Ticket, kind: Kind | None, moment: Moment) -> Profile:
    """The profile of the cycle when the ticket gets this kind: another one only before anything was assessed."""
    if kind is None or kind is ticket.kind or ticket.step is not Step.RECEIVED:
        return ticket.profile
    return moment.profile_of(kind)


def _changed_profile(ticket: Ticket, kind: Kind | None, moment: Moment) -> Profile | None:
    profile = profile_after(ticket, kind, moment)
    return None if profile is ticket.profile else profile


def reopening(ticket: Ticket, reason: str | None, moment: Moment) -> TicketReopened:
    """The beginning of the next cycle, under the profile that the ticket's kind has now."""
    profile = moment.profile_of(ticket.kind)
    return TicketReopened(
        ticket_id=ticket.id,
        cycle=ticket.cycle + 1,
        reason=reason,
        profile=None if profile is Profile.LIGHT else profile,
    )


def _ended_wait(ticket: Ticket, time: datetime, moment: Moment) -> list[Draft]:
    if ticket.waiting_on is None:
        return []
    return [(TicketResumed(ticket_id=ticket.id), moment.no_earlier(time, ticket.waiting_changed_at))]


def _assess(ticket: Ticket, command: commands.Assess, time: datetime, moment: Moment) -> list[Draft]:
    impact, urgency = command.impact or ticket.impact, command.urgency or ticket.urgency
    fact = TicketAssessed(
        ticket_id=ticket.id,
        impact=impact,
        urgency=urgency,
        priority=command.priority or moment.rules.matrix[impact, urgency],
        category=command.category,
        kind=command.kind,
        profile=_changed_profile(ticket, command.kind, moment),
    )
    return [(fact, time)]


def _assign(ticket: Ticket, command: commands.Assign, time: datetime, _moment: Moment) -> list[Draft]:
    given = command.model_fields_set
    if not given & {"group", "assignee"}:
        raise NothingGiven(("group", "assignee"))
    group = command.group if "group" in given else ticket.group
    assignee = command.assignee if "assignee" in given else ticket.assignee
    if (group, assignee) == (ticket.group, ticket.assignee):
        return []
    return [(TicketAssigned(ticket_id=ticket.id, group=group, assignee=assignee), time)]


def _diagnose(ticket: Ticket, command: commands.Diagnose, time: datetime, _moment: Moment) -> list[Draft]:
    return [(TicketDiagnosed(ticket_id=ticket.id, cause=command.cause), time)]


def _plan(ticket: Ticket, command: commands.Plan, time: datetime, _moment: Moment) -> list[Draft]:
    return [(TicketPlanned(ticket_id=ticket.id, planned_for=command.planned_for), time)]


def _resolve(ticket: Ticket, command: commands.Resolve, time: datetime, moment: Moment) -> list[Draft]:
    fact = TicketResolved(
        ticket_id=ticket.id,
        cycle=ticket.cycle,
        resolution_code=command.resolution_code,
        requester_id=ticket.requester_id,
        assignee=ticket.assignee,
        group=ticket.group,
    )
    return [*_ended_wait(ticket, time, moment), (fact, time)]


def _verify(ticket: Ticket, command: commands.Verify, time: datetime, _moment: Moment) -> list[Draft]:
    return [(TicketVerified(ticket_id=ticket.id, cycle=ticket.cycle, verified_by=command.verified_by), time)]


def _close(ticket: Ticket, command: commands.Close, time: datetime, moment: Moment) -> list[Draft]:
    code = command.resolution_code or ticket.resolution_code
    if hint := refused_closing(ticket, code):
        raise refused(ticket, command, hint)
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


def _reopen(ticket: Ticket, command: commands.Reopen, time: datetime, moment: Moment) -> list[Draft]:
    return [(reopening(ticket, command.reason, moment), time)]


def _hold(ticket: Ticket, command: commands.Hold, time: datetime, _moment: Moment) -> list[Draft]:
    return [(TicketHeld(ticket_id=ticket.id, waiting_on=command.waiting_on), time)]


def _resume(ticket: Ticket, command: commands.Resume, time: datetime, _moment: Moment) -> list[Draft]:
    if ticket.waiting_on is None:
        raise refused(ticket, command, "it is not on hold")
    return [(TicketResumed(ticket_id=ticket.id), time)]


def _reply(ticket: Ticket, command: commands.Reply, time: datetime, moment: Moment) -> list[Draft]:
    fact = TicketReplied(
        ticket_id=ticket.id,
        message_id=moment.message_id,
        author_kind=command.author_kind,
        author=command.author or moment.actor,
        channel=command.channel,
    )
    first: list[Draft] = []
    if command.author_kind is AuthorKind.CUSTOMER:
        # The change comes before the reply, so that the reply counts in the cycle that it began.
        if ticket.step in {Step.RESOLVED, Step.VERIFIED, Step.CLOSED}:
            reopened = reopening(ticket, "the customer replied", moment)
            first = [(reopened, moment.no_earlier(time, ticket.step_changed_at))]
        elif ticket.waiting_on is WaitingOn.CUSTOMER:
            first = _ended_wait(ticket, time, moment)
    return [*first, (fact, time)]


def _note(ticket: Ticket, command: commands.Note, time: datetime, moment: Moment) -> list[Draft]:
    author = command.author or moment.actor
    return [(TicketNoted(ticket_id=ticket.id, message_id=moment.message_id, author=author), time)]


def _update(ticket: Ticket, command: commands.Update, time: datetime, moment: Moment) -> list[Draft]:
    fields = ("title", "kind", "product", "category", "component")
    given = {name: getattr(command, name) for name in fields if getattr(command, name) is not None}
    if not given:
        raise NothingGiven(fields)
    changed = {name: value for name, value in given.items() if getattr(ticket, name) != value}
    if not changed:
        return []
    profile = _changed_profile(ticket, command.kind, moment)
    return [(TicketUpdated(ticket_id=ticket.id, profile=profile, **changed), time)]


Decider = Callable[[Ticket, Any, datetime, Moment], list[Draft]]

DECIDERS: Mapping[str, Decider] = {
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
    "tag": details.tag,
    "untag": details.untag,
    "watch": details.watch,
    "unwatch": details.unwatch,
    "set_fields": details.set_fields,
}
"""By the command's verb."""
