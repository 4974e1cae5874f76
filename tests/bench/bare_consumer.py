"""The least that keeps what stands on a topic: aiokafka, one multi-row statement a batch, then the offset.

Of each key the newest state, guarded by its version; or, with BENCH_KEEPS=everything, every record.

OPORA_DATABASE_DSN=… OPORA_KAFKA_BOOTSTRAP=… BENCH_TOPIC=… OPORA_HTTP_PORT=… python tests/bench/bare_consumer.py
"""

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer

PROGRAM = str(Path(__file__))
_MOST_RECORDS = 500


async def create_table(dsn: str) -> None:
    """Where the program keeps what it reads."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(
            "create table bare (key text primary key, version bigint not null, document jsonb not null)"
        )
    finally:
        await connection.close()


async def _consume() -> None:
    working = asyncio.current_task()
    assert working is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, working.cancel)  # and leave the group
    connection = await asyncpg.connect(os.environ["OPORA_DATABASE_DSN"])
    keep = _keep_everything if os.environ.get("BENCH_KEEPS") == "everything" else _keep_newest
    live = await asyncio.start_server(answer_live, "127.0.0.1", int(os.environ["OPORA_HTTP_PORT"]))
    async with (
        live,
        AIOKafkaConsumer(
            os.environ["BENCH_TOPIC"],
            bootstrap_servers=os.environ["OPORA_KAFKA_BOOTSTRAP"],
            group_id="bare",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        ) as consumer,
    ):
        while True:
            taken = await consumer.getmany(timeout_ms=20, max_records=_MOST_RECORDS)
            records = [record for some in taken.values() for record in some]
            if records:
                await keep(connection, records)
                await consumer.commit()


async def _keep_newest(connection: Any, records: Sequence[Any]) -> None:
    newest: dict[str, tuple[int, str]] = {}
    for record in records:
        newest[record.key.decode()] = (_sequence(record.headers), record.value.decode())
    await connection.execute(
        "insert into bare (key, version, document) select * from unnest($1::text[], $2::bigint[], $3::jsonb[])"
        " on conflict (key) do update set version = excluded.version, document = excluded.document"
        " where bare.version < excluded.version",
        list(newest),
        [version for version, _ in newest.values()],
        [document for _, document in newest.values()],
    )


async def _keep_everything(connection: Any, records: Sequence[Any]) -> None:
    await connection.execute(
        "insert into bare (key, version, document) select key, 1, document"
        " from unnest($1::text[], $2::jsonb[]) as record (key, document)",
        [record.key.decode() for record in records],
        [record.value.decode() for record in records],
    )


def _sequence(headers: Any) -> int:
    return int(next(value for name, value in headers if name == "ce_sequence"))


async def answer_live(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say to whoever asks over HTTP that this process is up."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    await writer.drain()
    writer.close()


if __name__ == "__main__":
    with suppress(asyncio.CancelledError):
        uvloop.run(_consume())
