"""Rules as data: who is told what."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from opora_contracts import Event, Fact
from opora_contracts.commitments import CommitmentBreached, CommitmentEscalated, CommitmentWarning
from opora_contracts.feedback import FeedbackAlerted, SurveyRequested
from opora_contracts.sla import SlaBreached, SlaEscalated
from opora_contracts.tickets import (
    TicketAssessed,
    TicketAssigned,
    TicketCreated,
    TicketNoted,
    TicketReplied,
    TicketUpdated,
)
from opora_contracts.vocabulary import AuthorKind, Channel, Kind, Level, MessageChannel, Metric, Priority
from opora_notify import handlers, rendering
from opora_notify.api import check_rules
from opora_notify.domain import rules, tickets
from opora_notify.domain.rules import Directory, Draft, Endpoint, Rule
from opora_notify.domain.tickets import Ticket

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
TICKET = UUID("0195512a-0000-7000-8000-000000000001")
CUSTOMER = UUID("0195512a-0000-7000-8000-000000000002")
OTHER = UUID("0195512a-0000-7000-8000-000000000003")
HOOK = UUID("0195512a-0000-7000-8000-000000000004")
DEFAULTS = handlers.packaged_rules().rules
DIRECTORY = Directory(leads={"Network": "lena"}, members={"Network": ("anna", "boris", "lena")})
VPN = Ticket(
    ticket_id=TICKET,
    number="OP-1042",
    title="VPN fails",
    language="en",
    priority="P2",
    requester_id=CUSTOMER,
    assignee="anna",
    group="Network",
)
CREATED = TicketCreated(
    ticket_id=TICKET,
    number="OP-1042",
    title="VPN fails",
    channel=Channel.EMAIL,
    kind=Kind.INCIDENT,
    impact=Level.MEDIUM,
    urgency=Level.HIGH,
    priority=Priority.P2,
    requester_id=CUSTOMER,
)


def event(fact: Fact, **attributes: Any) -> Event[Fact]:
    given: dict[str, Any] = {
        "id": "e-1",
        "source": "/opora/intake",
        "type": fact.event_type,
        "version": 1,
        "time": NOON,
        "subject": str(TICKET),
        "data": fact,
    }
    return Event(**(given | attributes))


def breached(**changes: Any) -> SlaBreached:
    return SlaBreached(
        **{
            "ticket_id": TICKET,
            "metric": Metric.RESOLUTION,
            "cycle": 1,
            "agreement_id": OTHER,
            "agreement_version": 1,
            "due_at": NOON,
            "detected_at": NOON,
            "used_seconds": 14_400,
            "target_seconds": 14_400,
            "priority": Priority.P2,
        }
        | changes
    )


def escalated(*tell: str) -> SlaEscalated:
    fields = breached().model_dump(exclude={"evidence"})
    return SlaEscalated(**fields, level=1, repetition=0, tell=tell, breached=True)


def replied(author_kind: AuthorKind) -> TicketReplied:
    return TicketReplied(ticket_id=TICKET, message_id=OTHER, author_kind=author_kind, channel=Channel.WEB)


def plan(
    fact: Fact,
    rule_set: tuple[Rule, ...] = DEFAULTS,
    ticket: Ticket | None = VPN,
    directory: Directory = DIRECTORY,
    **attributes: Any,
) -> list[Draft]:
    return rules.plan(event(fact, **attributes), rule_set, ticket, directory, now=NOON, stale_after=timedelta(hours=72))


def told(fact: Fact, **options: Any) -> list[tuple[str, str]]:
    return [(draft.recipient, draft.template) for draft in plan(fact, **options)]


def rule(**changes: Any) -> Rule:
    return Rule.model_validate(
        {
            "name": "a-rule",
            "event_type": "ticket.assigned",
            "audience": ["assignee"],
            "channels": ["email"],
            "template": "notice",
        }
        | changes
    )


def test_the_requester_is_told_that_the_request_arrived() -> None:
    """By default a new ticket writes to its requester, even though the requester did it."""
    assert told(CREATED, actor=f"customer:{CUSTOMER}") == [(f"customer:{CUSTOMER}", "ticket_created")]


def test_only_an_agents_reply_goes_to_the_requester() -> None:
    """By default the requester gets what agents answer, and not an echo of their own words."""
    assert told(replied(AuthorKind.AGENT)) == [(f"customer:{CUSTOMER}", "ticket_replied")]
    assert told(replied(AuthorKind.CUSTOMER)) == []


def test_watchers_are_told_what_the_requester_is_told() -> None:
    """Customers and agents who watch get what agents answer; the requester no second letter, the author none."""
    watched = replace(VPN, watchers=(f"customer:{OTHER}", f"customer:{CUSTOMER}", "agent:lena"))
    others = [(f"customer:{OTHER}", "ticket_watched"), ("agent:lena", "ticket_watched")]
    assert told(replied(AuthorKind.AGENT), ticket=watched) == [(f"customer:{CUSTOMER}", "ticket_replied"), *others]
    assert told(replied(AuthorKind.AGENT), ticket=watched, actor="agent:lena")[1:] == others[:1]
    assert told(replied(AuthorKind.CUSTOMER), ticket=watched) == []
    assert told(TicketNoted(ticket_id=TICKET, message_id=OTHER), ticket=watched) == []


def test_an_internal_note_tells_nobody() -> None:
    """By default a note, which customers must never see, leads to no message."""
    assert told(TicketNoted(ticket_id=TICKET, message_id=OTHER)) == []


def test_a_breach_goes_to_the_assignee_and_the_lead() -> None:
    """By default a breach tells the ticket's assignee and the lead of its group."""
    assert told(breached()) == [("agent:anna", "sla_breached"), ("agent:lena", "sla_breached")]


