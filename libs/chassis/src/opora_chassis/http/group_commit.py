"""Group commit: writes that gather while a transaction is under way share the next one.

A transaction costs the same for one write as for fifty, and its COMMIT waits for the disk. There is no timer: a write
that comes alone is carried out alone and at once; under load the groups grow by themselves.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from starlette.responses import Response

from opora_chassis.database import Database, Transaction
from opora_chassis.errors import is_transient
from opora_chassis.http.errors import Problem
from opora_chassis.http.idempotency import WriteCall, answer_with, body_of, claim_keys, keep_answers

Ask = TypeVar("Ask")
Outcome = Any | Exception
Work = Callable[[Transaction, Sequence[Ask]], Awaitable[Sequence[Outcome]]]
"""Carries out the asks in their order, and gives for each its result, or the exception that refuses it."""

MOST_WRITES = 200
"""Of one transaction."""
MOST_GROUPS = 2
"""At work at the same time: while the database works on one, this process does on the other."""
SECOND_GROUP_WRITES = 16
"""So many must wait for a second group to begin beside the first: two small ones cost more than one."""


class _RefusedError(Exception):
    """Rolls the group back, because some of it was refused."""

    def __init__(self, refusals: "dict[_Waiting[Any], Exception]") -> None:
        super().__init__(f"{len(refusals)} of a group were refused")
        self.refusals = refusals


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting(Generic[Ask]):
    call: WriteCall
    ask: Ask
    answer: asyncio.Future[Response]

    @property
    def name(self) -> tuple[Any, str] | None:
        """What its twins share."""
        return None if self.call.key is None else (self.call.caller.key_id, self.call.key)

    def settle(self, outcome: Response | Exception) -> None:
        if self.answer.done():  # its caller went away
            return
        if isinstance(outcome, Exception):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(outcome)


class GroupCommit(Generic[Ask]):
    """Carries out writes of one kind, begun in the order in which they came, in two transactions at most at a time.

    Each write is promised what `WriteCall.run` promises it: one effect under its Idempotency-Key, its answer stored in
    the same transaction, nothing of it when it fails. A refused write leaves nothing and holds up no other: the group
    is carried out again without it. When anything else goes wrong the group is rolled back and carried out one by one,
    so that only the guilty write fails; in an outage all fail, since nobody knows whether they were done.
    """

    def __init__(self, database: Database, work: Work[Ask], *, status: int) -> None:
        self._database = database
        self._work = work
        self._status = status
        self._gathered: deque[_Waiting[Ask]] = deque()
        self._writing: set[asyncio.Task[None]] = set()

    async def write(self, call: WriteCall, ask: Ask) -> Response:
        """The answer, once the write is durable. Raises what refused it, or what the database raised."""
        waiting = _Waiting(call, ask, asyncio.get_running_loop().create_future())
        self._gathered.append(waiting)
        if not self._writing or (len(self._writing) < MOST_GROUPS and len(self._gathered) >= SECOND_GROUP_WRITES):
            task = asyncio.create_task(self._write_all(), name="group commit")
            self._writing.add(task)
        return await waiting.answer

    @property
    def groups_under_way(self) -> int:
        """How many transactions this process works on."""
        return len(self._writing)

    async def _write_all(self) -> None:
        try:
            while self._gathered:
                await self._settle(self._next_group())
        finally:  # not later: a write that comes now must see that nobody will carry it out
            self._writing = {task for task in self._writing if task is not asyncio.current_task()}

    def _next_group(self) -> list[_Waiting[Ask]]:
        """Those that came first; of twins under one key the later ones wait for the next group."""
        group: list[_Waiting[Ask]] = []
        names: set[tuple[Any, str]] = set()
        later: list[_Waiting[Ask]] = []
        while self._gathered and len(group) < MOST_WRITES:
            waiting = self._gathered.popleft()
            if waiting.name is not None and waiting.name in names:
                later.append(waiting)
                continue
            if waiting.name is not None:
                names.add(waiting.name)
            group.append(waiting)
        self._gathered.extendleft(reversed(later))
        return group

    async def _settle(self, group: Sequence[_Waiting[Ask]]) -> None:
        """Answer every write of the group, with a Response or an exception."""
        while group:
            try:
                answers = await self._carry_out(group)
            except _RefusedError as refused:
                for waiting, reason in refused.refusals.items():
                    waiting.settle(reason)
                group = [waiting for waiting in group if waiting not in refused.refusals]
            except Exception as error:  # noqa: BLE001  it belongs to those who wait for their answers
                if len(group) == 1 or is_transient(error):
                    for waiting in group:
                        waiting.settle(error)
                else:
                    for waiting in group:
                        await self._settle([waiting])
                return
            else:
                for waiting, answer in zip(group, answers, strict=True):
                    waiting.settle(answer)
                return

    async def _carry_out(self, group: Sequence[_Waiting[Ask]]) -> list[Response | Problem]:
        async with self._database.transaction() as tx:
            answers = await claim_keys(tx, [waiting.call for waiting in group])
            fresh = [place for place, answer in enumerate(answers) if answer is None]
            outcomes = await self._work(tx, [group[place].ask for place in fresh]) if fresh else ()
            refusals = {
                group[place]: outcome
                for place, outcome in zip(fresh, outcomes, strict=True)
                if isinstance(outcome, Exception)
            }
            if refusals:
                raise _RefusedError(refusals)
            bodies = [body_of(outcome) for outcome in outcomes]
            await keep_answers(
                tx, [(group[place].call, body) for place, body in zip(fresh, bodies, strict=True)], self._status
            )
        for place, body in zip(fresh, bodies, strict=True):
            answers[place] = answer_with(self._status, body)
        return [answer for answer in answers if answer is not None]
