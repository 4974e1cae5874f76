"""From the clocks as they are to the facts that were not said yet.

What was said is kept per ticket: the keys of the steps (`fired`) and each clock's outcome as the world knows it
(`told`). A fact in the order of time goes on from the ticket's last waypoint. One that arrives late folds all facts
anew, which simply gives other clocks; whatever that changes in an outcome is said once, as `sla.corrected`. From then
on the ticket is folded anew each time, because what was said of it is no longer what its facts alone would say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from opora_contracts.event import Event, NewEvent
from opora_contracts.fact import Fact
from opora_contracts.sla import (
    SlaBreached,
    SlaCancelled,
    SlaCorrected,
    SlaEscalated,
    SlaMet,
    SlaPaused,
    SlaResumed,
    SlaStarted,
    SlaWarning,
)
from opora_contracts.tickets import TicketCreated, TicketFact, TicketUpdated
from opora_contracts.vocabulary import Evidence, Metric, Outcome, Priority
from opora_sla.agreement import Agreement
from opora_sla.calendar import working_seconds
from opora_sla.domain.facts import CaseFact, case_fact
from opora_sla.domain.fold import Walk, fold
from opora_sla.domain.ladder import REPETITIONS
from opora_sla.domain.state import Clock, ClockKey, Clocks, Step, StepKey, StepName, Waypoint

_ENDS = {StepName.BREACHED: Outcome.BREACHED, StepName.MET: Outcome.MET, StepName.CANCELLED: Outcome.CANCELLED}


class History(NamedTuple):
    """A ticket's facts so far and what was said of it."""

    facts: tuple[CaseFact, ...] = ()
    fired: frozenset[StepKey] = frozenset()
    told: Mapping[ClockKey, Outcome] = MappingProxyType({})


class Case(NamedTuple):
    """All that sla keeps of one ticket."""

    ticket_id: UUID
    number: str
    external_source: str | None
    external_id: str | None
    import_id: str | None
    """The import that brought the ticket; None for one that was born live."""
    live: bool
    """Whether it is judged by live time, as every ticket is but those of an open import."""
    partition: int
    agreement_id: UUID
    agreement_version: int
    organization_id: UUID | None
    tier: str | None
    product: str | None
    kind: str
    channel: str
    priority: Priority
    assignee: str | None
    group: str | None
    judged_at: datetime
    next_fire_at: datetime | None = None
    open: bool = True
    """Whether any clock may still change by itself or by the next fact in order."""
    last_sequence: int = 0
    """Of the ticket's facts, those up to this one were taken in."""
    emitted_sequence: int = 0
    waypoint: Waypoint | None = None
    """From where the ticket's walk goes on; None when all its facts must be folded anew."""
    history: History | None = History()
    """None when it was not read."""

    @property
    def open_import_id(self) -> str | None:
        """The open import by whose time the ticket is judged, or None."""
        return None if self.live else self.import_id


class Decision(NamedTuple):
    """What follows from new facts or from time: the case to save, its clocks, and what to publish."""

    case: Case
    clocks: Clocks
    vanished: AbstractSet[ClockKey]
    """Clocks that were spoken of and, by a late fact, never were."""
    new_facts: tuple[CaseFact, ...]
    new_keys: tuple[StepKey, ...]
    """Keys of the steps that are fired from now on, said or not."""
    events: tuple[NewEvent, ...]


def open_case(created: Event[TicketCreated], agreement: Agreement) -> Case:
    """The case of a new ticket, pinned to the agreement; `advance` with its first events makes its clocks."""
    data = created.data
    return Case(
        ticket_id=data.ticket_id,
        number=data.number,
        external_source=data.external_source,
        external_id=data.external_id,
        import_id=created.import_id,
        live=created.import_id is None,
        partition=created.partition or 0,
        agreement_id=agreement.id,
        agreement_version=agreement.version,
        organization_id=data.organization_id,
        tier=data.tier,
        product=data.product,
        kind=data.kind.value,
        channel=data.channel.value,
        priority=data.priority,
        assignee=data.assignee,
        group=data.group,
        judged_at=created.time,
    )


def needs_history(case: Case, new_events: Sequence[Event[TicketFact]]) -> bool:
    """Whether `advance` needs the case's history: its walk cannot go on, since one of the facts is late or joins a
    ticket of an import to live time.
    """
    return case.waypoint is None or any(
        event.time < case.judged_at or (isinstance(event.data, TicketUpdated) and event.data.joined_live)
        for event in new_events
    )


