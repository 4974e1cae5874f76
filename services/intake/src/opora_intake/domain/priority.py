"""Priority from impact and urgency (ITIL)."""

from collections.abc import Mapping
from typing import TypeAlias

from opora_contracts.vocabulary import Level, Priority

PriorityMatrix: TypeAlias = Mapping[tuple[Level, Level], Priority]
"""(impact, urgency) → priority, for all nine pairs."""

DEFAULT_MATRIX: PriorityMatrix = {
    (Level.HIGH, Level.HIGH): Priority.P1,
    (Level.HIGH, Level.MEDIUM): Priority.P2,
    (Level.MEDIUM, Level.HIGH): Priority.P2,
    (Level.HIGH, Level.LOW): Priority.P3,
    (Level.MEDIUM, Level.MEDIUM): Priority.P3,
    (Level.LOW, Level.HIGH): Priority.P3,
    (Level.MEDIUM, Level.LOW): Priority.P4,
    (Level.LOW, Level.MEDIUM): Priority.P4,
    (Level.LOW, Level.LOW): Priority.P5,
}


def matrix_with(overrides: Mapping[str, Priority]) -> PriorityMatrix:
    """The default matrix with some pairs replaced, written as `{"high/low": "P2"}` (impact/urgency).

    Raises ValueError for a key that names no pair.
    """
    matrix = dict(DEFAULT_MATRIX)
    for pair, priority in overrides.items():
        impact, _, urgency = pair.partition("/")
        try:
            matrix[Level(impact), Level(urgency)] = priority
        except ValueError as error:
            raise ValueError(f"{pair!r} is no pair of impact/urgency such as 'high/low'") from error
    return matrix


def matrix_text(matrix: PriorityMatrix) -> dict[str, Priority]:
    """The inverse of `matrix_with`, with all nine pairs."""
    return {f"{impact.value}/{urgency.value}": matrix[impact, urgency] for impact in Level for urgency in Level}
