"""What running processes tell of themselves at /metrics."""

import asyncio
from collections.abc import Sequence

import httpx

from opora_cli.metrics import Metrics, read_metrics

CPU_SECONDS = "process_cpu_seconds_total"
"""User and system time of the process, from /proc/PID/stat."""
RESIDENT_BYTES = "process_resident_memory_bytes"


async def ask(addresses: Sequence[str], *names: str) -> list[Metrics]:
    """The samples of these names, of each process."""
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        answers = await asyncio.gather(*(client.get(f"{address}/metrics") for address in addresses))
    return [read_metrics(answer.raise_for_status().text, names) for answer in answers]
