"""Facts about service level clocks, published by sla on `opora.sla`, keyed by ticket id, numbered per ticket.

`used_seconds` and `target_seconds` are seconds of working time under the agreement's calendar. A target is met when
`used_seconds ≤ target_seconds`.
"""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from opora_contracts.clocks import (
    ClockBreached,
    ClockCancelled,
    ClockCorrected,
    ClockEscalated,
    ClockMet,
    ClockPaused,
    ClockResumed,
    ClockStarted,
    ClockWarning,
)
from opora_contracts.fact import Fact
from opora_contracts.vocabulary import Evidence, Metric


class SlaFact(Fact):
    """Which clock a fact is about: (ticket, metric, cycle), under the agreement version that the ticket pinned."""

    ticket_id: UUID
    metric: Metric
    cycle: Annotated[int, Field(ge=1)]
    agreement_id: UUID
    agreement_version: Annotated[int, Field(ge=1)]


class SlaStarted(ClockStarted, SlaFact, event_type="sla.started"):
    """A clock runs."""


class SlaPaused(ClockPaused, SlaFact, event_type="sla.paused"):
    """The clock stands still while the ticket waits."""


class SlaResumed(ClockResumed, SlaFact, event_type="sla.resumed"):
    """The clock runs again, with a new due date."""


class SlaWarning(ClockWarning, SlaFact, event_type="sla.warning"):
    """A share of the budget is used."""


class SlaBreached(ClockBreached, SlaFact, event_type="sla.breached"):
    """The budget is used up and the target was not reached: once per (ticket, metric, cycle)."""

    evidence: Evidence = Evidence.COMPLETE
    """`incomplete`: declared after a long outage, before every earlier fact was seen; `sla.corrected` may follow."""


class SlaEscalated(ClockEscalated, SlaFact, event_type="sla.escalated"):
    """A step of the agreement's ladder: somebody further is to be told. Once per level and repetition of a clock."""


class SlaMet(ClockMet, SlaFact, event_type="sla.met"):
    """The target was reached in time."""


class SlaCancelled(ClockCancelled, SlaFact, event_type="sla.cancelled"):
    """The clock ended without an outcome."""


class SlaCorrected(ClockCorrected, SlaFact, event_type="sla.corrected"):
    """A late fact changed what was said before: the outcome is now this."""
