"""Waiting for what nobody announces."""

import time
from asyncio import sleep
from collections.abc import Awaitable, Callable

_LOOK_SECONDS = 0.1


async def came_true(
    condition: Callable[[], bool | Awaitable[bool]], seconds: float, *, look_seconds: float = _LOOK_SECONDS
) -> bool:
    """Whether the condition, plain or async, comes true within these seconds; it is looked at once in any case."""
    deadline = time.monotonic() + seconds
    while True:
        seen = condition()
        if seen if isinstance(seen, bool) else await seen:
            return True
        if time.monotonic() > deadline:
            return False
        await sleep(look_seconds)
