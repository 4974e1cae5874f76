"""What the live view counts, from the facts as they pass by."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opora_contracts import Event
from opora_contracts.feedback import FeedbackReceived
from opora_contracts.notifications import NotificationDelivered, NotificationFailed
from opora_contracts.sla import SlaBreached, SlaMet, SlaStarted, SlaWarning
from opora_contracts.tickets import (
    TicketAssessed,
    TicketClosed,
    TicketCreated,
    TicketDiagnosed,
    TicketPlanned,
    TicketReopened,
    TicketResolved,
    TicketVerified,
)
from opora_contracts.vocabulary import Step

_STEP_AFTER: Mapping[type[Any], Step] = {
    TicketCreated: Step.RECEIVED,
    TicketDiagnosed: Step.DIAGNOSED,
    TicketPlanned: Step.PLANNED,
    TicketResolved: Step.RESOLVED,
    TicketVerified: Step.VERIFIED,
    TicketClosed: Step.CLOSED,
    TicketReopened: Step.RECEIVED,
}


@dataclass(slots=True)
class Tally:
    """Counts over the events seen so far; `count` takes in those that came since the last call."""

    scale: float
    step_of: dict[str, Step] = field(default_factory=dict)
    facts: Counter[type[Any]] = field(default_factory=Counter)
    breach_lags_seconds: list[float] = field(default_factory=list)
    ratings: dict[str, int] = field(default_factory=dict)
    """By survey: the newest score holds."""
    _seen: dict[str, int] = field(default_factory=dict)

    def count(self, events: Mapping[str, Sequence[Event[Any]]]) -> None:
        """Take in what is new."""
        for topic, all_events in events.items():
            for event in all_events[self._seen.get(topic, 0) :]:
                self._take(event.data)
            self._seen[topic] = len(all_events)

    @property
    def steps(self) -> dict[Step, int]:
        """How many tickets stand at each step, in the order of the steps."""
        counted = Counter(self.step_of.values())
        return {step: counted[step] for step in Step}

    @property
    def delivered(self) -> int:
        """Messages that the mail server took over."""
        return self.facts[NotificationDelivered]

    @property
    def undelivered(self) -> int:
        """Messages that were given up."""
        return self.facts[NotificationFailed]

    @property
    def clocks(self) -> dict[str, int]:
        """What became of clocks."""
        return {
            "started": self.facts[SlaStarted],
            "met": self.facts[SlaMet],
            "warned": self.facts[SlaWarning],
            "breached": self.facts[SlaBreached],
        }

    def _take(self, fact: Any) -> None:
        self.facts[type(fact)] += 1
        if type(fact) in _STEP_AFTER:
            self.step_of[str(fact.ticket_id)] = _STEP_AFTER[type(fact)]
        elif isinstance(fact, TicketAssessed):
            if self.step_of.get(str(fact.ticket_id)) is Step.RECEIVED:
                self.step_of[str(fact.ticket_id)] = Step.ASSESSED
        elif isinstance(fact, SlaBreached):
            self.breach_lags_seconds.append((fact.detected_at - fact.due_at).total_seconds() / self.scale)
        elif isinstance(fact, FeedbackReceived):
            self.ratings[str(fact.survey_id)] = fact.score
