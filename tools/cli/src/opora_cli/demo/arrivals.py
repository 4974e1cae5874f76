"""When requests come in over a day."""

from random import Random

HOURLY_SHARE = (
    0.0108,
    0.0089,
    0.0060,
    0.0049,
    0.0051,
    0.0053,
    0.0128,
    0.0230,
    0.1022,
    0.1210,
    0.1161,
    0.0991,
    0.0539,
    0.0660,
    0.0905,
    0.0855,
    0.0749,
    0.0431,
    0.0187,
    0.0119,
    0.0091,
    0.0144,
    0.0098,
    0.0070,
)
"""The share of a day's requests that arrive in each hour, 0 to 23 local time: counted over the `opened_at` of the
24,918 incidents of the public ServiceNow log. Nearly three quarters come between 8 and 16 o'clock, with a dip at
lunch."""


def draw_arrivals(random: Random, count: int, *, first_hour: int, hours: float) -> list[float]:
    """`count` arrival times in order, in seconds after `first_hour` o'clock, distributed as in the real log."""
    weights = [
        HOURLY_SHARE[(first_hour + offset) % 24] * min(1.0, hours - offset) for offset in range(_whole_hours(hours))
    ]
    drawn = random.choices(range(len(weights)), weights=weights, k=count)
    return sorted(min(hour + random.random(), hours - 0.01) * 3600 for hour in drawn)


def _whole_hours(hours: float) -> int:
    return int(hours) + (hours > int(hours))
