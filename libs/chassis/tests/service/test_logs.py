"""What a process says: its own words whole, a library's repetitions once in a while."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from opora_chassis import telemetry


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """Configured logs write to the captured output of one test: none of it may outlive the test."""
    root, before = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str]]:
    """(logger, event) of each line that was written since the last call."""
    written = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [(line["logger"], line["event"]) for line in written]


def test_what_aiokafka_repeats_while_the_broker_is_away_is_said_once_in_ten_seconds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line of a kind, with how many were held back; other kinds and other libraries are not affected."""
    now = 1000.0
    monkeypatch.setattr("opora_chassis.telemetry.time.monotonic", lambda: now)
    telemetry.configure_logs("sample")
    aiokafka, other = logging.getLogger("aiokafka"), logging.getLogger("asyncio")
    for node in range(50):
        aiokafka.error("Unable connect to node with id %s", node)
    aiokafka.error("Unable to update metadata from %s", [1])
    other.error("the same")
    other.error("the same")
    assert lines(capsys) == [
        ("aiokafka", "Unable connect to node with id 0"),
        ("aiokafka", "Unable to update metadata from [1]"),
        ("asyncio", "the same"),
        ("asyncio", "the same"),
    ]
    now += telemetry.LIBRARY_REPEAT_SECONDS
    aiokafka.error("Unable connect to node with id %s", 7)
    aiokafka.error("Unable connect to node with id %s", 8)
    assert lines(capsys) == [("aiokafka", "Unable connect to node with id 7 (and 49 more like it)")]
