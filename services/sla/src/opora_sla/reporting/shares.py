"""What a share of so many says of the whole."""

from __future__ import annotations

import math

_Z_95 = 1.959963984540054
"""The standard normal's 97.5 % quantile."""


def wilson_interval(successes: int, n: int) -> tuple[float, float] | None:
    """The 95 % interval of a share by Wilson's score (1927), which stays within [0, 1] and is right for small n too.

    None when n is 0: of nothing, nothing is known.
    """
    if n == 0:
        return None
    share, per_n = successes / n, _Z_95 * _Z_95 / n
    centre = (share + per_n / 2) / (1 + per_n)
    spread = _Z_95 * math.sqrt(share * (1 - share) / n + per_n / (4 * n)) / (1 + per_n)
    return max(0.0, centre - spread), min(1.0, centre + spread)