def advance(
    case: Case,
    new_events: Sequence[Event[TicketFact]],
    agreement: Agreement,
    *,
    judged_at: datetime,
    now: datetime,
    evidence: Evidence = Evidence.COMPLETE,
) -> Decision:
    """Take in the events, judge, and say what is new, each step once.

    Judged is at `judged_at`, the last event's time or the case's last judgement, whichever is latest. A live fact's
    `time` and `detected_at` are `now`. History speaks in its own time: there both are the instant at which the step
    happened, so that the same history says the same in however many batches it comes.

    Raises ValueError when the case's history is needed and was not read.
    """
    arrived = [case_fact(event) for event in new_events]
    new_facts = tuple(fact for fact in arrived if fact.moves_clocks)
    judged_at = max(judged_at, case.judged_at, *(fact.at for fact in arrived))
    facts = new_facts if case.history is None else case.history.facts + new_facts
    if case.waypoint is not None and not needs_history(case, new_events):
        walk = Walk(
            agreement,
            at=case.judged_at,
            priority=case.priority,
            assignee=case.assignee,
            group=case.group,
            waypoint=case.waypoint,
        )
        fired: AbstractSet[StepKey] = frozenset()
        told: Mapping[ClockKey, Outcome] = walk.outcomes()
        for fact in sorted(new_facts, key=lambda fact: (fact.at, fact.sequence)):
            walk.take(fact)
        clocks = walk.judge(judged_at, with_intervals=False)
        vanished: AbstractSet[ClockKey] = frozenset()
        goes_on = True
    elif case.history is None:
        raise ValueError(f"ticket {case.ticket_id} is to be folded anew, and its history was not read")
    else:
        fired, told = case.history.fired, case.history.told
        clocks = fold(facts, agreement, judged_at, with_intervals=False)
        standing = {clock.key for clock in clocks.clocks}
        vanished = told.keys() - standing
        goes_on = not vanished and fired <= {step.key for step in clocks.steps}
    new_keys = tuple(step.key for step in clocks.steps if step.key not in fired)
    speaker = _Speaker(
        case=case,
        live=case.live or any(fact.joined_live for fact in new_facts),
        facts=facts,
        clocks=clocks,
        agreement=agreement,
        now=now,
        evidence=evidence,
    )
    said = list(_say(fired, told, clocks, speaker))
    causes = {event.id: event for event in new_events}
    history = None
    if case.history is not None:
        outcomes = {clock.key: clock.outcome for clock in clocks.clocks}
        history = History(
            facts,
            case.history.fired.union(new_keys),
            {**case.history.told, **dict.fromkeys(vanished, Outcome.CANCELLED), **outcomes},
        )
    after = case._replace(
        live=speaker.live,
        last_sequence=max(case.last_sequence, *(fact.sequence for fact in arrived), 0),
        emitted_sequence=case.emitted_sequence + len(said),
        priority=clocks.priority,
        assignee=clocks.assignee,
        group=clocks.group,
        judged_at=clocks.judged_at,
        next_fire_at=clocks.next_fire_at,
        open=any(clock.open for clock in clocks.clocks),
        waypoint=clocks.waypoint if goes_on else None,
        history=history,
    )
    subject = str(case.ticket_id)
    events = tuple(
        NewEvent(
            data=utterance.data,
            subject=subject,
            sequence=sequence,
            time=utterance.time,
            actor="system:sla",
            import_id=utterance.import_id,
            cause=None if utterance.cause is None else causes.get(utterance.cause),
        )
        for sequence, utterance in enumerate(said, start=case.emitted_sequence + 1)
    )
    return Decision(after, clocks, vanished, new_facts, new_keys, events)


class _Utterance(NamedTuple):
    data: Fact
    time: datetime
    import_id: str | None
    cause: str | None


def _say(
    fired: AbstractSet[StepKey], known: Mapping[ClockKey, Outcome], clocks: Clocks, speaker: _Speaker
) -> Iterator[_Utterance]:
    told = dict(known)
    for step in clocks.steps:
        if step.key in fired:
            continue
        key = ClockKey(step.key.metric, step.key.cycle)
        heard = _outcome_when_said(step.key.name, told.get(key))
        if heard is None:
            continue
        told[key] = heard
        yield speaker.step(step)
    now_standing = {clock.key: clock for clock in clocks.clocks}
    for key, before in told.items():
        clock = now_standing.get(key)
        outcome = clock.outcome if clock else Outcome.CANCELLED
        if outcome is not before:
            yield speaker.correction(key, before, outcome, clock)


def _outcome_when_said(name: StepName, known: Outcome | None) -> Outcome | None:
    """The outcome that the world knows after the step is said, or None when the step is not worth saying any more:
    after an end nothing goes on, and a changed end is a correction's to say.
    """
    match name:
        case StepName.STARTED:
            return Outcome.OPEN if known in {None, Outcome.OPEN, Outcome.CANCELLED} else None
        case StepName.PAUSED | StepName.RESUMED | StepName.ESCALATED:
            return known if known in {Outcome.OPEN, Outcome.BREACHED} else None
        case StepName.WARNING:
            return known if known is Outcome.OPEN else None
        case _:
            return _ENDS[name] if known is Outcome.OPEN else None


