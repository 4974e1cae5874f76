"""What reports are made of, with hand-written expectations."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from io import StringIO
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest

from opora_contracts.vocabulary import AuthorKind, Priority, Step, WaitingOn
from opora_sla import reports_examples
from opora_sla.agreement import Agreement, AgreementDocument, read_agreement
from opora_sla.domain import Case, CaseFact, fold
from opora_sla.metrics import ClockMetric
from opora_sla.reading import Reading
from opora_sla.report_reading import LedgerLine
from opora_sla.reporting import (
    BREACH_COLUMNS,
    COMPLIANCE_COLUMNS,
    PAUSE_COLUMNS,
    TIME_COLUMNS,
    Causes,
    Pause,
    Stay,
    Times,
    Way,
    csv_text,
    pauses,
    standing_at,
    standings,
    stays,
    waits_between,
    ways_until,
    wilson_interval,
)
from opora_sla.reporting.causes import By
from opora_sla.reporting.times import Place
from opora_sla.reports_views import (
    BreachReport,
    ComplianceReport,
    PauseView,
    TimeReport,
    compliance_report,
    pause_view,
)
from opora_sla.store.compliance import Compliance, ComplianceTable, Window
from opora_sla.views import explained_view

P1, P3 = Priority.P1, Priority.P3
CUSTOMER, THIRD_PARTY, CHANGE = WaitingOn.CUSTOMER, WaitingOn.THIRD_PARTY, WaitingOn.CHANGE
RESOLUTION, NEXT_RESPONSE = ClockMetric.RESOLUTION, ClockMetric.NEXT_RESPONSE
MONDAY = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
HOUR = 3_600
DAYTIME = {day: [["09:00", "17:00"]] for day in ("mon", "tue", "wed", "thu", "fri")}


def after(hours: float) -> datetime:
    return MONDAY + timedelta(hours=hours)


def agreed(pauses: tuple[str, ...] = ("customer",), **document: Any) -> Agreement:
    """Four hours for P1 and eight for P3, in the daytime."""
    resolution = {"targets": {"P1": {"hours": 4}, "P3": {"hours": 8}}, "pauses": pauses}
    document = {"name": "test", "weekly_hours": DAYTIME, "metrics": {"resolution": resolution}} | document
    return read_agreement(UUID(int=1), 1, AgreementDocument.model_validate(document), MONDAY)


def story(*told: tuple[Any, ...]) -> list[CaseFact]:
    """A ticket in a few words: (hours after Monday 9:00, kind, what it says)."""
    return [
        CaseFact(
            sequence=sequence,
            event_id=f"e{sequence}",
            kind=kind,
            at=after(hours),
            priority=next((word for word in says if isinstance(word, Priority)), None),
            waiting_on=next((word for word in says if isinstance(word, WaitingOn)), None),
            author_kind=next((word for word in says if isinstance(word, AuthorKind)), None),
            group=next((word for word in says if type(word) is str), None),
        )
        for sequence, (hours, kind, *says) in enumerate(told, start=1)
    ]


# One hour is used until ten, three until noon, three and a half until 12:30; the last half hour is Tuesday's from 9:30.
LATE = story(
    (0, "created", P1, "Desk"),
    (0.5, "assessed", P1),
    (1, "held", THIRD_PARTY),
    (3, "resumed"),
    (3.25, "assigned", "Network"),
    (3.5, "held", CUSTOMER),
    (24.5, "resumed"),
    (26, "resolved"),
)
DUE = after(25)


def ledger(facts: list[CaseFact], agreement: Agreement, judged_at: float, shortly_before: int = 1_800) -> list[Pause]:
    return pauses(fold(facts, agreement, after(judged_at)), facts, agreement, shortly_before)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_is_wilson_s(successes: int, n: int, low: float, high: float) -> None:
    """The values that Newcombe (Statistics in Medicine 17, 1998, table I) prints, and their mirror images."""
    found = wilson_interval(successes, n)
    assert found is not None
    assert [round(end, 4) for end in found] == [low, high]
    mirrored = wilson_interval(n - successes, n)
    assert mirrored is not None
    assert [round(end, 4) for end in mirrored] == [round(1 - high, 4), round(1 - low, 4)]


def test_of_nothing_there_is_no_share() -> None:
    """No clocks, no interval."""
    assert wilson_interval(0, 0) is None


def test_a_ticket_stands_as_its_latest_fact_left_it() -> None:
    """Step, wait, priority and group from each fact on; facts of one instant count together; nothing is before."""
    found = standings(list(reversed(LATE)))
    assert [(each.step, each.waiting_on, each.group) for each in found] == [
        (Step.RECEIVED, None, "Desk"),
        (Step.ASSESSED, None, "Desk"),
        (Step.ASSESSED, THIRD_PARTY, "Desk"),
        (Step.ASSESSED, None, "Desk"),
        (Step.ASSESSED, None, "Network"),
        (Step.ASSESSED, CUSTOMER, "Network"),
        (Step.ASSESSED, None, "Network"),
        (Step.RESOLVED, None, "Network"),
    ]
    assert standing_at(found, after(-1)) is found[0]
    assert standing_at(found, after(1)) is found[2]
    early = story((0, "created", P1), (-1, "held", CUSTOMER), (0, "assessed", P3))
    assert [(each.at, each.priority) for each in standings(early)] == [
        (after(0), P1),
        (after(0), P1),
        (after(0), P3),
    ]
    with pytest.raises(ValueError, match=r"begin with ticket\.created"):
        standings(early[1:])


def test_a_stretch_names_everybody_who_was_waited_for() -> None:
    """Each once, the one at its beginning included and the one at its end not."""
    found = standings(LATE)
    stretches = {(0, 1): [], (1, 3): [THIRD_PARTY], (2, 24.5): [THIRD_PARTY, CUSTOMER], (24.5, 26): []}
    assert {(begin, end): waits_between(found, after(begin), after(end)) for begin, end in stretches} == stretches
    at_once = standings(story((0, "created", P1), (1, "held", CHANGE), (1, "held", CUSTOMER), (2, "resumed")))
    assert waits_between(at_once, after(0), after(3)) == [CUSTOMER]


def test_an_explanation_names_whom_each_interval_waited_for() -> None:
    """Also where the clock went on meanwhile."""
    agreement = agreed()
    case = Case(
        ticket_id=UUID(int=7),
        number="OP-7",
        external_source=None,
        external_id=None,
        import_id=None,
        live=True,
        partition=0,
        agreement_id=agreement.id,
        agreement_version=1,
        organization_id=None,
        tier=None,
        product=None,
        kind="incident",
        channel="email",
        priority=P1,
        assignee=None,
        group=None,
        judged_at=after(30),
    )
    view = explained_view(Reading(case, LATE, agreement, fold(LATE, agreement, after(30))))
    assert [(each.counted, each.waited_for) for each in view.clocks[0].intervals] == [
        (True, [THIRD_PARTY]),
        (False, [CUSTOMER]),
        (True, []),
    ]


def test_steps_go_as_intake_takes_them() -> None:
    """All seven, an assessment later on takes nothing back, and a reopened ticket is received again."""
    kinds = ("created", "assessed", "diagnosed", "planned", "assessed", "resolved", "verified", "closed", "reopened")
    facts = story(*((hours, kind, P1) for hours, kind in enumerate(kinds)))
    assert [each.step for each in standings(facts)] == [
        Step.RECEIVED,
        Step.ASSESSED,
        Step.DIAGNOSED,
        Step.PLANNED,
        Step.PLANNED,
        Step.RESOLVED,
        Step.VERIFIED,
        Step.CLOSED,
        Step.RECEIVED,
    ]


@pytest.mark.parametrize("step", Step)
def test_the_fact_of_every_step_is_kept(step: Step) -> None:
    """The time in each of the seven steps can be told, since what begins one is kept."""
    kind = "created" if step is Step.RECEIVED else step.value
    assert CaseFact(sequence=1, event_id="e", kind=kind, at=MONDAY).is_kept


@pytest.mark.parametrize(
    ("by", "hours"),
    [
        ("waiting", {"customer": 21, "third_party": 2, "us_inside_hours": 2}),
        ("step", {"received": 0.5, "assessed": 24.5}),
        ("group", {"Desk": 3.25, "Network": 21.75}),
    ],
)
def test_the_time_until_a_breach_is_divided(by: By, hours: dict[str, float]) -> None:
    """25 hours passed until the breach: a hold is time of whom it names, through the night and without a pause too."""
    clock = fold(LATE, agreed(), after(30)).clocks[0]
    assert (clock.outcome, clock.due_at) == ("breached", DUE)
    causes = Causes()
    causes.take(RESOLUTION, ways_until(LATE, agreed().calendar, clock.started_at, DUE, by))
    assert {share.cause: share.spent_seconds / HOUR for share in causes.shares()} == hours


def test_what_is_left_to_the_support_side_is_divided_by_the_hours() -> None:
    """From Monday 16:00 to Tuesday 12:00: four hours of working time, sixteen of the night."""
    facts = story((7, "created", P1))
    ways = ways_until(facts, agreed().calendar, after(7), after(27), "waiting")
    assert ways == [Way("us_inside_hours", 4 * HOUR * 1_000_000), Way("us_outside_hours", 16 * HOUR * 1_000_000)]


def test_what_was_before_the_clock_does_not_count() -> None:
    """A clock that starts while a hold lasts has its part of the hold only."""
    ways = ways_until(LATE, agreed().calendar, after(2), after(3.5), "waiting")
    spent = {cause: sum(way.spent_us for way in ways if way.cause == cause) for cause in {way.cause for way in ways}}
    assert spent == {"third_party": HOUR * 1_000_000, "us_inside_hours": HOUR * 500_000, "us_outside_hours": 0}


def test_causes_of_many_clocks_are_shares_with_their_n() -> None:
    """Shares are of the metric's time, n is of clocks, and each clock has one largest cause; order does not matter."""
    clocks = [
        (RESOLUTION, [Way("customer", 6_000_000), Way("us_inside_hours", 2_000_000), Way("change", 0)]),
        (RESOLUTION, [Way("us_inside_hours", 500_000), Way("customer", 1_000_000), Way("us_inside_hours", 500_000)]),
        (ClockMetric.FIRST_RESPONSE, [Way(None, 3_000_000), Way("Desk", 3_000_000)]),
    ]
    for order in permutations(clocks):
        causes = Causes()
        for metric, ways in order:
            causes.take(metric, ways)
        assert causes.examined == {RESOLUTION: 2, ClockMetric.FIRST_RESPONSE: 1}
        assert causes.shares() == [
            (ClockMetric.FIRST_RESPONSE, None, 1, 1, 3, 0.5),
            (ClockMetric.FIRST_RESPONSE, "Desk", 1, 0, 3, 0.5),
            # The second clock is a draw, which the alphabet decides.
            (RESOLUTION, "customer", 2, 2, 7, 0.7),
            (RESOLUTION, "us_inside_hours", 2, 0, 3, 0.3),
        ]


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("step", [("received", 0.5, 0.5), ("assessed", 25.5, 2.5)]),
        ("group", [("Desk", 3.25, 1.25), ("Network", 22.75, 1.75)]),
    ],
)
def test_a_ticket_s_time_is_told_by_step_and_by_group(by: Place, expected: list[tuple[str, float, float]]) -> None:
    """By the wall, and in hand: working time without the holds, until the resolution. What goes on is left out."""
    found = stays(LATE, agreed().calendar, by)
    assert [(stay.key, stay.elapsed_us / HOUR / 1e6, stay.handled_us / HOUR / 1e6) for stay in found] == expected
    # Reopened, it is received again and with its last group: neither stay is over.
    reopened = stays([*LATE, *story((27, "reopened"))], agreed().calendar, by)
    assert [stay.key for stay in reopened] == [key for key, *_ in expected if key not in {"received", "Network"}] + (
        ["resolved"] if by == "step" else []
    )


