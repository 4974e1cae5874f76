"""From the clocks as they are to the facts that were not said yet.

What was said is kept per ticket: the keys of the steps (`fired`) and how each clock stands as the world knows it
(`told`). A fact in the order of time goes on from the ticket's last waypoint. One that arrives late folds all facts
anew, which simply gives other clocks; whatever that changes in an outcome is said once, as `sla.corrected`. From then
on the ticket is folded anew each time, because what was said of it is no longer what its facts alone would say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import NamedTuple

from opora_contracts.event import Event, NewEvent
from opora_contracts.tickets import TicketFact, TicketUpdated
from opora_contracts.vocabulary import Evidence, Outcome
from opora_sla.agreement import Agreement
from opora_sla.domain.case import Case, History
from opora_sla.domain.change import Effect, effects
from opora_sla.domain.facts import CaseFact, case_fact
from opora_sla.domain.fold import Walk, fold
from opora_sla.domain.speech import Speaker, say
from opora_sla.domain.state import ClockKey, Clocks, StepKey, Told


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
    repinned: bool = False,
) -> Decision:
    """Take in the events, judge, and say what is new, each step once.

    Judged is at `judged_at`, the last event's time or the case's last judgement, whichever is latest. A live fact's
    `time` and `detected_at` are `now`, or that, where evidence read since then reaches further. History speaks in its
    own time: there both are the instant at which the step happened, so that the same history says the same in however
    many batches it comes.

    Raises ValueError when the case's history is needed and was not read.
    """
    arrived = [case_fact(event) for event in new_events]
    new_facts = tuple(fact for fact in arrived if fact.is_kept)
    judged_at = max(judged_at, case.judged_at, *(fact.at for fact in arrived))
    now = max(now, judged_at)  # who stood still after its transaction had begun may read evidence that is newer
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
        fired = case.history.fired
        told = {key: each.outcome for key, each in case.history.told.items()}
        clocks = fold(facts, agreement, judged_at, with_intervals=False)
        standing = {clock.key for clock in clocks.clocks}
        vanished = told.keys() - standing
        goes_on = not vanished and fired <= {step.key for step in clocks.steps}
    new_keys = tuple(step.key for step in clocks.steps if step.key not in fired)
    speaker = Speaker(
        case=case,
        live=case.live or any(fact.joined_live for fact in new_facts),
        facts=facts,
        clocks=clocks,
        agreement=agreement,
        now=now,
        evidence=evidence,
        known={} if case.history is None else case.history.told,
        repinned=repinned,
    )
    said = list(say(fired, told, clocks, speaker))
    causes = {event.id: event for event in new_events}
    history = None
    if case.history is not None:
        gone = {key: case.history.told[key]._replace(outcome=Outcome.CANCELLED, due_at=None) for key in vanished}
        standing_now = {
            clock.key: Told(clock.outcome, clock.due_at, clock.target_seconds, clock.party) for clock in clocks.clocks
        }
        history = History(facts, case.history.fired.union(new_keys), {**case.history.told, **gone, **standing_now})
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


def migrate(case: Case, agreement: Agreement, *, now: datetime) -> tuple[Decision, list[tuple[ClockKey, Effect]]]:
    """The case under another version of its agreement, as if that had applied from the ticket's creation, and what
    that does to each clock that differs from how the world was told that it stands. Clocks that have ended are judged
    anew too, since a clock is always the fold of the ticket's facts.

    What was said is not said again: an outcome that changes, and an open clock's new due date or target, is one
    `sla.corrected`; a step that only the new version has is said at `now`. Raises ValueError without the history.
    """
    if case.history is None:
        raise ValueError(f"ticket {case.ticket_id} is to be folded anew, and its history was not read")
    pinned = case._replace(agreement_version=agreement.version, waypoint=None)
    decision = advance(pinned, [], agreement, judged_at=case.judged_at, now=now, repinned=True)
    return decision, effects(case.history.told, decision.clocks)
