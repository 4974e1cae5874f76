"""What is said of groups, third parties and updates: in which family, whose, once, and corrected when it changes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from opora_contracts.commitments import CommitmentCorrected, CommitmentEscalated, CommitmentResumed, CommitmentWarning
from opora_contracts.event import Event, NewEvent
from opora_contracts.sla import SlaStarted
from opora_contracts.tickets import (
    TicketAssigned,
    TicketCreated,
    TicketFact,
    TicketHeld,
    TicketReplied,
    TicketResumed,
)
from opora_contracts.vocabulary import AuthorKind, Channel, Kind, Level, Outcome, Priority, WaitingOn
from opora_sla.agreement import Agreement, AgreementDocument, read_agreement
from opora_sla.domain import Case, Decision, Effect, advance, migrate, open_case
from opora_sla.metrics import ClockMetric

TICKET = UUID(int=77)
T0 = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
FOUR_HOURS: dict[str, Any] = {"targets": {"P1": {"hours": 4}}, "warn_at_percent": []}
NETWORK: dict[str, Any] = {"operational": {"network": FOUR_HOURS}}


def after(hours: float) -> datetime:
    return T0 + timedelta(hours=hours)


def agreed(metrics: dict[str, Any], version: int = 1) -> Agreement:
    document = AgreementDocument.model_validate({"name": "test", "metrics": metrics})
    return read_agreement(UUID(int=1), version, document, T0)


def assigned(group: str | None, assignee: str | None = None) -> TicketAssigned:
    return TicketAssigned(ticket_id=TICKET, group=group, assignee=assignee)


def created(group: str | None = None) -> TicketCreated:
    return TicketCreated(
        ticket_id=TICKET,
        number="OP-1",
        title="It does not print",
        channel=Channel.EMAIL,
        kind=Kind.INCIDENT,
        impact=Level.HIGH,
        urgency=Level.HIGH,
        priority=Priority.P1,
        group=group,
    )


def event(sequence: int, hours: float, data: TicketFact) -> Event[Any]:
    return Event(
        id=f"e{sequence}",
        source="/opora/intake",
        type=data.event_type,
        version=1,
        time=after(hours),
        subject=str(TICKET),
        data=data,
        sequence=sequence,
        partition=5,
    )


class Desk:
    """A ticket as sla follows it, fact by fact."""

    def __init__(self, metrics: dict[str, Any], group: str | None = None) -> None:
        self.agreement = agreed(metrics)
        first: Event[TicketCreated] = event(1, 0, created(group))
        self.said: list[NewEvent] = []
        self.case: Case = open_case(first, self.agreement)
        self._sequence = 1
        self._take([first], 0)

    def say(self, hours: float, data: TicketFact, *, judged: float | None = None) -> Sequence[NewEvent]:
        """A fact that happened then; it becomes known when the ticket is judged."""
        self._sequence += 1
        return self._take([event(self._sequence, hours, data)], hours if judged is None else judged)

    def wait(self, hours: float) -> Sequence[NewEvent]:
        """Time alone."""
        return self._take([], hours)

    def _take(self, events: list[Event[Any]], hours: float) -> Sequence[NewEvent]:
        decision: Decision = advance(self.case, events, self.agreement, judged_at=after(hours), now=after(hours))
        self.case = decision.case
        self.said += decision.events
        return decision.events


def words(events: Sequence[NewEvent]) -> list[tuple[str, str, int, str | None]]:
    """(type, metric, cycle, party)"""
    return [
        (one.data.event_type, one.data.metric, one.data.cycle, getattr(one.data, "party", None))  # type: ignore[attr-defined]
        for one in events
    ]


def test_commitments_are_told_in_a_family_of_their_own_and_numbered_with_the_others() -> None:
    """What readers of sla.* know goes on as before; the others say their kind and whose they are, without a gap."""
    metrics = NETWORK | {"resolution": FOUR_HOURS, "update": FOUR_HOURS, "underpinning": FOUR_HOURS}
    desk = Desk(metrics, group="network")
    desk.say(1, TicketHeld(ticket_id=TICKET, waiting_on=WaitingOn.THIRD_PARTY))
    desk.say(2, TicketResumed(ticket_id=TICKET))
    desk.say(
        3,
        TicketReplied(ticket_id=TICKET, message_id=UUID(int=4), author_kind=AuthorKind.AGENT, channel=Channel.EMAIL),
    )
    assert words(desk.said) == [
        ("sla.started", "resolution", 1, None),
        ("commitment.started", "update", 1, None),
        ("commitment.started", "operational", 1, "network"),
        ("commitment.paused", "operational", 1, "network"),
        ("commitment.started", "underpinning", 1, "third_party"),
        ("commitment.resumed", "operational", 1, "network"),
        ("commitment.met", "underpinning", 1, "third_party"),
        ("commitment.met", "update", 1, None),
        ("commitment.started", "update", 2, None),
    ]
    assert [one.sequence for one in desk.said] == list(range(1, 10))
    assert isinstance(desk.said[0].data, SlaStarted)
    kinds = {one.data.metric: one.data.agreement_kind.value for one in desk.said[1:]}  # type: ignore[attr-defined]
    assert kinds == {"update": "sla", "operational": "ola", "underpinning": "uc"}
    resumed = desk.said[5].data
    assert isinstance(resumed, CommitmentResumed)
    assert (resumed.due_at, resumed.used_seconds) == (after(5), 3_600)


def test_a_group_s_breach_is_said_once_and_names_it() -> None:
    """Its warning, its ladder and its breach, however often it is looked at; leaving afterwards takes nothing back."""
    ladder = {"steps": [{"at_percent": 100, "tell": ["lead"]}]}
    owed = {"targets": {"P1": {"hours": 4}}, "warn_at_percent": [50], "escalation": ladder}
    desk = Desk({"operational": {"network": owed}}, group="network")
    for hours in (2.5, 3, 4, 4.5, 5, 6):
        desk.wait(hours)
    desk.say(7, assigned("desk"))
    desk.wait(20)
    assert words(desk.said) == [
        ("commitment.started", "operational", 1, "network"),
        ("commitment.warning", "operational", 1, "network"),
        ("commitment.breached", "operational", 1, "network"),
        ("commitment.escalated", "operational", 1, "network"),
    ]
    warning, escalated = desk.said[1].data, desk.said[3].data
    assert isinstance(warning, CommitmentWarning)
    assert (warning.percent, warning.due_at, warning.group) == (50, after(4), "network")
    assert isinstance(escalated, CommitmentEscalated)
    assert (escalated.level, escalated.tell, escalated.breached) == (1, ("lead",), True)


def test_a_late_assignment_says_whose_the_clock_is() -> None:
    """The second clock was the network's; it becomes known that the developers had the ticket before: they are first,
    and the clock that was breached is told to be met and theirs.
    """
    both = {"operational": {"network": FOUR_HOURS, "developers": FOUR_HOURS}}
    desk = Desk(both)
    desk.say(2, assigned("network"))
    assert words(desk.wait(7)) == [("commitment.breached", "operational", 1, "network")]
    corrected = desk.say(1, assigned("developers"), judged=7)
    assert words(corrected) == [
        ("commitment.started", "operational", 2, "network"),
        ("commitment.breached", "operational", 2, "network"),
        ("commitment.corrected", "operational", 1, "developers"),
    ]
    correction = corrected[-1].data
    assert isinstance(correction, CommitmentCorrected)
    assert (correction.before, correction.after, correction.used_seconds) == (Outcome.BREACHED, Outcome.MET, 3_600)
    assert words(desk.wait(9)) == []


def test_a_clock_that_is_another_group_s_after_all_is_corrected_though_its_outcome_is_the_same() -> None:
    """The assignment of an hour ago was to the developers, who have the ticket since then."""
    both = {"operational": {"network": FOUR_HOURS, "developers": FOUR_HOURS}}
    desk = Desk(both, group="network")
    desk.wait(2)
    desk.case = desk.case._replace(group="network")
    history = desk.case.history
    assert history is not None
    (first,) = history.facts
    facts = (first._replace(group="developers"),)
    desk.case = desk.case._replace(history=history._replace(facts=facts), waypoint=None)
    assert words(desk.wait(3)) == [("commitment.corrected", "operational", 1, "developers")]
    assert words(desk.wait(3.5)) == []


def test_another_version_takes_over_what_groups_owe() -> None:
    """Numbers of assignments are the same under every version, so that each clock is compared with itself."""
    desk = Desk(NETWORK)
    desk.say(1, assigned("desk"))
    desk.say(2, assigned("network"))
    desk.wait(5)
    stricter = {
        "operational": {
            "network": {"targets": {"P1": {"hours": 2}}, "warn_at_percent": []},
            "desk": {"targets": {"P1": {"minutes": 30}}, "warn_at_percent": []},
        }
    }
    decision, changes = migrate(desk.case, agreed(stricter, 2), now=after(5))
    assert changes == [
        ((ClockMetric.OPERATIONAL, 1), Effect.NEWLY_BREACHED),
        ((ClockMetric.OPERATIONAL, 2), Effect.NEWLY_BREACHED),
    ]
    assert words(decision.events) == [
        ("commitment.started", "operational", 1, "desk"),
        ("commitment.breached", "operational", 1, "desk"),
        ("commitment.breached", "operational", 2, "network"),
    ]


def test_a_version_without_what_a_group_owed_withdraws_it() -> None:
    """The clock that was spoken of is corrected to cancelled, and says whose it was."""
    desk = Desk(NETWORK, group="network")
    desk.wait(5)
    decision, changes = migrate(desk.case, agreed({"resolution": FOUR_HOURS}, 2), now=after(5))
    assert {effect for _, effect in changes} == {Effect.DROPPED, Effect.NEWLY_BREACHED}
    assert words(decision.events)[-1] == ("commitment.corrected", "operational", 1, "network")
    assert decision.vanished == {(ClockMetric.OPERATIONAL, 1)}
