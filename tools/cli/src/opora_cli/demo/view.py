"""What is seen while the demonstration runs: a live picture on a terminal, plain lines elsewhere."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import httpx
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table

from opora_cli.checks.rules import percentile
from opora_cli.demo.day import DayClock
from opora_cli.demo.people import DESK_TIME_ZONE
from opora_cli.demo.tally import Tally
from opora_cli.endpoints import Endpoints
from opora_cli.metrics import LAG, OUTBOX, read_metrics, total

_REFRESH_SECONDS = 0.5
_PLAIN_LINE_EVERY = 10
_LAG_EVERY = 4


@dataclass(slots=True)
class View:
    """Shows the tally until `stop` is set. `messages` are told once each, in between."""

    console: Console
    clock: DayClock
    day_seconds: float
    tally: Tally
    endpoints: Endpoints
    refresh: Callable[[], None]
    """Brings the tally up to date."""
    lag_records: int = 0
    outbox_rows: int = 0
    _messages: list[str] = field(default_factory=list)

    def tell(self, message: str) -> None:
        """Show one line."""
        self._messages.append(message)

    async def show(self, stop: asyncio.Event) -> None:
        """Refresh until `stop`."""
        async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
            if self.console.is_terminal:
                with Live(console=self.console, refresh_per_second=4, transient=True) as live:
                    await self._loop(stop, client, lambda _turn: live.update(self._picture()))
            else:
                await self._loop(stop, client, self._plain)

    async def _loop(self, stop: asyncio.Event, client: httpx.AsyncClient, draw: Callable[[int], None]) -> None:
        turn = 0
        while not stop.is_set():
            self.refresh()
            if turn % _LAG_EVERY == 0:
                await self._measure(client)
            for message in self._messages:
                self.console.print(message, markup=False)
            self._messages.clear()
            draw(turn)
            turn += 1
            try:
                await asyncio.wait_for(stop.wait(), _REFRESH_SECONDS)
            except TimeoutError:
                continue

    async def _measure(self, client: httpx.AsyncClient) -> None:
        lag = outbox = 0.0
        for service in self.endpoints.services.values():
            try:
                metrics = read_metrics((await client.get(f"{service.url}/metrics")).text)
            except httpx.HTTPError:
                continue
            lag += total(metrics, LAG)
            outbox += total(metrics, OUTBOX)
        self.lag_records, self.outbox_rows = int(lag), int(outbox)

    def _plain(self, turn: int) -> None:
        if turn % _PLAIN_LINE_EVERY == 0:
            steps = " ".join(f"{step.value}={count}" for step, count in self.tally.steps.items() if count)
            clocks = " ".join(f"{name}={count}" for name, count in self.tally.clocks.items())
            self.console.print(
                f"{self._time()} | {steps or 'no tickets yet'} | sla {clocks} | mail {self.tally.delivered}"
                f" | ratings {len(self.tally.ratings)} | lag {self.lag_records} | breach lag p99 {self._p99()}",
                markup=False,
                soft_wrap=True,
            )

    def _picture(self) -> RenderableType:
        day = ProgressBar(total=self.day_seconds, completed=max(0.0, self.clock.seconds))
        title = f"Orbit's help desk, {self._time()} ({self.clock.scale:.0f} times as fast as life)"
        # A bar alone does not end its line.
        return Panel(
            Group(Padding(day, (0, 0, 1, 0)), Columns([self._steps(), self._clocks(), self._rest()], padding=(0, 4))),
            title=title,
        )

    def _steps(self) -> Table:
        table = _table("tickets", len(self.tally.step_of))
        for step, count in self.tally.steps.items():
            table.add_row(step.value, str(count))
        return table

    def _clocks(self) -> Table:
        table = _table("clocks", "")
        colours = {"met": "green", "warned": "yellow", "breached": "red"}
        for name, count in self.tally.clocks.items():
            colour = colours.get(name, "default")
            table.add_row(f"[{colour}]{name}[/]", f"[{colour}]{count}[/]")
        table.add_row("breach lag p99", self._p99())
        return table

    def _rest(self) -> Table:
        table = _table("messages and ratings", "")
        table.add_row("mail delivered", str(self.tally.delivered))
        scores = Counter(self.tally.ratings.values())
        table.add_row("ratings", " ".join(f"{score}:{scores[score]}" for score in range(1, 6)))
        mean = sum(self.tally.ratings.values()) / len(self.tally.ratings) if self.tally.ratings else 0.0
        table.add_row("mean rating", f"{mean:.2f}")
        table.add_row("lag (records)", str(self.lag_records))
        table.add_row("outbox (facts)", str(self.outbox_rows))
        return table

    def _time(self) -> str:
        return f"{self.clock.now.astimezone(ZoneInfo(DESK_TIME_ZONE)):%a %H:%M}"

    def _p99(self) -> str:
        return f"{percentile(sorted(self.tally.breach_lags_seconds), 99):.2f} s"


def _table(title: str, value: object) -> Table:
    table = Table(box=None, show_header=True, pad_edge=False)
    table.add_column(title, style="bold")
    table.add_column(str(value), justify="right")
    return table
