"""The demonstration's day: drawn from a seed, playable by the rules, counted as it goes."""

from collections import Counter
from datetime import datetime
from random import Random
from uuid import UUID

import pytest

from opora_cli.demo.agreements import FIRST_RESPONSE_MINUTES, agreement_documents
from opora_cli.demo.arrivals import HOURLY_SHARE, draw_arrivals
from opora_cli.demo.day import DayClock
from opora_cli.demo.people import AGENTS, GROUPS, ORGANIZATIONS
from opora_cli.demo.scenario import Scenario, Script, make_scenario
from opora_cli.demo.stories import phrases, stories
from opora_cli.demo.tally import Tally
from opora_contracts import Event
from opora_contracts.tickets import TicketCreated, TicketResolved
from opora_contracts.vocabulary import Channel, Kind, Level, Priority, ResolutionCode, Step
from opora_intake.domain import ACTIONS, TransitionRefused, decide, open_ticket
from opora_intake.domain.commands import Open
from opora_sla.agreement import AgreementDocument

DAY = make_scenario(seed=1, tickets=300, first_hour=0, hours=24)


def test_a_seed_gives_one_day() -> None:
    """The same seed gives the same day in every detail, another seed another day."""
    assert make_scenario(seed=1, tickets=300, first_hour=0, hours=24) == DAY
    assert make_scenario(seed=2, tickets=300, first_hour=0, hours=24) != DAY


def test_the_day_has_everything_that_a_desk_knows() -> None:
    """All channels, both languages, holds for each reason, reopenings, late answers, low and high ratings, silence."""
    acts = [act for script in DAY.scripts for act in script.acts]
    assert {script.channel for script in DAY.scripts} == {"web", "email", "chat", "phone", "event"}
    assert {script.person.language for script in DAY.scripts} == {"en", "ru"}
    assert {act.data["waiting_on"] for act in acts if act.action == "hold"} == {"customer", "third_party", "change"}
    assert {script.rating for script in DAY.scripts} == {None, 1, 2, 3, 4, 5}
    assert {act.action for act in acts} >= {"assess", "assign", "reply", "note", "diagnose", "plan", "resume", "verify"}
    assert any(_times(script, "resolve") > 1 for script in DAY.scripts)
    assert len(AGENTS) == 20
    assert len({organization.time_zone for organization in ORGANIZATIONS}) == 12


def test_arrivals_follow_the_real_hours() -> None:
    """The shares are those counted in the real log; the office hours bring most of the day's requests."""
    assert sum(HOURLY_SHARE) == pytest.approx(1.0, abs=0.001)
    random = Random(3)  # noqa: S311 - a story, not a secret
    hours = Counter(int(at // 3600) for at in draw_arrivals(random, 20_000, first_hour=0, hours=24))
    for hour, share in enumerate(HOURLY_SHARE):
        assert hours[hour] / 20_000 == pytest.approx(share, abs=0.012)


def test_every_group_has_a_lead_and_somebody_at_each_hour() -> None:
    """A ticket always finds an agent of its group on shift."""
    for group in GROUPS:
        members = [agent for agent in AGENTS if agent.group == group]
        assert sum(agent.is_lead for agent in members) == 1
        assert all(any(agent.on_shift(hour) for agent in members) for hour in range(24))


def test_every_script_is_within_the_rules() -> None:
    """Played in order, intake's own domain refuses no act of any script."""
    for script in DAY.scripts:
        _play(script, DAY)


def test_the_targets_can_be_seen_at_the_demonstrations_speed() -> None:
    """Every agreement is one that sla accepts, and no target is shorter than a quarter of an hour."""
    for document in agreement_documents():
        AgreementDocument.model_validate(document)
    assert min(min(minutes) for minutes in FIRST_RESPONSE_MINUTES.values()) == 15


def test_every_story_is_told_in_both_languages() -> None:
    """Twenty stories with texts of their own in English and Russian, and the phrases that go with them."""
    assert len(stories()) == 20
    for story in stories():
        assert any("а" <= letter <= "я" for letter in story.wording("ru").first_reply)
        assert not any("а" <= letter <= "я" for letter in story.wording("en").first_reply)
    assert all(phrases(language).bad_comments for language in ("en", "ru"))


def test_the_services_clock_is_the_storys() -> None:
    """The settings put the day's start exactly where the desk expects it."""
    clock = DayClock.set_now(DAY.starts_at, scale=576, opens_in_seconds=10)
    settings = clock.settings()
    shift = (clock.real_epoch - datetime.fromisoformat(settings["OPORA_CLOCK_REAL_EPOCH"])).total_seconds()
    assert shift == 0
    opens = datetime.fromisoformat(settings["OPORA_CLOCK_VIRTUAL_EPOCH"]) - DAY.starts_at
    assert opens.total_seconds() == -5760
    assert clock.seconds < 0


def test_the_tally_counts_each_event_once() -> None:
    """A ticket stands where its last fact put it, however often the tally is brought up to date."""
    ticket = UUID(int=1)
    facts = [
        TicketCreated(
            ticket_id=ticket,
            number="OP-1",
            title="t",
            channel=Channel.WEB,
            kind=Kind.INCIDENT,
            impact=Level.LOW,
            urgency=Level.LOW,
            priority=Priority.P5,
        ),
        TicketResolved(ticket_id=ticket, cycle=1, resolution_code=ResolutionCode.SOLVED),
    ]
    events = {
        "opora.tickets": [
            Event(id="1", source="/s", type="t", version=1, time=DAY.starts_at, subject=str(ticket), data=fact)
            for fact in facts
        ]
    }
    tally = Tally(scale=1)
    tally.count(events)
    tally.count(events)
    assert {step: count for step, count in tally.steps.items() if count} == {Step.RESOLVED: 1}
    assert tally.facts[TicketCreated] == 1


def _times(script: Script, action: str) -> int:
    return sum(act.action == action for act in script.acts)


def _play(script: Script, scenario: Scenario) -> None:
    """Put the script through intake's rules. Raises TransitionRefused for an act that would be refused."""
    wording = script.story.wording(script.person.language)
    opening = Open(title=wording.title, body=wording.body)
    ticket = open_ticket(
        opening, scenario.starts_at, ticket_id=UUID(int=1), number=1, message_id=UUID(int=2), actor="key:test"
    ).ticket
    assert [act.at_seconds for act in script.acts] == sorted(act.at_seconds for act in script.acts)
    for act in script.acts:
        command = ACTIONS[act.action].model_validate(act.data)
        try:
            ticket = decide(ticket, command, scenario.starts_at, message_id=UUID(int=2), actor=act.actor).ticket
        except TransitionRefused as refused:
            raise AssertionError(f"script {script.index}: {refused}") from refused
