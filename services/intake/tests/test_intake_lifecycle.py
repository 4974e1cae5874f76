"""The table of transitions, written by hand, and what each command leads to."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from opora_contracts.tickets import (
    TicketAssessed,
    TicketAssigned,
    TicketClosed,
    TicketCreated,
    TicketReopened,
    TicketReplied,
    TicketResolved,
    TicketResumed,
    TicketUpdated,
)
from opora_contracts.vocabulary import AuthorKind, Channel, Kind, Level, Priority, ResolutionCode, Step, WaitingOn
from opora_intake.domain import (
    CaseRules,
    Command,
    Customer,
    Decision,
    ImpossibleTime,
    NothingGiven,
    Open,
    Organization,
    Ticket,
    TransitionRefused,
    VersionConflict,
    allowed_actions,
    commands,
    decide,
    join_live,
    matrix_with,
    open_ticket,
)
from opora_intake.domain.fields import FieldDefinition, FieldType

At = Callable[[float], datetime]
TicketAt = Callable[[Step], Ticket]

EVERY_COMMAND: dict[str, Command] = {
    "assess": commands.Assess(),
    "assign": commands.Assign(assignee="anna"),
    "diagnose": commands.Diagnose(cause="no paper"),
    "plan": commands.Plan(),
    "resolve": commands.Resolve(),
    "verify": commands.Verify(),
    "close": commands.Close(resolution_code=ResolutionCode.DUPLICATE),
    "reopen": commands.Reopen(),
    "hold": commands.Hold(waiting_on=WaitingOn.CUSTOMER),
    "resume": commands.Resume(),
    "reply": commands.Reply(body="We look into it."),
    "note": commands.Note(body="Looks like paper."),
    "update": commands.Update(title="The printer has no paper"),
    "tag": commands.TagTicket(tags=("vip",)),
    "untag": commands.Untag(tags=("old",)),
    "watch": commands.Watch(watchers=("agent:boris",)),
    "unwatch": commands.Unwatch(watchers=("agent:carla",)),
    "set_fields": commands.SetFields(values={"affected": 40}),
}

ALWAYS = {"note", "tag", "untag", "unwatch", "link", "unlink"}
OPEN = ALWAYS | {"assign", "reply", "update", "close", "watch", "set_fields", "merge", "split"}
RULES = CaseRules(fields=(FieldDefinition(name="affected", label="Affected", type=FieldType.NUMBER),))
POSSIBLE = {
    Step.RECEIVED: OPEN | {"assess", "diagnose", "plan", "resolve", "hold"},
    Step.ASSESSED: OPEN | {"assess", "diagnose", "plan", "resolve", "hold"},
    Step.DIAGNOSED: OPEN | {"assess", "diagnose", "plan", "resolve", "hold"},
    Step.PLANNED: OPEN | {"assess", "plan", "resolve", "hold"},
    Step.RESOLVED: OPEN | {"verify", "reopen"},
    Step.VERIFIED: OPEN | {"reopen"},
    Step.CLOSED: ALWAYS | {"reopen", "follow_up"},
}


def do(ticket: Ticket, command: Command, now: datetime, actor: str | None = None) -> Decision:
    return decide(ticket, command, now, message_id=uuid4(), actor=actor, rules=RULES)


@pytest.mark.parametrize("step", list(Step))
@pytest.mark.parametrize("action", list(EVERY_COMMAND))
def test_each_action_is_possible_exactly_where_the_table_says(
    ticket_at: TicketAt, after_noon: At, step: Step, action: str
) -> None:
    """An action is carried out or refused by the step, and a refusal lists what is possible instead."""
    ticket = replace(ticket_at(step), tags=("old",), watchers=("agent:carla",))
    if action in POSSIBLE[step]:
        decision = do(ticket, EVERY_COMMAND[action], after_noon(1))
        assert decision.ticket.version == ticket.version + 1
    else:
        with pytest.raises(TransitionRefused) as refusal:
            do(ticket, EVERY_COMMAND[action], after_noon(1))
        assert (refusal.value.step, refusal.value.attempted) == (step, action)
        assert set(refusal.value.allowed) == POSSIBLE[step]


@pytest.mark.parametrize(
    ("command", "step"),
    [
        (commands.Assess(), Step.ASSESSED),
        (commands.Diagnose(), Step.DIAGNOSED),
        (commands.Plan(), Step.PLANNED),
        (commands.Resolve(), Step.RESOLVED),
    ],
)
def test_a_small_case_skips_steps(ticket_at: TicketAt, after_noon: At, command: Command, step: Step) -> None:
    """From `received` every step up to `resolved` can be reached directly."""
    assert do(ticket_at(Step.RECEIVED), command, after_noon(1)).ticket.step is step


@pytest.mark.parametrize("step", [Step.DIAGNOSED, Step.PLANNED])
def test_a_new_assessment_keeps_a_later_step(ticket_at: TicketAt, after_noon: At, step: Step) -> None:
    """Judging the urgency again changes the priority, not the progress of the work."""
    decision = do(ticket_at(step), commands.Assess(impact=Level.HIGH, urgency=Level.HIGH), after_noon(1))
    assert (decision.ticket.step, decision.ticket.priority) == (step, Priority.P1)


@pytest.mark.parametrize(
    ("impact", "urgency", "priority"),
    [
        ("high", "high", "P1"),
        ("high", "medium", "P2"),
        ("medium", "high", "P2"),
        ("medium", "medium", "P3"),
        ("high", "low", "P3"),
        ("low", "high", "P3"),
        ("medium", "low", "P4"),
        ("low", "medium", "P4"),
        ("low", "low", "P5"),
    ],
)
def test_priority_follows_from_impact_and_urgency(after_noon: At, impact: str, urgency: str, priority: str) -> None:
    """The matrix gives each of the nine pairs its priority."""
    opening = Open(title="Help", impact=Level(impact), urgency=Level(urgency))
    ticket = open_ticket(opening, after_noon(0), ticket_id=uuid4(), number=1, message_id=uuid4()).ticket
    assert (ticket.priority, ticket.priority_explicit) == (Priority(priority), False)


def test_a_person_may_overrule_the_matrix_until_the_next_assessment(ticket_at: TicketAt, after_noon: At) -> None:
    """An explicit priority is kept and recorded as such; an assessment without one returns to the matrix."""
    overruled = do(ticket_at(Step.RECEIVED), commands.Assess(priority=Priority.P1), after_noon(1))
    assert overruled.facts[0].data == TicketAssessed(
        ticket_id=overruled.ticket.id, impact=Level.MEDIUM, urgency=Level.MEDIUM, priority=Priority.P1
    )
    assert overruled.ticket.priority_explicit
    back = do(overruled.ticket, commands.Assess(urgency=Level.LOW), after_noon(2)).ticket
    assert (back.priority, back.priority_explicit) == (Priority.P4, False)


def test_the_matrix_can_be_overridden_pair_by_pair() -> None:
    """A setting replaces one pair and keeps the others; a key that names no pair is refused."""
    matrix = matrix_with({"high/low": Priority.P2})
    assert (matrix[Level.HIGH, Level.LOW], matrix[Level.HIGH, Level.HIGH]) == (Priority.P2, Priority.P1)
    with pytest.raises(ValueError, match="huge/low"):
        matrix_with({"huge/low": Priority.P1})


def test_an_opening_takes_language_and_tier_from_those_who_ask(after_noon: At) -> None:
    """A ticket speaks the requester's language and carries the organisation's tier of that moment."""
    organization = Organization(id=uuid4(), name="Acme", tier="gold", version=1, last_time=after_noon(0))
    requester = Customer(id=uuid4(), name="Анна", language="ru", version=1, last_time=after_noon(0))
    decision = open_ticket(
        Open(title="Помогите", body="Ничего не печатает"),
        after_noon(0),
        ticket_id=uuid4(),
        number=1042,
        message_id=uuid4(),
        requester=requester,
        organization=organization,
    )
    created = decision.facts[0].data
    assert isinstance(created, TicketCreated)
    assert (created.number, created.language, created.tier) == ("OP-1042", "ru", "gold")
    assert decision.message is not None
    assert decision.message.author == f"customer:{requester.id}"


@pytest.mark.parametrize("step", [Step.RESOLVED, Step.VERIFIED])
def test_a_customers_reply_reopens_what_is_resolved(ticket_at: TicketAt, after_noon: At, step: Step) -> None:
    """A customer who writes after the resolution begins a new cycle, and the reply belongs to it."""
    decision = do(ticket_at(step), commands.Reply(body="Still broken", author_kind=AuthorKind.CUSTOMER), after_noon(9))
    assert [type(fact.data) for fact in decision.facts] == [TicketReopened, TicketReplied]
    assert (decision.ticket.step, decision.ticket.cycle) == (Step.RECEIVED, 2)
    assert decision.ticket.resolution_code is None


def test_an_agents_reply_leaves_a_resolved_ticket_resolved(ticket_at: TicketAt, after_noon: At) -> None:
    """Only the customer's word reopens."""
    decision = do(ticket_at(Step.RESOLVED), commands.Reply(body="Anything else?"), after_noon(9))
    assert decision.ticket.step is Step.RESOLVED


