"""Macros: what may be kept, what is filled in, and that all is carried out or nothing."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from opora_contracts.vocabulary import Step, WaitingOn
from opora_intake.domain import (
    ACTIONS,
    CaseRules,
    Open,
    Ticket,
    UnlistedValue,
    VersionConflict,
    commands,
    decide,
    open_ticket,
)
from opora_intake.domain.errors import BadValue, RuleBroken, TransitionRefused
from opora_intake.domain.macros import (
    MOST_OPERATIONS,
    MacroDraft,
    Operation,
    OperationRefused,
    check_operations,
    commands_of,
    decide_all,
)
from services.intake.tests.conftest import NOON
from services.intake.tests.test_intake_case_properties import COMMANDS

At = Callable[[float], datetime]
TicketAt = Callable[[Step], Ticket]


def reply_body(text: str, ticket: Ticket, name: str | None) -> str:
    (command,) = commands_of([Operation(action="reply", data={"body": text})], ticket, name)
    assert isinstance(command, commands.Reply)
    return command.body


@pytest.mark.parametrize(
    ("action", "data", "told"),
    [
        ("explode", {}, "there is no action explode: use one of assess, assign"),
        ("create", {"title": "x"}, "there is no action create"),
        ("hold", {}, "hold: waiting_on: Field required"),
        ("hold", {"waiting_on": "godot"}, "hold: waiting_on"),
        ("assign", {"grup": "platform"}, "assign: grup"),
        ("reply", {}, "reply needs a body"),
        ("note", {"body": " \n"}, "note needs a body"),
        ("reply", {"body": "Dear {{name}}"}, r"there is no placeholder \{\{name\}\}: use \{\{number\}\}"),
        ("resolve", {"resolution": "{{ nothing|x }}"}, "there is no placeholder"),
        ("reply", {"body": "x", "author_kind": "customer"}, "gives no author_kind"),
        ("note", {"body": "x", "author": "anna"}, "gives no author"),
        ("hold", {"waiting_on": "customer", "occurred_at": "2026-03-02T09:00:00Z"}, "gives no occurred_at"),
        ("tag", {"tags": ["x"], "expected_version": 3}, "gives no expected_version"),
    ],
)
def test_an_operation_that_can_never_be_carried_out_is_not_kept(action: str, data: dict[str, Any], told: str) -> None:
    """What is no command, lacks a field, speaks for somebody else or names no placeholder is not saved."""
    with pytest.raises(ValidationError, match=told):
        Operation(action=action, data=data)


def test_every_command_to_one_ticket_may_stand_in_a_macro() -> None:
    """All verbs are known, and a macro has 1 to 20 operations."""
    least: dict[str, dict[str, Any]] = {
        "hold": {"waiting_on": "customer"},
        "reply": {"body": "x"},
        "note": {"body": "x"},
        "tag": {"tags": ["x"]},
        "untag": {"tags": ["x"]},
        "watch": {"watchers": ["agent:anna"]},
        "unwatch": {"watchers": ["agent:anna"]},
        "set_fields": {"values": {"affected": 1}},
    }
    operations = tuple(Operation(action=action, data=least.get(action, {})) for action in ACTIONS)
    assert len(MacroDraft(description="all", operations=operations).operations) == len(ACTIONS)
    for count in (0, MOST_OPERATIONS + 1):
        with pytest.raises(ValidationError, match=r"at (least|most)"):
            MacroDraft(description="x", operations=operations[:1] * count)


def test_lists_of_the_settings_hold_for_macros() -> None:
    """A category that the settings do not list is refused when the macro is saved, and the operation is named."""
    operations = [Operation(action="resolve"), Operation(action="update", data={"category": "nonsense"})]
    check_operations(operations, CaseRules())
    with pytest.raises(OperationRefused, match="operation 2, update") as refused:
        check_operations(operations, CaseRules(categories=("network",)))
    assert isinstance(refused.value.refusal, UnlistedValue)


def test_placeholders_are_filled_in_once(ticket_at: TicketAt) -> None:
    """Number, title and name stand in the text; what they bring with them is text and no placeholder."""
    ticket = replace(ticket_at(Step.RECEIVED), title="{{requester_name}} is empty")
    text = "{{requester_name}}, {{ number }}: {{title}}; {number} {{"
    assert reply_body(text, ticket, "Carla {{number}}") == (
        "Carla {{number}}, OP-1042: {{requester_name}} is empty; {number} {{"
    )


def test_a_missing_name_is_stood_in_for_or_refused(ticket_at: TicketAt) -> None:
    """Nobody is greeted as nothing: what stands behind the bar is written, without it the macro is refused."""
    ticket = ticket_at(Step.RECEIVED)
    assert reply_body("Dear {{requester_name|customer}}", ticket, None) == "Dear customer"
    assert reply_body("Dear {{requester_name|customer}}", ticket, "Carla") == "Dear Carla"
    assert reply_body("Hello{{requester_name|}}!", ticket, None) == "Hello!"
    with pytest.raises(OperationRefused, match=r"the ticket|The ticket has no requester_name") as refused:
        reply_body("Dear {{requester_name}}", ticket, None)
    assert isinstance(refused.value.refusal, BadValue)


def test_a_text_that_grows_too_long_is_refused(ticket_at: TicketAt) -> None:
    """What is filled in counts: 100,000 characters is the most that a message has."""
    ticket = ticket_at(Step.RECEIVED)
    assert len(reply_body("x" * 99_990 + "{{number}}", replace(ticket, number=1), None)) == 99_994
    with pytest.raises(OperationRefused, match="100000 characters"):
        reply_body("x" * 99_991 + "{{title}}", ticket, None)


def test_each_operation_goes_on_from_the_one_before(ticket_at: TicketAt, after_noon: At) -> None:
    """Facts are numbered through all operations; one that changes nothing leaves none."""
    ticket = ticket_at(Step.ASSESSED)
    asked = [
        commands.Assign(group="platform"),
        commands.Assign(group="platform"),
        commands.Reply(body="Look."),
        commands.Hold(waiting_on=WaitingOn.CUSTOMER),
        commands.Resolve(),
    ]
    decisions = decide_all(
        ticket,
        asked,
        after_noon(5),
        message_ids=[uuid4() for _ in asked],
        actor="agent:anna",
        rules=CaseRules(),
        expected_version=ticket.version,
    )
    told = [(fact.data.event_type, fact.sequence) for decision in decisions for fact in decision.facts]
    assert told == [
        ("ticket.assigned", 3),
        ("ticket.replied", 4),
        ("ticket.held", 5),
        ("ticket.resumed", 6),
        ("ticket.resolved", 7),
    ]
    assert (decisions[-1].ticket.step, decisions[-1].ticket.waiting_on) == (Step.RESOLVED, None)


def test_a_refusal_names_the_operation_and_the_reason(ticket_at: TicketAt, after_noon: At) -> None:
    """The first operation that is not possible is told by place and verb; another version is no operation's fault."""
    ticket = ticket_at(Step.RECEIVED)
    asked = [commands.Note(body="x"), commands.Verify(), commands.Resume()]
    ids = [uuid4() for _ in asked]
    with pytest.raises(OperationRefused, match="operation 2, verify, is refused: Cannot verify") as refused:
        decide_all(ticket, asked, after_noon(1), message_ids=ids, actor=None, rules=CaseRules())
    assert isinstance(refused.value.refusal, TransitionRefused)
    with pytest.raises(VersionConflict):
        decide_all(ticket, asked, after_noon(1), message_ids=ids, actor=None, rules=CaseRules(), expected_version=2)


@given(asked=st.lists(COMMANDS, min_size=1, max_size=8))
def test_a_macro_does_what_its_commands_do_one_by_one(asked: list[commands.Command]) -> None:
    """For any commands: the same ticket as by single calls, or the refusal of the first that a single call refuses."""
    opening = Open(title="The printer prints nothing")
    first = open_ticket(opening, NOON, ticket_id=uuid4(), number=1, message_id=uuid4()).ticket
    ids = [uuid4() for _ in asked]
    ticket, refused_at = first, None
    for position, command in enumerate(asked, 1):
        try:
            ticket = decide(ticket, command, NOON, message_id=ids[position - 1]).ticket
        except RuleBroken:
            refused_at = position
            break

    def at_once() -> Ticket:
        return decide_all(first, asked, NOON, message_ids=ids, actor=None, rules=CaseRules())[-1].ticket

    if refused_at is None:
        assert at_once() == ticket
        return
    with pytest.raises(OperationRefused) as refused:
        at_once()
    assert refused.value.position == refused_at