@pytest.mark.parametrize(
    ("kind", "recipients"),
    [
        ("ola", ["agent:anna", "agent:nils", "agent:nora"]),
        ("uc", ["agent:anna", "agent:lena"]),
        ("sla", ["agent:anna", "agent:lena"]),
    ],
)
def test_a_broken_commitment_goes_to_those_who_owe_it(kind: str, recipients: list[str]) -> None:
    """What a group owes tells its members and the assignee; what others owe, the assignee and the lead."""
    directory = replace(DIRECTORY, members={"Network": ("anna", "nils", "nora")})
    fields = breached().model_dump() | {"metric": "operational", "agreement_kind": kind, "party": "Network"}
    late = CommitmentBreached.model_validate(fields)
    warned = CommitmentWarning.model_validate({**late.model_dump(exclude={"evidence"}), "percent": 75})
    for fact, template in ((late, "commitment_breached"), (warned, "commitment_warning")):
        assert told(fact, directory=directory) == [(recipient, template) for recipient in recipients]


def test_an_escalated_commitment_goes_to_those_whom_its_step_names() -> None:
    """As with the other clocks, by the ticket's group or by name."""
    fields = escalated("lead", "agent:boss").model_dump() | {"metric": "underpinning", "agreement_kind": "uc"}
    assert told(CommitmentEscalated.model_validate(fields)) == [
        ("agent:lena", "commitment_escalated"),
        ("agent:boss", "commitment_escalated"),
    ]


def test_an_escalation_goes_to_those_whom_its_step_names() -> None:
    """By the ticket's group or by name, each once; on call is the lead where nobody else is named."""
    directory = replace(DIRECTORY, leads={"Network": "lena", "Servers": "sara"}, on_call={"Servers": "oleg"})
    told_now = {
        whom: [recipient for recipient, _ in told(escalated(*whom), directory=directory)]
        for whom in (
            ("assignee",),
            ("lead", "on_call"),
            ("on_call:Servers", "lead:Servers"),
            ("group:Network",),
            ("agent:boss", "agent:boss"),
        )
    }
    assert told_now == {
        ("assignee",): ["agent:anna"],
        ("lead", "on_call"): ["agent:lena"],
        ("on_call:Servers", "lead:Servers"): ["agent:oleg", "agent:sara"],
        ("group:Network",): ["agent:anna", "agent:boris", "agent:lena"],
        ("agent:boss", "agent:boss"): ["agent:boss"],
    }
    (unled,) = plan(escalated("on_call:Databases"))
    assert (unled.recipient, bool(unled.withheld)) == ("lead:Databases", True)


def test_a_lead_who_is_the_assignee_gets_one_message() -> None:
    """One person who is reached twice by one event gets one message."""
    assert told(breached(assignee="lena")) == [("agent:lena", "sla_breached")]


def test_the_facts_own_people_come_before_the_remembered_ones() -> None:
    """What the fact says of assignee and group counts more than what the ticket said before."""
    assert told(breached(assignee="boris", group="Databases"), ticket=VPN)[0] == ("agent:boris", "sla_breached")


def test_a_fact_that_is_ahead_of_its_ticket_still_reaches_its_people() -> None:
    """A breach read before the ticket's own facts goes to the people whom it names itself."""
    assert told(breached(assignee="anna", group="Network"), ticket=None) == [
        ("agent:anna", "sla_breached"),
        ("agent:lena", "sla_breached"),
    ]


def test_a_group_without_a_lead_is_seen() -> None:
    """Where nobody leads the group, the message is kept as withheld, with the advice what to do."""
    (draft,) = plan(breached(group="Databases"), ticket=None)
    assert draft.recipient == "lead:Databases"
    assert "PUT /v1/groups" in str(draft.withheld)


def test_a_survey_goes_to_the_customer_it_names() -> None:
    """A survey reaches its own customer, whoever the ticket's requester is by now."""
    fact = SurveyRequested(survey_id=HOOK, ticket_id=TICKET, cycle=1, customer_id=OTHER, expires_at=NOON)
    assert told(fact) == [(f"customer:{OTHER}", "survey_requested")]


def test_a_low_rating_goes_to_the_lead() -> None:
    """By default a low rating tells the lead of the group, not the one who was rated."""
    fact = FeedbackAlerted(survey_id=HOOK, ticket_id=TICKET, cycle=1, customer_id=CUSTOMER, score=1, threshold=2)
    assert told(fact) == [("agent:lena", "feedback_alerted")]