def test_times_of_many_tickets_have_their_percentiles() -> None:
    """Of ten tickets the fifth and the ninth smallest; steps come as the process has them, no group comes last."""
    times = Times("step")
    for number in range(10, 0, -1):
        times.take([Stay("assessed", number * 2_000_000, number * 1_000_000), Stay("received", 1_000_000, 0)])
    times.take([])
    assert times.tickets == 11
    assert times.rows() == [
        ("received", 10, [1, 1, 1, 1], [0, 0, 0, 0], 0),
        ("assessed", 10, [10, 18, 20, 20], [5, 9, 10, 10], 55),
    ]
    groups = Times("group")
    groups.take([Stay(None, 1, 1), Stay("b", 1, 1), Stay("a", 1, 1)])
    assert [row.key for row in groups.rows()] == ["a", "b", None]


def test_a_pause_shortly_before_the_due_date_is_flagged() -> None:
    """Half an hour of working time was left: flagged at 1,800 s, not at 1,799. The hold that pauses nothing is none."""
    (pause,) = ledger(LATE, agreed(), 30)
    assert pause == Pause(
        key=fold(LATE, agreed(), after(30)).clocks[0].key,
        waiting_on=CUSTOMER,
        from_at=after(3.5),
        to_at=after(24.5),
        working_seconds=5 * HOUR,
        priority=P1,
        group="Network",
        assignee=None,
        target_seconds=4 * HOUR,
        remaining_seconds=HOUR // 2,
        breached_before=False,
        shortly_before=True,
        hold_event="e6",
        hold_sequence=6,
        began_by="e6",
        ended_by="e7",
    )
    assert not ledger(LATE, agreed(), 30, shortly_before=1_799)[0].shortly_before


