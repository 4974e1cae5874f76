"""Instants on the wire: RFC 3339 with a zone, read as aware UTC."""

import re
from datetime import UTC, datetime
from typing import Any

FIRST_YEAR = 1970
LAST_YEAR = 2261
"""The years that nanoseconds since 1970 can hold in 64 bits, which is what many readers of our events store."""

INSTANT_RULE = (
    f"expected an RFC 3339 time with a zone, in the years {FIRST_YEAR} to {LAST_YEAR}, such as 2026-03-01T09:30:00Z"
)

_RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ](?!24)\d\d:\d\d:(?P<second>\d\d)(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_LEAP_SECOND = "60"


def instant_from_text(text: str) -> datetime:
    """The instant in UTC, to the microsecond.

    Raises ValueError with `INSTANT_RULE` for anything but RFC 3339, and for a leap second, which RFC 3339 can write
    and hardly any reader can store.
    """
    match = _RFC_3339.fullmatch(text)
    if match is None:
        raise ValueError(INSTANT_RULE)
    if match["second"] == _LEAP_SECOND:
        raise ValueError("a leap second cannot be stored; send the second before or after it")
    try:
        return in_range(datetime.fromisoformat(text.upper()))
    except (ValueError, OverflowError):
        raise ValueError(INSTANT_RULE) from None


def in_range(instant: datetime) -> datetime:
    """The same instant in UTC. Raises ValueError outside the years that every reader can hold, or without a zone."""
    if instant.tzinfo is not UTC:
        if instant.utcoffset() is None:
            raise ValueError(INSTANT_RULE)
        try:
            instant = instant.astimezone(UTC)
        except OverflowError:
            raise ValueError(INSTANT_RULE) from None
    if not FIRST_YEAR <= instant.year <= LAST_YEAR:
        raise ValueError(INSTANT_RULE)
    return instant


def instant_to_text(instant: datetime) -> str:
    """RFC 3339 in UTC with Z and microseconds. Raises ValueError for a time without a zone or out of range."""
    return in_range(instant).isoformat(timespec="microseconds")[:-6] + "Z"


def validate_instant(value: Any) -> Any:
    """Pydantic's part of an `Instant`: text must be RFC 3339 (pydantic alone would read "1700000000" as a time)."""
    if isinstance(value, str):
        return instant_from_text(value)
    if isinstance(value, datetime):
        return in_range(value)
    return value
