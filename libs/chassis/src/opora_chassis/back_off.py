"""How long to wait before the next attempt."""

OUTAGE_CAP_SECONDS = 1.0
"""However long a server is away, it is asked again at least so often: what was promised holds soon after its return."""


def outage_pause(attempt: int, *, jitter: float) -> float:
    """Seconds to wait after the `attempt`-th time that a server did not answer; see `back_off`."""
    return back_off(attempt, base_seconds=0.1, cap_seconds=OUTAGE_CAP_SECONDS, jitter=jitter)


def back_off(attempt: int, *, base_seconds: float, cap_seconds: float, jitter: float) -> float:
    """Seconds to wait after the `attempt`-th failure (1, 2, …): exponential, capped, spread by `jitter` in 0 … 1.

    The wait lies between half and all of the exponential step, so that many waiters do not return at once.
    """
    step: float = min(cap_seconds, base_seconds * 2.0 ** min(attempt - 1, 30))
    return step * (0.5 + 0.5 * jitter)