def test_another_reason_is_another_pause() -> None:
    """The clock stands still throughout; a second hold for the same reason begins nothing."""
    facts = story(
        (0, "created", P1),
        (1, "held", CUSTOMER),
        (2, "held", CUSTOMER),
        (3, "held", THIRD_PARTY),
        (4, "assessed", P3),
        (5, "held", CHANGE),
        (6, "resolved"),
    )
    found = ledger(facts, agreed(("customer", "third_party")), 7)
    assert [(each.waiting_on, each.from_at, each.to_at, each.began_by, each.ended_by) for each in found] == [
        (CUSTOMER, after(1), after(3), "e2", "e4"),
        (THIRD_PARTY, after(3), after(5), "e4", "e6"),
    ]
    assert [(each.target_seconds, each.remaining_seconds) for each in found] == [(4 * HOUR, 3 * HOUR)] * 2
    longer = ledger(facts, agreed(("customer", "third_party", "change")), 7)
    # The last one began under another priority, whose target leaves more.
    assert [(each.waiting_on, each.to_at, each.remaining_seconds, each.ended_by) for each in longer] == [
        (CUSTOMER, after(3), 3 * HOUR, "e4"),
        (THIRD_PARTY, after(5), 3 * HOUR, "e6"),
        (CHANGE, after(6), 7 * HOUR, "e7"),
    ]


