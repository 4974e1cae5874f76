"""Simulations: hand-made histories with outcomes worked out by hand, and laws over made-up ones."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opora_contracts.vocabulary import AuthorKind, Outcome, Priority, WaitingOn
from opora_sla.agreement import Agreement, AgreementDocument, read_agreement
from opora_sla.domain import CaseFact
from opora_sla.metrics import ClockMetric
from opora_sla.simulation import (
    Changes,
    Comparison,
    FoundTarget,
    History,
    MetricReport,
    Percentiles,
    Plan,
    Rate,
    Report,
    Simulation,
    report_as_json,
    simulate,
)

P1, P2, P3 = Priority.P1, Priority.P2, Priority.P3
MONDAY = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
UTC_ZONE = ZoneInfo("UTC")
HOUR = 3_600


def after(hours: float) -> datetime:
    return MONDAY + timedelta(hours=hours)


def agreed(targets: Mapping[str, Any], number: int = 1, **document: Any) -> Agreement:
    metrics = document.pop("metrics", {"resolution": {"targets": targets}})
    parsed = AgreementDocument.model_validate({"name": f"number {number}", "metrics": metrics} | document)
    return read_agreement(UUID(int=number), 1, parsed, MONDAY)


def ticket(name: str, *told: tuple[Any, ...], group: str | None = None, in_time: bool | None = None) -> History:
    """A ticket in a few words: (hours after Monday 9:00, kind, what it says); it is created first."""
    facts = tuple(
        CaseFact(
            sequence=sequence,
            event_id=f"{name}:{sequence}",
            kind=kind,
            at=after(hours),
            priority=next((word for word in says if isinstance(word, Priority)), None),
            waiting_on=next((word for word in says if isinstance(word, WaitingOn)), None),
            author_kind=next((word for word in says if isinstance(word, AuthorKind)), None),
            group=group if kind == "created" else next((word for word in says if type(word) is str), None),
        )
        for sequence, (hours, kind, *says) in enumerate(told, start=1)
    )
    priority = facts[0].priority
    return History(name, {"kind": "incident", "priority": priority.value if priority else None}, facts, in_time)


FOUR_AND_EIGHT = agreed({"P1": {"hours": 4}, "P2": {"hours": 8}})
HISTORIES = (
    # Three hours and six: met under both agreements, and breached under the tighter one.
    ticket("A", (0, "created", P1), (3, "resolved"), group="Net", in_time=True),
    ticket("B", (1, "created", P2), (7, "resolved"), group="Net", in_time=False),
    # Five hours: breached; two of nine hours in a pause: seven count.
    ticket("C", (0, "created", P1), (5, "resolved"), in_time=True),
    ticket("D", (1, "created", P2), (2, "held", WaitingOn.CUSTOMER), (4, "resumed"), (10, "resolved"), group="Sys"),
    # Reopened: two hours, then five, of which the second cycle is too many; it was another group's by then.
    ticket(
        "E", (0, "created", P1), (2, "resolved"), (4, "reopened"), (5, "assigned", "Sys"), (9, "resolved"), group="Net"
    ),
    # Not done when the log ends, after 20 hours: too late for P1, and nothing yet for one that was made an hour ago.
    ticket("F", (0, "created", P1), group="Sys"),
    ticket("G", (19, "created", P2)),
    # No target, and none any more.
    ticket("H", (0, "created", P3), (1, "resolved")),
    ticket("I", (0, "created", P1), (1, "assessed", P3), (2, "resolved"), group="Net"),
)


def plan(*draft: Agreement, **changes: Any) -> Plan:
    return replace(Plan(draft=draft, judged_at=after(20), time_zone=UTC_ZONE), **changes)


def resolution(report: Report) -> MetricReport:
    (metric,) = report.metrics
    assert metric.metric is ClockMetric.RESOLUTION
    return metric


def test_a_small_log_is_counted_as_by_hand() -> None:
    """Every ticket once, where its gravest clock puts it; a ticket that never had a target nowhere."""
    report = simulate(HISTORIES, plan(FOUR_AND_EIGHT, current=[agreed({"P1": {"hours": 5}, "P2": {"hours": 6}}, 2)]))
    metric = resolution(report)
    assert (report.before, report.tickets, report.not_covered) == ("agreement", 9, 0)
    # Before: A and C and E's second cycle use at most five hours, B six; D's seven and F are too many.
    assert metric.all == Comparison(
        Rate(met=4, breached=2, open=1, cancelled=1), Rate(met=3, breached=3, open=1, cancelled=1)
    )
    assert metric.by_priority == {
        "P1": Comparison(Rate(met=3, breached=1, cancelled=1), Rate(met=1, breached=3, cancelled=1)),
        "P2": Comparison(Rate(met=1, breached=1, open=1), Rate(met=2, open=1)),
    }
    assert metric.by_group == {
        "": Comparison(Rate(met=1, open=1), Rate(breached=1, open=1)),
        "Net": Comparison(Rate(met=2, cancelled=1), Rate(met=2, cancelled=1)),
        "Sys": Comparison(Rate(met=1, breached=2), Rate(met=1, breached=2)),
    }
    assert metric.by_hour == {
        "04": Comparison(Rate(open=1), Rate(open=1)),
        "09": Comparison(Rate(met=3, breached=1, cancelled=1), Rate(met=1, breached=3, cancelled=1)),
        "10": Comparison(Rate(met=1, breached=1), Rate(met=2)),
    }
    assert metric.changes == Changes(newly_breached=2, relieved=1)
    assert metric.all.after.breach_percent == 50
    assert Rate(open=3).breach_percent is None


def test_the_gravest_clock_speaks_for_a_ticket_and_the_group_that_had_it_then() -> None:
    """Breached by one group in its first cycle, handed to another, and met in its second: it is the first one's."""
    history = ticket(
        "A",
        *((0, "created", P1), (6, "assigned", "Sys"), (7, "resolved")),
        *((8, "reopened"), (9, "assigned", "App"), (10, "resolved")),
        group="Net",
    )
    metric = resolution(simulate([history], plan(FOUR_AND_EIGHT)))
    assert metric.by_group == {"Net": Comparison(Rate(), Rate(breached=1))}
    assert metric.used_seconds is not None
    assert metric.used_seconds.longest == 7 * HOUR


