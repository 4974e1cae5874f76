"""The invariants: pure checks of an observation, each with its id, which names every case that violates it."""

from collections.abc import Callable, Sequence

from opora_cli.chaos.invariants.clocks import breached_rightly
from opora_cli.chaos.invariants.delivery import in_order, one_effect_per_event, outbox_complete
from opora_cli.chaos.invariants.finding import Finding
from opora_cli.chaos.invariants.messages import asked_once, no_message_lost
from opora_cli.chaos.invariants.models import models_equal_the_log
from opora_cli.chaos.invariants.rest import bounded, enough, poison_waits_aside, rest_comes_soon
from opora_cli.chaos.invariants.tickets import no_phantom, nothing_lost, one_effect_per_key
from opora_cli.chaos.observation import Observation

__all__ = ["INVARIANTS", "Finding", "enough", "judge"]

INVARIANTS: Sequence[Callable[[Observation], Finding]] = (
    nothing_lost,
    one_effect_per_key,
    no_phantom,
    outbox_complete,
    in_order,
    one_effect_per_event,
    breached_rightly,
    no_message_lost,
    asked_once,
    models_equal_the_log,
    poison_waits_aside,
    rest_comes_soon,
    bounded,
)


def judge(observation: Observation) -> list[Finding]:
    """Every invariant, I1 first."""
    return [invariant(observation) for invariant in INVARIANTS]
