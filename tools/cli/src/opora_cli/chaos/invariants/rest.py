"""I11, I12, I16 and the floor: what is put aside, how soon rest comes, what is used up."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from opora_cli.chaos.invariants.finding import Finding, found
from opora_cli.chaos.observation import DeadLetter, Observation
from opora_cli.chaos.record import Attempt, Outcome, Sample
from opora_contracts.topics import REQUESTS

QUEUED = "queued"
MOST_RESIDENT_BYTES = 300 * 1024 * 1024
MOST_CONNECTIONS = 8
"""A pool of 5, the relay's own, and 2 for what is made anew while the old one is not gone yet."""
_REST_SECONDS = 60.0
_FEWEST_SAMPLES = 8
_MORE_TASKS = 50
_MOST_FUTILE = 0.2


def poison_waits_aside(observation: Observation) -> Finding:
    """Each event that was broken on purpose is a dead letter with its reason, what follows under its key is queued
    behind it, and nothing else is put aside.
    """
    broken = {attempt.key: attempt for attempt in observation.attempts if attempt.action == "submit_broken"}
    letters = [(service, letter) for service, tables in observation.services.items() for letter in tables.dead_letters]
    parked = [(service, *park) for service, tables in observation.services.items() for park in tables.parked]
    keys = {attempt.external[1] for attempt in broken.values() if attempt.external is not None}
    needless = [
        f"{service} has the dead letter {letter.event_id} ({letter.reason_code}) of {letter.key},"
        f" {letter.topic} partition {letter.partition} offset {letter.offset}"
        for service, letter in letters
        if not _is_expected(service, letter, broken, keys)
    ]
    needless += [
        f"{service} has parked {key} of {consumer}"
        for service, consumer, key in parked
        if (service, consumer) != ("intake", REQUESTS.name) or key not in keys
    ]
    return found(
        "I11",
        "poison waits aside, and nothing else does",
        len(broken) + len(letters) + len(parked),
        needless,
        _missing(observation, broken),
        _overtaken(observation),
    )


def rest_comes_soon(observation: Observation) -> Finding:
    """A minute after the heal nothing is left to consume, to publish, to send or to judge."""
    after = observation.settled_after_seconds
    violations = []
    if after is None or after > _REST_SECONDS:
        shown = "not at rest" if after is None else f"at rest after {after:.1f} s"
        violations.append(f"healed at {observation.healed_at}: {shown}, expected within {_REST_SECONDS:.0f} s")
    return found("I12", "a minute after the heal nothing is left to do", 1, violations)


def bounded(observation: Observation) -> Finding:
    """No process uses more memory or connections than it may, or ever more tasks."""
    by_process: dict[tuple[str, int], list[Sample]] = defaultdict(list)
    for sample in observation.samples:
        by_process[sample.process, sample.pid].append(sample)
    violations: list[str] = []
    for (process, pid), samples in by_process.items():
        name = f"{process} ({pid})"
        largest = max(sample.resident_bytes for sample in samples)
        if largest >= MOST_RESIDENT_BYTES:
            violations.append(
                f"{name} took {largest >> 20} MB of memory, at most {MOST_RESIDENT_BYTES >> 20} are allowed"
            )
        most = max(sample.database_connections for sample in samples)
        if most > MOST_CONNECTIONS:
            violations.append(f"{name} held {most} database connections, at most {MOST_CONNECTIONS} are allowed")
        if len(samples) >= _FEWEST_SAMPLES:
            violations += _growth(name, sorted(samples, key=lambda sample: sample.at))
    return found("I16", "memory, connections and tasks stay bounded", len(by_process), violations)


def enough(observation: Observation, floor: int) -> Finding:
    """A run proves nothing if less than `floor` writes were acknowledged, or a fifth of its faults were futile."""
    count = sum(1 for attempt in observation.attempts if attempt.outcome is Outcome.ACKNOWLEDGED)
    violations = [f"{count} writes were acknowledged, at least {floor} are needed"] if count < floor else []
    futile = [fault for fault in observation.faults if fault.came_to_nothing]
    if len(futile) > _MOST_FUTILE * len(observation.faults):
        violations += [
            f"{fault.name} {fault.target} at {fault.began_at} came to nothing: {fault.detail}" for fault in futile
        ]
    return found("I0", "enough was acknowledged, and broken, to prove something", count, violations)


def _is_expected(service: str, letter: DeadLetter, broken: Mapping[str, Attempt], keys: set[str]) -> bool:
    """Whether the letter is a broken event itself, or waits behind one."""
    if (service, letter.topic) != ("intake", REQUESTS.name) or letter.key not in keys:
        return False
    return letter.reason_code == QUEUED or letter.event_id in broken


def _missing(observation: Observation, broken: Mapping[str, Attempt]) -> Iterator[str]:
    tables = observation.services["intake"]
    letters = {letter.event_id: letter for letter in tables.dead_letters if letter.reason_code != QUEUED}
    waiting = {letter.event_id for letter in tables.dead_letters}
    guilty = {letter.key for letter in letters.values()}
    problems = {
        record.event_id: record.problem for record in observation.records.get(REQUESTS.name, ()) if record.problem
    }
    for key, attempt in broken.items():
        external = (attempt.external or ("", ""))[1]
        if attempt.outcome is not Outcome.ACKNOWLEDGED and key not in problems:
            continue  # it never stood on the topic
        if key not in waiting:
            yield f"the broken event {key} of {external} is no dead letter"
        elif external not in guilty:
            yield f"the broken event {key} of {external} is put aside without its reason"
        elif key in letters and letters[key].reason_code != problems.get(key, letters[key].reason_code):
            yield f"the broken event {key} of {external} is called {letters[key].reason_code}: it is {problems[key]}"
        if (REQUESTS.name, external) not in tables.parked:
            yield f"the key {external} of the broken event {key} is not parked"


def _overtaken(observation: Observation) -> Iterator[str]:
    """What stands behind a broken event of its key and was not held back."""
    tables = observation.services["intake"]
    held = {(letter.partition, letter.offset) for letter in tables.dead_letters if letter.topic == REQUESTS.name}
    keys = {key for _, key in observation.broken_keys}
    began: set[str] = set()
    for record in observation.records.get(REQUESTS.name, ()):
        if record.key not in keys:
            continue
        if record.problem is not None:
            began.add(record.key)
        elif record.key in began and (record.partition, record.offset) not in held:
            yield f"event {record.event_id} of {record.key} overtook the broken one before it"


def _growth(name: str, samples: Sequence[Sample]) -> Iterator[str]:
    quarter = len(samples) // 4
    first = median(sample.tasks for sample in samples[:quarter])
    last = median(sample.tasks for sample in samples[-quarter:])
    if last > 2 * first + _MORE_TASKS:
        yield f"{name} had {first:g} tasks at first and {last:g} in the end"
