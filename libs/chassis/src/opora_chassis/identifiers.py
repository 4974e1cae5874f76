"""Identifiers of aggregates, events and messages."""

from uuid import UUID

from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562): unique everywhere, and ordered by creation time, which keeps indexes compact."""
    return uuid7()
