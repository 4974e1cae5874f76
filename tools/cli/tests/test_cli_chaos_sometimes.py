"""A safeguard that was never needed was not tried: a thorough run says so."""

from opora_cli.chaos.sometimes import happened


def test_what_never_happened_is_a_violation() -> None:
    """It is named; what happened is not."""
    finding = happened({"a key was parked": 0, "a breach was declared": 12})
    assert not finding.holds
    assert finding.id == "S"
    assert finding.violations == ("it never happened that a key was parked",)


def test_a_run_in_which_everything_happened_holds() -> None:
    """Once is enough."""
    assert happened({"a key was parked": 1}).holds
