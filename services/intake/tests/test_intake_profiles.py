"""The seven steps under the profile strict, what each leaves behind, and the lists of the settings."""

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from pydantic import ValidationError

from opora_contracts.vocabulary import AuthorKind, Kind, Level, Priority, Profile, ResolutionCode, Step
from opora_intake.domain import (
    DEFAULT_MATRIX,
    CaseRules,
    CaseSettings,
    Command,
    Decision,
    Open,
    RecordMissing,
    Ticket,
    TransitionRefused,
    UnlistedValue,
    allowed_actions,
    commands,
    decide,
    open_ticket,
)
from opora_intake.domain.rules import priorities_in_force, rules_of_settings

At = Callable[[float], datetime]

STRICT = CaseRules(profiles={Kind.PROBLEM: Profile.STRICT})
WHOLE_WAY: dict[Step, Command] = {
    Step.ASSESSED: commands.Assess(note="Everybody in Hamburg is affected"),
    Step.DIAGNOSED: commands.Diagnose(cause="A full disk", evidence="df: /var 100 %"),
    Step.PLANNED: commands.Plan(steps=("rotate logs", "add an alert"), owner="anna"),
    Step.RESOLVED: commands.Resolve(resolution="Logs are rotated each hour"),
    Step.VERIFIED: commands.Verify(seen="The disk stays below 60 %", verified_by=AuthorKind.SYSTEM),
    Step.CLOSED: commands.Close(note="The alert is in place"),
}
BARE: dict[Step, tuple[Command, tuple[str, ...]]] = {
    Step.ASSESSED: (commands.Assess(urgency=Level.HIGH), ("note",)),
    Step.DIAGNOSED: (commands.Diagnose(cause="A full disk"), ("evidence",)),
    Step.PLANNED: (commands.Plan(), ("steps", "owner")),
    Step.RESOLVED: (commands.Resolve(resolution="  "), ("resolution",)),
    Step.VERIFIED: (commands.Verify(), ("seen",)),
    Step.CLOSED: (commands.Close(), ("note",)),
}
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def opened(kind: Kind = Kind.PROBLEM, rules: CaseRules = STRICT) -> Ticket:
    opening = Open(title="The disk is full", kind=kind)
    return open_ticket(opening, NOON, ticket_id=uuid4(), number=1, message_id=uuid4(), rules=rules).ticket


def do(ticket: Ticket, command: Command, rules: CaseRules = STRICT) -> Decision:
    return decide(ticket, command, NOON, message_id=uuid4(), actor="agent:anna", rules=rules)


def strict_at(step: Step) -> Ticket:
    ticket = opened()
    for each, command in WHOLE_WAY.items():
        if ticket.step is step:
            return ticket
        ticket = do(ticket, command).ticket
        assert ticket.step is each
    return ticket


def test_a_strict_case_goes_step_by_step_and_leaves_a_record_of_each() -> None:
    """All six steps after the first are taken in order, and each record says what was given."""
    ticket, records = opened(), []
    for command in WHOLE_WAY.values():
        decision = do(ticket, command)
        ticket = decision.ticket
        assert decision.record is not None
        records.append((decision.record.step, decision.record.sequence, decision.record.content))
    assert records == [
        (Step.ASSESSED, 2, {"note": "Everybody in Hamburg is affected"}),
        (Step.DIAGNOSED, 3, {"cause": "A full disk", "evidence": "df: /var 100 %"}),
        (Step.PLANNED, 4, {"steps": ["rotate logs", "add an alert"], "owner": "anna"}),
        (Step.RESOLVED, 5, {"resolution": "Logs are rotated each hour", "resolution_code": "solved"}),
        (Step.VERIFIED, 6, {"seen": "The disk stays below 60 %", "verified_by": "system"}),
        (Step.CLOSED, 7, {"note": "The alert is in place"}),
    ]


@pytest.mark.parametrize("step", list(Step)[:-1])
def test_strict_allows_the_next_step_and_no_later_one(step: Step) -> None:
    """From each step only the next one is taken; a later one is refused with what is possible."""
    steps = list(Step)
    ticket = strict_at(step)
    for later in steps[steps.index(step) + 2 :]:
        with pytest.raises(TransitionRefused) as refusal:
            do(ticket, WHOLE_WAY[later])
        assert refusal.value.allowed == allowed_actions(ticket)
    following = steps[steps.index(step) + 1]
    assert do(ticket, WHOLE_WAY[following]).ticket.step is following


@pytest.mark.parametrize("step", list(BARE))
def test_strict_asks_for_the_record(step: Step) -> None:
    """A step without its record is refused, and the refusal names the fields; blanks fill nothing."""
    steps = list(Step)
    command, missing = BARE[step]
    with pytest.raises(RecordMissing) as refusal:
        do(strict_at(steps[steps.index(step) - 1]), command)
    assert refusal.value.fields == missing


