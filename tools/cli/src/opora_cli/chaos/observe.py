"""Looks at a run's servers, topics and letters from outside, once the storm is over."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from opora_chassis.clock import host_now
from opora_cli import store as databases
from opora_cli.chaos import store
from opora_cli.chaos.observation import Observation
from opora_cli.chaos.record import Attempt, Injected, Sample, read_lines
from opora_cli.chaos.sinks import read_hooks, read_letters
from opora_cli.chaos.store import Model, Rows
from opora_cli.checks.gather import TopicReader
from opora_cli.checks.history import Record
from opora_contracts.vocabulary import Metric


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run has its servers and its records, and what its agreement allows."""

    directory: Path
    """Holds the journal, `letters/letters.jsonl` and `hooks.jsonl`."""
    kafka_bootstrap: str
    dsns: Mapping[str, str]
    """By service: intake, sla, notify and feedback."""
    first_response_seconds: int
    resolution_seconds: int
    commitment_seconds: Mapping[str, int]
    """By metric, and by `operational:<group>`."""
    calls: Mapping[tuple[int, int], int]
    """The ladder of every clock: seconds after its due date by (level, repetition)."""


async def observe(
    place: Place,
    *,
    healed_at: datetime,
    settled_after_seconds: float | None,
    rebuilt: Mapping[str, Sequence[str]] | None = None,
) -> Observation:
    """Everything that the invariants look at, read from the servers themselves; no service is asked.

    `rebuilt` is what `compare_models` found. Nothing is changed. Raises a KafkaError, OSError or asyncpg error when a
    server does not answer.
    """
    observed_at = host_now()
    records = await _records(place.kafka_bootstrap)
    async with _connected(place.dsns) as connections:
        intake, sla, notify, feedback = (connections[name] for name in ("intake", "sla", "notify", "feedback"))
        return Observation(
            attempts=read_lines(place.directory, Attempt),
            faults=read_lines(place.directory, Injected),
            samples=read_lines(place.directory, Sample),
            healed_at=healed_at,
            observed_at=observed_at,
            settled_after_seconds=settled_after_seconds,
            targets={
                Metric.FIRST_RESPONSE: place.first_response_seconds,
                Metric.RESOLUTION: place.resolution_seconds,
                **place.commitment_seconds,
            },
            calls=place.calls,
            records=records,
            tickets=await store.read_tickets(intake),
            timeline=await store.read_timeline(intake),
            services={name: await store.read_tables(connections[name], name) for name in place.dsns},
            notifications=await store.read_ledger(notify),
            named_tickets=await store.read_named_tickets(notify),
            endpoints=await store.read_endpoints(notify),
            letters=read_letters(place.directory / "letters" / "letters.jsonl"),
            hooks=read_hooks(place.directory / "hooks.jsonl"),
            closings=await store.read_closings(feedback),
            surveys=await store.read_surveys(feedback),
            clocks=await store.read_clocks(sla),
            case_facts=await store.read_case_facts(sla),
            fired_steps=await store.read_fired_steps(sla),
            rebuilt=rebuilt or {},
        )


async def compare_models(live: Mapping[str, str], rebuilt: Mapping[str, str]) -> dict[str, list[str]]:
    """Where the read models of each service in `rebuilt` differ from the live ones: table, key, column.

    Both map services to DSNs. What may differ by right is left out; `store.MODELS` says what and why.
    """
    differences: dict[str, list[str]] = {}
    for service, dsn in rebuilt.items():
        async with _connected({"live": live[service], "rebuilt": dsn}) as connections:
            differences[service] = [
                difference
                for model in store.MODELS[service]
                for difference in differing(
                    model,
                    await store.read_model(connections["live"], model),
                    await store.read_model(connections["rebuilt"], model),
                )
            ]
    return differences


def differing(model: Model, live: Rows, rebuilt: Rows) -> list[str]:
    """The keys and columns in which two readings of one table differ, in the keys' order."""
    differences: list[str] = []
    for key in sorted(live.keys() | rebuilt.keys()):
        name = f"{model.table} {' '.join(key)}"
        if key not in rebuilt:
            differences.append(f"{name} is missing in the rebuilt model")
        elif key not in live:
            differences.append(f"{name} is in the rebuilt model alone")
        else:
            differences += [
                f"{name}: {column} is {value!r}, rebuilt {rebuilt[key][column]!r}"
                for column, value in live[key].items()
                if value != rebuilt[key][column]
            ]
    return differences


async def _records(bootstrap: str) -> Mapping[str, Sequence[Record]]:
    reader = TopicReader(bootstrap)
    await reader.start()
    try:
        await reader.read_to_end()
    finally:
        await reader.stop()
    return reader.records


@asynccontextmanager
async def _connected(dsns: Mapping[str, str]) -> AsyncIterator[Mapping[str, Any]]:
    async with AsyncExitStack() as cleanup:
        connections: dict[str, Any] = {}
        for name, dsn in dsns.items():
            connections[name] = await databases.connect(dsn)
            cleanup.push_async_callback(connections[name].close)
        yield connections
