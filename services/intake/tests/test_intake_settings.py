"""What intake can be told from outside."""

import pytest
from pydantic import ValidationError

from opora_contracts.vocabulary import Priority
from opora_intake.settings import IntakeSettings


def test_the_matrix_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """OPORA_PRIORITY_MATRIX overrides pairs, as JSON."""
    monkeypatch.setenv("OPORA_PRIORITY_MATRIX", '{"high/low": "P2"}')
    settings = IntakeSettings(database_dsn="postgresql://x", kafka_bootstrap="x:1")
    assert settings.priority_matrix == {"high/low": Priority.P2}


def test_a_pair_that_does_not_exist_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt pair is an error that names it, not a silent default."""
    monkeypatch.setenv("OPORA_PRIORITY_MATRIX", '{"huge/low": "P2"}')
    with pytest.raises(ValidationError, match="huge/low"):
        IntakeSettings(database_dsn="postgresql://x", kafka_bootstrap="x:1")
