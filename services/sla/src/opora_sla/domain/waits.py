"""For whom one clock pauses, and how much of it the caps of its pauses have let pass. Only the clock drives it."""

from __future__ import annotations

from opora_contracts.vocabulary import WaitingOn
from opora_sla.calendar import Calendar, due_microseconds
from opora_sla.domain.state import PauseState
from opora_sla.metrics import Terms


class Waits:
    """A clock's waits so far, the current one last."""

    __slots__ = ("_calendar", "_paused_us", "_terms", "cap_us", "held_by", "waiting_on")

    def __init__(self, terms: Terms, calendar: Calendar, state: PauseState | None = None) -> None:
        self._terms, self._calendar = terms, calendar
        self.waiting_on = state.waiting_on if state else None
        """For whom the clock pauses, or would but for the cap."""
        self.held_by = state.held_by if state else 0
        """The sequence of the fact that made it wait."""
        self.cap_us = state.cap_us if state else None
        """The last instant of the current pause, after which its cap is used up."""
        self._paused_us: dict[WaitingOn, int] = dict(state.paused_us) if state else {}
        """Working time that capped pauses took out so far, by reason."""

    def state(self) -> PauseState | None:
        """From where it goes on; None for a clock without caps and ladder, which asks for nothing of it."""
        if not self._terms.pause_caps_us and not self._terms.rungs:
            return None
        return PauseState(self.waiting_on, self.held_by, self.cap_us, list(self._paused_us.items()))

    @property
    def capped(self) -> bool:
        """Whether any pause has a cap."""
        return bool(self._terms.pause_caps_us)

    def counts_while(self, waiting_on: WaitingOn | None) -> bool:
        """Whether working time counts while the ticket waits for this one. Pauses so far are accounted."""
        return waiting_on not in self._terms.pauses or self._cap_left_us(waiting_on) == 0

    def rests_ladder(self, *, counts: bool) -> bool:
        """Whether the ticket waits for somebody; after the cap of a pause the clock goes on as if it did not."""
        return self.waiting_on is not None and not (counts and self.waiting_on in self._terms.pauses)

    def take_up(self, waiting_on: WaitingOn | None, held_by: int, at_us: int) -> None:
        """Remember for whom the ticket waits from now on, and foresee where the cap of that pause is used up."""
        self.waiting_on, self.held_by = waiting_on, held_by
        left_us = self._cap_left_us(waiting_on)
        self.cap_us = due_microseconds(self._calendar, at_us, left_us) if left_us else None

    def paused_for(self, working_us: int) -> None:
        """So much working time more was not counted."""
        if self.waiting_on is not None and self.waiting_on in self._terms.pause_caps_us:
            self._paused_us[self.waiting_on] = self._paused_us.get(self.waiting_on, 0) + working_us

    def _cap_left_us(self, waiting_on: WaitingOn | None) -> int | None:
        if waiting_on is None or (cap_us := self._terms.pause_caps_us.get(waiting_on)) is None:
            return None
        return max(0, cap_us - self._paused_us.get(waiting_on, 0))
