"""What an invariant has to say about a run."""

from collections.abc import Iterable
from dataclasses import dataclass

from opora_cli.checks import history


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding(history.Finding):
    """One invariant, and every case in which it does not hold; `id` is the short name that documents use."""

    id: str


def found(id: str, invariant: str, checked: int, *violations: Iterable[str]) -> Finding:  # noqa: A002  its name
    """The finding of several looks at one invariant."""
    return Finding(invariant, checked, tuple(violation for some in violations for violation in some), id=id)