@dataclass(frozen=True, slots=True)
class _Speaker:
    """Puts steps into the words of the contracts."""

    case: Case
    """As it was before."""
    live: bool
    """Whether it is judged by live time from now on."""
    facts: Sequence[CaseFact]
    """Those known of it: all, unless the walk went on."""
    clocks: Clocks
    agreement: Agreement
    now: datetime
    evidence: Evidence

    def step(self, step: Step) -> _Utterance:
        import_id = self._import_of(step)
        heard_at = step.at if import_id else self.now
        return _Utterance(self._words(step, heard_at, live=import_id is None), heard_at, import_id, step.cause)

    def correction(self, key: ClockKey, before: Outcome, after: Outcome, clock: Clock | None) -> _Utterance:
        reason = "a fact became known after the clock was judged"
        data = SlaCorrected(
            **self._about(key.metric, key.cycle),
            before=before,
            after=after,
            due_at=clock.due_at if clock else None,
            used_seconds=clock.used_seconds if clock else 0,
            target_seconds=clock.target_seconds if clock else 0,
            reason=reason,
        )
        late = max(self.facts, key=lambda fact: fact.sequence)
        import_id = self._open_import_id
        return _Utterance(data, self.clocks.judged_at if import_id else self.now, import_id, late.event_id)

    def _import_of(self, step: Step) -> str | None:
        """The import that the step belongs to: all steps of a case in an import, and of one that joined live time in
        this very batch those that its history had reached.
        """
        if self.case.live or not self.live:
            return self._open_import_id
        history = [fact.at for fact in self.facts if fact.import_id is not None]
        return self.case.import_id if history and step.at <= max(history) else None

    @property
    def _open_import_id(self) -> str | None:
        return None if self.live else self.case.import_id

    def _about(self, metric: Metric, cycle: int) -> dict[str, Any]:
        return {
            "ticket_id": self.case.ticket_id,
            "metric": metric,
            "cycle": cycle,
            "agreement_id": self.case.agreement_id,
            "agreement_version": self.case.agreement_version,
        }

    def _words(self, step: Step, heard_at: datetime, *, live: bool) -> Fact:
        about = self._about(step.key.metric, step.key.cycle)
        used, target, due_at = step.used_seconds, step.target_seconds, step.due_at
        match step.key.name:
            case StepName.STARTED:
                return SlaStarted(
                    **about,
                    started_at=step.started_at,
                    target_seconds=target,
                    due_at=due_at,
                    priority=step.priority,
                )
            case StepName.PAUSED:
                if step.waiting_on is None:
                    raise ValueError("a clock pauses only on a hold that says whom it waits for")
                return SlaPaused(**about, paused_at=step.at, waiting_on=step.waiting_on, used_seconds=used)
            case StepName.RESUMED:
                waits_on = step.waiting_on if step.key.ordinal < 0 else None
                return SlaResumed(**about, resumed_at=step.at, used_seconds=used, due_at=due_at, waiting_on=waits_on)
            case StepName.MET:
                return SlaMet(**about, stopped_at=step.at, due_at=due_at, used_seconds=used, target_seconds=target)
            case StepName.CANCELLED:
                return SlaCancelled(**about, cancelled_at=step.at, used_seconds=used, reason=_why_cancelled(step))
            case _:
                return self._alarm(step, heard_at, live=live)

    def _alarm(self, step: Step, heard_at: datetime, *, live: bool) -> Fact:
        words = self._about(step.key.metric, step.key.cycle) | {
            "due_at": step.due_at,
            "detected_at": heard_at,
            "used_seconds": self._used_at(step, heard_at) if live else step.used_seconds,
            "target_seconds": step.target_seconds,
            "priority": step.priority,
            "assignee": step.assignee,
            "group": step.group,
        }
        if step.key.name is StepName.WARNING:
            return SlaWarning(**words, **_threshold(step))
        if step.key.name is StepName.ESCALATED:
            level, repetition = divmod(step.key.ordinal, REPETITIONS)
            tell = self.agreement.terms[step.key.metric].rungs[level - 1].tell
            missed = step.due_at is not None and step.due_at <= step.at
            return SlaEscalated(**words, level=level, repetition=repetition, tell=tell, breached=missed)
        return SlaBreached(**words, evidence=self.evidence)

    def _used_at(self, step: Step, detected_at: datetime) -> int:
        """Working time until the clock's stop or `detected_at`, which is later than what was judged by the lag of the
        evidence: for that moment the clock is taken to go on as it stands.
        """
        key = ClockKey(step.key.metric, step.key.cycle)
        clock = next(clock for clock in self.clocks.clocks if clock.key == key)
        if not clock.running:
            return clock.used_seconds
        return clock.used_seconds + int(
            working_seconds(self.agreement.calendar, self.clocks.judged_at, detected_at),
        )


def _threshold(step: Step) -> dict[str, int]:
    """At which use a warning is given: at a percentage, or at the percentage that a length of time left makes."""
    if step.key.ordinal > 0:
        return {"percent": step.key.ordinal}
    left_seconds = -step.key.ordinal
    percent = 100 * (step.target_seconds - left_seconds) // step.target_seconds
    return {"percent": min(99, max(1, percent)), "left_seconds": left_seconds}


def _why_cancelled(step: Step) -> str:
    if step.key.metric is Metric.NEXT_RESPONSE:
        return "the ticket was resolved, closed or reassessed before an answer was due"
    return "the agreement has no target for the new priority"
