"""The least that takes a ticket over HTTP and keeps it: Starlette, asyncpg, one row. With BENCH_KEEPS=nothing none.

OPORA_DATABASE_DSN=… OPORA_HTTP_PORT=… python tests/bench/bare_http.py
"""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

_KEEPS_NOTHING = os.environ.get("BENCH_KEEPS") == "nothing"


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    app.state.pool = await asyncpg.create_pool(os.environ["OPORA_DATABASE_DSN"], min_size=10, max_size=10)
    await app.state.pool.execute(
        "create table if not exists bare (id bigint generated always as identity primary key, document jsonb not null)"
    )
    yield
    await app.state.pool.close()


async def _create(request: Request) -> JSONResponse:
    document = await request.json()
    if _KEEPS_NOTHING:
        return JSONResponse({"id": 0, **document}, status_code=201)
    number = await request.app.state.pool.fetchval(
        "insert into bare (document) values ($1) returning id", json.dumps(document)
    )
    return JSONResponse({"id": number, **document}, status_code=201)


async def _live(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("alive")


app = Starlette(
    routes=[Route("/v1/tickets", _create, methods=["POST"]), Route("/health/live", _live)], lifespan=_lifespan
)

if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["OPORA_HTTP_PORT"]), log_config=None, access_log=False, loop="uvloop")
