"""The guide for Python, tried: the program that it adds to the examples of the contracts' own library."""

import sqlite3
import sys
from pathlib import Path

from tests.e2e.stack import Stack
from tests.guides.running import check_consumer, check_publisher

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"

PUBLISH = """
import asyncio, os, sys
from opora_contracts.publisher import Publisher
from opora_contracts.requests import TicketSubmitted

async def publish(alert, subject):
    asked = TicketSubmitted(title="Disk almost full on db-7", impact="high")
    async with Publisher(os.environ["KAFKA_BOOTSTRAP"], source="//monitoring.example") as publisher:
        stands = await publisher.publish(asked, subject=subject, id=alert)
    print("published", alert, "about", subject, stands.partition)

asyncio.run(publish(*sys.argv[1:]))
"""
"""The library's publisher as the guide shows it, with the id and the subject as arguments."""


async def test_the_programs_in_python_work(desk: Stack, tmp_path: Path) -> None:
    """Published twice is one ticket; each fact is taken in once, in the transaction that remembers its number."""
    (tmp_path / "publish.py").write_text(PUBLISH, "utf-8")
    ticket = await check_publisher([sys.executable, "publish.py"], desk, tmp_path)
    consume = [sys.executable, str(EXAMPLES / "python" / "consume_once.py"), "tickets.db"]
    await check_consumer(consume, desk, tmp_path, ticket)
    with sqlite3.connect(tmp_path / "tickets.db") as database:
        (row,) = database.execute("select sequence, latest from tickets where id = ?", (ticket,)).fetchall()
    database.close()
    assert row == (3, "ticket.noted")
