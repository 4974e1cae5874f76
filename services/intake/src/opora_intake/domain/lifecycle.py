"""A ticket's life: whether a command is possible, and what it leads to. The way through the seven steps is in
`transitions`, what each step must leave behind in `records`, the facts in `deciders`.
"""

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from opora_contracts.tickets import TicketCreated, TicketUpdated
from opora_contracts.vocabulary import AuthorKind, Channel, Profile
from opora_intake.domain import commands
from opora_intake.domain.commands import Command, Open, Past
from opora_intake.domain.customer import Customer, Organization
from opora_intake.domain.deciders import DECIDERS, profile_after
from opora_intake.domain.details import changed_fields, missing_fields, published_of, read_fields, tags_of, with_fields
from opora_intake.domain.drafts import Moment, recorded
from opora_intake.domain.errors import FieldsMissing, ImpossibleTime, VersionConflict
from opora_intake.domain.records import check_record, record_of
from opora_intake.domain.rules import DEFAULT_RULES, CaseRules
from opora_intake.domain.ticket import (
    NUMBER_PREFIX,
    Decision,
    Message,
    RecordedFact,
    Ticket,
    Visibility,
    opened,
)
from opora_intake.domain.transitions import WITHOUT_RESOLVING, refused, reopens, steps_of


def decide(
    ticket: Ticket,
    command: Command,
    now: datetime,
    *,
    message_id: UUID,
    actor: str | None = None,
    rules: CaseRules = DEFAULT_RULES,
    history: bool = False,
) -> Decision:
    """What the command leads to. `message_id` names the message that a reply or a note writes.

    Live facts carry `max(now, ticket.last_time)`, or the command's `occurred_at` (a late fact). With `history`, `now`
    is when it happened according to the log, and facts carry exactly that.
    Raises TransitionRefused, RecordMissing, FieldsMissing, UnlistedValue, BadField, TooMany, VersionConflict,
    ImpossibleTime or NothingGiven.
    """
    if command.expected_version not in {None, ticket.version}:
        raise VersionConflict(command.expected_version or 0, ticket.version)
    is_gone = isinstance(command, commands.Reopen) and ticket.merged_into is not None
    possible = ticket.step in steps_of(command.action, ticket.profile)
    if is_gone or not (possible or (not history and reopens(ticket, command, now, rules))):
        raise refused(ticket, command)
    if not history:
        rules.check_lists(command)
    moment = Moment(now, history, message_id, actor, rules)
    time = _time_of(ticket, command, moment)
    decided = recorded(ticket, DECIDERS[command.action](ticket, command, time, moment))
    code = command.resolution_code or ticket.resolution_code if isinstance(command, commands.Close) else None
    check_record(command, profile_after(ticket, getattr(command, "kind", None), moment), code)
    is_solved = isinstance(command, commands.Resolve) and command.resolution_code not in WITHOUT_RESOLVING
    if is_solved and not history and (missing := missing_fields(ticket, rules)):
        raise FieldsMissing(tuple(missing))
    if isinstance(command, commands.SetFields) and decided.facts:
        fields = with_fields(ticket, changed_fields(ticket, command, rules))
        decided = replace(decided, ticket=replace(decided.ticket, fields=fields))
    if isinstance(command, commands.Assess) and decided.facts:
        decided = replace(decided, ticket=replace(decided.ticket, priority_explicit=command.priority is not None))
    if isinstance(command, (commands.Reply, commands.Note)):
        return replace(decided, message=_message(decided, command, moment))
    if decided.facts:
        last = decided.facts[-1]
        record = record_of(
            command,
            ticket_id=ticket.id,
            cycle=decided.ticket.cycle,
            sequence=last.sequence,
            time=last.time,
            actor=actor,
        )
        return replace(decided, record=record)
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
    rules: CaseRules = DEFAULT_RULES,
    import_id: UUID | None = None,
) -> Decision:
    """A new ticket. Raises ImpossibleTime when `occurred_at` lies after `now`, UnlistedValue, BadField or TooMany."""
    if import_id is None:
        rules.check_lists(opening)
    fields = {
        name: value for name, value in read_fields(opening.kind, opening.fields, rules).items() if value is not None
    }
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
        priority=opening.priority or rules.matrix[opening.impact, opening.urgency],
        language=opening.language or (requester.language if requester else "en"),
        requester_id=requester.id if requester else None,
        organization_id=organization.id if organization else None,
        tier=organization.tier if organization else None,
        product=opening.product,
        category=opening.category,
        component=opening.component,
        group=opening.group,
        assignee=opening.assignee,
        external_source=opening.external_source,
        external_id=opening.external_id,
        tags=tags_of({*opening.tags}) or None,
        fields=published_of(fields, rules) or None,
        profile=Profile.STRICT if import_id is None and rules.profile_of(opening.kind) is Profile.STRICT else None,
    )
    ticket = opened(
        fact,
        time,
        number=number,
        priority_explicit=opening.priority is not None,
        import_id=import_id,
        fields=fields,
    )
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
    return recorded(ticket, [(TicketUpdated(ticket_id=ticket.id, joined_live=True), max(now, ticket.last_time))])


def _time_of(ticket: Ticket, command: Command, moment: Moment) -> datetime:
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


def _message(decided: Decision, command: commands.Reply | commands.Note, moment: Moment) -> Message:
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
