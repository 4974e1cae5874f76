"""The journal of one ticket while its rows are read: writes an entry where, and only where, something changes."""

from datetime import datetime
from typing import Any

from opora_cli.replay.entries import Entry

_STEPS = ("received", "assessed", "diagnosed", "planned", "resolved", "closed")


class Journal:
    """Entries of one ticket in time order, each allowed by intake's lifecycle at the place where it stands.

    Every method may be called with what the log shows; it adds nothing when the ticket already stands there.
    """

    def __init__(self, source_id: str) -> None:
        self.entries: list[Entry] = []
        self._source_id = source_id
        self._step = "received"
        self._waiting_on: str | None = None
        self._assessment: dict[str, Any] = {}
        self._assignment: tuple[str | None, str | None] = (None, None)

    @property
    def is_done(self) -> bool:
        """Whether the ticket is resolved or closed."""
        return self._step in {"resolved", "closed"}

    def create(
        self,
        at: datetime,
        *,
        title: str,
        channel: str,
        kind: str,
        impact: str,
        urgency: str,
        priority: str,
        category: str | None,
        product: str | None = None,
    ) -> None:
        """The ticket's first entry."""
        self._assessment = {"impact": impact, "urgency": urgency, "priority": priority, "category": category}
        data = {"title": title, "channel": channel, "kind": kind, **self._assessment, "product": product}
        self._add(at, "create", {name: value for name, value in data.items() if value is not None})

    def assess(
        self, at: datetime, *, impact: str, urgency: str, priority: str, category: str | None, working: bool
    ) -> None:
        """Judge the ticket: when work begins (`working`), and again when the log's judgement changes."""
        assessment = {
            "impact": impact,
            "urgency": urgency,
            "priority": priority,
            "category": category or self._assessment["category"],
        }
        begins = working and self._step == "received"
        if self.is_done or not (begins or assessment != self._assessment):
            return
        self._assessment = assessment
        self._advance("assessed")
        self._add(at, "assess", {name: value for name, value in assessment.items() if value is not None})

    def assign(self, at: datetime, *, group: str | None, assignee: str | None) -> None:
        """The ticket belongs to this group and person; None means nobody."""
        if self.is_done or (group, assignee) == self._assignment:
            return
        self._assignment = (group, assignee)
        self._add(at, "assign", {"group": group, "assignee": assignee})

    def diagnose(self, at: datetime, cause: str) -> None:
        """The cause is known; a ticket that stands further on keeps its step."""
        if self._advance("diagnosed"):
            self._add(at, "diagnose", {"cause": cause})

    def plan(self, at: datetime) -> None:
        """It is decided what will be done; a ticket that stands further on keeps its step."""
        if self._advance("planned"):
            self._add(at, "plan", {})

    def hold(self, at: datetime, waiting_on: str) -> None:
        """The ticket waits."""
        if waiting_on != self._waiting_on:
            self._waiting_on = waiting_on
            self._add(at, "hold", {"waiting_on": waiting_on})

    def resume(self, at: datetime) -> None:
        """The wait is over."""
        if self._waiting_on is not None:
            self._waiting_on = None
            self._add(at, "resume", {})

    def resolve(self, at: datetime) -> None:
        """Done, as the support side sees it; this ends a wait."""
        if not self.is_done:
            self._waiting_on = None
            self._step = "resolved"
            self._add(at, "resolve", {"resolution_code": "solved"})

    def close(self, at: datetime) -> None:
        """The case is over; one that was never resolved is resolved by being closed."""
        if self._step == "closed":
            return
        self.resolve(at)
        self._step = "closed"
        self._add(at, "close", {})

    def reopen(self, at: datetime) -> None:
        """Work goes on after the ticket was resolved or closed."""
        if self.is_done:
            self._step = "received"
            self._add(at, "reopen", {})

    def _advance(self, step: str) -> bool:
        if _STEPS.index(step) <= _STEPS.index(self._step):
            return False
        self._step = step
        return True

    def _add(self, at: datetime, action: str, data: dict[str, Any]) -> None:
        self.entries.append(Entry(self._source_id, len(self.entries) + 1, at, action, data))