def test_a_pause_that_lasts_has_no_end() -> None:
    """Its working time is counted until the judgement."""
    (pause,) = ledger(story((0, "created", P1), (1, "held", CUSTOMER)), agreed(), 3)
    assert (pause.to_at, pause.ended_by, pause.working_seconds) == (None, None, 2 * HOUR)
    (begun,) = ledger(story((0, "created", P1), (1, "held", CUSTOMER)), agreed(), 1)
    assert (begun.to_at, begun.ended_by, begun.working_seconds) == (None, None, 0)


def test_a_pause_after_the_breach_hides_nothing() -> None:
    """It is told as such, and not flagged: there was nothing left to save."""
    (pause,) = ledger(story((0, "created", P1), (5, "held", CUSTOMER), (6, "resumed")), agreed(), 7)
    assert (pause.breached_before, pause.remaining_seconds, pause.shortly_before) == (True, 0, False)


def test_a_clock_that_begins_on_hold_names_both_events() -> None:
    """The customer's reply starts the clock, and the hold before it is why it stands still."""
    response = {"targets": {"P1": {"hours": 1}}, "pauses": ["third_party"]}
    agreement = agreed(metrics={"next_response": response})
    facts = story(
        (0, "created", P1),
        (1, "replied", AuthorKind.AGENT),
        (2, "held", THIRD_PARTY),
        (3, "replied", AuthorKind.CUSTOMER),
        (4, "resumed"),
        (4.5, "replied", AuthorKind.AGENT),
    )
    (pause,) = ledger(facts, agreement, 6)
    assert (pause.key, pause.from_at, pause.to_at) == ((NEXT_RESPONSE, 1), after(3), after(4))
    assert (pause.hold_event, pause.hold_sequence, pause.began_by, pause.ended_by) == ("e3", 3, "e4", "e5")


def test_a_clock_that_loses_its_target_pauses_no_more() -> None:
    """What is cancelled stands still for nobody; with a target again it is paused again."""
    facts = story(
        (0, "created", P1), (1, "held", CUSTOMER), (2, "assessed", Priority.P2), (3, "assessed", P3), (4, "resumed")
    )
    found = ledger(facts, agreed(), 5)
    assert [(each.from_at, each.to_at, each.began_by, each.ended_by) for each in found] == [
        (after(1), after(2), "e2", "e3"),
        (after(3), after(4), "e4", "e5"),
    ]
    assert {each.hold_event for each in found} == {"e2"}


def test_of_two_holds_in_one_instant_the_second_counts() -> None:
    """The first was no wait at all, and the one before them ends there only if the reason is another."""
    facts = story((0, "created", P1), (1, "held", THIRD_PARTY), (2, "held", CUSTOMER), (2, "held", THIRD_PARTY))
    (pause,) = ledger(facts, agreed(("customer", "third_party")), 3)
    assert (pause.waiting_on, pause.from_at, pause.to_at, pause.hold_event) == (THIRD_PARTY, after(1), None, "e2")


