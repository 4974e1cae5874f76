"""What the doctor says, and when it calls a measurement wrong. Pure: no I/O, no clock."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

MAX_OUTBOX_AGE_SECONDS = 10.0
MAX_CLOCK_SKEW_SECONDS = 1.0
MIN_FREE_BYTES = 2_000_000_000
MIN_FREE_SHARE = 0.05
MAX_LAG_RECORDS = 5_000
"""More than that is worth a word while it does not shrink."""

STATUS = "opora status"
DISASTER = "docs/operations/disaster.md"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that was looked at. `problem` is empty when it is well; then there is nothing to do."""

    subject: str
    measured: str
    problem: str = ""
    next_command: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """How far one service has come on one topic, at one moment, by partition."""

    committed: Mapping[int, int]
    """Missing where the service never acknowledged anything."""
    begins: Mapping[int, int]
    ends: Mapping[int, int]
    members: int
    """How many processes consume."""

    @property
    def lags(self) -> dict[int, int]:
        """Records not acknowledged yet, of the partitions that have any."""
        found = {
            partition: end - max(self.committed.get(partition, 0), self.begins.get(partition, 0))
            for partition, end in self.ends.items()
        }
        return {partition: lag for partition, lag in found.items() if lag > 0}

    @property
    def beyond(self) -> dict[int, int]:
        """Partitions whose acknowledged position lies behind their end: by how much."""
        return {
            partition: position - self.ends[partition]
            for partition, position in self.committed.items()
            if partition in self.ends and position > self.ends[partition]
        }


def judge_consumption(service: str, topic: str, before: Reading, after: Reading, seconds: float) -> Diagnosis:
    """Whether a service keeps up with a topic, from two looks so many seconds apart."""
    subject = f"{service} on {topic}"
    lag = sum(after.lags.values())
    handled = sum(
        after.committed.get(partition, 0) - before.committed.get(partition, 0) for partition in after.committed
    )
    measured = f"{lag} records behind, {handled / seconds:.0f} a second handled, {after.members} processes"
    if after.beyond:
        return Diagnosis(
            subject,
            measured,
            f"it has acknowledged {sum(after.beyond.values())} records that the broker does not have: the broker lost"
            f" its log or is another one. Stop the services and follow {DISASTER}",
            "opora republish --backup DIR",
        )
    if not after.members:
        return Diagnosis(subject, measured, "no process consumes it", STATUS)
    waited = [partition for partition in before.lags if partition in after.lags]
    if waited and all(after.committed.get(one, 0) == before.committed.get(one, 0) for one in waited):
        return Diagnosis(subject, measured, f"it stands still: nothing was handled for {seconds:.0f} s", STATUS)
    if lag > MAX_LAG_RECORDS and lag >= sum(before.lags.values()):
        return Diagnosis(
            subject,
            measured,
            f"it falls behind: add processes with the role consume of {service}, at most one a partition",
            STATUS,
        )
    return Diagnosis(subject, measured)


def judge_outbox(service: str, depth: int, oldest_age_seconds: float, held_shards: int) -> Diagnosis:
    """Whether a relay publishes."""
    subject = f"{service}: outbox"
    measured = f"{depth} facts, the oldest for {oldest_age_seconds:.1f} s, {held_shards} shards held"
    if not held_shards:
        problem = "no relay is at work: facts are kept and nobody hears of them"
    elif oldest_age_seconds > MAX_OUTBOX_AGE_SECONDS:
        problem = "the relay is stuck, or cannot reach the broker"
    else:
        return Diagnosis(subject, measured)
    return Diagnosis(subject, measured, problem, STATUS)


def judge_letters(service: str, letters: int, parked_keys: int) -> Diagnosis:
    """Whether anything waits for a person."""
    waits = letters or parked_keys
    return Diagnosis(
        f"{service}: dead letters",
        f"{letters}, {parked_keys} parked keys",
        "events could not be handled, and what follows them waits" if waits else "",
        f"opora dead-letters list --service {service}" if waits else "",
    )


def judge_skew(service: str, skew_seconds: float) -> Diagnosis:
    """Whether the database's clock, which decides what is due, agrees with this host's."""
    wrong = abs(skew_seconds) > MAX_CLOCK_SKEW_SECONDS
    return Diagnosis(
        f"{service}: database clock",
        f"{skew_seconds:+.2f} s against this host",
        "one of the two clocks is wrong, and the database's decides what is due" if wrong else "",
        "timedatectl status" if wrong else "",
    )


def judge_disk(place: str, free_bytes: int, total_bytes: int) -> Diagnosis:
    """Whether a disk will soon be full."""
    short = free_bytes < max(MIN_FREE_BYTES, MIN_FREE_SHARE * total_bytes)
    measured = f"{free_bytes / 1e9:.1f} GB free of {total_bytes / 1e9:.1f} GB"
    problem = "it will soon be full: a full disk stops the broker or the database" if short else ""
    return Diagnosis(f"disk of {place}", measured, problem, "df -h" if short else "")


def judge_marks(
    before: Mapping[int, datetime], after: Mapping[int, datetime], marks_published: int, seconds: float
) -> Diagnosis:
    """Whether sla knows how far it has seen everything, from two looks at its watermarks."""
    still = sorted(partition for partition in after if after[partition] == before.get(partition))
    if not after:
        still, measured = [], "no partition has a watermark"
    else:
        measured = f"{len(after) - len(still)} of {len(after)} partitions move, {marks_published} marks published"
    subject = "sla: watermarks"
    if after and not still:
        return Diagnosis(subject, measured)
    cause = "intake's relay publishes no marks" if not marks_published else "sla does not follow the marks"
    return Diagnosis(
        subject,
        measured,
        f"watermarks stand still for {seconds:.0f} s, so breaches are not declared: {cause}",
        STATUS,
    )


def judge_history(topic: str, owner: str, looked_at: int, unknown: int) -> Diagnosis:
    """Whether the owner of a topic knows everything that it once published there."""
    return Diagnosis(
        f"{topic}: its owner's memory",
        f"{looked_at - unknown} of the {looked_at} newest facts are known to {owner}",
        (
            f"{owner}'s database is older than its log: new facts would take numbers that are used already. Stop"
            f" {owner} and follow {DISASTER}"
            if unknown
            else ""
        ),
        (f"opora restore DIR{f' --service {owner} --replace' if owner != 'intake' else ''}" if unknown else ""),
    )
