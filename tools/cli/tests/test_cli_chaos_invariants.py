"""Each way to break a promise is reported under the promise's own id, and by nobody whom it does not concern."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from opora_cli.chaos.invariants import INVARIANTS, enough, judge
from opora_cli.chaos.observation import Observation
from opora_cli.chaos.record import Attempt, Injected, Outcome
from opora_contracts import Event
from opora_contracts.sla import SlaMet
from opora_contracts.topics import FEEDBACK, SLA, TICKETS
from opora_contracts.vocabulary import AuthorKind, MessageChannel
from tools.cli.tests.test_cli_chaos_invariants_world import calm, letter, records_of
from tools.cli.tests.test_cli_chaos_oracle import MONITORING, at, created, noted, replied, ticket

ONE, TWO, FOUR, SEVEN, NINE = (str(ticket(number)) for number in (1, 2, 4, 7, 9))


def violated(observation: Observation) -> dict[str, str]:
    """What each violated invariant says."""
    return {finding.id: "; ".join(finding.violations) for finding in judge(observation) if not finding.holds}


def test_a_platform_that_kept_its_word_violates_nothing() -> None:
    """Over a storm that was survived every invariant holds, and each has looked at something."""
    findings = judge(calm().observe())
    assert {finding.id: finding.violations for finding in findings if not finding.holds} == {}
    assert [finding.id for finding in findings] == [
        *("I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "I11", "I12", "I16")
    ]
    assert all(finding.checked for finding in findings)


def test_every_invariant_says_what_it_is() -> None:
    """Each has a sentence of its own and a name of its own."""
    assert all(invariant.__doc__ for invariant in INVARIANTS)
    names = [finding.invariant for finding in judge(calm().observe())]
    assert len(set(names)) == len(INVARIANTS)


def test_a_run_in_which_little_was_acknowledged_proves_nothing() -> None:
    """The floor is a finding like the others: 17 writes of the storm were acknowledged."""
    observation = calm().observe()
    assert enough(observation, 17).holds
    finding = enough(observation, 18)
    assert (finding.id, finding.violations) == ("I0", ("17 writes were acknowledged, at least 18 are needed",))


def test_a_run_whose_faults_came_to_nothing_proves_nothing() -> None:
    """One of five may: another fault had taken its server away. More, and the report says which."""
    futile = Injected(
        name="terminate_backend", target="sla", began_at=at(1), ended_at=at(2), detail="refused", came_to_nothing=True
    )
    observation = calm().observe()
    real = futile.model_copy(update={"came_to_nothing": False})
    assert enough(replace(observation, faults=[futile, *[real] * 4]), 17).holds
    finding = enough(replace(observation, faults=[futile, *[real] * 3]), 17)
    assert finding.violations == (f"terminate_backend sla at {at(1)} came to nothing: refused",)


def rewritten(
    observation: Observation, topic: str, change: Callable[[list[Event[Any]]], Sequence[Event[Any]]]
) -> Observation:
    """The same, but another log."""
    events = {topic: list(change(list(observation.events[topic])))}
    return replace(observation, records={**observation.records, **records_of(events)})


def retabled(observation: Observation, service: str, **tables: Any) -> Observation:
    """The same, but other tables of a service."""
    changed = replace(observation.services[service], **tables)
    return replace(observation, services={**observation.services, service: changed})


def acknowledged(**about: Any) -> Attempt:
    """One more write that was acknowledged."""
    written: dict[str, Any] = {
        "key": "one more",
        "actor": "agent",
        "action": "notes",
        "ticket_id": ONE,
        "started_at": at(7),
        "ended_at": at(8),
        "outcome": Outcome.ACKNOWLEDGED,
    }
    return Attempt(**written | about)


def with_attempt(**about: Any) -> Observation:
    observation = calm().observe()
    return replace(observation, attempts=[*observation.attempts, acknowledged(**about)])


def a_ticket_that_is_nowhere() -> Observation:
    return with_attempt(action="create", ticket_id=str(ticket(9)), version=1)


def a_ticket_that_sla_does_not_know() -> Observation:
    observation = calm().observe()
    return retabled(observation, "sla", tickets=observation.services["sla"].tickets - {TWO})


def a_foreign_ticket_that_is_nowhere() -> Observation:
    return with_attempt(action="submit", ticket_id=None, external=(MONITORING, "alert-9"))


def a_foreign_reply_without_effect() -> Observation:
    return with_attempt(action="submit_reply", ticket_id=None, external=(MONITORING, "alert-1"))


def a_version_that_is_nowhere() -> Observation:
    return with_attempt(action="replies", version=9)


def a_version_acknowledged_twice() -> Observation:
    return with_attempt(action="replies", version=2)


def opened_by_nobody(seconds: float) -> Observation:
    world = calm()
    world.say(seconds, created(7))
    world.forget(7, seconds)
    return world.observe()


def two_tickets_of_one_event() -> Observation:
    world = calm()
    world.say(50.5, created(7, "alert-1"), cause="another event")
    world.forget(7, 50.5)
    return world.observe()


def two_replies_of_one_event() -> Observation:
    """A second reply was published, too; but the first one's event is behind both facts."""
    world = calm()
    world.attempts.append(acknowledged(action="submit_reply", external=(MONITORING, "alert-1"), ticket_id=None))
    world.attempts[-1] = world.attempts[-1].model_copy(update={"outcome": Outcome.UNKNOWN})
    world.say(53, replied(4, AuthorKind.CUSTOMER), cause="submit_reply alert-1")
    return world.observe()


