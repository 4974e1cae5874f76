"""escalated-django with open tickets on the same PostgreSQL, in a venv of its own.

Not named like its package: its site runs in this folder, and would import this module instead.
"""

import asyncio
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.bench.ground import Ground
from tests.bench.peers.environment import install

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Escalated:
    """An installed one."""

    python: Path
    dsn: str

    async def pass_seconds(self) -> float:
        """How long its check_sla took over all open tickets, in a program of its own whose start is not counted."""
        return float(await self.run("check"))

    async def run(self, *words: str) -> str:
        """What its site answers to these words. Raises CalledProcessError."""
        done = await asyncio.to_thread(
            subprocess.run,
            [str(self.python), str(_HERE / "escalated_site.py"), *words],
            env={"ESCALATED_DSN": self.dsn, "PATH": os.defpath},
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
        return str(done.stdout)


async def installed_escalated(ground: Ground, tickets: int) -> Escalated:
    """Migrated, with so many open tickets. Raises CalledProcessError when its packages cannot be had."""
    programs = await asyncio.to_thread(install, ground.directory / "escalated", _HERE / "escalated-requirements.txt")
    dsn = await asyncio.to_thread(ground.postgres.create_database, "bench_escalated")
    escalated = Escalated(programs / "python", dsn)
    await escalated.run("fill", str(tickets))
    return escalated