def test_use_and_targets_are_those_of_tickets_that_have_ended() -> None:
    """A, C and E used three and twice five hours, B and D six and seven; F and G go on and do not count."""
    metric = resolution(simulate(HISTORIES, plan(FOUR_AND_EIGHT, met_by_percent=50)))
    assert metric.used_seconds == Percentiles(
        n=5, p50=5 * HOUR, p75=6 * HOUR, p90=7 * HOUR, p95=7 * HOUR, p99=7 * HOUR, longest=7 * HOUR
    )
    assert metric.used_seconds_by_priority["P2"] == Percentiles(
        n=2, p50=6 * HOUR, p75=7 * HOUR, p90=7 * HOUR, p95=7 * HOUR, p99=7 * HOUR, longest=7 * HOUR
    )
    assert metric.targets == (
        FoundTarget(P1, n=3, target_seconds=4 * HOUR, found_seconds=5 * HOUR),
        FoundTarget(P2, n=2, target_seconds=8 * HOUR, found_seconds=6 * HOUR),
    )


def test_without_another_agreement_the_log_s_own_word_is_before() -> None:
    """Only for tickets of which it says something, and only for the resolution."""
    draft = agreed(
        {},
        metrics={
            "first_response": {"targets": {"P1": {"hours": 1}, "P2": {"hours": 1}}},
            "resolution": {"targets": {"P1": {"hours": 4}, "P2": {"hours": 8}}},
        },
    )
    report = simulate(HISTORIES, plan(draft))
    response, resolved = report.metrics
    assert report.before == "recorded"
    assert (response.metric, response.all.before, response.changes) == (ClockMetric.FIRST_RESPONSE, Rate(), None)
    assert resolved.all.before == Rate(met=2, breached=1)
    assert resolved.by_group["Net"].before == Rate(met=1, breached=1)
    assert resolved.changes == Changes(newly_breached=1, relieved=1)


def test_with_nothing_to_compare_before_is_empty() -> None:
    """A log that says nothing of itself."""
    report = simulate([HISTORIES[4]], plan(FOUR_AND_EIGHT))
    assert (report.before, resolution(report).changes, resolution(report).all.before) == (None, None, Rate())


def test_the_hour_of_creation_is_the_zone_s() -> None:
    """Nine o'clock in UTC is half past two in the afternoon in India."""
    metric = resolution(simulate(HISTORIES[:1], plan(FOUR_AND_EIGHT, time_zone=ZoneInfo("Asia/Kolkata"))))
    assert list(metric.by_hour) == ["14"]


