"""What is said of a ticket's clocks: steps not said yet and outcomes that changed, in the words of the contracts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from opora_contracts.fact import Fact
from opora_contracts.vocabulary import Evidence, Outcome
from opora_sla.agreement import Agreement
from opora_sla.calendar import working_seconds
from opora_sla.domain.case import Case
from opora_sla.domain.facts import CaseFact
from opora_sla.domain.families import family_of, words_for
from opora_sla.domain.ladder import REPETITIONS
from opora_sla.domain.state import Clock, ClockKey, Clocks, Step, StepKey, StepName, Told
from opora_sla.metrics import ClockMetric

_ENDS = {StepName.BREACHED: Outcome.BREACHED, StepName.MET: Outcome.MET, StepName.CANCELLED: Outcome.CANCELLED}
_LATE = "a fact became known after the clock was judged"


class Utterance(NamedTuple):
    """A fact to publish, with the time and the import that it belongs to and the id of the event that caused it."""

    data: Fact
    time: datetime
    import_id: str | None
    cause: str | None


def say(
    fired: AbstractSet[StepKey], known: Mapping[ClockKey, Outcome], clocks: Clocks, speaker: Speaker
) -> Iterator[Utterance]:
    """The steps that were not fired yet, as far as they are worth saying, then what changed without one."""
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
        of_another = clock is not None and key in known and speaker.is_of_another(key, clock)
        moved = speaker.repinned and known.get(key) is before and _moved(speaker.known.get(key), clock)
        if outcome is not before or of_another or moved:
            yield speaker.correction(key, before, outcome, clock)


def _moved(told: Told | None, clock: Clock | None) -> bool:
    """Whether another version of the agreement gave an open clock another due date or target."""
    if told is None or clock is None or not clock.open:
        return False
    return (told.due_at, told.target_seconds) != (clock.due_at, clock.target_seconds)


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
class Speaker:
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
    known: Mapping[ClockKey, Told] = field(default_factory=dict)
    """How the clocks stand as far as the world was told; empty where the history was not read."""
    repinned: bool = False
    """Whether another version of the agreement applies than when that was told."""

    def is_of_another(self, key: ClockKey, clock: Clock) -> bool:
        """Whether the world was told that it is somebody else's."""
        told = self.known.get(key)
        return told is not None and told.party is not None and told.party != clock.party

    def step(self, step: Step) -> Utterance:
        """The step as a fact: live at `now`, in history at its own instant."""
        import_id = self._import_of(step)
        heard_at = step.at if import_id else self.now
        return Utterance(self._words(step, heard_at, live=import_id is None), heard_at, import_id, step.cause)

    def correction(self, key: ClockKey, before: Outcome, after: Outcome, clock: Clock | None) -> Utterance:
        """What was said of a clock, and what holds now; None for a clock that there is no more."""
        told = self.known.get(key)
        party = clock.party if clock else told and told.party
        data = family_of(key.metric).corrected(
            **self._about(key.metric, key.cycle, party),
            before=before,
            after=after,
            due_at=clock.due_at if clock else None,
            used_seconds=clock.used_seconds if clock else 0,
            target_seconds=clock.target_seconds if clock else 0,
            reason=f"version {self.agreement.version} of the agreement applies now" if self.repinned else _LATE,
        )
        late = max(self.facts, key=lambda fact: fact.sequence)
        import_id = self._open_import_id
        return Utterance(data, self.clocks.judged_at if import_id else self.now, import_id, late.event_id)

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

    def _about(self, metric: ClockMetric, cycle: int, party: str | None) -> dict[str, Any]:
        return {
            "ticket_id": self.case.ticket_id,
            **words_for(metric, party),
            "cycle": cycle,
            "agreement_id": self.case.agreement_id,
            "agreement_version": self.case.agreement_version,
        }

    def _words(self, step: Step, heard_at: datetime, *, live: bool) -> Fact:
        about, family = self._about(step.key.metric, step.key.cycle, step.party), family_of(step.key.metric)
        used, target, due_at = step.used_seconds, step.target_seconds, step.due_at
        match step.key.name:
            case StepName.STARTED:
                return family.started(
                    **about,
                    started_at=step.started_at,
                    target_seconds=target,
                    due_at=due_at,
                    priority=step.priority,
                )
            case StepName.PAUSED:
                if step.waiting_on is None:
                    raise ValueError("a clock pauses only on a hold that says whom it waits for")
                return family.paused(**about, paused_at=step.at, waiting_on=step.waiting_on, used_seconds=used)
            case StepName.RESUMED:
                waits_on = step.waiting_on if step.key.ordinal < 0 else None
                return family.resumed(
                    **about, resumed_at=step.at, used_seconds=used, due_at=due_at, waiting_on=waits_on
                )
            case StepName.MET:
                return family.met(**about, stopped_at=step.at, due_at=due_at, used_seconds=used, target_seconds=target)
            case StepName.CANCELLED:
                return family.cancelled(**about, cancelled_at=step.at, used_seconds=used, reason=_why_cancelled(step))
            case _:
                return self._alarm(step, heard_at, live=live)

    def _alarm(self, step: Step, heard_at: datetime, *, live: bool) -> Fact:
        family = family_of(step.key.metric)
        words = self._about(step.key.metric, step.key.cycle, step.party) | {
            "due_at": step.due_at,
            "detected_at": heard_at,
            "used_seconds": self._used_at(step, heard_at) if live else step.used_seconds,
            "target_seconds": step.target_seconds,
            "priority": step.priority,
            "assignee": step.assignee,
            "group": step.group,
        }
        if step.key.name is StepName.WARNING:
            return family.warning(**words, **_threshold(step))
        if step.key.name is StepName.ESCALATED:
            level, repetition = divmod(step.key.ordinal, REPETITIONS)
            terms = self.agreement.terms_of(step.key.metric, step.party)
            if terms is None:
                raise ValueError(f"a ladder of {step.key.metric} was climbed that the agreement does not have")
            tell = terms.rungs[level - 1].tell
            missed = step.due_at is not None and step.due_at <= step.at
            return family.escalated(**words, level=level, repetition=repetition, tell=tell, breached=missed)
        return family.breached(**words, evidence=self.evidence)

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
    if step.key.metric is ClockMetric.NEXT_RESPONSE:
        return "the ticket was resolved, closed or reassessed before an answer was due"
    return "the agreement has no target for the new priority"
