"""The demonstration on its platform: desk, view and reader side by side, then the settling and the look."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from opora_cli.checks.gather import SurveyMail, TopicReader
from opora_cli.checks.history import History
from opora_cli.demo.day import DayClock
from opora_cli.demo.desk import Desk
from opora_cli.demo.report import look, settle
from opora_cli.demo.scenario import Scenario
from opora_cli.demo.tally import Tally
from opora_cli.demo.view import View
from opora_cli.endpoints import Endpoints

if TYPE_CHECKING:  # a desk on somebody else's platform needs no embedded servers
    from opora_cli.supervisor import Supervisor

_KILLED_FROM, _KILLED_TO = 0.3, 0.7
"""Between which shares of the day services are killed when that was asked for."""


@dataclass(slots=True)
class Stage:
    """Everything that takes part in one demonstration. `play` is called once.

    A platform with its supervisor is stopped at the end; one that something else runs is left running.
    """

    supervisor: Supervisor | None
    endpoints: Endpoints
    scenario: Scenario
    clock: DayClock
    desk: Desk
    reader: TopicReader
    tally: Tally
    view: View
    killed: list[str] = field(default_factory=list)

    @classmethod
    def build(
        cls,
        endpoints: Endpoints,
        scenario: Scenario,
        clock: DayClock,
        *,
        mail_directory: Path,
        console: Console,
        supervisor: Supervisor | None = None,
    ) -> Stage:
        """Put it together for a platform that is ready."""
        reader = TopicReader(endpoints.kafka_bootstrap)
        tally = Tally(clock.platform_scale)
        view = View(console, clock, scenario.seconds, tally, endpoints, refresh=lambda: tally.count(reader.events))
        if supervisor is not None:
            supervisor.report = view.tell
        desk = Desk(endpoints, scenario, clock, SurveyMail(mail_directory))
        return cls(supervisor, endpoints, scenario, clock, desk, reader, tally, view)

    async def play(self, kill: Sequence[str] = ()) -> tuple[History, list[str]]:
        """Play the day, SIGKILL the services named on the way, settle, and look; then stop what is to be stopped."""
        stop = asyncio.Event()
        watching = None if self.supervisor is None else asyncio.create_task(self.supervisor.watch(stop))
        try:
            await self.reader.start()
            return await self._day(kill), self.killed
        finally:
            await self.desk.close()
            await self.reader.stop()
            stop.set()
            if self.supervisor is not None and watching is not None:
                await asyncio.gather(watching, return_exceptions=True)
                await self.supervisor.stop()

    async def _day(self, kill: Sequence[str]) -> History:
        following = asyncio.create_task(self.reader.follow())
        answering = asyncio.create_task(self.desk.answer_surveys())
        stop_showing = asyncio.Event()
        showing = asyncio.create_task(self.view.show(stop_showing))
        try:
            await self.desk.set_up()
            await asyncio.gather(self.desk.work(), self._kill(kill))
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            judged_until = await settle(self.endpoints, self.reader, self.desk)
            history = await look(self.endpoints, self.reader, self.desk, judged_until)
            self.tally.count(self.reader.events)
            return history
        finally:
            following.cancel()
            answering.cancel()
            stop_showing.set()
            await asyncio.gather(following, answering, showing, return_exceptions=True)

    async def _kill(self, services: Sequence[str]) -> None:
        if self.supervisor is None:
            return
        for number, service in enumerate(services, start=1):
            share = _KILLED_FROM + (_KILLED_TO - _KILLED_FROM) * number / (len(services) + 1)
            await self.clock.until(share * self.scenario.seconds)
            self.killed.append(self.supervisor.kill(service))