def test_a_reply_on_a_closed_ticket_says_what_to_do(ticket_at: TicketAt, after_noon: At) -> None:
    """The refusal tells the writer to reopen the ticket or to continue it by another one."""
    with pytest.raises(TransitionRefused, match=r"reopen it, or open a ticket that continues it \(follow-up\)"):
        do(ticket_at(Step.CLOSED), commands.Reply(body="Hello?"), after_noon(9))


IN_AN_HOUR = CaseRules(reopen_within={Kind.INCIDENT: timedelta(hours=1)})
FROM_CUSTOMER = commands.Reply(body="It came back.", author_kind=AuthorKind.CUSTOMER)


def test_a_customers_reply_reopens_a_closed_ticket_for_as_long_as_the_settings_say(
    ticket_at: TicketAt, after_noon: At
) -> None:
    """At the last instant of the window it begins the next cycle and counts there; the reply comes after it."""
    ticket = ticket_at(Step.CLOSED)
    decision = decide(ticket, FROM_CUSTOMER, after_noon(60), message_id=uuid4(), rules=IN_AN_HOUR)
    assert [type(fact.data) for fact in decision.facts] == [TicketReopened, TicketReplied]
    assert (decision.ticket.step, decision.ticket.cycle, decision.ticket.closed_at) == (Step.RECEIVED, 2, None)
    assert decision.message is not None