def test_each_ticket_is_folded_under_the_agreement_that_applies_to_it() -> None:
    """The one with more conditions before the other; a ticket that none matches is counted as not covered."""
    urgent = agreed({"P1": {"hours": 2}}, 1, conditions={"priority": ["P1"]})
    others = agreed({"P2": {"hours": 8}}, 2, conditions={"priority": ["P2"], "kind": ["incident"]})
    report = simulate(HISTORIES[:4] + HISTORIES[7:8], plan(urgent, others, current=[urgent]))
    metric = resolution(report)
    assert (report.not_covered, report.not_covered_before) == (1, 3)
    assert metric.by_priority == {
        "P1": Comparison(Rate(breached=2), Rate(breached=2)),
        "P2": Comparison(Rate(), Rate(met=2)),
    }


def test_a_target_that_differs_between_agreements_is_no_single_one() -> None:
    """The finder says what is in force only where that is one thing."""
    quick, slow = agreed({"P1": {"hours": 1}}, 1, conditions={"kind": ["question"]}), agreed({"P1": {"hours": 9}}, 2)
    question = replace(HISTORIES[0], dimensions={"kind": "question"})
    metric = resolution(simulate([question, HISTORIES[2]], plan(quick, slow)))
    assert metric.targets == (FoundTarget(P1, n=2, target_seconds=None, found_seconds=5 * HOUR),)


def test_no_target_below_a_second_is_found() -> None:
    """What was resolved at once met a target of a second: no agreement can have a smaller one."""
    at_once = ticket("A", (0, "created", P1), (0, "resolved"))
    assert resolution(simulate([at_once], plan(FOUR_AND_EIGHT))).targets[0].found_seconds == 1


def test_taking_a_ticket_gives_its_clocks() -> None:
    """Those under the draft, or none when it is not covered."""
    simulation = Simulation(plan(agreed({"P1": {"hours": 4}}, conditions={"kind": ["question"]})))
    assert simulation.take(HISTORIES[0]) is None
    clocks = simulation.take(replace(HISTORIES[0], dimensions={"kind": "question"}))
    assert clocks is not None
    assert clocks.latest()[ClockMetric.RESOLUTION].outcome is Outcome.MET


def test_a_history_without_its_creation_is_refused() -> None:
    """By the ticket's name, or by the fold."""
    lost = replace(HISTORIES[0], facts=HISTORIES[0].facts[1:])
    with pytest.raises(ValueError, match="has no creation"):
        simulate([lost], plan(FOUR_AND_EIGHT))
    with pytest.raises(ValueError, match="A has no creation"):
        simulate([lost], plan(agreed({"P1": {"hours": 4}}, conditions={"kind": ["question"]})))


def test_the_json_says_the_same() -> None:
    """Names, shares and durations in seconds."""
    written = report_as_json(simulate(HISTORIES[:3], plan(FOUR_AND_EIGHT, met_by_percent=99)))
    resolved = written["metrics"]["resolution"]
    assert {key: value for key, value in written.items() if key != "metrics"} == {
        "before": "recorded",
        "tickets": 3,
        "not_covered": 0,
        "not_covered_before": 0,
        "met_by_percent": 99,
    }
    assert resolved["by_priority"]["P1"]["after"] == {
        "n": 2, "met": 1, "breached": 1, "open": 0, "cancelled": 0, "breach_percent": 50.0,
    }  # fmt: skip
    assert resolved["all"]["before"]["breach_percent"] == 33.333
    assert resolved["changes"] == {"newly_breached": 1, "relieved": 1}
    assert resolved["targets"][0] == {
        "priority": "P1", "n": 2, "target_seconds": 14400, "found_seconds": 18000,
    }  # fmt: skip
    assert resolved["used_seconds"]["longest"] == 6 * HOUR


STORIES = st.lists(
    st.tuples(
        st.sampled_from([P1, P2]),
        st.integers(0, 500),
        st.lists(st.integers(0, 900), min_size=1, max_size=4),
    ),
    min_size=1,
    max_size=12,
)


def made_up(number: int, priority: Priority, begun: int, lengths: list[int]) -> History:
    """Created some minutes after Monday 9:00, then in turn resolved and reopened."""
    told: list[tuple[Any, ...]] = [(begun / 60, "created", priority)]
    minutes = begun
    for turn, length in enumerate(lengths):
        minutes += length
        told.append((minutes / 60, "reopened" if turn % 2 else "resolved"))
    return ticket(str(number), *told, group=f"Group {number % 3}", in_time=number % 2 == 0)