@pytest.mark.parametrize("step", list(Step)[:-1])
@pytest.mark.parametrize("code", [ResolutionCode.CANCELLED, ResolutionCode.DUPLICATE])
def test_what_was_not_worked_needs_no_record(step: Step, code: ResolutionCode) -> None:
    """Strict or not: a case that nobody needs, or that exists twice, is closed from wherever it stands."""
    assert do(strict_at(step), commands.Close(resolution_code=code)).ticket.step is Step.CLOSED


def test_light_takes_records_and_asks_for_none() -> None:
    """Under light a bare step is taken, and its record is empty."""
    decision = do(opened(Kind.INCIDENT), commands.Diagnose())
    assert decision.record is not None
    assert (decision.record.step, decision.record.content) == (Step.DIAGNOSED, {})


def test_a_cycle_keeps_the_profile_under_which_it_began() -> None:
    """Other settings count from the next cycle on, so that no open case is caught between two ways of working."""
    light = CaseRules()
    ticket = opened(rules=light)
    assert ticket.profile is Profile.LIGHT
    resolved = do(ticket, commands.Resolve()).ticket
    again = do(resolved, commands.Reopen()).ticket
    assert again.profile is Profile.STRICT
    assert (
        do(
            do(again, commands.Close(resolution_code=ResolutionCode.CANCELLED)).ticket, commands.Reopen(), light
        ).ticket.profile
        is Profile.LIGHT
    )


def test_another_kind_changes_the_profile_before_the_assessment_only() -> None:
    """A case that turns out to be a problem while it is assessed is strict from then on; later it stays as it is."""
    ticket = opened(Kind.INCIDENT)
    with pytest.raises(RecordMissing):
        do(ticket, commands.Assess(kind=Kind.PROBLEM))
    strict = do(ticket, commands.Assess(kind=Kind.PROBLEM, note="The third time this week"))
    assert strict.ticket.profile is Profile.STRICT
    assert do(ticket, commands.Update(kind=Kind.PROBLEM)).ticket.profile is Profile.STRICT
    assessed = do(ticket, commands.Assess()).ticket
    assert do(assessed, commands.Update(kind=Kind.PROBLEM)).ticket.profile is Profile.LIGHT


def test_history_is_worked_under_light() -> None:
    """A log has no records to ask for: an imported case may skip steps whatever its kind."""
    opening = Open(title="Old", kind=Kind.PROBLEM, category="unlisted")
    rules = CaseRules(profiles=STRICT.profiles, categories=("network",))
    ticket = open_ticket(
        opening, NOON, ticket_id=uuid4(), number=1, message_id=uuid4(), rules=rules, import_id=uuid4()
    ).ticket
    resolved = decide(ticket, commands.Resolve(), NOON, message_id=uuid4(), rules=rules, history=True).ticket
    assert (resolved.profile, resolved.step) == (Profile.LIGHT, Step.RESOLVED)


def test_an_unlisted_category_or_component_is_refused() -> None:
    """Where a list is settled, a value beside it is refused with the list; an empty list takes anything."""
    rules = CaseRules(categories=("network", "printing"), components=("login",))
    ticket = opened(rules=rules)
    with pytest.raises(UnlistedValue, match="'printers' is not listed; listed are network, printing"):
        do(ticket, commands.Update(category="printers"), rules)
    with pytest.raises(UnlistedValue, match="component"):
        open_ticket(
            Open(title="x", component="logon"), NOON, ticket_id=uuid4(), number=1, message_id=uuid4(), rules=rules
        )
    changed = do(ticket, commands.Update(category="printing", component="login"), rules).ticket
    assert (changed.category, changed.component) == ("printing", "login")


def test_the_settings_matrix_replaces_the_process_setting() -> None:
    """Until a matrix is settled that of the process holds; then the settled one, its other pairs being the defaults."""
    initial = {**DEFAULT_MATRIX, (Level.LOW, Level.LOW): Priority.P4}
    assert priorities_in_force(rules_of_settings(CaseSettings(), initial))["low/low"] is Priority.P4
    settled = rules_of_settings(CaseSettings(priorities={"high/low": Priority.P1}), initial)
    assert (settled.matrix[Level.HIGH, Level.LOW], settled.matrix[Level.LOW, Level.LOW]) == (Priority.P1, Priority.P5)


@pytest.mark.parametrize(
    "document",
    [
        {"priorities": {"huge/low": "P1"}},
        {"profiles": {"problem": "loose"}},
        {"categories": [""]},
        {"categories": [str(number) for number in range(501)]},
        {"components": ["two\nlines"]},
    ],
)
def test_settings_that_mean_nothing_are_refused(document: dict[str, object]) -> None:
    """A pair, profile or entry that cannot be is an error, and so is the 501st entry of a list."""
    with pytest.raises(ValidationError):
        CaseSettings.model_validate(document)
