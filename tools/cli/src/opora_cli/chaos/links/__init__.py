"""Network between a service and a server that can be broken: a TCP proxy inside the harness' own event loop."""

from opora_cli.chaos.links.behaviour import Behaviour, Direction, Trigger
from opora_cli.chaos.links.link import Link

__all__ = ["Behaviour", "Direction", "Link", "Trigger"]
