"""What would have been: histories of tickets folded under agreements that are not in force. Pure, like the fold itself.

A `History` is a ticket as some log has it, the platform's own or another system's; `Simulation` takes one after the
other and keeps counts only, so that a log may be as long as it likes; its `Report` compares before with after.
"""

from opora_sla.simulation.history import History
from opora_sla.simulation.report import (
    Changes,
    Comparison,
    FoundTarget,
    MetricReport,
    Percentiles,
    Rate,
    Report,
    report_as_json,
)
from opora_sla.simulation.run import Basis, Plan, Simulation, simulate
from opora_sla.simulation.verdicts import Verdict, verdicts

__all__ = [
    "Basis",
    "Changes",
    "Comparison",
    "FoundTarget",
    "History",
    "MetricReport",
    "Percentiles",
    "Plan",
    "Rate",
    "Report",
    "Simulation",
    "Verdict",
    "report_as_json",
    "simulate",
    "verdicts",
]
