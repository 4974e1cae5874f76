"""Agreements: what a document may say, and which one applies."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from opora_contracts.tickets import TicketCreated
from opora_contracts.vocabulary import Channel, Kind, Level, Priority, WaitingOn
from opora_sla.agreement import (
    DEFAULT_AGREEMENT,
    DEFAULT_AGREEMENT_ID,
    Agreement,
    AgreementDocument,
    choose,
    dimensions_of,
    read_agreement,
)
from opora_sla.metrics import ClockMetric

ISSUE_DOCUMENT: dict[str, Any] = {
    "name": "Evening shift",
    "time_zone": "Europe/Berlin",
    "weekly_hours": {"mon": [["14:00", "24:00"]], "tue": [["09:00", "12:00"], ["13:00", "18:00"]]},
    "holidays": ["2016-12-25"],
    "metrics": {
        "resolution": {
            "until": "closed",
            "pauses": ["customer"],
            "targets": {"P1": {"hours": 4}, "P3": {"minutes": 90}},
        }
    },
}
T0 = datetime(2026, 3, 2, 9, tzinfo=UTC)
RESOLUTION = {"resolution": {"targets": {"P1": {"hours": 4}}}}


def written(number: int, version: int = 1, **fields: Any) -> Agreement:
    document = AgreementDocument.model_validate({"name": f"agreement {number}", "metrics": RESOLUTION} | fields)
    return read_agreement(UUID(int=number), version, document, datetime(2026, 1, number, tzinfo=UTC))


def test_a_document_says_what_a_clock_needs() -> None:
    """Targets are seconds, hours are minutes of the day, what is absent has its default."""
    agreement = read_agreement(
        UUID(int=1), 1, AgreementDocument.model_validate(ISSUE_DOCUMENT), datetime(2026, 1, 1, tzinfo=UTC)
    )
    terms = agreement.terms[ClockMetric.RESOLUTION]
    assert terms.targets_seconds == {Priority.P1: 14_400, Priority.P3: 5_400}
    assert (terms.until_closed, terms.warn_at_percent) == (True, (75,))
    assert terms.pauses == {WaitingOn.CUSTOMER}
    assert list(agreement.terms) == [ClockMetric.RESOLUTION]
    week = agreement.calendar.weekly_hours
    assert week is not None
    assert week[:3] == (((840, 1_440),), ((540, 720), (780, 1_080)), ())


def test_hours_may_end_on_the_next_day() -> None:
    """From 22:00 to 06:00 is a night shift of the day on which it begins; the longest target is ten years."""
    night = {"weekly_hours": {"mon": [["22:00", "06:00"]]}}
    longest = {"metrics": {"resolution": {"targets": {"P1": {"days": 3_653}}}}}
    document = AgreementDocument.model_validate(ISSUE_DOCUMENT | night | longest)
    week = document.working_time().weekly_hours
    assert week is not None
    assert week[:2] == (((1_320, 1_800),), ())


def test_a_stored_document_reads_back_as_it_was() -> None:
    """The database's JSON gives the same agreement again."""
    document = AgreementDocument.model_validate(ISSUE_DOCUMENT)
    assert AgreementDocument.model_validate(document.model_dump(mode="json")) == document


@pytest.mark.parametrize(
    ("change", "where", "what"),
    [
        ({"colour": "red"}, ("colour",), "Extra inputs"),
        ({"time_zone": "Europe/Atlantis"}, ("time_zone",), "Europe/Berlin"),
        ({"weekly_hours": {"mon": [["24:00", "09:00"]]}}, ("weekly_hours",), "00:00 of the day after"),
        ({"weekly_hours": {"mon": [["18:00", "18:00"]]}}, ("weekly_hours",), "is empty"),
        (
            {"weekly_hours": {"mon": [["18:00", "09:00"]], "tue": [["08:00", "10:00"]]}},
            ("weekly_hours",),
            "tue has begun",
        ),
        ({"weekly_hours": {"mon": [["09:00", "12:00"], ["11:00", "13:00"]]}}, ("weekly_hours",), "in order"),
        ({"weekly_hours": {"mon": [["9", "12:00"]]}}, ("weekly_hours",), "HH:MM"),
        ({"weekly_hours": {"mon": []}}, ("weekly_hours",), "no day is open"),
        ({"weekly_hours": {"monday": [["09:00", "12:00"]]}}, ("weekly_hours", "monday", "[key]"), "'mon'"),
        ({"holidays": ["yesterday"]}, ("holidays", 0), "date"),
        ({"metrics": {}}, ("metrics",), "at least one"),
        (
            {"metrics": {"resolution": {"targets": {"P1": {"hours": "4"}}}}},
            ("metrics", "resolution", "targets", "P1", "hours"),
            "number",
        ),
        ({"metrics": {"resolution": {"targets": {"P1": {}}}}}, ("metrics", "resolution", "targets", "P1"), "hours"),
        (
            {"metrics": {"resolution": {"targets": {"P1": {"days": 3_653, "seconds": 1}}}}},
            ("metrics", "resolution", "targets", "P1"),
            "at most ten years",
        ),
        (
            {"metrics": {"first_response": {"until": "closed", "targets": {"P1": {"hours": 4}}}}},
            ("metrics", "first_response", "until"),
            "Extra inputs",
        ),
        ({"conditions": {"tier": []}}, ("conditions", "tier"), "at least 1"),
    ],
)
def test_a_wrong_document_is_refused_by_the_name_of_the_field(
    change: dict[str, Any], where: tuple[str | int, ...], what: str
) -> None:
    """Every refusal says where and what."""
    with pytest.raises(ValidationError) as refused:
        AgreementDocument.model_validate(ISSUE_DOCUMENT | change)
    error = refused.value.errors()[0]
    assert error["loc"] == where
    assert what in error["msg"]


