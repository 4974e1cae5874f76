"""Times as they are given to commands."""

import re
from datetime import datetime

from opora_cli.errors import UNUSABLE_INPUT, CommandError
from opora_contracts.instants import INSTANT_RULE, instant_from_text

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def instant_given(option: str, text: str | None) -> datetime | None:
    """The instant, or None for none; a date alone is its midnight in UTC. Raises CommandError for anything else."""
    if text is None:
        return None
    try:
        return instant_from_text(f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text)
    except ValueError:
        raise CommandError(
            f"{option} {text!r} is neither a date nor a time: {INSTANT_RULE}", exit_code=UNUSABLE_INPUT
        ) from None