@pytest.mark.parametrize(
    ("changed", "command", "minutes"),
    [
        ({}, FROM_CUSTOMER, 60.1),
        ({}, commands.Reply(body="Anything else?"), 1),
        ({"kind": Kind.QUESTION}, FROM_CUSTOMER, 1),
        ({"merged_into": UUID(int=3)}, FROM_CUSTOMER, 1),
    ],
    ids=["too late", "an agent's", "another kind", "merged"],
)
def test_nothing_else_reopens_a_closed_ticket(
    ticket_at: TicketAt, after_noon: At, changed: dict[str, Any], command: commands.Reply, minutes: float
) -> None:
    """After the window, from the support side, of a kind without a window, or merged: refused as before."""
    ticket = replace(ticket_at(Step.CLOSED), **changed)
    with pytest.raises(TransitionRefused):
        decide(ticket, command, after_noon(minutes), message_id=uuid4(), rules=IN_AN_HOUR)
    if not changed:
        with pytest.raises(TransitionRefused):
            decide(ticket, FROM_CUSTOMER, after_noon(1), message_id=uuid4(), rules=IN_AN_HOUR, history=True)


@pytest.mark.parametrize(
    ("waiting_on", "author_kind", "resumes"),
    [
        (WaitingOn.CUSTOMER, AuthorKind.CUSTOMER, True),
        (WaitingOn.CUSTOMER, AuthorKind.AGENT, False),
        (WaitingOn.THIRD_PARTY, AuthorKind.CUSTOMER, False),
        (WaitingOn.CHANGE, AuthorKind.CUSTOMER, False),
    ],
)
def test_the_awaited_reply_ends_the_wait(
    ticket_at: TicketAt, after_noon: At, waiting_on: WaitingOn, author_kind: AuthorKind, *, resumes: bool
) -> None:
    """A ticket that waits for the customer goes on when the customer writes, and only then."""
    held = do(ticket_at(Step.ASSESSED), commands.Hold(waiting_on=waiting_on), after_noon(1)).ticket
    decision = do(held, commands.Reply(body="Here it is", author_kind=author_kind), after_noon(2))
    assert isinstance(decision.facts[0].data, TicketResumed) is resumes
    assert (decision.ticket.waiting_on is None) is resumes


def test_a_second_hold_replaces_the_first(ticket_at: TicketAt, after_noon: At) -> None:
    """Holding again changes whom the ticket waits for."""
    held = do(ticket_at(Step.ASSESSED), commands.Hold(waiting_on=WaitingOn.CUSTOMER), after_noon(1)).ticket
    assert "resume" in allowed_actions(held)
    again = do(held, commands.Hold(waiting_on=WaitingOn.CHANGE), after_noon(2)).ticket
    assert again.waiting_on is WaitingOn.CHANGE
    assert do(again, commands.Resume(), after_noon(3)).ticket.waiting_on is None


