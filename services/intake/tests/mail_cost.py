"""What a function costs, counted and not timed: a busy machine changes no test."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def steps(function: Callable[..., object], *arguments: object) -> int:
    """How many lines of Python the call runs, in whatever functions."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Callable[..., Any]:
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function(*arguments)
    finally:
        sys.settrace(before)
    return count


def expect_linear(function: Callable[[int], Callable[[], object]], size: int) -> None:
    """Four times the size costs at most about four times the steps, when `function(size)` is what is to be run."""
    small, large = steps(function(size)), steps(function(4 * size))
    assert large <= 4.5 * small + 500, f"{small} steps for {size}, {large} for {4 * size}"