def test_an_agent_is_not_told_of_their_own_act() -> None:
    """An agent who takes a ticket gets no message that it is theirs; another one does."""
    fact = TicketAssigned(ticket_id=TICKET, group="Network", assignee="anna")
    assert told(fact, rule_set=(rule(),), actor="agent:anna") == []
    assert told(fact, rule_set=(rule(),), actor="agent:lena") == [("agent:anna", "notice")]


def test_a_rule_can_name_a_group_and_an_address() -> None:
    """A group reaches all its members; a fixed address is kept apart from the reference that others see."""
    fact = TicketAssigned(ticket_id=TICKET, group="Network")
    *members, fixed = plan(fact, (rule(audience=["group", "address:noc@example.com"]),))
    assert [draft.recipient for draft in members] == ["agent:anna", "agent:boris", "agent:lena"]
    assert fixed.address == "noc@example.com"
    assert fixed.recipient.startswith("address:")
    assert "noc" not in fixed.recipient


def test_every_condition_must_hold() -> None:
    """A rule speaks when each of its conditions names the value, in the fact or in the ticket."""
    fact = breached()
    assert plan(fact, (rule(event_type="sla.*", conditions={"priority": ["P1", "P2"], "group": ["Network"]}),))
    assert not plan(fact, (rule(event_type="sla.*", conditions={"priority": ["P2"], "group": ["Databases"]}),))
    assert not plan(fact, (rule(event_type="sla.*", conditions={"no_such_field": ["x"]}),))
    assert not plan(fact, (rule(event_type="sla.*", enabled=False),))


def test_an_endpoint_gets_what_it_asked_for() -> None:
    """Webhooks are planned for the endpoints whose types or patterns match, one message each."""
    hooks = Directory(
        endpoints=(Endpoint(HOOK, ("sla.breached",)), Endpoint(OTHER, ("ticket.*",)), Endpoint(TICKET, ("*",)))
    )
    drafts = plan(breached(), directory=hooks, ticket=None)
    assert [(draft.channel, draft.recipient) for draft in drafts] == [
        (MessageChannel.WEBHOOK, f"webhook:{HOOK}"),
        (MessageChannel.WEBHOOK, f"webhook:{TICKET}"),
    ]


def test_an_old_event_sends_nothing() -> None:
    """A service that is built late from old facts withholds their messages."""
    (draft,) = plan(CREATED, time=NOON - timedelta(hours=73))
    assert draft.withheld == "the event is older than messages may be"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"audience": ["everybody"]}, "audience"),
        ({"audience": ["address:not an address"]}, "audience"),
        ({"audience": ["address:a@b\r\nBcc: c@d"]}, "audience"),
        ({"audience": ["webhooks"]}, "channel"),
        ({"channels": ["webhook"]}, "channel"),
        ({"event_type": "ticket.exploded"}, "no event has the type"),
        ({"event_type": "customer.*"}, "no event has the type"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_rule_that_cannot_work_is_refused(changes: dict[str, Any], message: str) -> None:
    """A rule is refused when it names nobody, the wrong channel, an unknown event or an unknown field."""
    with pytest.raises(ValidationError, match=message):
        rule(**changes)


def test_the_default_rules_can_be_carried_out() -> None:
    """Every default names a template that exists in every language."""
    check_rules(DEFAULTS)
    assert {one.template for one in DEFAULTS} <= rendering.template_names() | {"event"}


def test_a_ticket_is_what_its_facts_say() -> None:
    """Number, title and people follow the facts; what a fact leaves out stays; one before the first is passed over."""
    assigned = TicketAssigned(ticket_id=TICKET, group="Network", assignee="anna")
    assert tickets.apply(None, assigned) is None
    ticket = tickets.apply(tickets.apply(None, CREATED), assigned)
    assert ticket == VPN
    renamed = tickets.apply(ticket, TicketUpdated(ticket_id=TICKET, title="VPN drops", product="VPN"))
    assert renamed == replace(VPN, title="VPN drops", product="VPN")
    assessed = tickets.apply(
        renamed,
        TicketAssessed(ticket_id=TICKET, impact=Level.HIGH, urgency=Level.HIGH, priority=Priority.P1, category="net"),
    )
    assert assessed == replace(VPN, title="VPN drops", product="VPN", priority="P1", category="net")
    watched = tickets.apply(assessed, TicketUpdated(ticket_id=TICKET, watchers=("agent:lena",)))
    assert watched is not None
    assert watched.watchers == ("agent:lena",)
    assert tickets.apply(watched, TicketUpdated(ticket_id=TICKET, title="VPN")) == replace(watched, title="VPN")
    assert tickets.apply(watched, TicketUpdated(ticket_id=TICKET, watchers=())) == replace(watched, watchers=())
    nobody = tickets.apply(ticket, TicketAssigned(ticket_id=TICKET))
    assert nobody == replace(VPN, group=None, assignee=None)
