"""The guide for the shell, tried: its blocks, run as they stand there."""

import re
from pathlib import Path
from uuid import uuid4

from tests.e2e.stack import Stack
from tests.guides.running import expected_partition, only_ticket, records_of, run, telling_subject
from tests.programs import program

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "kcat.md"
BLOCK = re.compile(r"^```sh\n(.+?)^```$", re.MULTILINE | re.DOTALL)


async def test_the_commands_of_the_shell_work(desk: Stack, tmp_path: Path) -> None:
    """Published twice is one ticket, on the partition that other clients choose; looking shows its first fact."""
    program("kcat", "kcat (Debian: kcat)")
    shell = program("bash", "bash")
    publish, look = BLOCK.findall(GUIDE.read_text("utf-8"))
    subject, alert = telling_subject(), f"alert-{uuid4()}"
    mine = publish.replace("disk-db-7\n", f"{subject}\n", 1).replace("alert-2231", alert, 1)
    for _ in range(2):
        await run([shell, "-euo", "pipefail", "-c", mine], desk, tmp_path)
    records = await records_of(desk, "opora.requests", subject)
    assert [record.partition for record in records] == [expected_partition(subject)] * 2
    ticket = await only_ticket(desk, subject)
    shown = await run([shell, "-euo", "pipefail", "-c", look], desk, tmp_path)
    (line,) = [line for line in shown.splitlines() if ticket in line]
    assert "ce_type=ticket.created" in line
    assert "Disk almost full on db-7" in line