def test_resolving_ends_a_wait(ticket_at: TicketAt, after_noon: At) -> None:
    """A held ticket that is resolved is resumed first, so that a clock which runs until closing goes on."""
    held = do(ticket_at(Step.ASSESSED), commands.Hold(waiting_on=WaitingOn.CUSTOMER), after_noon(1)).ticket
    decision = do(held, commands.Resolve(), after_noon(2))
    assert [type(fact.data) for fact in decision.facts] == [TicketResumed, TicketResolved]
    assert (decision.ticket.waiting_on, decision.ticket.resolved_at) == (None, after_noon(2))


@pytest.mark.parametrize("code", [None, ResolutionCode.SOLVED, ResolutionCode.OTHER])
def test_an_unresolved_ticket_is_not_closed_as_if_it_were_solved(
    ticket_at: TicketAt, after_noon: At, code: ResolutionCode | None
) -> None:
    """Closing without resolving needs the code cancelled or duplicate."""
    with pytest.raises(TransitionRefused, match="cancelled or duplicate"):
        do(ticket_at(Step.ASSESSED), commands.Close(resolution_code=code), after_noon(1))


def test_closing_keeps_the_code_of_the_resolution(ticket_at: TicketAt, after_noon: At) -> None:
    """A close without a code takes the one with which the ticket was resolved."""
    resolve = commands.Resolve(resolution_code=ResolutionCode.WORKAROUND)
    resolved = do(ticket_at(Step.RECEIVED), resolve, after_noon(1)).ticket
    closed = do(resolved, commands.Close(), after_noon(2))
    assert isinstance(closed.facts[0].data, TicketClosed)
    assert closed.facts[0].data.resolution_code is ResolutionCode.WORKAROUND


def test_reopening_counts_the_cycle(ticket_at: TicketAt, after_noon: At) -> None:
    """Each reopening begins the next cycle at the first step, with nothing left of the last resolution."""
    again = do(ticket_at(Step.CLOSED), commands.Reopen(reason="came back"), after_noon(5)).ticket
    assert (again.cycle, again.step, again.closed_at, again.cycle_started_at) == (2, Step.RECEIVED, None, after_noon(5))


def test_assigning_changes_what_is_named_only(ticket_at: TicketAt, after_noon: At) -> None:
    """An absent field keeps its value, null means nobody, nothing named is an error, no change is no fact."""
    first = do(ticket_at(Step.RECEIVED), commands.Assign(group="network", assignee="anna"), after_noon(1)).ticket
    second = do(first, commands.Assign(assignee=None), after_noon(2))
    assert second.facts[0].data == TicketAssigned(ticket_id=first.id, group="network")
    assert do(second.ticket, commands.Assign(group="network"), after_noon(3)).facts == ()
    with pytest.raises(NothingGiven):
        do(first, commands.Assign(), after_noon(2))


def test_an_update_tells_the_changed_fields_only(ticket_at: TicketAt, after_noon: At) -> None:
    """The fact names what changed; the same values again are no fact."""
    update = commands.Update(title="The printer prints nothing", product="printer")
    decision = do(ticket_at(Step.RECEIVED), update, after_noon(1))
    assert decision.facts[0].data == TicketUpdated(ticket_id=decision.ticket.id, product="printer")
    assert do(decision.ticket, update, after_noon(2)).facts == ()


def test_a_stale_version_is_refused(ticket_at: TicketAt, after_noon: At) -> None:
    """Whoever names the version he saw is told when it has moved on."""
    with pytest.raises(VersionConflict, match="at version 1, not 7"):
        do(ticket_at(Step.RECEIVED), commands.Assess(expected_version=7), after_noon(1))


def test_live_facts_never_go_back_in_time(ticket_at: TicketAt, after_noon: At) -> None:
    """When the clock stands behind the ticket's last fact, the next one carries the last one's time."""
    assessed = do(ticket_at(Step.RECEIVED), commands.Assess(), after_noon(10)).ticket
    assert do(assessed, commands.Note(body="x"), after_noon(9)).facts[0].time == after_noon(10)


def test_a_call_is_logged_with_its_own_time(ticket_at: TicketAt, after_noon: At) -> None:
    """A reply of an hour ago keeps that time, and the ticket's last time stays."""
    assessed = do(ticket_at(Step.RECEIVED), commands.Assess(), after_noon(60)).ticket
    reply = commands.Reply(body="By phone", occurred_at=after_noon(5), channel=Channel.PHONE)
    decision = do(assessed, reply, after_noon(65))
    assert (decision.facts[0].time, decision.ticket.last_time) == (after_noon(5), after_noon(60))


