"""What has to happen now and then for a run to prove anything: a safeguard that was never needed was not tried."""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path

from opora_cli.chaos.invariants.finding import Finding, found
from opora_cli.chaos.observation import Observation
from opora_cli.chaos.record import Outcome
from opora_cli.checks.commitments import OPERATIONAL, UNDERPINNING, UPDATE
from opora_contracts.vocabulary import Metric

CONSUMED = "opora_consumed_events_total"
MIGRATED = "opora_sla_migrated_cases_total"
_RACE = timedelta(milliseconds=300)
_SHARDS = 4
_LOST_MEMBERSHIP = ("CommitFailedError", "IllegalGeneration", "UnknownMemberId", "another consumer handled")


def count(observation: Observation, log_directory: Path, counted: Callable[..., float]) -> dict[str, int]:
    """How often each happened; `counted` gives the sum of a counter over all processes, as far as they were asked."""
    services = observation.services.values()
    lines = list(_lines(log_directory))
    deeds = [fault for fault in observation.faults if fault.name == "cut_after"]
    return {
        "an event was delivered again and passed over": int(counted(CONSUMED, outcome="duplicate")),
        "a write was repeated and then acknowledged": sum(
            1 for each in observation.attempts if each.outcome is Outcome.ACKNOWLEDGED and each.sent > 1
        ),
        "nobody knew whether a write had its effect": sum(
            1 for each in observation.attempts if each.outcome is Outcome.UNKNOWN
        ),
        "the answer to a deed was lost exactly after it": sum(_lost_answers(fault.detail) for fault in deeds),
        "a relay took over another's shards": max(
            0, sum('"relay_shard_taken"' in line for line in lines) - _SHARDS * len(observation.services)
        ),
        "a key was parked": sum(len(tables.parked) for tables in services),
        "an event waited behind a broken one": sum(
            1 for tables in services for letter in tables.dead_letters if letter.reason_code == "queued"
        ),
        "a consumer that lost its partition was fenced off": sum(
            any(words in line for words in _LOST_MEMBERSHIP) for line in lines
        ),
        "a ticket was answered within 0.3 s of its due date": _races(observation),
        "a breach was declared": sum(1 for clock in observation.clocks if clock.outcome == "breached"),
        "a group, a third party or an update was late": sum(
            1 for clock in observation.clocks if clock.outcome == "breached" and clock.metric in _COMMITMENTS
        ),
        "a ladder was climbed": sum(step == "escalated" for _, _, _, step, _ in observation.fired_steps),
        "an open ticket went over to another version of its agreement": int(counted(MIGRATED)),
    }


_COMMITMENTS = frozenset({UPDATE, OPERATIONAL, UNDERPINNING})


def happened(counts: Mapping[str, int]) -> Finding:
    """Each of these happened at least once."""
    never = [f"it never happened that {what}" for what, times in counts.items() if not times]
    return found("S", "every safeguard was needed", len(counts), never)


def _lost_answers(detail: str) -> int:
    """Of a link's `3 cuts, 2 answers lost`."""
    words = detail.split()
    return int(words[2]) if len(words) > 2 and words[2].isdigit() else 0  # noqa: PLR2004


def _races(observation: Observation) -> int:
    return sum(
        1
        for clock in observation.reckoned
        if clock.metric is Metric.FIRST_RESPONSE
        and clock.due_at is not None
        and clock.stopped_at is not None
        and abs(clock.due_at - clock.stopped_at) <= _RACE
    )


def _lines(directory: Path) -> Iterable[str]:
    for path in sorted(directory.glob("*.log")):
        with path.open(errors="replace") as file:
            yield from file
