"""One run: start, load, break, heal, wait for rest, look, judge."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from opora_chassis.clock import host_now
from opora_cli.chaos import disks, nemesis, store
from opora_cli.chaos.driver import Driver
from opora_cli.chaos.invariants import Finding, enough, judge
from opora_cli.chaos.observe import Place, compare_models, observe
from opora_cli.chaos.plan import Round, draw
from opora_cli.chaos.policy import Policy
from opora_cli.chaos.rebuild import rebuilt
from opora_cli.chaos.record import Journal
from opora_cli.chaos.sometimes import CONSUMED, MIGRATED, count, happened
from opora_cli.chaos.stage import (
    CALLS,
    COMMITMENT_SECONDS,
    FIRST_RESPONSE_SECONDS,
    RESOLUTION_SECONDS,
    Stage,
    running_stage,
)
from opora_cli.checks.rest import settle
from opora_cli.errors import CommandError
from opora_cli.stack import Crew

Say = Callable[[str], None]

_SAMPLE_SECONDS = 5.0
_LOOK_SECONDS = 0.25
_ACKNOWLEDGED_A_SECOND = 1.0
"""A run in which less is acknowledged for each second of load proves nothing."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a run is to be."""

    rounds: tuple[str, ...]
    seed: int
    crews: tuple[Crew, ...]
    stories_per_second: float = 3.0
    thorough: bool = False
    """Come to rest and judge after each round, so that a violation is known by its round."""
    complete: bool = False
    """Every round there is: by the end, everything must have happened that has to happen now and then."""
    rebuild: bool = True
    rest_seconds: float = 60.0
    """Within which the platform must have come to rest after the heal."""
    runner: tuple[str, ...] = ("-m",)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found after one round, or after several that were judged together."""

    rounds: tuple[Round, ...]
    findings: tuple[Finding, ...]
    acknowledged: int
    settled_after_seconds: float | None
    seconds: float
    sometimes: Mapping[str, int]
    """What happened so far, of what has to happen now and then."""

    @property
    def holds(self) -> bool:
        """Whether every invariant does."""
        return all(finding.holds for finding in self.findings)


async def play(directory: Path, options: Options, say: Say) -> list[Verdict]:
    """Play every round and judge; ends early with the first judgement that is not clean."""
    rounds = draw(options.rounds, options.seed, options.crews)
    together = [[each] for each in rounds] if options.thorough else [rounds]
    verdicts: list[Verdict] = []
    random = Random(f"{options.seed} load")
    say(f"seed {options.seed}; starting {sum(crew.count for crew in options.crews)} processes")
    small = disks.SIZES if "disk-full" in options.rounds else {}
    with Journal(directory) as journal, disks.small_disks(directory / "data", small):
        async with running_stage(directory, options.crews, runner=options.runner) as stage:
            run = _Run(directory, options, stage, journal, random, say)
            async with run.sampled():
                for place, some in enumerate(together):
                    last = place == len(together) - 1
                    verdicts.append(await run.play(some, last=last))
                    if not verdicts[-1].holds:
                        break
    return verdicts


@dataclass(slots=True)
class _Run:
    directory: Path
    options: Options
    stage: Stage
    journal: Journal
    random: Random
    say: Say
    stories: int = 0

    async def play(self, rounds: Sequence[Round], *, last: bool) -> Verdict:
        began = time.monotonic()
        driver = self._driver()
        policy = Policy(self.stage.promise, lambda: self.stage.urls("sla")[0], self.stage.endpoints.api_key)
        editing = asyncio.create_task(policy.work(), name="policy")
        working = asyncio.create_task(driver.work(), name="driver")
        try:
            for each in rounds:
                self.say(f"{each.name}: " + ("; ".join(str(fault) for fault in each.faults[:6]) or "no fault"))
                driver.poison = any(fault.kind == "poison" for fault in each.faults)
                await nemesis.play(self.stage, each, Random(f"{self.options.seed} {each.name} nemesis"), self.journal)
                await self.stage.heal()
                if working.done():
                    break
            healed_at = host_now()
        except BaseException:
            working.cancel()
            editing.cancel()
            await asyncio.gather(working, editing, return_exceptions=True)
            raise
        loaded = time.monotonic() - began
        self.say(f"healed; {driver.acknowledged} writes acknowledged; the stories under way come to their end")
        driver.stop()
        policy.stop()
        await working
        await editing
        self.stories = driver.stories
        settled = await self._rest()
        self.say(f"at rest after {'-' if settled is None else f'{settled:.1f} s'}; looking")
        differences: dict[str, list[str]] = {}
        if last and self.options.rebuild and settled is not None:
            differences = await self._compare_with_rebuilt()
        observation = await observe(
            self._place(), healed_at=healed_at, settled_after_seconds=settled, rebuilt=differences
        )
        sometimes = count(observation, self.directory / "logs", self.stage.counted)
        findings = [enough(observation, int(loaded * _ACKNOWLEDGED_A_SECOND)), *judge(observation)]
        if last and self.options.complete:
            findings.append(happened(sometimes))
        return Verdict(
            rounds=tuple(rounds),
            findings=tuple(findings),
            acknowledged=driver.acknowledged,
            settled_after_seconds=settled,
            seconds=time.monotonic() - began,
            sometimes=sometimes,
        )

    @asynccontextmanager
    async def sampled(self) -> AsyncIterator[None]:
        """While the block runs, note what every process uses."""

        async def keep_sampling() -> None:
            while True:
                for sample in await self.stage.sample((CONSUMED, MIGRATED)):
                    self.journal.write(sample)
                await asyncio.sleep(_SAMPLE_SECONDS)

        sampling = asyncio.create_task(keep_sampling(), name="samples")
        try:
            yield
        finally:
            sampling.cancel()
            with suppress(asyncio.CancelledError):
                await sampling

    def _driver(self) -> Driver:
        endpoints = self.stage.endpoints
        return Driver(
            intake_urls=self.stage.urls("intake"),
            kafka_bootstrap=self.stage.kafka.bootstrap,
            api_key=endpoints.api_key,
            journal=self.journal,
            random=Random(self.random.getrandbits(64)),
            stories_per_second=self.options.stories_per_second,
            stories=self.stories,
        )

    def _place(self) -> Place:
        endpoints = self.stage.endpoints
        return Place(
            directory=self.directory,
            kafka_bootstrap=self.stage.kafka.bootstrap,
            dsns={name: service.database_dsn for name, service in endpoints.services.items()},
            first_response_seconds=FIRST_RESPONSE_SECONDS,
            resolution_seconds=RESOLUTION_SECONDS,
            commitment_seconds=COMMITMENT_SECONDS,
            calls=CALLS,
        )

    async def _rest(self) -> float | None:
        """Seconds from now until all is consumed, published, sent and judged; None when it is not so in time."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(self.options.rest_seconds + RESOLUTION_SECONDS + max(CALLS.values())):
                await settle(self.stage.endpoints, host_now())
                settled = time.monotonic() - began
                await self._nothing_falls_due()
        except (CommandError, TimeoutError):
            return None
        return settled

    async def _nothing_falls_due(self) -> None:
        """Return when time alone can bring nothing more to any clock, neither its breach nor a step of its ladder."""
        while await store.any_step_to_come(self.stage.endpoints.services["sla"].database_dsn):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)
        await settle(self.stage.endpoints, host_now())

    async def _compare_with_rebuilt(self) -> dict[str, list[str]]:
        live = {name: service.database_dsn for name, service in self.stage.endpoints.services.items()}
        async with rebuilt(self.stage, self.directory) as dsns:
            return await compare_models({name: live[name] for name in dsns}, dsns)
