"""What happens where a program is missing."""

import pytest

from tests.programs import program


def test_a_missing_program_is_named_and_skipped_but_not_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a person's machine the test is skipped with the command that installs it; in CI it fails."""
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("CI", "")
    with pytest.raises(pytest.skip.Exception, match="apt-get install --no-install-recommends prometheus"):
        program("promtool", "prometheus")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="promtool is not installed"):
        program("promtool", "prometheus")
