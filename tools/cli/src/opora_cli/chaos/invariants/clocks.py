"""I7: breaches, against what the facts and the agreement make of each clock."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from opora_cli.chaos.invariants.finding import Finding, found
from opora_cli.chaos.observation import BREACH_GRACE, Observation
from opora_cli.chaos.oracle import Reckoned
from opora_cli.checks.history import Clock
from opora_cli.checks.rules import breached_once, clock_of, distinct, named
from opora_contracts import Event
from opora_contracts.commitments import CommitmentBreached, CommitmentCorrected, CommitmentEscalated
from opora_contracts.sla import SlaBreached, SlaCorrected, SlaEscalated
from opora_contracts.topics import SLA
from opora_contracts.vocabulary import Evidence, Outcome


@dataclass(slots=True)
class _Told:
    """What the world was told of one clock's breach."""

    breach: Event[SlaBreached] | Event[CommitmentBreached]
    corrections: list[Event[SlaCorrected] | Event[CommitmentCorrected]] = field(default_factory=list)

    @property
    def stands(self) -> bool:
        return not self.corrections or self.corrections[-1].data.after is Outcome.BREACHED

    @property
    def incomplete(self) -> bool:
        return self.breach.data.evidence is Evidence.INCOMPLETE


def breached_rightly(observation: Observation, breach_grace_seconds: float = BREACH_GRACE.total_seconds()) -> Finding:
    """Each breach is declared once, never early, never where the target was reached in time, and soon.

    Soon is within the grace of its due date, or of the heal of a fault that lasted then or began within the grace. A
    breach that was declared without complete evidence may be wrong if it is corrected as soon.
    """
    grace = timedelta(seconds=breach_grace_seconds)
    reckoned = {clock.key: clock for clock in observation.reckoned}
    told = _told(observation)
    violations: list[str] = []
    for key, breach in told.items():
        clock = reckoned.get(key)
        if clock is None:
            violations.append(f"{named(key)} was breached, and there ought to be no such clock")
        else:
            violations += _judge(clock, breach, observation, grace)
    return found(
        "I7",
        "each breach is declared once, rightly and soon, and its ladder climbed once",
        len(reckoned),
        breached_once(observation.history).violations,
        violations,
        _undeclared(reckoned.values(), told, observation),
        _called(reckoned, told, observation),
    )


def _told(observation: Observation) -> dict[Clock, _Told]:
    told: dict[Clock, _Told] = {}
    for event in distinct(observation.events.get(SLA.name, ())):
        if isinstance(event.data, SlaBreached | CommitmentBreached):
            told.setdefault(clock_of(event), _Told(event))
        elif isinstance(event.data, SlaCorrected | CommitmentCorrected) and clock_of(event) in told:
            told[clock_of(event)].corrections.append(event)
    return told


def _judge(clock: Reckoned, told: _Told, observation: Observation, grace: timedelta) -> Iterator[str]:
    missed_at, fact, name = clock.breached_at, told.breach.data, named(clock.key)
    if missed_at is not None and missed_at <= fact.detected_at:
        latest = _latest(missed_at, observation, grace)
        if fact.detected_at > latest:
            yield (
                f"{name} was due at {missed_at} and declared breached at {fact.detected_at},"
                f" {(fact.detected_at - latest + grace).total_seconds():.1f} s after it could have been"
            )
    elif not told.incomplete:
        yield _wrong(clock, fact.detected_at)
    elif not told.corrections:
        yield f"{_wrong(clock, fact.detected_at)}, on incomplete evidence, and was not corrected"
    else:
        first = told.corrections[0].time
        latest = max(observation.healed_at, fact.detected_at) + grace
        if first > latest:
            yield f"{name}: its breach, on incomplete evidence, was corrected at {first}, expected by {latest}"
    ought = missed_at is not None and missed_at < observation.observed_at
    if told.corrections and told.stands != ought:
        yield f"{name} ought to {'be' if ought else 'not be'} breached, and what was told last is the contrary"


def _wrong(clock: Reckoned, detected_at: datetime) -> str:
    declared = f"{named(clock.key)} was declared breached at {detected_at}"
    if clock.breached_at is not None:
        return f"{declared}, before it was due at {clock.breached_at}"
    if clock.stopped_at is not None:
        return f"{declared}, but the target was reached in time at {clock.stopped_at}"
    return f"{declared}, but it stands still"


def _undeclared(clocks: Iterable[Reckoned], told: Mapping[Clock, _Told], observation: Observation) -> Sequence[str]:
    return [
        f"{named(clock.key)} was due at {clock.breached_at} and no breach was declared"
        for clock in clocks
        if clock.breached_at is not None and clock.breached_at < observation.judged_until and clock.key not in told
    ]


def _called(reckoned: Mapping[Clock, Reckoned], told: Mapping[Clock, _Told], observation: Observation) -> Iterator[str]:
    """Every step of the ladder that a missed clock lived to see was given, and no other. Not asked of a clock whose
    breach was declared on incomplete evidence, or withdrawn: what was told of it was right when it was told.
    """
    heard: dict[Clock, set[tuple[int, int]]] = {}
    for event in distinct(observation.events.get(SLA.name, ())):
        if isinstance(event.data, SlaEscalated | CommitmentEscalated):
            heard.setdefault(clock_of(event), set()).add((event.data.level, event.data.repetition))
    for key, clock in reckoned.items():
        breach, missed_at = told.get(key), clock.breached_at
        if breach is not None and (breach.incomplete or breach.corrections):
            continue
        due = {call: missed_at + timedelta(seconds=delay) for call, delay in observation.calls.items() if missed_at}
        lived = {call: at for call, at in due.items() if clock.stopped_at is None or at < clock.stopped_at}
        for call in sorted(heard.get(key, set()) - lived.keys()):
            yield f"{named(key)}: step {call[0]} of its ladder was given, repetition {call[1]}, and ought not to be"
        for call, at in sorted(lived.items()):
            if at < observation.judged_until and call not in heard.get(key, set()):
                yield f"{named(key)}: step {call[0]} of its ladder, repetition {call[1]}, was due at {at} and not given"


def _latest(due_at: datetime, observation: Observation, grace: timedelta) -> datetime:
    """Until when a breach has to be declared: a grace after its due date, or after the end of what came in between."""
    latest = due_at + grace
    for fault in sorted(observation.faults, key=lambda fault: fault.began_at):
        if fault.began_at <= latest and fault.ended_at >= due_at:
            latest = max(latest, fault.ended_at + grace)
    return latest
