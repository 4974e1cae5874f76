"""From the clocks as they are to the facts that were not said yet.

What was said is kept per ticket: the keys of the steps (`fired`) and each clock's outcome as the world knows it
(`told`). The fold is always computed over all facts, so a fact that arrives late simply gives other clocks; whatever
that changes in an outcome is said once, as `sla.corrected`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from opora_contracts.event import Event, NewEvent
from opora_contracts.fact import Fact
from opora_contracts.sla import (
    SlaBreached,
    SlaCancelled,
    SlaCorrected,
    SlaMet,
    SlaPaused,
    SlaResumed,
    SlaStarted,
    SlaWarning,
)
from opora_contracts.tickets import TicketCreated, TicketFact
from opora_contracts.vocabulary import Evidence, Metric, Outcome, Priority
from opora_sla.agreement import Agreement
from opora_sla.calendar import working_seconds
from opora_sla.domain.facts import CaseFact, case_fact
from opora_sla.domain.fold import fold
from opora_sla.domain.state import Clock, ClockKey, Clocks, Step, StepKey, StepName

_ENDS = {StepName.BREACHED: Outcome.BREACHED, StepName.MET: Outcome.MET, StepName.CANCELLED: Outcome.CANCELLED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
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
    facts: tuple[CaseFact, ...] = ()
    fired: frozenset[StepKey] = frozenset()
    told: Mapping[ClockKey, Outcome] = field(default_factory=dict)

    @property
    def open_import_id(self) -> str | None:
        """The open import by whose time the ticket is judged, or None."""
        return None if self.live else self.import_id


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from new facts or from time: the case to save, its clocks, and what to publish."""

    case: Case
    clocks: Clocks
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
    """
    arrived = [case_fact(event) for event in new_events]
    new_facts = tuple(fact for fact in arrived if fact.moves_clocks)
    facts = (*case.facts, *new_facts)
    judged_at = max(judged_at, case.judged_at, *(fact.at for fact in arrived))
    clocks = fold(facts, agreement, judged_at)
    joined = any(fact.joined_live for fact in new_facts)
    after = replace(
        case,
        facts=facts,
        live=case.live or joined,
        last_sequence=max(case.last_sequence, *(fact.sequence for fact in arrived), 0),
        priority=clocks.priority,
        assignee=clocks.assignee,
        group=clocks.group,
        judged_at=clocks.judged_at,
        next_fire_at=clocks.next_fire_at,
        open=any(clock.open for clock in clocks.clocks),
    )
    speaker = _Speaker(before=case, after=after, clocks=clocks, agreement=agreement, now=now, evidence=evidence)
    said = list(_say(case, clocks, speaker))
    causes = {event.id: event for event in new_events}
    events = tuple(
        replace(_numbered(case, offset, utterance), cause=causes.get(utterance.cause or ""))
        for offset, utterance in enumerate(said, start=1)
    )
    new_keys = tuple(step.key for step in clocks.steps if step.key not in case.fired)
    told = dict.fromkeys(case.told, Outcome.CANCELLED) | {clock.key: clock.outcome for clock in clocks.clocks}
    after = replace(
        after,
        emitted_sequence=case.emitted_sequence + len(events),
        fired=case.fired.union(new_keys),
        told=told,
    )
    return Decision(after, clocks, new_facts, new_keys, events)


@dataclass(frozen=True, slots=True)
class _Utterance:
    data: Fact
    time: datetime
    import_id: str | None
    cause: str | None


def _numbered(case: Case, offset: int, utterance: _Utterance) -> NewEvent:
    return NewEvent(
        data=utterance.data,
        subject=str(case.ticket_id),
        sequence=case.emitted_sequence + offset,
        time=utterance.time,
        actor="system:sla",
        import_id=utterance.import_id,
    )


def _say(case: Case, clocks: Clocks, speaker: _Speaker) -> Iterator[_Utterance]:
    told = dict(case.told)
    for step in clocks.steps:
        if step.key in case.fired:
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
        case StepName.PAUSED | StepName.RESUMED:
            return known if known in {Outcome.OPEN, Outcome.BREACHED} else None
        case StepName.WARNING:
            return known if known is Outcome.OPEN else None
        case _:
            return _ENDS[name] if known is Outcome.OPEN else None


@dataclass(frozen=True, slots=True)
class _Speaker:
    """Puts steps into the words of the contracts."""

    before: Case
    after: Case
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
        late = max(self.after.facts, key=lambda fact: fact.sequence)
        import_id = self.after.open_import_id
        return _Utterance(data, self.clocks.judged_at if import_id else self.now, import_id, late.event_id)

    def _import_of(self, step: Step) -> str | None:
        """The import that the step belongs to: all steps of a case in an import, and of one that joined live time in
        this very batch those that its history had reached.
        """
        if self.before.live or not self.after.live:
            return self.after.open_import_id
        history = [fact.at for fact in self.after.facts if fact.import_id is not None]
        return self.before.import_id if history and step.at <= max(history) else None

    def _about(self, metric: Metric, cycle: int) -> dict[str, Any]:
        return {
            "ticket_id": self.after.ticket_id,
            "metric": metric,
            "cycle": cycle,
            "agreement_id": self.after.agreement_id,
            "agreement_version": self.after.agreement_version,
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
                return SlaResumed(**about, resumed_at=step.at, used_seconds=used, due_at=due_at)
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
            return SlaWarning(**words, percent=step.key.ordinal)
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


def _why_cancelled(step: Step) -> str:
    if step.key.metric is Metric.NEXT_RESPONSE:
        return "the ticket was resolved, closed or reassessed before an answer was due"
    return "the agreement has no target for the new priority"
