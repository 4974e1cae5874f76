"""Agreements: what a document may say, and which one applies."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from opora_contracts.vocabulary import Priority, WaitingOn
from opora_sla.agreement import (
    DEFAULT_AGREEMENT,
    DEFAULT_AGREEMENT_ID,
    Agreement,
    AgreementDocument,
    choose,
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
    assert choose([gold_mail], {"tier": "gold", "channel": "email"}) is gold_mail
    assert choose([gold_mail], {"tier": "gold", "channel": "chat"}) is DEFAULT_AGREEMENT
    assert choose([gold_mail], {"tier": None, "channel": "email"}) is DEFAULT_AGREEMENT


def test_the_rank_decides_then_the_conditions_then_the_date() -> None:
    """The highest rank; among equals the most conditions; among those the newest."""
    anybody, newer = written(1), written(2)
    gold = written(1, conditions={"tier": ["gold"]})
    first = written(1, rank=1)
    dimensions = {"tier": "gold"}
    assert choose([anybody, newer], dimensions) is newer
    assert choose([gold, newer], dimensions) is gold
    assert choose([first, gold, newer], dimensions) is first


def test_without_a_match_the_default_applies_in_its_newest_version() -> None:
    """An operator's new version of the default replaces the built-in one."""
    assert choose([], {}) is DEFAULT_AGREEMENT
    document = AgreementDocument.model_validate({"name": "Ours", "metrics": RESOLUTION})
    ours = read_agreement(DEFAULT_AGREEMENT_ID, 2, document, datetime(2026, 1, 1, tzinfo=UTC))
    assert choose([ours], {}) is ours
    assert choose([ours, written(1, rank=-5)], {}).id == UUID(int=1)
