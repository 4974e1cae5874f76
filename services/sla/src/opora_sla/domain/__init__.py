"""The rules of service level clocks: pure, without input, output or a wall clock.

`case_fact` keeps of an event what a clock needs, `fold` gives the clocks of a list of facts, `advance` tells what is
new since the last time, and `explain` says why.
"""

from opora_sla.domain.advance import Decision, advance, migrate, needs_history
from opora_sla.domain.case import Case, History, open_case
from opora_sla.domain.change import Change, Effect, changes
from opora_sla.domain.explanation import ExplainedClock, explain
from opora_sla.domain.facts import CaseFact, case_fact, fact_from_json, fact_to_json
from opora_sla.domain.fold import fold
from opora_sla.domain.state import (
    Clock,
    ClockKey,
    Clocks,
    Interval,
    Step,
    StepKey,
    StepName,
    Told,
    Waypoint,
    waypoint_from_json,
    waypoint_to_json,
)

__all__ = [
    "Case",
    "CaseFact",
    "Change",
    "Clock",
    "ClockKey",
    "Clocks",
    "Decision",
    "Effect",
    "ExplainedClock",
    "History",
    "Interval",
    "Step",
    "StepKey",
    "StepName",
    "Told",
    "Waypoint",
    "advance",
    "case_fact",
    "changes",
    "explain",
    "fact_from_json",
    "fact_to_json",
    "fold",
    "migrate",
    "needs_history",
    "open_case",
    "waypoint_from_json",
    "waypoint_to_json",
]
