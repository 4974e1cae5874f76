"""The fold: a ticket's facts in, its clocks out. A forward walk through time that never looks ahead.

A walk can go on from where an earlier one was judged (`Waypoint`): a fact that comes in the order of time costs the
same however long the ticket's history is. Going on gives the steps and clocks that the fold of all facts gives.

The rules, each of which a test states:

* Judging is strict. A clock is breached if and only if at some instant, all facts of that instant included, it has
  used more than its target, and that instant lies before the judgement or a stop is made in that state. A stop at the
  due date is in time.
* A breach stays. Its due date, target and priority are those that were missed; only the use goes on until the stop.
* The target is that of the ticket's current priority. All time used since the start counts against a new target at
  once; when that is more than the target, the due date is the instant of the change, since nobody could know before.
* A priority without a target has no clock: the clock is cancelled, and begins again, its use kept, if the ticket later
  gets a priority with a target. A breach outlives this.
* A hold pauses a clock when the metric's `pauses` name its reason; any other hold, or the end of the wait, resumes it.
  Where the reason has a cap, the pauses for it take no more working time out of a clock than that, all together; then
  the clock goes on although the ticket waits.
* A ladder's step is given once per clock, level and repetition, at its instant or, when a hold or a changed target made
  that pass unseen, as soon as the clock goes on. Judging is strict here too: a stop at the instant is before it.
* `first_response` runs from the creation to the first public reply of an agent, or to the resolution or closing.
* `next_response` runs from a customer's reply, once the ticket was answered, to the next reply of an agent; a
  resolution or closing cancels it. A reply to a resolved or closed ticket counts from the reopening.
* `resolution` runs to `ticket.resolved` (or closed) and each reopening begins a new cycle; or, until closed, to
  `ticket.closed`, and only a reopening after that begins a new cycle.
* `update` runs from the creation to the next public reply of an agent, and from there to the one after, each period a
  cycle; a resolution or closing ends the last one, since it tells the customer too, and a reopening begins another.
* `operational` runs from a ticket's assignment to a group that has a target until the ticket is another group's, or is
  resolved or closed. Another assignee in the group changes nothing. A reopening begins another cycle with the group.
* `underpinning` runs while the ticket waits for a third party; another hold for it goes on with the same wait.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import ClassVar

from opora_contracts.vocabulary import AuthorKind, Outcome, Priority, WaitingOn
from opora_sla.agreement import Agreement
from opora_sla.calendar import instant, microseconds
from opora_sla.domain.facts import CaseFact
from opora_sla.domain.runner import Moment, Runner
from opora_sla.domain.state import Clock, ClockKey, Clocks, RunnerState, Step, Waypoint
from opora_sla.metrics import ClockMetric, Terms

_BEGINNING = Waypoint(
    waiting_on=None,
    answered=False,
    done=False,
    customer_wrote_when_done=False,
    cycles={},
    live=(),
)


def fold(
    facts: Sequence[CaseFact], agreement: Agreement, judged_at: datetime, *, with_intervals: bool = True
) -> Clocks:
    """The ticket's clocks at `judged_at`, or at its last fact if that is later.

    `facts` may come in any order and must contain `created`; they are taken in the order of (time, sequence), with
    `created` first and nothing before it. The same facts give the same clocks whatever was folded before.
    """
    ordered = sorted(facts, key=lambda fact: (fact.kind != "created", fact.at, fact.sequence))
    if not ordered or ordered[0].kind != "created":
        raise ValueError("a ticket's facts begin with ticket.created; without it there is nothing to fold")
    created = ordered[0]
    walk = Walk(
        agreement,
        at=created.at,
        priority=created.priority or Priority.P5,
        assignee=created.assignee,
        group=created.group,
    )
    for fact in ordered:
        walk.take(fact)
    return walk.judge(judged_at, with_intervals=with_intervals)


class Walk:
    """A ticket on its way through time, from its creation or from a waypoint to the judgement."""

    def __init__(
        self,
        agreement: Agreement,
        *,
        at: datetime,
        priority: Priority,
        assignee: str | None,
        group: str | None,
        waypoint: Waypoint = _BEGINNING,
    ) -> None:
        self._agreement = agreement
        self._at_us = microseconds(at)
        self._priority = priority
        self._assignee, self._group = assignee, group
        self._waiting_on = waypoint.waiting_on
        self._answered = waypoint.answered
        """Whether the support side has said anything: a reply, a resolution or the end."""
        self._done = waypoint.done
        self._customer_wrote_when_done = waypoint.customer_wrote_when_done
        self._cycles = dict(waypoint.cycles)
        self._steps: list[tuple[int, Step]] = []
        self._live = {state.metric: self._resumed(state) for state in waypoint.live}
        self._runners = list(self._live.values())

    def outcomes(self) -> dict[ClockKey, Outcome]:
        """How the clocks stand that ever had a target and are not over, or were over in this walk only."""
        return {runner.key: runner.outcome for runner in self._runners if runner.ever_started}

    def take(self, fact: CaseFact) -> None:
        """Let time pass until the fact, then let the fact act."""
        self._pass_time(microseconds(fact.at))
        rule = self._RULES.get(fact.kind)
        if rule is not None:
            rule(self, fact)

    def judge(self, judged_at: datetime, *, with_intervals: bool) -> Clocks:
        """Let time pass until the judgement and read the clocks."""
        judged_us = max(microseconds(judged_at), self._at_us)
        self._pass_time(judged_us)
        clocks: list[Clock] = []
        for runner in self._runners:
            runner.account(judged_us, None)
            if runner.ever_started:
                clocks.append(runner.clock(with_intervals=with_intervals))
        fires = [fire_us for runner in self._live.values() if (fire_us := runner.next_fire_us) is not None]
        return Clocks(
            clocks=tuple(clocks),
            steps=tuple(step for _, step in sorted(self._steps, key=itemgetter(0))),
            judged_at=instant(judged_us),
            next_fire_at=instant(min(fires)) if fires else None,
            priority=self._priority,
            assignee=self._assignee,
            group=self._group,
            waypoint=Waypoint(
                self._waiting_on,
                self._answered,
                self._done,
                self._customer_wrote_when_done,
                self._cycles,
                [runner.state() for runner in self._live.values()],
            ),
        )

    def _pass_time(self, until_us: int) -> None:
        if until_us > self._at_us:
            moment = self._moment(None)
            for runner in self._live.values():
                runner.pass_time(until_us, moment)
            self._at_us = until_us

    def _moment(self, fact: CaseFact | None) -> Moment:
        return Moment(
            at_us=self._at_us,
            cause=fact.event_id if fact else None,
            sequence=fact.sequence if fact else 0,
            waiting_on=self._waiting_on,
            assignee=self._assignee,
            group=self._group,
        )

    def _resumed(self, state: RunnerState) -> Runner:
        terms = self._agreement.terms_of(state.metric, state.party)
        if terms is None:
            raise ValueError(f"{self._agreement.document.name!r} promises nothing about {state.metric}: fold anew")
        return Runner.resume(state, terms, self._agreement.calendar, self._steps)

    def _start(self, metric: ClockMetric, fact: CaseFact, party: str | None = None) -> None:
        terms = self._agreement.terms.get(metric)
        if terms is not None and metric not in self._live:
            self._begin(metric, terms, fact, party)

    def _begin(self, metric: ClockMetric, terms: Terms, fact: CaseFact, party: str | None) -> None:
        cycle = self._cycles[metric] = self._cycles.get(metric, 0) + 1
        runner = Runner(ClockKey(metric, cycle), party, terms, self._agreement.calendar, self._steps)
        self._live[metric] = runner
        self._runners.append(runner)
        runner.start(self._moment(fact), self._priority)

    def _stop(self, metric: ClockMetric, fact: CaseFact, *, cancelled: bool = False) -> None:
        runner = self._live.pop(metric, None)
        if runner is not None:
            runner.stop(self._moment(fact), Outcome.CANCELLED if cancelled else Outcome.MET)

    def _on_created(self, fact: CaseFact) -> None:
        self._start(ClockMetric.FIRST_RESPONSE, fact)
        self._start(ClockMetric.RESOLUTION, fact)
        self._start(ClockMetric.UPDATE, fact)
        self._enter_group(fact)

    def _on_assessed(self, fact: CaseFact) -> None:
        if fact.priority is None or fact.priority == self._priority:
            return
        self._priority = fact.priority
        for runner in self._live.values():
            runner.retarget(self._moment(fact), fact.priority)

    def _on_assigned(self, fact: CaseFact) -> None:
        elsewhere = fact.group != self._group
        if elsewhere:
            self._stop(ClockMetric.OPERATIONAL, fact)
        self._assignee, self._group = fact.assignee, fact.group
        if fact.assignee is not None:
            for runner in self._live.values():
                runner.acknowledge()
        if elsewhere and not self._done:
            self._enter_group(fact)

    def _enter_group(self, fact: CaseFact) -> None:
        """Every assignment to a group is counted, so that its number is the same under any version of the agreement."""
        owed = self._agreement.operational
        if not owed or self._group is None:
            return
        terms = owed.get(self._group)
        if terms is None:
            self._cycles[ClockMetric.OPERATIONAL] = self._cycles.get(ClockMetric.OPERATIONAL, 0) + 1
        else:
            self._begin(ClockMetric.OPERATIONAL, terms, fact, self._group)

    def _on_held(self, fact: CaseFact) -> None:
        self._wait(fact, fact.waiting_on)

    def _on_resumed(self, fact: CaseFact) -> None:
        self._wait(fact, None)

    def _wait(self, fact: CaseFact, waiting_on: WaitingOn | None) -> None:
        self._waiting_on = waiting_on
        for runner in self._live.values():
            runner.wait(self._moment(fact))
        if waiting_on is not WaitingOn.THIRD_PARTY:
            self._stop(ClockMetric.UNDERPINNING, fact)
        elif not self._done:
            self._start(ClockMetric.UNDERPINNING, fact, WaitingOn.THIRD_PARTY.value)

    def _on_replied(self, fact: CaseFact) -> None:
        if fact.author_kind is AuthorKind.AGENT:
            self._answered = True
            self._stop(ClockMetric.FIRST_RESPONSE, fact)
            self._stop(ClockMetric.NEXT_RESPONSE, fact)
            self._stop(ClockMetric.UPDATE, fact)
            for runner in self._live.values():
                runner.answer()
            if not self._done:
                self._start(ClockMetric.UPDATE, fact)
        elif fact.author_kind is AuthorKind.CUSTOMER and self._done:
            self._customer_wrote_when_done = True
        elif fact.author_kind is AuthorKind.CUSTOMER and self._answered:
            self._start(ClockMetric.NEXT_RESPONSE, fact)

    def _on_resolved(self, fact: CaseFact) -> None:
        self._end(fact)
        terms = self._agreement.terms.get(ClockMetric.RESOLUTION)
        if terms is not None and not terms.until_closed:
            self._stop(ClockMetric.RESOLUTION, fact)

    def _on_closed(self, fact: CaseFact) -> None:
        self._end(fact)
        self._stop(ClockMetric.RESOLUTION, fact)

    def _on_reopened(self, fact: CaseFact) -> None:
        was_done, self._done = self._done, False
        self._start(ClockMetric.RESOLUTION, fact)
        if was_done:
            self._start(ClockMetric.UPDATE, fact)
            self._enter_group(fact)
            if self._waiting_on is WaitingOn.THIRD_PARTY:
                self._start(ClockMetric.UNDERPINNING, fact, WaitingOn.THIRD_PARTY.value)
        if self._customer_wrote_when_done:
            self._start(ClockMetric.NEXT_RESPONSE, fact)
        self._customer_wrote_when_done = False

    def _end(self, fact: CaseFact) -> None:
        self._answered = self._done = True
        self._stop(ClockMetric.FIRST_RESPONSE, fact)
        self._stop(ClockMetric.NEXT_RESPONSE, fact, cancelled=True)
        for metric in (ClockMetric.UPDATE, ClockMetric.OPERATIONAL, ClockMetric.UNDERPINNING):
            self._stop(metric, fact)

    _RULES: ClassVar[Mapping[str, Callable[[Walk, CaseFact], None]]] = {
        "created": _on_created,
        "assessed": _on_assessed,
        "assigned": _on_assigned,
        "held": _on_held,
        "resumed": _on_resumed,
        "replied": _on_replied,
        "resolved": _on_resolved,
        "closed": _on_closed,
        "reopened": _on_reopened,
    }
