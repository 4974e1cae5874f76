"""In which family of event types the facts about a clock are told, and how its clocks are named there."""

from __future__ import annotations

from typing import Any, NamedTuple

from opora_contracts import commitments, sla
from opora_contracts.commitments import AgreementKind
from opora_contracts.vocabulary import Metric
from opora_sla.metrics import ClockMetric


class Family(NamedTuple):
    """The types of one family, by what they say. Twins have the same fields, but for those that name the clock."""

    started: type[sla.SlaStarted | commitments.CommitmentStarted]
    paused: type[sla.SlaPaused | commitments.CommitmentPaused]
    resumed: type[sla.SlaResumed | commitments.CommitmentResumed]
    warning: type[sla.SlaWarning | commitments.CommitmentWarning]
    escalated: type[sla.SlaEscalated | commitments.CommitmentEscalated]
    breached: type[sla.SlaBreached | commitments.CommitmentBreached]
    met: type[sla.SlaMet | commitments.CommitmentMet]
    cancelled: type[sla.SlaCancelled | commitments.CommitmentCancelled]
    corrected: type[sla.SlaCorrected | commitments.CommitmentCorrected]


_SLA = Family(
    sla.SlaStarted,
    sla.SlaPaused,
    sla.SlaResumed,
    sla.SlaWarning,
    sla.SlaEscalated,
    sla.SlaBreached,
    sla.SlaMet,
    sla.SlaCancelled,
    sla.SlaCorrected,
)
_COMMITMENT = Family(
    commitments.CommitmentStarted,
    commitments.CommitmentPaused,
    commitments.CommitmentResumed,
    commitments.CommitmentWarning,
    commitments.CommitmentEscalated,
    commitments.CommitmentBreached,
    commitments.CommitmentMet,
    commitments.CommitmentCancelled,
    commitments.CommitmentCorrected,
)
_KINDS = {
    ClockMetric.UPDATE: AgreementKind.SLA,
    ClockMetric.OPERATIONAL: AgreementKind.OLA,
    ClockMetric.UNDERPINNING: AgreementKind.UC,
}
_METRICS = {metric: Metric(metric.value) for metric in ClockMetric if metric not in _KINDS}


def family_of(metric: ClockMetric) -> Family:
    """The types by which facts about this metric are told."""
    return _SLA if metric in _METRICS else _COMMITMENT


def words_for(metric: ClockMetric, party: str | None) -> dict[str, Any]:
    """What a clock is of, in its family's fields."""
    named = _METRICS.get(metric)
    if named is not None:
        return {"metric": named}
    return {"metric": metric.value, "agreement_kind": _KINDS[metric], "party": party}
