"""Replaying: the import's identity, its batches, what a second run does."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from opora_cli.errors import CommandError
from opora_cli.replay.agreement import DEFAULT_AGREEMENTS, import_name, load_agreement, scoped_to_import
from opora_cli.replay.entries import ConvertedLog, Entry
from opora_cli.replay.run import BATCH_ENTRIES, RefusedEntry, Replay, outcome_line

START = datetime(2016, 3, 1, tzinfo=UTC)
AGREEMENT = {"name": "A", "metrics": {"resolution": {"targets": {"P1": {"hours": 4}}}}}


class Recorder:
    """A service that writes down what it is sent and answers as it was told."""

    def __init__(self, answers: Sequence[Any]) -> None:
        self.answers = list(answers)
        self.sent: list[tuple[str, Any]] = []

    async def get(self, path: str, **parameters: Any) -> Any:
        """Answer the next one."""
        self.sent.append((path, parameters))
        return self.answers.pop(0)

    async def post(self, path: str, body: Any, *, actor: str | None = None) -> Any:  # noqa: ARG002
        """Answer the next one."""
        self.sent.append((path, body))
        return self.answers.pop(0)


def entries(count: int, source_id: str = "T1") -> list[Entry]:
    return [Entry(source_id, n, START + timedelta(minutes=n), "note", {}) for n in range(1, count + 1)]


def taken(facts: int, refused: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    return {"applied": facts, "skipped": 0, "refused": list(refused), "facts": facts}


def test_the_name_says_format_log_agreement_and_limit() -> None:
    """The same log under the same agreement is the same import; any difference makes another."""
    name = import_name("servicenow", "a" * 64, AGREEMENT, None)
    assert name == import_name("servicenow", "a" * 64, dict(reversed(AGREEMENT.items())), None)
    others = [
        import_name("italian", "a" * 64, AGREEMENT, None),
        import_name("servicenow", "b" * 64, AGREEMENT, None),
        import_name("servicenow", "a" * 64, {**AGREEMENT, "name": "B"}, None),
        import_name("servicenow", "a" * 64, AGREEMENT, 10),
    ]
    assert len({name, *others}) == 5
    assert all(len(each) <= 200 for each in (name, *others))


def test_the_agreement_is_for_the_imports_tickets_alone() -> None:
    """The import's agreement keeps the author's conditions, adds the import, and goes before every other."""
    scoped = scoped_to_import({**AGREEMENT, "conditions": {"priority": ["P1"]}}, "the-import")
    assert scoped["conditions"] == {"priority": ["P1"], "external_source": ["the-import"]}
    assert (scoped["name"], scoped["rank"]) == ("the-import", 1_000_000)


@pytest.mark.parametrize("log_format", sorted(DEFAULT_AGREEMENTS))
def test_each_format_has_a_valid_default_agreement(log_format: str) -> None:
    """Without --agreement a replay has one that sla accepts."""
    assert load_agreement(log_format, None) == DEFAULT_AGREEMENTS[log_format]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "is not JSON"),
        ("[]", "a JSON object"),
        (json.dumps({**AGREEMENT, "weekly_hour": {}}), "weekly_hour"),
        (json.dumps({**AGREEMENT, "time_zone": "Mars/Olympus"}), "Mars/Olympus"),
    ],
)
def test_an_unusable_agreement_is_refused_before_anything_starts(tmp_path: Path, text: str, expected: str) -> None:
    """The message names the field and what is wrong; the exit code is 2."""
    path = tmp_path / "agreement.json"
    path.write_text(text)
    with pytest.raises(CommandError, match=expected) as refused:
        load_agreement("servicenow", path)
    assert refused.value.exit_code == 2


async def test_batches_follow_each_other_with_a_growing_watermark() -> None:
    """At most 2,000 entries a request, one request after another; each carries the time of its last entry."""
    intake = Recorder([taken(2_000), taken(2_500)])
    replay = Replay(intake, Recorder([]), "an-import", import_id="i1")
    log = ConvertedLog(entries=entries(BATCH_ENTRIES + 500))
    done: list[int] = []
    await replay.send(log, done.append)
    assert [path for path, _ in intake.sent] == ["/v1/imports/i1/entries"] * 2
    assert [len(body["entries"]) for _, body in intake.sent] == [2_000, 500]
    assert [body["watermark"] for _, body in intake.sent] == [
        (START + timedelta(minutes=2_000)).isoformat(),
        (START + timedelta(minutes=2_500)).isoformat(),
    ]
    assert done == [2_000, 2_500]
    assert replay.facts == 2_500


async def test_what_follows_a_refused_entry_is_not_sent() -> None:
    """A ticket of which an entry was refused goes no further, so that later requests hold no gap; others go on."""
    refused = {"index": 0, "source_id": "T1", "ordinal": 7, "problem": "no"}
    intake = Recorder([taken(10, [refused]), taken(11)])
    log = ConvertedLog(entries=[*entries(BATCH_ENTRIES), Entry("T1", 2_001, START, "note", {}), *entries(1, "T2")])
    replay = Replay(intake, Recorder([]), "an-import", import_id="i1")
    await replay.send(log, lambda _done: None)
    assert [entry["source_id"] for entry in intake.sent[1][1]["entries"]] == ["T2"]
    assert replay.refused == [RefusedEntry("T1", 7, "no")]


async def test_a_closed_import_is_only_read() -> None:
    """The second run of a replay that joined live time sends nothing."""
    intake = Recorder([{"id": "i1", "facts": 9, "state": "closed"}])
    replay = Replay(intake, Recorder([{}]), "an-import")
    await replay.begin(AGREEMENT)
    await replay.send(ConvertedLog(entries=entries(3)), lambda _done: None)
    assert len(intake.sent) == 1


async def test_it_waits_until_every_partition_is_judged() -> None:
    """Outcomes are read when all facts are applied, every partition reached the log's end, and nothing waits."""
    last = START + timedelta(days=1)
    early, late = START.isoformat(), last.isoformat()
    everywhere = dict.fromkeys(map(str, range(12)), late)
    state: dict[str, Any] = {"facts_applied": 5, "waiting_for_judgement": 0, "watermarks": everywhere}
    answers = [
        {**state, "facts_applied": 3},
        {**state, "watermarks": {**everywhere, "4": early}},
        {**state, "watermarks": {"0": late}},
        {**state, "waiting_for_judgement": 1},
        state,
    ]
    sla = Recorder(answers)
    replay = Replay(Recorder([]), sla, "an-import", import_id="i1", facts=5)
    await replay.wait_until_judged(last, lambda _done: None)
    assert not sla.answers


async def test_outcomes_are_read_page_by_page() -> None:
    """Every page is read, and a line holds what the file promises and nothing else."""
    metric = {"due_at": None, "outcome": "met", "used_seconds": 60, "target_seconds": 90, "more": "ignored"}
    item = {"ticket_id": "t", "priority": "P1", "metrics": {"resolution": metric}}
    pages = [
        {"items": [{**item, "source_id": "T1"}], "next_cursor": "c"},
        {"items": [{**item, "source_id": "T2"}], "next_cursor": None},
    ]
    sla = Recorder(pages)
    found = await Replay(Recorder([]), sla, "an-import").outcomes(lambda _done: None)
    assert list(found) == ["T1", "T2"]
    assert sla.sent[1][1]["cursor"] == "c"
    assert outcome_line("T1", found["T1"]) == {
        "source_id": "T1",
        "ticket_id": "t",
        "priority": "P1",
        "metrics": {"resolution": {"due_at": None, "outcome": "met", "used_seconds": 60, "target_seconds": 90}},
    }