def test_all_conditions_must_match() -> None:
    """An agreement for gold and mail is not for gold and chat."""
    gold_mail = written(1, conditions={"tier": ["gold"], "channel": ["email"]})
    assert choose([gold_mail], {"tier": "gold", "channel": "email"}, T0) is gold_mail
    assert choose([gold_mail], {"tier": "gold", "channel": "chat"}, T0) is DEFAULT_AGREEMENT
    assert choose([gold_mail], {"tier": None, "channel": "email"}, T0) is DEFAULT_AGREEMENT


def test_the_rank_decides_then_the_conditions_then_the_date() -> None:
    """The highest rank; among equals the most conditions; among those the newest."""
    anybody, newer = written(1), written(2)
    gold = written(1, conditions={"tier": ["gold"]})
    first = written(1, rank=1)
    dimensions = {"tier": "gold"}
    assert choose([anybody, newer], dimensions, T0) is newer
    assert choose([gold, newer], dimensions, T0) is gold
    assert choose([first, gold, newer], dimensions, T0) is first


def test_without_a_match_the_default_applies_in_its_newest_version() -> None:
    """An operator's new version of the default replaces the built-in one."""
    assert choose([], {}, T0) is DEFAULT_AGREEMENT
    document = AgreementDocument.model_validate({"name": "Ours", "metrics": RESOLUTION})
    ours = read_agreement(DEFAULT_AGREEMENT_ID, 2, document, datetime(2026, 1, 1, tzinfo=UTC))
    assert choose([ours], {}, T0) is ours
    assert choose([ours, written(1, rank=-5)], {}, T0).id == UUID(int=1)


def test_an_agreement_is_for_tickets_that_were_created_while_it_was_valid() -> None:
    """From its first instant on, and no more at its last; before and after the next one in rank applies."""
    spring = written(1, rank=5, valid_from="2026-03-01T00:00:00Z", valid_until="2026-04-01T00:00:00+02:00")
    always = written(2)
    at = {
        "2026-02-28T23:59:59+00:00": always,
        "2026-03-01T00:00:00+00:00": spring,
        "2026-03-31T21:59:59+00:00": spring,
        "2026-03-31T22:00:00+00:00": always,
    }
    for instant, expected in at.items():
        assert choose([spring, always], {}, datetime.fromisoformat(instant)) is expected
    assert AgreementDocument.model_validate(spring.document.as_json()) == spring.document
    with pytest.raises(ValidationError, match="valid_until is not after valid_from"):
        written(3, valid_from="2026-03-01T00:00:00Z", valid_until="2026-03-01T00:00:00Z")
    with pytest.raises(ValidationError, match="valid_from"):
        written(3, valid_from="2026-03-01")


def test_one_of_its_tags_is_enough_and_a_customer_may_have_an_agreement() -> None:
    """Tags are several at once, a requester and a category one value each."""
    tagged = written(1, rank=1, conditions={"tags": ["vip", "outage"]})
    personal = written(2, conditions={"requester_id": [str(UUID(int=7))], "category": ["billing"]})
    created = TicketCreated(
        ticket_id=UUID(int=1),
        number="OP-1",
        title="It does not print",
        channel=Channel.EMAIL,
        kind=Kind.INCIDENT,
        impact=Level.LOW,
        urgency=Level.LOW,
        priority=Priority.P5,
        requester_id=UUID(int=7),
        category="billing",
    )
    assert choose([tagged, personal], dimensions_of(created), T0) is personal
    other = created.model_copy(update={"category": None})
    assert choose([tagged, personal], dimensions_of(other), T0) is DEFAULT_AGREEMENT
    many = created.model_copy(update={"tags": ("outage", "printer")})
    assert choose([tagged, personal], dimensions_of(many), T0) is tagged
    assert choose([tagged], dimensions_of(created), T0) is DEFAULT_AGREEMENT
