"""What intake can be told from outside."""

from pydantic import Field, field_validator

from opora_chassis.settings import ServiceSettings
from opora_contracts.vocabulary import Priority
from opora_intake.domain import matrix_with


class IntakeSettings(ServiceSettings):
    """Intake's settings. Frozen: a changed setting takes effect at the next start."""

    # An import's request carries up to 2,000 entries.
    max_body_bytes: int = Field(default=8 * 1_048_576, ge=1024)
    priority_matrix: dict[str, Priority] = Field(default_factory=dict)
    """Overrides of the priority matrix, impact/urgency → priority, as JSON: {"high/low": "P2"}."""

    @field_validator("priority_matrix")
    @classmethod
    def _names_pairs(cls, overrides: dict[str, Priority]) -> dict[str, Priority]:
        matrix_with(overrides)
        return overrides