@pytest.mark.parametrize("minutes", [-1, 66])
def test_a_time_that_cannot_be_is_refused(ticket_at: TicketAt, after_noon: At, minutes: float) -> None:
    """Nothing happens before the ticket was opened, or in the future."""
    reply = commands.Reply(body="By phone", occurred_at=after_noon(minutes))
    with pytest.raises(ImpossibleTime):
        do(ticket_at(Step.RECEIVED), reply, after_noon(65))


def test_a_wait_cannot_begin_before_the_last_one_ended(ticket_at: TicketAt, after_noon: At) -> None:
    """Waits that are logged late must not overlap: time order and ticket would disagree on whether it waits."""
    held = do(ticket_at(Step.ASSESSED), commands.Hold(waiting_on=WaitingOn.CUSTOMER), after_noon(10)).ticket
    resumed = do(held, commands.Resume(occurred_at=after_noon(20)), after_noon(30)).ticket
    assert resumed.waiting_changed_at == after_noon(20)
    with pytest.raises(ImpossibleTime):
        do(resumed, commands.Hold(waiting_on=WaitingOn.CHANGE, occurred_at=after_noon(15)), after_noon(40))
    late = do(resumed, commands.Hold(waiting_on=WaitingOn.CHANGE, occurred_at=after_noon(25)), after_noon(40))
    assert late.facts[0].time == after_noon(25)


def test_a_resolution_cannot_be_earlier_than_its_cycle(ticket_at: TicketAt, after_noon: At) -> None:
    """What was resolved before the reopening did not resolve the new cycle."""
    reopened = do(ticket_at(Step.CLOSED), commands.Reopen(), after_noon(10)).ticket
    with pytest.raises(ImpossibleTime):
        do(reopened, commands.Resolve(occurred_at=after_noon(9)), after_noon(20))


def test_a_late_reply_reopens_at_its_own_time_but_not_before_the_resolution(
    ticket_at: TicketAt, after_noon: At
) -> None:
    """The reopening carries the reply's time, or the resolution's when the customer had written before it."""
    resolved = do(ticket_at(Step.ASSESSED), commands.Resolve(), after_noon(30)).ticket
    for minutes, reopened in ((40, 40), (20, 30)):
        reply = commands.Reply(body="No", author_kind=AuthorKind.CUSTOMER, occurred_at=after_noon(minutes))
        facts = do(resolved, reply, after_noon(60)).facts
        assert [fact.time for fact in facts] == [after_noon(reopened), after_noon(minutes)]


def test_history_keeps_the_times_of_the_log(ticket_at: TicketAt, after_noon: At) -> None:
    """Imported facts carry exactly the log's time, even when the log goes back."""
    assessed = do(ticket_at(Step.RECEIVED), commands.Assess(), after_noon(60)).ticket
    earlier = after_noon(60) - timedelta(minutes=30)
    decision = decide(assessed, commands.Resolve(), earlier, message_id=uuid4(), history=True)
    assert decision.facts[0].time == earlier


def test_history_obeys_the_same_transitions(ticket_at: TicketAt, after_noon: At) -> None:
    """An import cannot do what live work may not."""
    with pytest.raises(TransitionRefused):
        decide(ticket_at(Step.RECEIVED), commands.Verify(), after_noon(1), message_id=uuid4(), history=True)


def test_an_imported_ticket_joins_live_time_once(after_noon: At) -> None:
    """Joining is a fact of its own, at any step; a ticket that lives already gets none."""
    ticket = open_ticket(
        Open(title="Old"), after_noon(0), ticket_id=uuid4(), number=1, message_id=uuid4(), import_id=uuid4()
    ).ticket
    joined = join_live(ticket, after_noon(5))
    assert joined.facts[0].data == TicketUpdated(ticket_id=ticket.id, joined_live=True)
    assert joined.ticket.import_id is None
    assert join_live(joined.ticket, after_noon(6)).facts == ()


def test_messages_know_their_author(ticket_at: TicketAt, after_noon: At) -> None:
    """Whoever makes the call is the author unless another one is named."""
    own = do(ticket_at(Step.RECEIVED), commands.Reply(body="Hello"), after_noon(1), "agent:anna").message
    named = do(ticket_at(Step.RECEIVED), commands.Note(body="Hm", author="agent:boris"), after_noon(1)).message
    assert own is not None
    assert named is not None
    assert (own.author, own.visibility, own.sequence) == ("agent:anna", "public", 2)
    assert (named.author, named.visibility) == ("agent:boris", "internal")
