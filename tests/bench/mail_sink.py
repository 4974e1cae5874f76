"""A mail server that takes every letter and keeps none.

BENCH_SMTP_PORT=… OPORA_HTTP_PORT=… python -m tests.bench.mail_sink
"""

import asyncio
import os
from typing import Any

import uvloop
from aiosmtpd.smtp import SMTP

from opora_embedded.ports import HOST
from tests.bench.bare_consumer import answer_live


class _Sink:
    async def handle_DATA(self, _server: Any, _session: Any, _envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        return "250 2.0.0 Letter taken"


async def _serve() -> None:
    loop, sink = asyncio.get_running_loop(), _Sink()
    mail = await loop.create_server(
        lambda: SMTP(sink, hostname="sink", enable_SMTPUTF8=True, loop=loop), HOST, int(os.environ["BENCH_SMTP_PORT"])
    )
    live = await asyncio.start_server(answer_live, HOST, int(os.environ["OPORA_HTTP_PORT"]))
    async with mail, live:
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve())
