"""How messages leave: one module per channel, each with an `async send(notification, …) -> Outcome`."""

from opora_notify.domain.delivery import Outcome


class UnsentError(Exception):
    """Ends an attempt before anything left, with what the attempt came to."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(str(outcome))
        self.outcome = outcome
