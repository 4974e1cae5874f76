"""The kit and the stack under test."""

from opora_cli.conformance.run import Target
from tests.e2e.stack import Stack

DEADLINE_SECONDS = 60.0


def target_of(stack: Stack) -> Target:
    """The stack as the kit is told of it."""
    return Target(stack.kafka_bootstrap, stack.urls["intake"], stack.api_key, stack.prefix)
