"""Entries of an import: which are new, which are missing, and what they mean."""

from datetime import UTC, datetime
from typing import Any

import pytest

from opora_contracts.vocabulary import ResolutionCode
from opora_intake.domain import Open, commands
from opora_intake.domain.history import BadEntry, HistoryEntry, OrdinalGap, command_of, fresh_entries


def entry(source_id: str, ordinal: int, action: str = "note", **data: Any) -> HistoryEntry:
    return HistoryEntry(
        source_id=source_id, ordinal=ordinal, at=datetime(2016, 2, 29, 1, 16, tzinfo=UTC), action=action, data=data
    )


def test_applied_entries_are_skipped() -> None:
    """Only entries after the last applied ordinal of their case are new, whatever the order of the cases."""
    entries = [entry("INC1", 1), entry("INC2", 1), entry("INC1", 2), entry("INC1", 3)]
    assert [index for index, _ in fresh_entries(entries, {"INC1": 2})] == [1, 3]


@pytest.mark.parametrize(("applied", "expected"), [({}, 1), ({"INC1": 1}, 2)])
def test_a_gap_names_the_case_and_the_expected_ordinal(applied: dict[str, int], expected: int) -> None:
    """A missing entry refuses the request and tells where to go on."""
    with pytest.raises(OrdinalGap, match=f"INC1 goes on with ordinal {expected}, not 3"):
        fresh_entries([entry("INC1", 3)], applied)


def test_an_entry_becomes_the_command_of_its_action() -> None:
    """Entries use the verbs and fields of live commands."""
    assert command_of(entry("INC1", 1, "create", title="Old")) == Open(title="Old")
    assert command_of(entry("INC1", 2, "close", resolution_code="cancelled")) == commands.Close(
        resolution_code=ResolutionCode.CANCELLED
    )


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (entry("INC1", 1, "explode"), "Unknown action explode: use one of create, assess"),
        (entry("INC1", 1, "hold"), "waiting_on: Field required"),
        (entry("INC1", 1, "create", title="Old", colour="red"), "colour: Extra inputs are not permitted"),
    ],
)
def test_an_entry_that_cannot_be_understood_says_why(bad: HistoryEntry, reason: str) -> None:
    """The reason names the unknown action or the broken field."""
    with pytest.raises(BadEntry) as refusal:
        command_of(bad)
    assert reason in str(refusal.value)
