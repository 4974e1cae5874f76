"""Going on from where a ticket was judged last gives what folding all its facts anew gives."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opora_contracts.event import Event
from opora_contracts.tickets import (
    TicketAssessed,
    TicketAssigned,
    TicketClosed,
    TicketCreated,
    TicketFact,
    TicketHeld,
    TicketReopened,
    TicketReplied,
    TicketResolved,
    TicketResumed,
    TicketUpdated,
)
from opora_contracts.vocabulary import (
    AuthorKind,
    Channel,
    Kind,
    Level,
    Priority,
    ResolutionCode,
    WaitingOn,
)
from opora_sla.agreement import Agreement, AgreementDocument, read_agreement
from opora_sla.domain import (
    Case,
    Decision,
    advance,
    needs_history,
    open_case,
    waypoint_from_json,
    waypoint_to_json,
)

TICKET = UUID(int=77)
T0 = datetime(2026, 3, 27, 9, 0, tzinfo=UTC)
_RESPONSE = {"P1": {"minutes": 20}, "P2": {"hours": 1}, "P4": {"hours": 6}}
_LADDER = {
    "pauses": ["customer", "change"],
    "pause_caps": {"customer": {"minutes": 70}, "change": {"hours": 3}},
    "warn_before": [{"minutes": 40}],
    "escalation": {
        "steps": [
            {"at_percent": 40, "tell": ["lead"], "repeat": {"every": {"minutes": 50}, "times": 3}},
            {"before_due": {"minutes": 30}, "tell": ["group"]},
            {"after_due": {"minutes": 45}, "tell": ["on_call"], "working_hours": False},
            {"after_due": {"hours": 2}, "tell": ["lead"], "repeat": {"every": {"hours": 1}, "times": 2}},
        ],
        "stops_on": ["acknowledged", "held"],
    },
}
_COMMITMENTS = {
    "update": {"targets": _RESPONSE, "warn_at_percent": [50]},
    "operational": {
        "printers": {"targets": {"P1": {"minutes": 50}, "P2": {"hours": 3}}, **_LADDER},
        "network": {"targets": _RESPONSE, "pauses": ["third_party"]},
    },
    "underpinning": {"targets": {"P1": {"minutes": 90}, "P2": {"hours": 2}}, "escalation": _LADDER["escalation"]},
}
AGREEMENTS: list[dict[str, Any]] = [
    {
        "metrics": {
            "first_response": {"targets": _RESPONSE, "warn_at_percent": [50, 75]},
            "next_response": {"targets": _RESPONSE, "pauses": ["third_party"]},
            "resolution": {
                "targets": {"P1": {"hours": 2}, "P2": {"hours": 5}, "P3": {"hours": 9}},
                "pauses": ["customer"],
                "warn_at_percent": [25, 80],
                "until": until,
                **more,
            },
            **others,
        },
        **hours,
    }
    for until in ("resolved", "closed")
    for more, others in (({}, {}), (_LADDER, {}), ({}, _COMMITMENTS), (_LADDER, _COMMITMENTS))
    for hours in (
        {},
        {"time_zone": "Europe/Berlin", "weekly_hours": {day: [["08:00", "17:00"]] for day in ("fri", "sat", "sun")}},
    )
]


def _said_by(author: AuthorKind) -> TicketReplied:
    return TicketReplied(ticket_id=TICKET, message_id=UUID(int=4), author_kind=author, channel=Channel.EMAIL)


def _assessed(priority: Priority) -> TicketAssessed:
    return TicketAssessed(
        ticket_id=TICKET, kind=Kind.INCIDENT, impact=Level.HIGH, urgency=Level.HIGH, priority=priority
    )


FACTS: list[TicketFact] = [
    *(_assessed(priority) for priority in Priority),
    *(TicketHeld(ticket_id=TICKET, waiting_on=waiting_on) for waiting_on in WaitingOn),
    *(_said_by(author) for author in AuthorKind),
    TicketResumed(ticket_id=TICKET),
    TicketAssigned(ticket_id=TICKET, assignee="anna", group="printers"),
    *(TicketAssigned(ticket_id=TICKET, group=group) for group in (None, "desk", "network", "printers")),
    TicketResolved(ticket_id=TICKET, cycle=1, resolution_code=ResolutionCode.SOLVED),
    TicketClosed(ticket_id=TICKET, cycle=1, resolution_code=ResolutionCode.SOLVED),
    TicketReopened(ticket_id=TICKET, cycle=2),
    TicketUpdated(ticket_id=TICKET, joined_live=True),
    TicketUpdated(ticket_id=TICKET, title="Another title"),
]
TALK = [_said_by(author) for author in AuthorKind]
HAPPENINGS = st.lists(
    st.tuples(
        st.integers(0, 200),
        st.sampled_from([*FACTS, *TALK, *TALK, *TALK, None, None, None, None]),  # None: time alone
        st.sampled_from([*[False] * 9, True]),  # late: it happened before what is known already
    ),
    max_size=20,
)


def _event(sequence: int, at: datetime, data: TicketFact, import_id: str | None) -> Event[Any]:
    return Event(
        id=f"e{sequence}",
        source="/opora/intake",
        type=data.event_type,
        version=1,
        time=at,
        subject=str(TICKET),
        data=data,
        sequence=sequence,
        import_id=import_id,
        partition=5,
    )


def _opened(agreement: Agreement, import_id: str | None) -> Case:
    data = TicketCreated(
        ticket_id=TICKET,
        number="OP-1",
        title="It does not print",
        channel=Channel.EMAIL,
        kind=Kind.INCIDENT,
        impact=Level.HIGH,
        urgency=Level.HIGH,
        priority=Priority.P2,
    )
    created: Event[TicketCreated] = _event(1, T0, data, import_id)
    return advance(open_case(created, agreement), [created], agreement, judged_at=T0, now=T0).case


def _going_on(case: Case, events: Sequence[Event[TicketFact]]) -> Case:
    """The case as the store gives it: its history only where that is needed, its waypoint through JSON."""
    if needs_history(case, events):
        return case
    assert case.waypoint is not None
    written = json.dumps(waypoint_to_json(case.waypoint))
    return case._replace(history=None, waypoint=waypoint_from_json(json.loads(written)))


def _same(one: Decision, other: Decision) -> None:
    assert one.events == other.events
    assert one.new_facts == other.new_facts
    assert set(one.new_keys) == set(other.new_keys)
    assert one.case._replace(history=None, waypoint=None) == other.case._replace(history=None, waypoint=None)
    anew = {clock.key: clock._replace(changed=True, intervals=()) for clock in other.clocks.clocks}
    for clock in one.clocks.clocks:
        assert clock._replace(changed=True, intervals=()) == anew[clock.key]


@settings(max_examples=500, deadline=None)
@given(
    document=st.sampled_from(AGREEMENTS),
    happenings=HAPPENINGS,
    joined=st.sets(st.integers(1, 20)),
    import_id=st.sampled_from([None, "import-1"]),
)
def test_going_on_says_and_keeps_what_folding_anew_does(
    document: dict[str, Any],
    happenings: list[tuple[int, TicketFact | None, bool]],
    joined: set[int],
    import_id: str | None,
) -> None:
    """Every fact, number and clock, for facts in order and late ones, in batches however cut, live and imported."""
    agreement = read_agreement(UUID(int=1), 3, AgreementDocument.model_validate({"name": "test", **document}), T0)
    going_on = anew = _opened(agreement, import_id)
    at, sequence, batch = T0, 1, []
    for place, (minutes, data, late) in enumerate(happenings, start=1):
        now = at if late else at + timedelta(minutes=minutes)
        if data is not None:
            sequence += 1
            happened = max(T0, now - timedelta(minutes=minutes if late else 0))
            batch.append(_event(sequence, happened, data, import_id))
        at = now
        if data is not None and place in joined and place < len(happenings):
            continue
        judged_at = now if data is None else batch[-1].time
        history = anew.history
        assert history is not None
        one = advance(_going_on(going_on, batch), batch, agreement, judged_at=judged_at, now=now)
        other = advance(anew._replace(waypoint=None), batch, agreement, judged_at=judged_at, now=now)
        _same(one, other)
        assert other.case.history is not None
        going_on, anew, batch = one.case._replace(history=other.case.history), other.case, []


def test_only_a_late_fact_needs_the_history() -> None:
    """A fact in the order of time costs the same however long the ticket's history is: its history is not read."""
    agreement = read_agreement(UUID(int=1), 3, AgreementDocument.model_validate({"name": "test", **AGREEMENTS[0]}), T0)
    case = _opened(agreement, None)._replace(history=None)
    in_order = [_event(2, T0 + timedelta(minutes=5), FACTS[0], None)]
    assert not needs_history(case, in_order)
    case = advance(case, in_order, agreement, judged_at=T0, now=T0).case
    late = [_event(3, T0 + timedelta(minutes=4), FACTS[1], None)]
    assert needs_history(case, late)
    with pytest.raises(ValueError, match="its history was not read"):
        advance(case, late, agreement, judged_at=T0, now=T0)


def test_a_waypoint_of_another_form_is_not_gone_on_from() -> None:
    """Code of before or after may write another form: the ticket is folded anew then."""
    agreement = read_agreement(UUID(int=1), 3, AgreementDocument.model_validate({"name": "test", **AGREEMENTS[0]}), T0)
    waypoint = _opened(agreement, None).waypoint
    assert waypoint is not None
    written = waypoint_to_json(waypoint)
    assert waypoint_from_json(json.loads(json.dumps(written))) is not None
    assert waypoint_from_json([written[0] + 1, *written[1:]]) is None
