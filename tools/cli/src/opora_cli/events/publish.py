"""Publishing the events of a file, in its order: all that is valid, or nothing."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from opora_cli.errors import NOT_RUNNING, PROBLEMS_FOUND, CommandError
from opora_contracts import Event, Fact
from opora_contracts.documents import Verdict
from opora_contracts.publisher import EventRefusedError, Published, Publisher, PublishError
from opora_contracts.publishing import refusal

SOURCE = "//opora.command"
"""Never written: each event of a file has a source of its own."""
DEADLINE_SECONDS = 30.0
_AT_ONCE = 200
"""How many events are on their way at the same time; those of one key go one after the other."""
_NEXT = "opora status"


def refused_where_not_open(verdicts: list[Verdict]) -> list[Verdict]:
    """The verdicts, with what only a service of Opora may write judged as not valid."""
    return [
        verdict
        if verdict.event is None or (problem := refusal(verdict.event)) is None
        else replace(verdict, event=None, reason="refused", detail=problem)
        for verdict in verdicts
    ]


async def publish_all(
    bootstrap: str,
    events: list[Event[Fact]],
    show: Callable[[Event[Fact], Published], None],
    *,
    topic_prefix: str,
    deadline_seconds: float = DEADLINE_SECONDS,
) -> None:
    """Publish in order per key, and show where each event stands. Raises CommandError at the first that does not."""
    try:
        async with Publisher(
            bootstrap, source=SOURCE, topic_prefix=topic_prefix, deadline_seconds=deadline_seconds
        ) as publisher:
            for begin in range(0, len(events), _AT_ONCE):
                together = events[begin : begin + _AT_ONCE]
                outcomes = await asyncio.gather(*map(publisher.publish_event, together), return_exceptions=True)
                for event, outcome in zip(together, outcomes, strict=True):
                    if isinstance(outcome, Published):
                        show(event, outcome)
                _raise_first(outcomes)
    except EventRefusedError as error:
        raise CommandError(str(error), exit_code=PROBLEMS_FOUND) from error
    except PublishError as error:
        sent_before = " Run the same command again: what stands there already has its id, and one effect."
        raise CommandError(
            f"{error}{sent_before if error.event_id else ''}", next_command=_NEXT, exit_code=NOT_RUNNING
        ) from error


def _raise_first(outcomes: list[Published | BaseException]) -> None:
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
