"""What reports are made of: shares with their intervals, causes of breaches, the pause ledger, CSV. Pure."""

from opora_sla.reporting.causes import Causes, CauseShare, Way, ways_until
from opora_sla.reporting.ledger import Pause, pauses
from opora_sla.reporting.shares import wilson_interval
from opora_sla.reporting.standing import Standing, standing_at, standings, waits_between
from opora_sla.reporting.times import Stay, TimeRow, Times, stays
from opora_sla.reporting.written import BREACH_COLUMNS, COMPLIANCE_COLUMNS, PAUSE_COLUMNS, TIME_COLUMNS, csv_text

__all__ = [
    "BREACH_COLUMNS",
    "COMPLIANCE_COLUMNS",
    "PAUSE_COLUMNS",
    "TIME_COLUMNS",
    "CauseShare",
    "Causes",
    "Pause",
    "Standing",
    "Stay",
    "TimeRow",
    "Times",
    "Way",
    "csv_text",
    "pauses",
    "standing_at",
    "standings",
    "stays",
    "waits_between",
    "ways_until",
    "wilson_interval",
]
