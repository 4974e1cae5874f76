"""What a read needs."""

from typing import Any, Protocol


class Reader(Protocol):
    """A database or an open transaction: reads work on both."""

    async def fetch(self, sql: str, *arguments: Any) -> list[Any]:
        """All rows."""

    async def fetchrow(self, sql: str, *arguments: Any) -> Any:
        """The first row, or None."""