def two_facts_of_one_number() -> Observation:
    observation = calm().observe()
    note = next(attempt for attempt in observation.attempts if attempt.action == "notes")
    observation = replace(
        observation, attempts=[*observation.attempts, note.model_copy(update={"key": "another note"})]
    )

    def double(events: list[Event[Any]]) -> list[Event[Any]]:
        return [*events, *(replace(event, id="another") for event in events if event.type == "ticket.noted")]

    return rewritten(observation, TICKETS.name, double)


def a_write_with_two_effects() -> Observation:
    world = calm()
    world.say(7, noted(1))
    return world.observe()


def a_refused_write_with_an_effect() -> Observation:
    observation = calm().observe()
    attempts = [
        each.model_copy(update={"outcome": Outcome.REFUSED}) if each.action == "notes" else each
        for each in observation.attempts
    ]
    return replace(observation, attempts=attempts)


def a_fact_that_is_not_stored() -> Observation:
    observation = calm().observe()
    timeline = {**observation.timeline, ONE: [*observation.timeline[ONE][:2], *observation.timeline[ONE][3:]]}
    return replace(observation, timeline=timeline)


def a_fact_about_nothing() -> Observation:
    def rename(events: list[Event[Any]]) -> list[Event[Any]]:
        return [replace(event, causation_id="no such event") for event in events]

    return rewritten(calm().observe(), FEEDBACK.name, rename)


def a_gap() -> Observation:
    return rewritten(calm().observe(), TICKETS.name, lambda events: [e for e in events if e.type != "ticket.noted"])


def a_wrong_order() -> Observation:
    return rewritten(calm().observe(), TICKETS.name, lambda events: [events[0], events[2], events[1], *events[3:]])


def a_fact_that_was_not_applied() -> Observation:
    observation = calm().observe()
    applied = dict(observation.services["notify"].applied)
    applied[TICKETS.name, "/opora/intake", TWO] = 0
    return retabled(observation, "notify", applied=applied)


def an_outbox_row_left() -> Observation:
    return retabled(calm().observe(), "sla", outbox=[(SLA.name, TWO)])


def a_fact_that_sla_told_and_did_not_publish() -> Observation:
    observation = calm().observe()
    told = {**observation.services["sla"].told, (SLA.name, TWO): 5}
    return retabled(observation, "sla", told=told)


