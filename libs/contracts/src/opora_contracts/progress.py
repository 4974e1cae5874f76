"""Progress marks on `opora.progress`: how far a topic is complete, so that clocks judge only what they have seen."""

from typing import Annotated

from pydantic import Field

from opora_contracts.fact import Fact, Identifier, Instant


class ProgressMarked(Fact, event_type="progress.marked"):
    """Every fact with `ce_time` before `complete_before` stands on `topic`'s `partition` below `offset`.

    With an `import_id` the promise is about that import's history only; without, about live facts only.
    """

    topic: Identifier
    partition: Annotated[int, Field(ge=0)]
    offset: Annotated[int, Field(ge=0)]
    complete_before: Instant
    import_id: Identifier | None = None