def test_a_wait_of_no_time_is_no_pause() -> None:
    """Held and resumed in one instant."""
    facts = story((0, "created", P1), (1, "held", CUSTOMER), (1, "resumed"), (1, "held", CUSTOMER), (2, "resumed"))
    assert [(each.from_at, each.began_by) for each in ledger(facts, agreed(), 5)] == [(after(1), "e4")]


@pytest.mark.parametrize("danger", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", '=cmd|" /C calc"!A0'])
def test_no_cell_is_a_formula(danger: str) -> None:
    """Text that a spreadsheet would calculate gets an apostrophe; whoever parses the file gets the rest unharmed."""
    written = csv_text(("key", "n"), [{"key": danger, "n": 1}])
    assert list(csv.reader(StringIO(written, newline=""))) == [["key", "n"], [f"'{danger}", "1"]]


def test_csv_is_as_rfc_4180_has_it() -> None:
    """Lines end with CR LF, what holds a comma, a quote or a line break is quoted; nothing is an empty cell."""
    rows = [{"key": 'A "b", c', "used": {"n": 2, "p50": 1.5}, "flag": True}, {"key": "two\r\nlines", "flag": False}]
    assert csv_text(("key", "used_n", "used_p50", "used_p90", "flag"), rows) == (
        'key,used_n,used_p50,used_p90,flag\r\n"A ""b"", c",2,1.5,,true\r\n"two\r\nlines",,,,false\r\n'
    )


@pytest.mark.parametrize(
    ("columns", "row"),
    [
        (COMPLIANCE_COLUMNS, ComplianceReport(**reports_examples.COMPLIANCE).rows[0]),
        (BREACH_COLUMNS, BreachReport(**reports_examples.BREACHES).rows[0]),
        (PAUSE_COLUMNS, PauseView(**reports_examples.PAUSE)),
        (TIME_COLUMNS, TimeReport(**reports_examples.TIMES).rows[0]),
    ],
    ids=["compliance", "breaches", "pauses", "times"],
)
def test_a_sheet_has_a_column_for_each_field(columns: tuple[str, ...], row: Any) -> None:
    """What the JSON says the CSV says too, in the same order."""
    fields = []
    for name, value in row.model_dump().items():
        fields += [f"{name}_{inner}" for inner in value] if isinstance(value, dict) else [name]
    assert tuple(fields) == columns


def test_a_row_of_compliance_has_its_share_interval_and_percentiles() -> None:
    """By hand: 8 of 10; without anything decided there is no share; rows come by key and metric, nobody's last."""
    measured: dict[str, Any] = {"ended": 3, "used_seconds": [60, 120, 120, 120], "used_share": [0.1, 1 / 3, 1 / 3, 1.5]}
    counted: dict[str, Any] = {"met": 8, "breached": 2, "open": 1, "cancelled": 4} | measured
    nothing: dict[str, Any] = dict.fromkeys(counted, 0) | {"used_seconds": (), "used_share": (), "open": 5}
    rows = [
        Compliance(key=None, metric="resolution", **counted),
        Compliance(key="b", metric="first_response", **nothing),
        Compliance(key="a", metric="resolution", **nothing),
        Compliance(key="a", metric="first_response", **nothing),
    ]
    report = compliance_report(ComplianceTable(rows, keys=7), {"a": "Gold"}, "agreement", None, Window())
    assert [(row.key, row.name, row.metric) for row in report.rows] == [
        ("a", "Gold", "first_response"),
        ("a", "Gold", "resolution"),
        ("b", None, "first_response"),
        (None, None, "resolution"),
    ]
    assert report.left_out == 3
    told = report.rows[3].model_dump()
    assert (told["n"], told["compliance"], told["compliance_low"], told["compliance_high"]) == (10, 0.8, 0.4902, 0.9433)
    assert told["used_seconds"] == {"n": 3, "p50": 60, "p90": 120, "p95": 120, "p99": 120}
    assert told["used_share"] == {"n": 3, "p50": 0.1, "p90": 0.3333, "p95": 0.3333, "p99": 1.5}
    empty = report.rows[0].model_dump()
    assert (empty["n"], empty["compliance"], empty["compliance_low"], empty["used_seconds"]["p50"]) == (0, *[None] * 3)


def test_a_pause_on_the_wire_names_its_ticket() -> None:
    """Nothing of the ledger is lost on the way."""
    (pause,) = ledger(LATE, agreed(), 30)
    told = pause_view(LedgerLine(UUID(int=7), "OP-7", pause)).model_dump(mode="json")
    assert (told["number"], told["metric"], told["cycle"], told["waiting_on"]) == ("OP-7", "resolution", 1, "customer")
    assert (told["hold_event"], told["hold_sequence"], told["shortly_before"]) == ("e6", 6, True)