@settings(max_examples=50, deadline=None)
@given(STORIES, st.randoms(use_true_random=False))
def test_the_same_facts_in_any_order_give_the_same_report(
    stories: list[tuple[Priority, int, list[int]]], chance: random.Random
) -> None:
    """Of tickets, and of each ticket's facts."""
    histories = [made_up(number, *story) for number, story in enumerate(stories)]
    shuffled = [
        replace(history, facts=tuple(chance.sample(history.facts, len(history.facts)))) for history in histories
    ]
    chance.shuffle(shuffled)
    for current in (None, [agreed({"P1": {"hours": 2}, "P2": {"hours": 3}}, 2)]):
        tried = plan(FOUR_AND_EIGHT, current=current)
        assert report_as_json(simulate(shuffled, tried)) == report_as_json(simulate(histories, tried))


@settings(max_examples=50, deadline=None)
@given(STORIES, st.integers(1, 100))
def test_a_found_target_is_met_by_enough_and_no_smaller_one_is(
    stories: list[tuple[Priority, int, list[int]]], percent: int
) -> None:
    """Simulated again with the found targets, enough of the ended tickets meet them; with a second less, not."""
    histories = [
        made_up(number, priority, begun, lengths[: len(lengths) - 1 + len(lengths) % 2])
        for number, (priority, begun, lengths) in enumerate(stories)
    ]
    found = resolution(simulate(histories, plan(FOUR_AND_EIGHT, met_by_percent=percent, judged_at=after(90)))).targets

    def met(less_seconds: int) -> dict[Priority, int]:
        targets = {target.priority.value: {"seconds": max(1, target.found_seconds - less_seconds)} for target in found}
        again = resolution(simulate(histories, plan(agreed(targets), judged_at=after(90))))
        return {target.priority: again.by_priority[target.priority.value].after.met for target in found}

    enough, too_few = met(0), met(1)
    for target in found:
        assert enough[target.priority] * 100 >= percent * target.n
        if target.found_seconds > 1:
            assert too_few[target.priority] * 100 < percent * target.n


def test_what_groups_owe_is_reported_for_each_group() -> None:
    """A ticket counts once for every group that had it, whoever had it last; a target is found for each by itself."""
    owed = {"targets": {"P1": {"hours": 4}, "P2": {"hours": 8}}}
    draft = agreed({}, metrics={"operational": {"Net": owed, "Sys": owed}, "underpinning": owed})
    histories = [
        ticket("A", (0, "created", P1), (3, "assigned", "Sys"), (9, "resolved"), group="Net"),
        ticket("B", (0, "created", P1), (5, "assigned", "App"), (6, "assigned", "Net"), (7, "resolved"), group="Net"),
        ticket(
            "C", (0, "created", P1), (1, "held", WaitingOn.THIRD_PARTY), (6, "resumed"), (8, "resolved"), group="Sys"
        ),
    ]
    report = simulate(histories, plan(draft, met_by_percent=100))
    assert [
        (metric.name, metric.all.after, dict(metric.by_group), metric.targets[0].found_seconds)
        for metric in report.metrics
    ] == [
        # B's two turns are one ticket of the group, by the graver one.
        (
            "operational:Net",
            Rate(met=1, breached=1),
            {"Net": Comparison(Rate(), Rate(met=1, breached=1))},
            5 * HOUR,
        ),
        # Three hours of C are its supplier's.
        (
            "operational:Sys",
            Rate(met=1, breached=1),
            {"Sys": Comparison(Rate(), Rate(met=1, breached=1))},
            6 * HOUR,
        ),
        ("underpinning", Rate(breached=1), {"Sys": Comparison(Rate(), Rate(breached=1))}, 5 * HOUR),
    ]
    assert list(report_as_json(report)["metrics"]) == ["operational:Net", "operational:Sys", "underpinning"]


def test_a_group_that_owed_nothing_before_is_compared_with_itself_only() -> None:
    """What the former agreement says of one group is not held against another."""
    net = {"targets": {"P1": {"hours": 4}}}
    history = ticket("A", (0, "created", P1), (5, "assigned", "Sys"), (6, "resolved"), group="Net")
    draft = agreed({}, metrics={"operational": {"Net": {"targets": {"P1": {"hours": 6}}}, "Sys": net}})
    report = simulate([history], plan(draft, current=[agreed({}, 2, metrics={"operational": {"Net": net}})]))
    assert [(metric.name, metric.all, metric.changes) for metric in report.metrics] == [
        ("operational:Net", Comparison(Rate(breached=1), Rate(met=1)), Changes(newly_breached=0, relieved=1)),
        ("operational:Sys", Comparison(Rate(), Rate(met=1)), Changes(newly_breached=0, relieved=0)),
    ]