def a_message_twice() -> Observation:
    observation = calm().observe()
    row = next(row for row in observation.notifications if row.channel == MessageChannel.EMAIL)
    again = replace(row, notification_id=str(UUID(int=7777)))
    return replace(
        observation,
        notifications=[*observation.notifications, again],
        letters=[*observation.letters, letter(again)],
    )


def a_fact_kept_twice() -> Observation:
    observation = calm().observe()
    ticket_id, _, event_id = observation.case_facts[0]
    return replace(observation, case_facts=[*observation.case_facts, (ticket_id, 77, event_id)])


def a_closing_twice() -> Observation:
    observation = calm().observe()
    return replace(observation, closings=[*observation.closings, *observation.closings])


def steps_that_sla_does_not_know_of() -> Observation:
    return replace(calm().observe(), fired_steps=frozenset())


def a_foreign_event_forgotten() -> Observation:
    return retabled(calm().observe(), "intake", inbox=frozenset())


def a_met_clock_told_twice() -> Observation:
    world = calm()
    told = next(event.data for event in world.events[SLA.name] if isinstance(event.data, SlaMet))
    world.say(9, told)
    return world.observe()


@pytest.mark.parametrize(
    ("broken", "ids", "named"),
    [
        (a_ticket_that_is_nowhere, {"I1"}, NINE),
        (a_foreign_ticket_that_is_nowhere, {"I1"}, "alert-9"),
        (a_foreign_reply_without_effect, {"I1"}, FOUR),
        (a_ticket_that_sla_does_not_know, {"I1"}, TWO),
        (a_version_that_is_nowhere, {"I1"}, f"{ONE} version 9"),
        (a_version_acknowledged_twice, {"I2"}, f"{ONE} version 2"),
        (partial(opened_by_nobody, 20.05), {"I2"}, SEVEN),
        (two_tickets_of_one_event, {"I2"}, "alert-1 made 2 tickets"),
        (two_replies_of_one_event, {"I2"}, f"led to 2 ticket.replied, of ticket {FOUR}"),
        (a_write_with_two_effects, {"I2"}, f"{ONE} has 2 ticket.noted of at most 1 keys"),
        (partial(opened_by_nobody, 15), {"I3"}, SEVEN),
        (a_refused_write_with_an_effect, {"I3"}, f"{ONE} has 1 ticket.noted and nobody asked for one"),
        (a_fact_about_nothing, {"I3"}, f"{ONE}: survey.requested"),
        # On the topic and not in intake: a phantom, and an outbox that told more than was stored.
        (a_fact_that_is_not_stored, {"I3", "I4"}, f"{ONE}: ticket.noted (3)"),
        (two_facts_of_one_number, {"I4"}, f"{ONE}: 2 different facts have the number 3"),
        (a_gap, {"I4", "I5"}, f"{ONE}: 4 follows 2"),
        (an_outbox_row_left, {"I4"}, "sla has 1 facts in its outbox"),
        (a_fact_that_sla_told_and_did_not_publish, {"I4"}, f"sla told 5 facts of {TWO}"),
        (a_wrong_order, {"I5"}, f"{ONE}: 3 follows 1"),
        (a_fact_that_was_not_applied, {"I5"}, f"notify applied {TWO}"),
        (a_message_twice, {"I6"}, ONE),
        (a_fact_kept_twice, {"I6"}, ONE),
        (a_closing_twice, {"I6"}, f"{ONE} cycle 1"),
        (steps_that_sla_does_not_know_of, {"I6"}, ONE),
        (a_foreign_event_forgotten, {"I6"}, f"{FOUR}: intake does not know"),
        (a_met_clock_told_twice, {"I6"}, ONE),
    ],
)
def test_a_broken_promise_of_delivery_is_reported_under_its_name(
    broken: Callable[[], Observation], ids: set[str], named: str
) -> None:
    """Each hand-made violation turns the right invariants red, and they name the ticket."""
    found = violated(broken())
    assert found.keys() == ids
    assert any(named in said for said in found.values())
